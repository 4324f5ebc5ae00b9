"""Crystals, and POTCARs without physics for pymatgen to find."""

from __future__ import annotations

import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

pytest.importorskip("atomate2", reason="install wyckflow[dft]")


FACES = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]


def two_lattices(size, species, shift):
    """Return two face-centred lattices, one shifted against the other."""
    places = FACES + [[x + shift for x in face] for face in FACES]
    return Structure(Lattice.cubic(size), [s for s in species for _ in FACES], places)


@pytest.fixture
def gallium_arsenide():
    return two_lattices(5.65, ["Ga", "As"], 0.25)


@pytest.fixture
def wustite():
    return two_lattices(4.33, ["Fe", "O"], 0.5)


@pytest.fixture
def potcars(tmp_path, monkeypatch):
    """A library of stand-ins; pymatgen reads its setting once, so it is set there."""
    from pymatgen.io.vasp import inputs

    from wyckflow.vasp.simulator.potcars import write_potcars

    library = write_potcars(tmp_path / "potcars")
    monkeypatch.setitem(inputs.SETTINGS, "PMG_VASP_PSP_DIR", str(library))
    return library
