"""The guards: known crystals pass, nonsense does not."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.relax.guards import (
    covalent_radii_per_atom,
    find_geometry_problem,
    find_unsupported_elements,
)
from wyckflow.relax.potential import SUPPORTED_ATOMIC_NUMBERS
from wyckflow.schemas.relaxation import Outcome

CUTOFF = 6.0


def judge(lattice, fractional, radii):
    lattice = np.array(lattice, dtype=float)
    with np.errstate(invalid="ignore"):
        positions = np.array(fractional, dtype=float) @ lattice
    return find_geometry_problem(
        lattice, positions, np.array(radii, dtype=float), cutoff=CUTOFF
    )


def judge_structure(structure):
    from ase.data import covalent_radii

    radii = [covalent_radii[site.specie.Z] for site in structure]
    return judge(structure.lattice.matrix, structure.frac_coords, radii)


@pytest.mark.parametrize(
    ("number", "lengths", "species", "coordinates"),
    [
        (227, (3.567,) * 3, ["C"], [[0] * 3]),
        (225, (5.64,) * 3, ["Na", "Cl"], [[0] * 3, [0.5] * 3]),
        (221, (4.12,) * 3, ["Cs", "Cl"], [[0] * 3, [0.5] * 3]),
        (229, (6.14,) * 3, ["Cs"], [[0] * 3]),
        (225, (4.08,) * 3, ["Li", "H"], [[0] * 3, [0.5] * 3]),
    ],
    ids=["diamond", "rocksalt", "CsCl", "caesium", "LiH"],
)
def test_known_crystals_pass(number, lengths, species, coordinates):
    from pymatgen.core import Lattice, Structure

    lattice = Lattice.orthorhombic(*lengths)
    crystal = Structure.from_spacegroup(number, lattice, species, coordinates)
    assert judge_structure(crystal) is None


@pytest.mark.parametrize(
    ("lattice", "fractional", "outcome", "words"),
    [
        (np.eye(3) * 4, [[0, 0, 0], [0, 0, 0.02]], Outcome.GUARDED, "distance"),
        (np.eye(3) * 1.4, [[0, 0, 0]], Outcome.GUARDED, "below 4.0"),
        (np.eye(3) * 6, [[0, 0, 0]], Outcome.GUARDED, "above 150"),
        (np.diag([1.4, 4, 4]), [[0, 0, 0]], Outcome.GUARDED, "axis"),
        (
            [[8, 0, 0], [0, 8, 0], [7, 3.5, 0.8]],
            [[0, 0, 0]],
            Outcome.GUARDED,
            "flat",
        ),
        (-np.eye(3) * 3, [[0, 0, 0]], Outcome.GUARDED, "below 4.0"),
        (np.eye(3) * np.nan, [[0, 0, 0]], Outcome.NON_FINITE, "finite"),
        (np.eye(3) * 3, [[np.inf, 0, 0]], Outcome.NON_FINITE, "finite"),
    ],
    ids=["overlap", "small", "large", "axis", "flat", "left", "nan", "inf"],
)
def test_nonsense_is_stopped_and_named(lattice, fractional, outcome, words):
    problem = judge(lattice, fractional, [1.0] * len(fractional))
    assert problem.outcome is outcome
    assert words in problem.reason


def test_an_atom_on_its_own_image_is_overlap():
    problem = judge(np.diag([1.6, 3, 3]), [[0, 0, 0]], [2.0])
    assert problem.outcome is Outcome.GUARDED
    assert "distance" in problem.reason


def test_a_lonely_atom_is_found_beside_atoms_with_neighbours():
    # A pair at the corner; the atom in the middle is 6.3 A from the nearest.
    problem = judge(
        np.eye(3) * 7.6, [[0, 0, 0.07], [0, 0, -0.07], [0.5, 0.5, 0.5]], [0.5] * 3
    )
    assert problem.outcome is Outcome.ISOLATED
    assert problem.reason.startswith("1 atoms")


def test_elements_outside_the_training_set_are_named():
    supported = frozenset({11, 17})
    assert find_unsupported_elements(["Na", "Cl"], supported) is None
    problem = find_unsupported_elements(["Rn", "Na", "Po"], supported)
    assert problem.outcome is Outcome.UNSUPPORTED_ELEMENT
    assert problem.reason.endswith("Po, Rn")


def test_every_supported_element_has_the_radius_that_ase_knows():
    from ase.data import chemical_symbols, covalent_radii

    for number in SUPPORTED_ATOMIC_NUMBERS:
        gene = WyckoffGene.from_text(f"229 {chemical_symbols[number]}:a")
        radii = covalent_radii_per_atom(gene)
        assert radii == pytest.approx([covalent_radii[number]] * 2, abs=0.2)
