"""What keeps the house light, where neither ruff nor the import contract looks."""

from __future__ import annotations

from pathlib import Path

import pytest

import wyckflow

PACKAGE = Path(wyckflow.__file__).parent
REPOSITORY = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((REPOSITORY / "tests").rglob("*.py"))

MAX_LINES = 500
MAX_TYPICAL_LINES = 200
CATCH_ALL_NAMES = {"common", "helper", "helpers", "misc", "tools", "util", "utils"}

each_module = pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE))
)


def count_lines(path):
    return len(path.read_text().splitlines())


def test_modules_are_found():
    assert PACKAGE / "settings.py" in MODULES


@each_module
def test_a_module_can_be_read_in_one_sitting(path):
    assert count_lines(path) <= MAX_LINES, "split it where it changes its subject"


def test_a_typical_module_is_short():
    lengths = sorted(map(count_lines, MODULES))
    assert lengths[len(lengths) // 2] <= MAX_TYPICAL_LINES


@pytest.mark.parametrize(
    "folder", [PACKAGE, REPOSITORY / "tests"], ids=lambda p: p.name
)
def test_nothing_is_called_after_having_no_subject(folder):
    names = {path.stem.strip("_") for path in folder.rglob("*")}
    assert names & CATCH_ALL_NAMES == set()


def test_every_folder_of_the_package_is_one():
    """A folder without ``__init__.py`` would be left out of the built package."""
    folders = {path.parent for path in MODULES}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_tests_are_no_package():
    """They are imported by path, so that equal names in two folders do no harm."""
    assert [path for path in TESTS if path.name == "__init__.py"] == []


def test_the_folders_of_the_tests_are_those_of_the_repository():
    ours = {"benchmarks", "chaos", "contract", "docs", "examples"}
    floors = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    folders = {
        path.relative_to(REPOSITORY / "tests").parts[0]
        for path in TESTS
        if path.parent != REPOSITORY / "tests"
    }
    assert folders <= floors | ours
