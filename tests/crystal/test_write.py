"""CIFs of reduced structures, read back by pymatgen and by ASE."""

from __future__ import annotations

import io

import numpy as np
import pytest

from wyckflow.crystal.build.sampler import sample_structures
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.tables import load_space_group
from wyckflow.crystal.write import write_cif

# Two origins, rhombohedral axes, glide planes, all crystal systems.
GROUPS = (1, 2, 9, 14, 15, 48, 62, 70, 88, 141, 148, 152, 166, 186, 194, 205, 227, 230)


def draw(number):
    """Return a random structure of a group, on its first and its last position."""
    letters = load_space_group(number).letters
    gene = WyckoffGene.from_pairs(number, [("Na", letters[0]), ("Cl", letters[-1])])
    rng = np.random.default_rng(number)
    return next(iter(sample_structures(gene, 1, rng=rng, min_contact_ratio=0.3)))


def farthest(structure, coordinates):
    """Return the distance in A of the atom farthest from any of the structure's."""
    ours, _ = structure.expand()
    lattice = structure.to_structure().lattice
    return lattice.get_all_distances(coordinates, ours).min(axis=1).max()


@pytest.mark.filterwarnings("ignore")  # of the readers
@pytest.mark.parametrize("number", GROUPS)
def test_readers_find_all_atoms_where_they_are(number):
    cif = pytest.importorskip("pymatgen.io.cif")
    structure = draw(number)
    text = write_cif(structure, "a crystal")
    assert text.startswith("data_a_crystal\n")
    parser = cif.CifParser.from_str(text)
    (found,) = parser.parse_structures(primitive=False)
    assert len(found) == structure.n_atoms
    assert found.volume == pytest.approx(structure.volume)
    assert farthest(structure, found.frac_coords) < 1e-5
    symbols = {site.element for site in structure.gene.sites}
    assert {str(element) for element in found.elements} == symbols


@pytest.mark.filterwarnings("ignore")
def test_more_can_be_said_of_each_orbit():
    cif = pytest.importorskip("pymatgen.io.cif")
    structure = draw(194)
    words = [f"word{number}" for number in range(structure.gene.n_orbits)]
    text = write_cif(structure, "crystal", site_columns={"remark": words})
    block = cif.CifFile.from_str(text).data["crystal"]
    assert block["_atom_site_remark"] == words
    parser = cif.CifParser.from_str(text)
    (found,) = parser.parse_structures(primitive=False)
    assert len(found) == structure.n_atoms
    with pytest.raises(ValueError, match="shorter"):
        write_cif(structure, site_columns={"remark": words[1:]})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", GROUPS)
def test_ase_agrees(number):
    read = pytest.importorskip("ase.io", reason="install wyckflow[ml]").read
    structure = draw(number)
    atoms = read(io.StringIO(write_cif(structure)), format="cif")
    assert len(atoms) == structure.n_atoms
    assert farthest(structure, atoms.get_scaled_positions()) < 1e-5
    assert atoms.info["spacegroup"].no == number
