"""Crystals with cells, made up in any space group."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.crystal.tables import CrystalSystem
from wyckflow.ml.forward.crystals import crystals_from_structures


def random_lattice(rng, system):
    """A cell of a crystal system, with nothing special about it."""
    a, b, c = 4 + 3 * rng.random(3)
    angles = {
        CrystalSystem.TRICLINIC: (72, 81, 97),
        CrystalSystem.MONOCLINIC: (90, 103, 90),
        CrystalSystem.TRIGONAL: (90, 90, 120),
        CrystalSystem.HEXAGONAL: (90, 90, 120),
    }.get(system, (90, 90, 90))
    if system not in (
        CrystalSystem.TRICLINIC,
        CrystalSystem.MONOCLINIC,
        CrystalSystem.ORTHORHOMBIC,
    ):
        b = a
    if system is CrystalSystem.CUBIC:
        c = a
    cosines = np.cos(np.radians(angles))
    metric = np.outer((a, b, c), (a, b, c))
    for value, (i, j) in zip(cosines, [(1, 2), (0, 2), (0, 1)], strict=True):
        metric[i, j] = metric[j, i] = metric[i, j] * value
    return np.linalg.cholesky(metric)


def structure_of_gene(gene, rng):
    """A gene with a cell and free coordinates, whatever the distances."""
    lattice = random_lattice(rng, gene.space_group.crystal_system)
    return ReducedStructure(gene, lattice, rng.random((gene.n_orbits, 3)))


@pytest.fixture(scope="session")
def random_crystals(random_genes):
    """Two crystals in each of the 230 groups."""
    rng = np.random.default_rng(1)
    return crystals_from_structures(
        [structure_of_gene(gene, rng) for gene in random_genes]
    )


@pytest.fixture(scope="session")
def make_structure():
    """Give a gene a random cell and random free coordinates."""
    return structure_of_gene
