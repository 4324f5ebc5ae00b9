"""The packaged structures of the elements, against ASE and what is known of them."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.errors import ReferenceDataError
from wyckflow.thermo.elements import choose_prototypes, load_element_prototypes

DISTANCES = {
    # Bond lengths and nearest neighbours in A: CRC Handbook; Donohue 1974.
    ("H", "H2 hcp"): 0.74,
    ("B", "alpha-B"): 1.67,
    ("C", "graphite 2H"): 1.42,
    ("C", "diamond"): 1.54,
    ("N", "alpha-N2"): 1.10,
    ("O", "alpha-O2"): 1.21,
    ("O", "beta-O2"): 1.21,
    ("F", "alpha-F2"): 1.42,
    ("Si", "diamond"): 2.35,
    ("P", "black P"): 2.22,
    ("S", "alpha-S8"): 2.05,
    ("S", "S6"): 2.06,
    ("Cl", "Cl2"): 1.99,
    ("Mn", "alpha-Mn"): 2.24,
    ("Ga", "alpha-Ga"): 2.48,
    ("As", "grey As"): 2.52,
    ("Se", "grey Se"): 2.37,
    ("Br", "Br2"): 2.28,
    ("Sn", "beta-Sn"): 3.02,
    ("Te", "grey Se"): 2.84,
    ("I", "I2"): 2.70,
    ("U", "alpha-U"): 2.75,
    ("Np", "alpha-Np"): 2.60,
    ("Pu", "alpha-Pu"): 2.57,
    ("Cu", "fcc"): 2.56,
    ("Mg", "hcp"): 3.20,
    ("Fe", "bcc"): 2.48,
}


def shortest_distance(structure):
    from pymatgen.core.structure import Structure

    expanded: Structure = structure.to_structure()
    neighbors = expanded.get_neighbor_list(4.0)[3]
    return float(neighbors.min())


def find(element, name):
    (found,) = [p for p in load_element_prototypes()[element] if p.name == name]
    return found


def test_every_element_that_chgnet_knows_has_a_start_and_no_other():
    from wyckflow.crystal.elements import SYMBOLS
    from wyckflow.relax.potential import SUPPORTED_ATOMIC_NUMBERS

    known = {SYMBOLS[number - 1] for number in SUPPORTED_ATOMIC_NUMBERS}
    assert len(known) == 89
    assert set(load_element_prototypes()) == known


def test_starts_are_of_their_element_alone_and_have_an_id_each():
    starts = choose_prototypes()
    assert all(form.structure.gene.elements == (form.element,) for form in starts)
    assert len({form.id for form in starts}) == len(starts)


@pytest.mark.parametrize(
    ("element", "name"), list(DISTANCES), ids=["-".join(key) for key in DISTANCES]
)
def test_nearest_neighbours_are_as_far_as_the_handbook_says(element, name):
    structure = find(element, name).structure
    assert shortest_distance(structure) == pytest.approx(
        DISTANCES[element, name], rel=0.06
    )


def test_spglib_finds_the_space_group_that_the_table_names():
    import spglib

    for form in choose_prototypes():
        coordinates, numbers = form.structure.expand()
        cell = (np.array(form.structure.lattice), coordinates, numbers)
        found = spglib.get_spacegroup(cell, symprec=1e-3)
        number = int(found.split("(")[1].rstrip(")"))
        assert number == form.structure.gene.space_group_number, form.id


def test_metals_are_tried_in_packings_of_their_volume():
    copper = load_element_prototypes()["Cu"]
    assert {form.name for form in copper} >= {"fcc", "bcc", "hcp", "dhcp"}
    for form in copper:
        volume = form.structure.volume / form.structure.n_atoms
        assert volume == pytest.approx(11.9, rel=1e-6)  # a = 3.62 A in fcc


def test_an_element_without_a_start_is_refused_by_name():
    with pytest.raises(ReferenceDataError, match="'Po'"):
        choose_prototypes(["Cu", "Po"])


@pytest.mark.parametrize(
    ("element", "name"),
    [("Cu", "fcc"), ("O", "alpha-O2"), ("Mg", "hcp")],
    ids=["Cu", "O2", "Mg"],
)
def test_relaxed_elements_agree_with_ase(element, name):
    compare_with_ase(find(element, name).structure, tolerance=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("element", "name"),
    [
        ("H", "H2 hcp"), ("B", "alpha-B"), ("C", "graphite 2H"), ("N", "alpha-N2"),
        ("Si", "diamond"), ("P", "black P"), ("Mn", "alpha-Mn"), ("Fe", "bcc"),
        ("Ga", "alpha-Ga"), ("I", "I2"), ("U", "alpha-U"), ("Gd", "hcp"),
    ],
    ids=lambda value: value.replace(" ", "-"),
)  # fmt: skip
def test_a_dozen_more_relaxed_elements_agree_with_ase(element, name):
    compare_with_ase(find(element, name).structure, tolerance=2e-3)


def compare_with_ase(structure, *, tolerance):
    """Relax without any of our code: chgnet's calculator and ASE's optimiser."""
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    from ase.constraints import FixSymmetry
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS
    from pymatgen.io.ase import AseAtomsAdaptor

    from wyckflow.relax.batched import relax_structures
    from wyckflow.relax.contract import RelaxOptions
    from wyckflow.relax.potential import load_potential

    potential = load_potential(device="cpu")
    (ours,) = relax_structures([structure], potential, RelaxOptions())
    atoms = AseAtomsAdaptor.get_atoms(structure.to_structure())
    atoms.calc = potential.calculator()
    atoms.set_constraint(FixSymmetry(atoms))
    with BFGS(FrechetCellFilter(atoms), logfile=None) as optimiser:
        optimiser.run(fmax=0.01, steps=200)
    theirs = atoms.get_potential_energy() / len(atoms)
    assert ours.state.energy_per_atom == pytest.approx(theirs, abs=tolerance)
