"""What a user can ask for, and what is refused with the remedy."""

from __future__ import annotations

import pytest
import yaml
from pydantic import ValidationError
from pymatgen.symmetry.groups import SpaceGroup

from wyckflow.errors import TargetError
from wyckflow.schemas.target import PAPER_TARGET, Target, Window, parse_space_groups

FILE = """
properties:
  band_gap: {min: 0.5, max: 2.0}
  formation_energy_per_atom: {max: -0.5}
space_groups: 143-230
elements_none: [Pb, Cd]
n_elements: {min: 2, max: 3}
"""


def test_a_target_is_read_from_yaml_and_says_what_it_asks():
    target = Target(**yaml.safe_load(FILE))
    assert target.properties["band_gap"] == Window(min=0.5, max=2.0)
    assert target.space_groups == tuple(range(143, 231))
    assert target.conditions() == {
        "band_gap": "0.5 to 2",
        "formation_energy_per_atom": "at most -0.5",
        "space_groups": "143-230",
        "elements_none": "Pb, Cd",
        "n_elements": "2 to 3",
    }
    assert Target.model_validate_json(target.model_dump_json()) == target


def test_the_paper_asks_for_trigonal_hexagonal_and_cubic_semiconductors():
    systems = {SpaceGroup.from_int_number(n).crystal_system for n in range(143, 231)}
    assert systems == {"trigonal", "hexagonal", "cubic"}
    by_system = Target(crystal_systems=sorted(systems))
    assert PAPER_TARGET.allowed_space_groups == by_system.allowed_space_groups


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("62", (62,)), (62, (62,)), ("3-5, 1", (1, 3, 4, 5)), ([2, "4-5"], (2, 4, 5))],
)
def test_space_groups_may_be_numbers_ranges_and_lists(text, numbers):
    assert parse_space_groups(text) == numbers


@pytest.mark.parametrize("text", ["0", "231", "5-3", "Pnma", "1-", "1-2-3", 62.5])
def test_what_is_no_space_group_is_refused(text):
    with pytest.raises(TargetError, match="space group"):
        Target(space_groups=text)


def test_elements_may_be_text():
    assert Target(elements_only="Ba-Ti-O").elements_only == ("Ba", "Ti", "O")
    assert Target(elements_any="S, Se").elements_any == ("S", "Se")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"elements_all": ["Ba"], "elements_none": ["Ba"]}, "take it out"),
        ({"elements_any": ["S"], "elements_none": ["S", "Se"]}, "Every element"),
        ({"elements_all": ["Ba"], "elements_only": ["Ti", "O"]}, "add it there"),
        ({"elements_all": ["Xx"]}, "no chemical symbol"),
        ({"space_groups": "1", "crystal_systems": ["cubic"]}, "No space group"),
        ({"properties": {"band_gap": {"min": 2, "max": 1}}}, "holds nothing"),
        ({"properties": {"band_gap": 1.5}}, "min: ..., max: ..."),
        ({"properties": ["band_gap"]}, "NAME: {min: ..., max: ...}"),
        ({"elements_all": 5}, "'5' is no chemical symbol"),
        ({"element_none": ["Pb"]}, "Did you mean 'elements_none'"),
    ],
)
def test_a_target_that_contradicts_itself_is_refused_with_the_remedy(wrong, words):
    with pytest.raises(TargetError, match=words):
        Target(**wrong)


def test_a_range_that_is_no_number_is_refused():
    with pytest.raises(ValidationError):
        Target(properties={"band_gap": {"min": float("nan")}})


def test_an_open_target_has_no_conditions():
    assert Target().is_open
    assert Target().conditions() == {}
    assert len(Target().allowed_space_groups) == 230
