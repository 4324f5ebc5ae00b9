"""The published settings of every VASP step, as input-set generators of atomate2.

WyCryst's papers state cut-off, convergence, k-spacings, smearing, symmetry and the
values of U. What they leave open (ALGO, NELM, PREC, LASPH, LREAL, which POTCARs) is
chosen here, mostly as the Materials Project does; ``docs/user/dft.md`` says why.
"""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from atomate2.vasp.sets.base import VaspInputGenerator
from pymatgen.io.vasp import Kpoints
from pymatgen.io.vasp.sets import MPRelaxSet

from wyckflow.errors import nearest_name
from wyckflow.vasp.path import find_line_points

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

SPINS: Final = ("structure", "high", "off")
"""Where the moments come from: the sites, the high-spin table, or there are none."""

_ROUNDING: Final = 1e-4
"""Share of a division that is rounding, so that equal axes get equal numbers."""

_HIGH_SPIN: Final = {"Co": 5.0, "Gd": 7.0}
"""Where the table of the Materials Project would start low, in muB."""

_DEFAULT_MOMENT: Final = 0.6
_SCF_CYCLES: Final = 60
_RESPONSE_CYCLES: Final = 40
"""Room for the linear response of one displacement, which VASP lists as cycles."""


def published_config() -> dict[str, Any]:
    """Return the settings that all steps share, as a configuration of pymatgen."""
    mp = MPRelaxSet.CONFIG
    hubbard = {
        tag: deepcopy(value)
        for tag, value in mp["INCAR"].items()
        if tag.startswith("LDAU")
    }
    incar = {
        "GGA": "PE",
        "ENCUT": 520,
        "EDIFF": 1e-8,
        "ISYM": 2,
        "SYMPREC": 1e-5,
        **hubbard,
        # From here on the papers are silent.
        "PREC": "Accurate",
        "ALGO": "Normal",
        "NELM": 200,
        "LASPH": True,
        "LREAL": False,
        "LORBIT": 11,
        "LWAVE": False,
        "LCHARG": False,
    }
    return {
        "INCAR": incar,
        "KPOINTS": {},
        "POTCAR": dict(mp["POTCAR"]),
        "POTCAR_FUNCTIONAL": "PBE",
    }


def count_divisions(structure: Structure, spacing: float) -> tuple[int, int, int]:
    """Return the divisions of a mesh, by the rule that VASP uses for KSPACING.

    Parameters
    ----------
    structure
        Any cell.
    spacing
        Largest distance between points in 1/A, the factor 2 pi included.
    """
    lengths = structure.lattice.reciprocal_lattice.abc
    first, second, third = (
        max(1, math.ceil(length / spacing - _ROUNDING)) for length in lengths
    )
    return first, second, third


def make_mesh(structure: Structure, spacing: float) -> Kpoints:
    """Return a mesh centred on Gamma.

    It is written as KPOINTS rather than left to KSPACING, so that the mesh can be seen
    in the results, and that no error handler changes it unseen.

    Parameters
    ----------
    structure, spacing
        As in :func:`count_divisions`.
    """
    return Kpoints(
        comment=f"Gamma-centred, at most {spacing} 1/A apart (with 2 pi)",
        style=Kpoints.supported_modes.Gamma,
        kpts=(count_divisions(structure, spacing),),
        kpts_shift=(0, 0, 0),
    )


def high_spin_moment(symbol: str) -> float:
    """Return the moment in muB at which an atom starts, ferromagnetic and high-spin.

    Parameters
    ----------
    symbol
        Of its element.
    """
    table = MPRelaxSet.CONFIG["INCAR"]["MAGMOM"]
    return float(_HIGH_SPIN.get(symbol, table.get(symbol, _DEFAULT_MOMENT)))


@dataclass
class PublishedSetGenerator(VaspInputGenerator):
    """What every step shares; a step says what it adds in ``step_updates``.

    Attributes
    ----------
    config_dict
        Settings, k-points and POTCARs of all steps.
    kspacing
        Largest distance of k-points in 1/A, the factor 2 pi included.
    spin
        ``structure``: spin-polarised if the sites have moments (``magmom``), not
        otherwise. ``high``: ferromagnetic and high-spin, whatever the sites say.
        ``off``: never.
    """

    config_dict: dict[str, Any] = field(default_factory=published_config)
    kspacing: float = 0.15
    spin: str = "structure"
    # atomate2 would otherwise choose these by the results of the step before.
    auto_ismear: bool = False
    auto_ispin: bool = False
    auto_metal_kpoints: bool = False
    inherit_incar: bool | list[str] = False
    force_gamma: bool = True
    sym_prec: float = 1e-5

    def __post_init__(self) -> None:
        """Refuse what would only fail on the worker."""
        if self.spin not in SPINS:
            raise ValueError(
                f"{self.spin=} is none of {', '.join(SPINS)}."
                f"{nearest_name(str(self.spin), SPINS)}"
            )
        if not 0.01 <= self.kspacing <= 2:  # noqa: PLR2004 - without 2 pi, or in nm
            raise ValueError(f"{self.kspacing=} 1/A cannot be meant; try 0.15.")
        super().__post_init__()

    @property
    def kpoints_updates(self) -> Kpoints:
        """The mesh of this step."""
        return make_mesh(self.structure, self.kspacing)

    @property
    def incar_updates(self) -> dict[str, Any]:
        """What this step adds to the shared settings; None removes one."""
        return {**self.step_updates(), **self._spin_updates()}

    def step_updates(self) -> dict[str, Any]:
        """Return the settings of this step alone."""
        return {}

    def _spin_updates(self) -> dict[str, Any]:
        """Return spin polarisation and the moments to start from, site by site."""
        given = self.structure.site_properties.get("magmom")
        if self.spin == "high":
            moments = [high_spin_moment(site.specie.symbol) for site in self.structure]
            return {"ISPIN": 2, "MAGMOM": moments}
        if self.spin == "structure" and given is not None:
            return {"ISPIN": 2, "MAGMOM": [float(moment or 0) for moment in given]}
        return {"ISPIN": 1, "MAGMOM": None}


@dataclass
class RelaxSetGenerator(PublishedSetGenerator):
    """Relaxation of cell and atoms.

    Attributes
    ----------
    is_precise
        520 eV, 1e-8 eV and 1e-4 eV/A; otherwise the POTCARs' own cut-off, 1e-6 eV and
        1e-3 eV/A.
    """

    is_precise: bool = True

    def step_updates(self) -> dict[str, Any]:
        """Return the settings of a relaxation."""
        updates: dict[str, Any] = {
            "IBRION": 2,
            "ISIF": 3,
            "NSW": 200,
            "EDIFFG": -1e-4,
            "ISMEAR": 0,
            "SIGMA": 0.01,
        }
        if not self.is_precise:
            updates |= {"ENCUT": None, "EDIFF": 1e-6, "EDIFFG": -1e-3}
        return updates


@dataclass
class StaticSetGenerator(PublishedSetGenerator):
    """Energy and charge density at fixed atoms, with tetrahedra."""

    kspacing: float = 0.10

    def step_updates(self) -> dict[str, Any]:
        """Return the settings of a self-consistent run."""
        return {"NSW": 0, "IBRION": -1, "ISMEAR": -5, "LCHARG": True}


@dataclass
class LineSetGenerator(PublishedSetGenerator):
    """Bands along SeeK-path's path, in the density of the static run.

    Attributes
    ----------
    n_points
        Points per segment, both ends included.
    band_factor
        Bands as a multiple of those of the static run.
    """

    n_points: int = 40
    band_factor: float = 1.2

    @property
    def kpoints_updates(self) -> Kpoints:
        """The path."""
        points, labels = find_line_points(self.structure, symprec=self.sym_prec)
        return Kpoints(
            comment="SeeK-path",
            num_kpts=self.n_points,
            style=Kpoints.supported_modes.Line_mode,
            kpts=points,
            coord_type="Reciprocal",
            labels=labels,
        )

    def step_updates(self) -> dict[str, Any]:
        """Return the settings of a run at fixed density."""
        updates: dict[str, Any] = {
            "NSW": 0,
            "IBRION": -1,
            "ICHARG": 11,
            "ISMEAR": 0,
            "SIGMA": 0.01,
            # Projections on orbitals would not fit into one stored document.
            "LORBIT": None,
        }
        before = self.prev_vasprun
        n_bands = before.parameters.get("NBANDS") if before is not None else None
        if n_bands:
            updates["NBANDS"] = math.ceil(n_bands * self.band_factor)
        return updates


@dataclass
class GammaPhononSetGenerator(PublishedSetGenerator):
    """Vibrations at Gamma by perturbation theory."""

    def step_updates(self) -> dict[str, Any]:
        """Return the settings of a linear-response run.

        VASP lists the cycles of the response with those of the energy, and pymatgen
        takes a run of NELM of them for one that did not converge, so NELM has to have
        room for all displacements.
        """
        n_responses = 3 * len(self.structure)
        return {
            "IBRION": 8,
            "NSW": 1,
            "ISMEAR": 0,
            "SIGMA": 0.01,
            "NELM": _SCF_CYCLES + _RESPONSE_CYCLES * n_responses,
        }


@dataclass
class ForceSetGenerator(PublishedSetGenerator):
    """Forces at fixed atoms, for displaced supercells."""

    def step_updates(self) -> dict[str, Any]:
        """Return the settings of a run for forces."""
        return {"NSW": 0, "IBRION": -1, "ISMEAR": 0, "SIGMA": 0.01}
