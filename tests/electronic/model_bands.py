"""Crystals whose bands are known: ellipsoids placed by hand, on SeeK-path's path."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise, product

import numpy as np
from pymatgen.core import Lattice, Structure
from scipy.constants import electron_mass, elementary_charge, hbar

from wyckflow.electronic.bands import Bands, read_atoms

# hbar^2 / m in eV A^2, from scipy's constants.
SCALE = hbar**2 / electron_mass / elementary_charge * 1e20

FCC_PATH = ["L", "Γ", "X", "W", "K", "Γ"]
FCC_POINTS = {
    "Γ": (0, 0, 0),
    "X": (0.5, 0, 0.5),
    "L": (0.5, 0.5, 0.5),
    "W": (0.5, 0.25, 0.75),
    "K": (0.375, 0.375, 0.75),
}


def kane(energy, alpha):
    """Solve E (1 + alpha E) = energy."""
    energy = np.asarray(energy, dtype=float)
    return 2 * energy / (1 + np.sqrt(1 + 4 * alpha * energy))


@dataclass
class Ellipsoids:
    """Equal pockets at given places, repeated through reciprocal space.

    ``axes`` are unit vectors, one per place; ``along`` and ``across`` the masses along
    it and across.
    """

    places: list
    axes: list
    along: float
    across: float
    alpha: float = 0.0
    bottom: float = 0.0
    images: list = field(default_factory=lambda: list(product((-1, 0, 1), repeat=3)))

    def energy(self, k, reciprocal):
        """Energy above the bottom at Cartesian wave vectors, shape (points,)."""
        best = np.full(len(k), np.inf)
        for place, axis in zip(self.places, self.axes, strict=True):
            unit = np.array(axis) / np.linalg.norm(axis)
            for image in self.images:
                away = k - np.array(place) - np.array(image) @ reciprocal
                part = away @ unit
                rest = np.sum(away**2, axis=1) - part**2
                raw = SCALE / 2 * (part**2 / self.along + rest / self.across)
                best = np.minimum(best, kane(raw, self.alpha))
        return self.bottom + best


def walk(points, path, n=40):
    """Fractional wave vectors and labels as VASP's line mode writes them."""
    rows, labels = [], []
    for first, last in pairwise(path):
        ends = np.array(points[first]), np.array(points[last])
        rows.append(np.linspace(*ends, n))
        labels += [first, *[""] * (n - 2), last]
    return np.concatenate(rows), tuple(labels)


def make_bands(structure, valence, conduction, *, kpoints=None, labels=(), **options):
    """Bands of lists of models, the first ones at the edges."""
    if kpoints is None:
        kpoints, labels = walk(FCC_POINTS, FCC_PATH)
    reciprocal = 2 * np.pi * np.linalg.inv(structure.lattice.matrix).T
    k = kpoints @ reciprocal
    filled = [-one.energy(k, reciprocal) for one in valence][::-1]
    empty = [one.energy(k, reciprocal) for one in conduction]
    return Bands(
        lattice=structure.lattice.matrix,
        kpoints=kpoints,
        energies=np.array([filled + empty]),
        fermi=options.pop("fermi", 0.1),
        labels=labels,
        atoms=read_atoms(structure),
        **options,
    )


def fcc(species, coordinates, edge):
    cell = Lattice(edge / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]))
    return Structure(cell, species, coordinates)


QUARTER = (0.25, 0.25, 0.25)
CRYSTALS = {
    "Si": fcc(["Si", "Si"], [(0, 0, 0), QUARTER], 5.43),
    "Ge": fcc(["Ge", "Ge"], [(0, 0, 0), QUARTER], 5.66),
    "GaAs": fcc(["Ga", "As"], [(0, 0, 0), QUARTER], 5.65),
    "PbTe": fcc(["Pb", "Te"], [(0, 0, 0), (0.5, 0.5, 0.5)], 6.46),
    "SnTe": fcc(["Sn", "Te"], [(0, 0, 0), (0.5, 0.5, 0.5)], 6.31),
    "Mg2Si": fcc(["Si", "Mg", "Mg"], [(0, 0, 0), QUARTER, (0.75, 0.75, 0.75)], 6.35),
}


def cubic_axes():
    return [sign * np.eye(3)[i] for i in range(3) for sign in (1, -1)]


def diagonals():
    return [np.array([1, y, z]) for y in (1, -1) for z in (1, -1)]


def pockets_at(name, kind, along, across, **more):
    """Pockets of a face-centred crystal at Γ, X, L, or on the line to X, by hand."""
    unit = 2 * np.pi / (CRYSTALS[name].lattice.a * 2**0.5)
    if kind == "Γ":
        return Ellipsoids([np.zeros(3)], [np.eye(3)[0]], along, across, **more)
    if kind == "X":
        axes = [np.eye(3)[i] for i in range(3)]
        return Ellipsoids([unit * a for a in axes], axes, along, across, **more)
    if kind == "L":
        return Ellipsoids(
            [unit / 2 * a for a in diagonals()], diagonals(), along, across, **more
        )
    places = [0.85 * unit * axis for axis in cubic_axes()]
    return Ellipsoids(places, cubic_axes(), along, across, **more)
