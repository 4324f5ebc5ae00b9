"""What the guides for developers make works: their code, then their tests of it."""

from __future__ import annotations

import inspect
import sys
import types

import pytest
from page_blocks import read_blocks
from page_runner import REPOSITORY

GUIDES = sorted((REPOSITORY / "docs" / "dev").glob("add-a-*.md"))
TESTED = {"add-a-filter", "add-a-generator", "add-a-maker", "add-a-potential"}


@pytest.fixture
def guide(monkeypatch):
    """A module that holds what a guide says."""
    module = types.ModuleType("guide")
    monkeypatch.setitem(sys.modules, "guide", module)

    def follow(page):
        for block in read_blocks(page.read_text()):
            if block.language == "python" and block.skip_reason is None:
                exec(block.text, module.__dict__)  # noqa: S102 (our own page)
        return vars(module)

    return follow


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_the_code_of_a_guide_passes_the_tests_of_the_guide(page, guide, request):
    pytest.importorskip("ase", reason="install wyckflow[ml]")
    made = guide(page)
    tests = [made[name] for name in made if name.startswith("test_")]
    assert bool(tests) == (page.stem in TESTED)
    for test in tests:
        fixtures = inspect.signature(test).parameters
        test(**{name: request.getfixturevalue(name) for name in fixtures})


def test_the_maker_of_the_guide_is_a_dataclass_of_its_own(guide):
    made = guide(REPOSITORY / "docs" / "dev" / "add-a-maker.md")
    assert "__dataclass_params__" in vars(made["CountElementsMaker"])


def test_files_of_screens_know_the_filter_of_the_guide_once_it_is_named(
    guide, monkeypatch
):
    from wyckflow.screening import filters

    made = guide(REPOSITORY / "docs" / "dev" / "add-a-filter.md")
    kind = made["LowestSpaceGroup"]
    monkeypatch.setattr(filters, "FILTERS", {**filters.FILTERS, kind.kind: kind})
    read = filters.read_filter({"filter": "lowest_space_group", "number": 143})
    assert read == kind(number=143)
