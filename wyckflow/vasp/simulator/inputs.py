"""What a run was asked for, read from its folder as VASP reads it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pymatgen.core import Element
from pymatgen.io.vasp.inputs import Incar, Kpoints, Poscar
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from wyckflow.errors import WyckflowError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from pymatgen.core.structure import Structure

RELAXATIONS: Final = frozenset({1, 2, 3})
RESPONSES: Final = frozenset({5, 6, 7, 8})
_LINEAR_RESPONSES: Final = frozenset({7, 8})
_TETRAHEDRA: Final = -5
_FEWEST_FOR_TETRAHEDRA: Final = 4
_FIXED_DENSITY: Final = 10
_ROUNDING: Final = 1e-9

# VASP's own defaults for what pymatgen, emmet and custodian read back. Without AEXX and
# HFSCREEN, pymatgen takes every run for Hartree-Fock.
DEFAULTS: Final[dict[str, Any]] = {
    "SYSTEM": "simulated",
    "PREC": "Normal",
    "ENMAX": 400.0,
    "EDIFF": 1e-4,
    "IALGO": 38,
    "NELM": 60,
    "NELMIN": 2,
    "ISMEAR": 1,
    "SIGMA": 0.2,
    "KSPACING": 0.5,
    "KGAMMA": True,
    "ISTART": 0,
    "ICHARG": 2,
    "ISPIN": 1,
    "LNONCOLLINEAR": False,
    "LSORBIT": False,
    "LASPH": False,
    "NSW": 0,
    "ISIF": 2,
    "POTIM": 0.5,
    "ISYM": 2,
    "SYMPREC": 1e-5,
    "LORBIT": 0,
    "NEDOS": 301,
    "LEPSILON": False,
    "LOPTICS": False,
    "LDAU": False,
    "GGA": "--",
    "LHFCALC": False,
    "AEXX": 0.0,
    "HFSCREEN": 0.0,
    "LUSE_VDW": False,
    "LREAL": False,
    "LWAVE": True,
    "LCHARG": True,
    "LCHIMAG": False,
    "LMETAGGA": False,
}


class SimulatedFailureError(WyckflowError):
    """VASP would stop here, with this text."""


@dataclass(frozen=True)
class KGrid:
    """The k-points of a run.

    Attributes
    ----------
    style
        As vasprun.xml names it.
    divisions
        Of the mesh, or points per segment.
    points
        Fractional.
    weights
        Their sum is one.
    """

    style: str
    divisions: tuple[int, int, int]
    points: NDArray[np.float64]
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class RunInputs:
    """The inputs of a run, checked as VASP checks them.

    Attributes
    ----------
    incar
        As given.
    parameters
        With VASP's defaults for what was not given.
    structure
        Of POSCAR.
    symbols
        Elements in the order of POSCAR, one per block.
    counts
        Atoms per block.
    titles
        Of the POTCARs.
    grid
        k-points that symmetry leaves.
    """

    incar: dict[str, Any]
    parameters: dict[str, Any]
    structure: Structure
    symbols: tuple[str, ...]
    counts: tuple[int, ...]
    titles: tuple[str, ...]
    grid: KGrid

    @property
    def n_spins(self) -> int:
        """1, or 2 with spin polarisation."""
        return int(self.parameters["ISPIN"])

    @property
    def is_relaxation(self) -> bool:
        """Whether atoms move towards a minimum."""
        return self.parameters["NSW"] > 0 and self.parameters["IBRION"] in RELAXATIONS

    @property
    def is_response(self) -> bool:
        """Whether force constants are asked for."""
        return self.parameters["IBRION"] in RESPONSES

    @property
    def is_linear_response(self) -> bool:
        """Whether by perturbation theory, whose cycles are listed with the others."""
        return self.parameters["IBRION"] in _LINEAR_RESPONSES


def read_inputs(folder: Path) -> RunInputs:
    """Read the folder of a run.

    Parameters
    ----------
    folder
        With INCAR, POSCAR, POTCAR and perhaps KPOINTS.

    Raises
    ------
    SimulatedFailureError
        Where VASP itself would stop.
    """
    incar = dict(Incar.from_file(folder / "INCAR"))
    poscar = Poscar.from_file(folder / "POSCAR")
    structure, symbols = poscar.structure, tuple(poscar.site_symbols)
    titles = _read_titles(folder)
    if tuple(title.split()[1].split("_")[0] for title in titles) != symbols:
        raise SimulatedFailureError(
            "ERROR: number of potentials on File POTCAR incompatible with number of "
            "species on POSCAR, or in another order"
        )
    parameters = _fill_parameters(incar, structure)
    file = folder / "KPOINTS"
    kpoints = Kpoints.from_file(file) if file.exists() else None
    grid = _make_grid(structure, parameters, kpoints)
    _refuse(folder, parameters, grid)
    return RunInputs(
        incar=incar,
        parameters=parameters,
        structure=structure,
        symbols=symbols,
        counts=tuple(poscar.natoms),
        titles=titles,
        grid=grid,
    )


def count_valence(symbol: str) -> int:
    """Return a plausible number of valence electrons.

    Parameters
    ----------
    symbol
        Of an element.
    """
    element = Element(symbol)
    if element.is_lanthanoid or element.is_actinoid:
        return 3
    if symbol == "He":
        return 2
    group = int(element.group)
    return group if group <= 12 else group - 10  # noqa: PLR2004 - p block


def _read_titles(folder: Path) -> tuple[str, ...]:
    """Return the titles of the POTCARs."""
    potcar, spec = folder / "POTCAR", folder / "POTCAR.spec"
    if potcar.exists():
        lines = potcar.read_text().splitlines()
        return tuple(line.split("=")[1].strip() for line in lines if "TITEL" in line)
    if spec.exists():
        words = spec.read_text().split()
        return tuple(f"PAW_PBE {word} SIMULATED" for word in words)
    raise SimulatedFailureError("ERROR: the file POTCAR could not be opened")


def _fill_parameters(incar: dict[str, Any], structure: Structure) -> dict[str, Any]:
    """Return settings with VASP's defaults, and what VASP derives from them."""
    filled = {**DEFAULTS, **incar}
    n_electrons = float(sum(count_valence(site.specie.symbol) for site in structure))
    n_atoms = len(structure)
    is_static = filled["NSW"] in {0, -1}
    least = math.ceil(n_electrons / 2) + max(n_atoms // 2, 3) + n_atoms
    filled |= {
        "ENMAX": float(incar.get("ENCUT", DEFAULTS["ENMAX"])),
        "IBRION": int(incar.get("IBRION", -1 if is_static else 0)),
        "EDIFFG": float(incar.get("EDIFFG", filled["EDIFF"] * 10)),
        "NELECT": n_electrons,
        "NBANDS": int(incar.get("NBANDS", least)),
    }
    return filled


def _make_grid(
    structure: Structure, parameters: dict[str, Any], kpoints: Kpoints | None
) -> KGrid:
    """Return the k-points that symmetry leaves."""
    modes = Kpoints.supported_modes
    if kpoints is not None and kpoints.style == modes.Line_mode:
        return _line_grid(kpoints)
    if kpoints is not None and kpoints.style not in {modes.Gamma, modes.Monkhorst}:
        weights = np.array(kpoints.kpts_weights, float)
        points = np.array(kpoints.kpts, float)
        return KGrid("Reciprocal", (1, 1, 1), points, weights / weights.sum())
    if kpoints is None:
        lengths = structure.lattice.reciprocal_lattice.abc
        spacing = float(parameters["KSPACING"])
        divisions = [math.ceil(length / spacing - _ROUNDING) for length in lengths]
        style = "Gamma"
    else:
        divisions, style = [int(n) for n in kpoints.kpts[0]], kpoints.style.name
    a, b, c = (max(1, n) for n in divisions)
    mesh = (a, b, c)
    u, v, w = (int(style != "Gamma" and n % 2 == 0) for n in mesh)
    analyzer = SpacegroupAnalyzer(structure, symprec=max(parameters["SYMPREC"], 1e-5))
    found = analyzer.get_ir_reciprocal_mesh(mesh, (u, v, w))
    weights = np.array([item[1] for item in found], float)
    points = np.array([item[0] for item in found], float)
    return KGrid(style, mesh, points, weights / weights.sum())


def _line_grid(kpoints: Kpoints) -> KGrid:
    """Return the points of a path, both ends of each segment included."""
    ends = np.array(kpoints.kpts, float).reshape(-1, 2, 3)
    steps = np.linspace(0, 1, kpoints.num_kpts)[:, None]
    points = np.concatenate([first + steps * (last - first) for first, last in ends])
    n = int(kpoints.num_kpts)
    return KGrid(
        "listgenerated", (n, n, n), points, np.full(len(points), 1 / len(points))
    )


def _refuse(folder: Path, parameters: dict[str, Any], grid: KGrid) -> None:
    """Stop where VASP would."""
    if parameters["ICHARG"] > _FIXED_DENSITY and not (folder / "CHGCAR").exists():
        raise SimulatedFailureError(
            "ERROR: charge density could not be read from file CHGCAR for ICHARG>10"
        )
    has_few = math.prod(grid.divisions) < _FEWEST_FOR_TETRAHEDRA
    if parameters["ISMEAR"] == _TETRAHEDRA and has_few:
        raise SimulatedFailureError("Tetrahedron method fails (number of k-points < 4)")
