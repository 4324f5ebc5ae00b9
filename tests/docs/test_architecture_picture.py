"""The picture of the architecture says what the code says."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import combinations

import pytest
from page_runner import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "docs" / "_ext"))

import architecture_picture as picture

PYPROJECT = """
[[tool.importlinter.contracts]]
type = "layers"
layers = ["roof", "left | right", "ground"]
"""
MODULES = {
    "roof.py": "from house import right\nimport house.ground\n",
    "left/__init__.py": "",
    "left/door.py": "def open_it():\n    from house.ground import floor\n",
    "right/__init__.py": (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from house.ground import carpet\n"
    ),
    "ground.py": "import json\n",
}


@pytest.fixture
def house(tmp_path):
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    for name, text in MODULES.items():
        path = tmp_path / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def words_of(svg):
    tree = ET.fromstring(svg)  # noqa: S314 (our own picture)
    return [element.text for element in tree.iter() if element.tag.endswith("text")]


def test_imports_are_counted_as_they_happen_at_run_time(house):
    found = picture.count_imports(house / "house")
    expected = {("roof", "right"): 1, ("roof", "ground"): 1, ("left", "ground"): 1}
    assert found == Counter(expected)


def test_a_package_that_enters_the_contract_enters_the_picture(house):
    floors = picture.read_floors(house / "pyproject.toml")
    assert floors == [["roof"], ["left", "right"], ["ground"]]
    before = words_of(picture.draw_imports(floors, Counter()))
    after = words_of(picture.draw_imports([*floors, ["cellar"]], Counter()))
    assert Counter(after) - Counter(before) == Counter({"cellar": 2})


def test_an_import_that_the_floors_forbid_is_not_drawn_but_told():
    with pytest.raises(ValueError, match="ground imports roof"):
        picture.draw_imports([["roof"], ["ground"]], Counter({("ground", "roof"): 1}))


def test_the_numbers_of_the_picture_are_those_of_our_own_imports():
    imports = picture.count_imports(REPOSITORY / "wyckflow")
    shown = [word for word in words_of(picture.picture_of_imports()) if word.isdigit()]
    floors = picture.read_floors(REPOSITORY / "pyproject.toml")
    packages = {name for floor in floors for name in floor}
    ours = {pair: n for pair, n in imports.items() if set(pair) <= packages}
    assert sorted(map(int, shown)) == sorted(ours.values())


def test_every_job_stands_below_what_it_waits_for_with_its_worker():
    pytest.importorskip("atomate2", reason="install wyckflow[dft]")
    from wyckflow.resources import CATEGORY_BY_JOB_NAME

    words = words_of(picture.picture_of_jobs())
    jobs = [word for word in words if word in CATEGORY_BY_JOB_NAME]
    assert {"gene generate", "campaign plan", "chgnet relax", "dft audit"} <= set(jobs)
    for job in jobs:
        assert words[words.index(job) + 1] == CATEGORY_BY_JOB_NAME[job]


def test_what_waits_is_below_and_no_two_boxes_share_a_place():
    boxes = [
        picture.JobBox("a", "gpu", ()),
        picture.JobBox("b", "cpu", ("a",)),
        picture.JobBox("c", "cpu", ("a",)),
        picture.JobBox("d", "vasp", ("a", "b", "c")),
    ]
    place = picture._place(boxes, 0, 0)
    assert place["a"][1] < place["b"][1] == place["c"][1] < place["d"][1]
    assert all(place[m] != place[n] for m, n in combinations(place, 2))
    assert picture._direct(boxes[3], boxes) == ["b", "c"]  # a is behind these


def test_the_same_code_gives_the_same_picture():
    assert picture.picture_of_imports() == picture.picture_of_imports()
