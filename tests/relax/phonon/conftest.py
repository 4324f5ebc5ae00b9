"""Crystals at the minima of the network, relaxed once."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure

CUBIC = {
    "NaCl": ("225 Na:a Cl:b", 5.7),
    "MgO": ("225 Mg:a O:b", 4.24),
    "Si": ("227 Si:a", 5.46),
    "SrTiO3": ("221 Sr:a Ti:b O:c", 3.95),
    "BaTiO3": ("221 Ba:a Ti:b O:c", 4.05),
    "Cu": ("225 Cu:a", 3.6),
}


def cubic(text, edge):
    gene = WyckoffGene.from_text(text)
    return ReducedStructure(gene, np.eye(3) * edge, np.zeros((gene.n_orbits, 3)))


@pytest.fixture(scope="session")
def make_cubic():
    """A function of a gene without free coordinates and its edge in A."""
    return cubic


@pytest.fixture(scope="session")
def rutile():
    gene = WyckoffGene.from_text("136 Ti:a O:f")
    lattice = np.diag([4.65, 4.65, 2.97])
    return ReducedStructure(gene, lattice, [[0, 0, 0], [0.305, 0, 0]])


@pytest.fixture(scope="session")
def minima(potential):
    """The crystals above, relaxed."""
    from wyckflow.relax.backends import QuotientBackend
    from wyckflow.relax.contract import RelaxOptions

    starts = [cubic(*CUBIC[name]) for name in CUBIC]
    options = RelaxOptions(fmax=0.005, max_stress_gpa=0.05)
    ends = QuotientBackend(potential).relax(starts, options)
    return {name: end.structure for name, end in zip(CUBIC, ends, strict=True)}


@pytest.fixture(scope="session")
def judged(minima, potential):
    """Phonons of some of them, in small supercells and with a strict limit."""
    from wyckflow.relax.phonon.options import PhononOptions
    from wyckflow.relax.phonon.stability import Crystal, compute_phonons

    crystals = [Crystal.of(name, minima[name]) for name in ("NaCl", "SrTiO3", "Cu")]
    found = compute_phonons(
        crystals, potential, PhononOptions(min_length=5.0, reject_thz=1.0)
    )
    return {one.document.name: one for one in found}
