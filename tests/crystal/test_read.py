"""The text of a structure in any of its formats, to the same atoms."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry
from pymatgen.io.vasp.inputs import Poscar

from wyckflow.crystal.cell import Refusal, RefusalReason
from wyckflow.crystal.read import parse_structure

PEROVSKITE = Structure.from_spacegroup(
    221,
    Lattice.cubic(3.9),
    ["Sr", "Ti", "O"],
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]],
)


@pytest.mark.parametrize(
    "text",
    [
        PEROVSKITE.to(fmt="cif"),
        PEROVSKITE.to(fmt="cif", symprec=0.01),
        PEROVSKITE.to(fmt="poscar"),
        PEROVSKITE.to(fmt="json"),
        "\n " + json.dumps(PEROVSKITE.as_dict()),
        json.dumps(ComputedStructureEntry(PEROVSKITE, -1.0).as_dict(), default=str),
        Poscar(PEROVSKITE.copy().add_oxidation_state_by_guess()).get_str(),
    ],
    ids=["P1 cif", "cif", "poscar", "json", "json dict", "entry", "charged poscar"],
)
def test_every_format_gives_the_same_crystal(text):
    cell = parse_structure(text)
    assert not isinstance(cell, Refusal), cell
    assert cell.to_structure().matches(PEROVSKITE)
    np.testing.assert_allclose(sorted(cell.atomic_numbers), [8, 8, 8, 22, 38])


def test_poscar_without_symbols_is_refused_not_guessed():
    lines = PEROVSKITE.to(fmt="poscar").splitlines()
    del lines[5]
    text = "\n".join(
        line.removesuffix(" Sr").removesuffix(" Ti").removesuffix(" O")
        for line in ["comment", *lines[1:]]
    )
    refusal = parse_structure(text)
    assert refusal.reason is RefusalReason.UNREADABLE
    assert "does not name its elements" in refusal.message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", RefusalReason.MISSING_STRUCTURE),
        ("  \n", RefusalReason.MISSING_STRUCTURE),
        ("nonsense", RefusalReason.UNREADABLE),
        ("{", RefusalReason.UNREADABLE),
        ('{"lattice": 3}', RefusalReason.UNREADABLE),
        ('{"structure": null}', RefusalReason.UNREADABLE),
        ('{"lattice": {"matrix": [[1]]}, "sites": []}', RefusalReason.UNREADABLE),
    ],
)
def test_what_is_no_structure_is_refused(text, reason):
    refusal = parse_structure(text)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason


@pytest.mark.parametrize(
    ("species", "reason"),
    [
        ({"Fe": 0.5, "Ni": 0.5}, RefusalReason.DISORDERED),
        ({"Fe": 0.9}, RefusalReason.PARTIALLY_OCCUPIED),
    ],
)
def test_disorder_in_json_is_refused(species, reason):
    disordered = Structure(Lattice.cubic(3), [species], [[0, 0, 0]])
    assert parse_structure(disordered.to(fmt="json")).reason is reason
