"""Valleys and effective masses: counts against the books, masses against a Hessian.

    WYCKFLOW_VASP=FOLDER python benchmarks/masses.py [--quick] [--json FILE]

Every crystal is walked along L-Γ-X-W-K-Γ with 40 points per line, as in the WyCryst+
paper, and analysed without a word about where its pockets are. Where the path leaves a
tensor open, the dense mesh that the command proposes is calculated too, then one of
half and of a quarter of its width where fits disagree. The masses are held against
second derivatives at the extremum of the same bands by finite differences, or means
over the sphere where bands meet. Each row says what its bands are: ``vasp`` (a real
run, needs the folder), ``pseudopotential`` (Cohen and Bergstresser 1966, no spin-orbit
coupling), ``tight binding`` (p orbitals with spin-orbit coupling in the manner of Hsieh
and others 2012, with a gap of about the measured size, normal in PbTe and inverted in
SnTe), ``by hand`` (ellipsoids with published masses: no published bands were at hand).
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from _bench import Record, make_record, run_script
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from scipy.optimize import minimize

from wyckflow.electronic.analyse import analyse_bands
from wyckflow.electronic.bands import Bands, read_atoms
from wyckflow.electronic.hessian import (
    RADIUS,
    dense_points,
    finite_difference_tensor,
    sphere_masses,
)
from wyckflow.electronic.masses import HBAR2_PER_MASS
from wyckflow.electronic.valleys import sign_of
from wyckflow.electronic.vasprun import load_bands
from wyckflow.schemas.electronic import Carrier, ElectronicDoc, FitQuality, Valley

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PATH: Final = ("L", "Γ", "X", "W", "K", "Γ")
POINTS: Final = {
    "Γ": (0, 0, 0),
    "X": (0.5, 0, 0.5),
    "L": (0.5, 0.5, 0.5),
    "W": (0.5, 0.25, 0.75),
    "K": (0.375, 0.375, 0.75),
}
RYDBERG: Final = 13.605693
# Form factors in Ry: symmetric at 3, 8, 11, antisymmetric at 3, 4, 11 (2 pi / a)^2.
FORM_FACTORS: Final = {
    "Si": ((-0.21, 0.04, 0.08), (0.0, 0.0, 0.0)),
    "Ge": ((-0.23, 0.01, 0.06), (0.0, 0.0, 0.0)),
    "GaAs": ((-0.23, 0.01, 0.06), (0.07, 0.05, 0.01)),
}
# On-site energy, hopping to the other and to the own sublattice, spin-orbit, in eV.
P_ORBITALS: Final = {"PbTe": (1.21, 0.9, 0.25, 0.3), "SnTe": (1.02, 0.9, 0.25, 0.3)}
# Longitudinal and transversal mass of electrons at X; one of holes at Γ.
BY_HAND: Final = {"Mg2Si": ((0.69, 0.25), 0.9)}
QUARTER: Final = (0.25, 0.25, 0.25)
SITES: Final = {
    "Si": (5.43, ["Si", "Si"], [(0, 0, 0), QUARTER]),
    "Ge": (5.66, ["Ge", "Ge"], [(0, 0, 0), QUARTER]),
    "GaAs": (5.64, ["Ga", "As"], [(0, 0, 0), QUARTER]),
    "PbTe": (6.46, ["Pb", "Te"], [(0, 0, 0), (0.5, 0.5, 0.5)]),
    "SnTe": (6.31, ["Sn", "Te"], [(0, 0, 0), (0.5, 0.5, 0.5)]),
    "Mg2Si": (6.35, ["Si", "Mg", "Mg"], [(0, 0, 0), QUARTER, (0.75,) * 3]),
}
# Pockets of the edge that thermoelectricity with these compounds rests on.
VALLEYS: Final = {
    "Si": (Carrier.ELECTRON, 6),
    "Ge": (Carrier.ELECTRON, 4),
    "GaAs": (Carrier.ELECTRON, 1),
    "PbTe": (Carrier.HOLE, 4),
    "SnTe": (Carrier.HOLE, 4),
    "Mg2Si": (Carrier.ELECTRON, 3),
}
ALLOWED: Final = 5.0  # %, of the target


@dataclass(frozen=True)
class Model:
    """Bands that can be asked anywhere.

    Attributes
    ----------
    name, origin
        Of the crystal; what its bands are.
    levels
        Energies in eV at Cartesian wave vectors in 1/A, shape (bands, points).
    n_electrons
        In the bands.
    is_noncollinear
        Whether a band holds one electron.
    """

    name: str
    origin: str
    levels: Callable[[Floats], Floats]
    n_electrons: int
    is_noncollinear: bool = False

    @property
    def structure(self) -> Structure:
        """The crystal, in its primitive cell."""
        edge, species, places = SITES[self.name]
        cell = Lattice(edge / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]))
        return Structure(cell, species, places)

    def at(self, kpoints: Floats, labels: tuple[str, ...] = ()) -> Bands:
        """Return the bands at fractional wave vectors."""
        structure = self.structure
        reciprocal = 2 * np.pi * np.linalg.inv(structure.lattice.matrix).T
        levels = self.levels(kpoints @ reciprocal)
        n_filled = self.n_electrons // (1 if self.is_noncollinear else 2)
        return Bands(
            structure.lattice.matrix,
            kpoints,
            levels[None],
            float(levels[n_filled - 1].max()) + 1e-3,
            labels,
            n_electrons=float(self.n_electrons),
            is_noncollinear=self.is_noncollinear,
            atoms=read_atoms(structure),
        )


def main() -> int:
    """Measure both."""
    return run_script(__doc__.splitlines()[0], measure_models, show_runs)


# --- models ---------------------------------------------------------------------------


def measure_models(quick: bool) -> list[Record]:
    """Count valleys and compare masses, crystal by crystal."""
    models = [plane_waves(name) for name in FORM_FACTORS]
    models += [p_orbitals(name) for name in P_ORBITALS]
    models += [ellipsoids(name) for name in BY_HAND]
    models = models[:3] if quick else models
    n_exact = 0
    errors: dict[bool, list[float]] = {False: [], True: []}
    for model in models:
        found = analyse(model)
        carrier, expected = VALLEYS[model.name]
        edge = found.electrons if carrier is Carrier.ELECTRON else found.holes
        n_exact += edge.n_valleys == expected
        print(
            f"{model.name} ({model.origin}): gap {found.band_gap:.3f} eV, {carrier}s "
            f"at {edge.label}: N_v = {edge.n_valleys}, expected {expected}"
        )
        for valley in at_edges(found):
            errors[valley.n_b > 1] += hold(model, valley)
    names = {
        False: f"worst principal mass, N_v exact for {n_exact} of {len(models)}",
        True: "worst mass where bands meet and there is no Hessian",
    }
    return [record(name, errors[is_warped]) for is_warped, name in names.items()]


def record(name: str, errors: list[float]) -> Record:
    """Return the largest deviation; masses that were refused are counted beside it."""
    given = [error for error in errors if np.isfinite(error)]
    text = f"% {name}; {len(errors) - len(given)} of {len(errors)} refused"
    print(f"{max(given):.1f} {text}; mean {np.mean(given):.1f} %")
    return make_record(
        "Q9",
        max(given),
        text,
        ("allowed by the target", ALLOWED),
        n=len(given),
        seed=0,
        packages=("numpy", "scipy", "spglib"),
    )


def analyse(model: Model) -> ElectronicDoc:
    """Walk the path, and add dense meshes where it leaves a tensor open."""
    rows, labels = [], []
    for first, last in pairwise(PATH):
        rows.append(np.linspace(POINTS[first], POINTS[last], 40))
        labels += [first, *[""] * 38, last]
    path = model.at(np.concatenate(rows), tuple(labels))
    found = analyse_bands(path, name=model.name)
    meshes: dict[tuple[float, ...], Bands] = {}
    for radius in (RADIUS, RADIUS / 2, RADIUS / 4):
        for valley in at_edges(found):
            if valley.quality is not FitQuality.GOOD and valley.n_b == 1:
                place = tuple(valley.kpoint)
                points = dense_points(path.reciprocal, np.array(place), radius=radius)
                meshes[place] = model.at(points)
        found = analyse_bands(path, dense=list(meshes.values()), name=model.name)
    return found


def at_edges(found: ElectronicDoc) -> list[Valley]:
    """Return the pockets at both edges, without those farther in."""
    width = found.settings.degeneracy
    return [valley for valley in found.valleys if valley.energy_from_edge <= width]


def hold(model: Model, valley: Valley) -> list[float]:
    """Print the masses of a pocket beside the true ones; return deviations in %."""
    reciprocal = 2 * np.pi * np.linalg.inv(model.structure.lattice.matrix).T
    start = np.array(valley.kpoint) @ reciprocal
    sign = sign_of(valley.carrier)
    bands = [int(band) for band in valley.bands[:: len(valley.bands) // valley.n_b]]

    @cache
    def levels(*k: float) -> Floats:
        return sign * model.levels(np.array([k]))[:, 0]

    def energy(k: Floats, band: int) -> float:
        return float(levels(*k)[band])

    if len(bands) > 1:
        return hold_warped(valley, start, bands, energy)
    at = minimize(
        energy,
        start,
        (bands[0],),
        "Nelder-Mead",
        options={"xatol": 1e-6, "fatol": 1e-12},
    ).x
    tensor = finite_difference_tensor(lambda k: energy(k, bands[0]), at, step=2e-3)
    truth = np.sort(HBAR2_PER_MASS / np.linalg.eigvalsh(tensor))
    found = np.array(valley.principal_masses or [np.nan] * 3)
    return compare(valley, "principal", found, truth)


def hold_warped(
    valley: Valley,
    start: Floats,
    bands: list[int],
    energy: Callable[[Floats, int], float],
) -> list[float]:
    """Compare where bands meet: there is no tensor, only means over the sphere."""
    each = [
        sphere_masses(lambda k, band=band: energy(k, band), start, radius=5e-3)
        for band in bands
    ]
    density = sum(dos**1.5 for dos, _ in each)
    flow = sum(dos**1.5 / conductivity for dos, conductivity in each)
    found = np.array([valley.dos_mass, valley.conductivity_mass], dtype=float)
    truth = np.array([density ** (2 / 3), density / flow])
    return compare(valley, "states and conductivity (warped)", found, truth)


def compare(valley: Valley, what: str, found: Floats, truth: Floats) -> list[float]:
    """Print both; a mass that was refused has no deviation."""
    errors = 100 * np.abs(found / truth - 1)
    words = ", ".join(
        f"{mine:.3f} (true {right:.3f}, {error:.1f} %)"
        for mine, right, error in zip(found, truth, errors, strict=True)
    )
    print(
        f"  {valley.carrier}s at {valley.label}, N_k {valley.n_k} x N_b {valley.n_b}, "
        f"{what}: {words} [{valley.quality}] {valley.reason}"
    )
    return [float(error) for error in errors]


# --- bands ----------------------------------------------------------------------------


def plane_waves(name: str) -> Model:
    """Return the bands of a local pseudopotential."""
    unit = 2 * np.pi / SITES[name][0]
    corners = np.array([(-1, 1, 1), (1, -1, 1), (1, 1, -1)])
    every = np.array(list(product(range(-4, 5), repeat=3))) @ corners
    waves = every[(every**2).sum(axis=1) <= 21]  # noqa: PLR2004 (as published)
    apart = waves[:, None] - waves[None]
    symmetric, antisymmetric = FORM_FACTORS[name]
    size = (apart**2).sum(axis=2)
    even = sum(
        np.where(size == n, v, 0.0) for n, v in zip((3, 8, 11), symmetric, strict=True)
    )
    odd = sum(
        np.where(size == n, v, 0.0)
        for n, v in zip((3, 4, 11), antisymmetric, strict=True)
    )
    phase = 2 * np.pi * apart.sum(axis=2) / 8  # the origin lies between both atoms
    potential = RYDBERG * (even * np.cos(phase) + 1j * odd * np.sin(phase))

    def levels(k: Floats) -> Floats:
        kinetic = HBAR2_PER_MASS / 2 * ((k[:, None] + waves * unit) ** 2).sum(axis=2)
        matrix = potential + np.eye(len(waves)) * kinetic[:, None]
        return np.asarray(np.linalg.eigvalsh(matrix)[:, :10].T)

    return Model(name, "pseudopotential", levels, 8)


def p_orbitals(name: str) -> Model:
    """Return the bands of p orbitals on two sublattices, with spin-orbit coupling."""
    onsite, other, own, coupling = P_ORBITALS[name]
    half = SITES[name][0] / 2
    signs = np.array([1, -1])
    turn = np.zeros((3, 3, 3), dtype=complex)  # -i times the antisymmetric symbol
    for i, j, axis in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        turn[axis, i, j], turn[axis, j, i] = -1j, 1j
    pauli = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    spin_orbit = coupling * sum(map(np.kron, turn, pauli))

    def levels(k: Floats) -> Floats:
        cosine, sine = np.cos(k * half), np.sin(k * half)
        near = np.zeros((len(k), 3, 3))
        far = np.zeros((len(k), 3, 3))
        for i in range(3):
            near[:, i, i] = 2 * other * cosine[:, i]
            for j in set(range(3)) - {i}:
                far[:, i, i] += 2 * own * cosine[:, i] * cosine[:, j]
                far[:, i, j] = -2 * own * sine[:, i] * sine[:, j]
        matrix = np.zeros((len(k), 12, 12), dtype=complex)
        for site, sign in enumerate(signs):
            block = sign * (onsite * np.eye(3) + far)
            place = slice(6 * site, 6 * site + 6)
            matrix[:, place, place] = np.kron(block, np.eye(2)) + spin_orbit
        matrix[:, :6, 6:] = np.kron(near, np.eye(2))
        matrix[:, 6:, :6] = matrix[:, :6, 6:].transpose(0, 2, 1)
        return np.asarray(np.linalg.eigvalsh(matrix).T)

    return Model(name, "tight binding", levels, 6, is_noncollinear=True)


def ellipsoids(name: str) -> Model:
    """Return pockets by hand: electrons at X, holes at Γ."""
    (along, across), holes = BY_HAND[name]
    unit = 2 * np.pi / SITES[name][0]
    corners = np.array([(-1, 1, 1), (1, -1, 1), (1, 1, -1)])
    images = unit * np.array(list(product(range(-2, 3), repeat=3))) @ corners

    def levels(k: Floats) -> Floats:
        empty, filled = np.full(len(k), np.inf), np.full(len(k), np.inf)
        for image in images:
            filled = np.minimum(filled, ((k - image) ** 2).sum(axis=1) / holes)
            for axis in np.eye(3):
                away = k - image - unit * axis
                part = (away @ axis) ** 2
                rest = (away**2).sum(axis=1) - part
                empty = np.minimum(empty, part / along + rest / across)
        half = HBAR2_PER_MASS / 2
        return np.stack([-half * filled, 0.7 + half * empty])

    return Model(name, "by hand", levels, 2)


# --- real runs ------------------------------------------------------------------------


def show_runs(quick: bool) -> list[Record]:
    """Print what is found in real runs; there is no Hessian to hold them against."""
    del quick
    folder = os.environ.get("WYCKFLOW_VASP")
    if not folder:
        print("no folder of VASP runs (WYCKFLOW_VASP): real bands left out")
        return []
    for file in sorted(Path(folder).glob("*/vasprun.xml.gz")):
        found = analyse_bands(load_bands(file), name=file.parent.name)
        print(f"{found.name} (vasp, {found.n_kpoints} wave vectors): {found.kind}")
        for edge in (found.holes, found.electrons):
            print(
                f"  {edge.carrier}s at {edge.label or '-'}: N_v = {edge.n_valleys}, "
                f"conductivity mass {edge.conductivity_mass} [{edge.quality}] "
                f"{edge.reason}"
            )
    return []


if __name__ == "__main__":
    sys.exit(main())
