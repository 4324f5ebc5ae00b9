"""The VASP steps by the names of their jobs, and what was published for each."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Step(StrEnum):
    """Every VASP step; the value is the name of its job."""

    RELAX_NORMAL = "vasp relax normal"
    RELAX_PRECISE = "vasp relax precise"
    STATIC = "vasp static"
    BANDS = "vasp bands"
    DFPT = "vasp dfpt"
    DISPLACED = "vasp displaced"
    MP_RELAX = "vasp mp relax"
    MP_STATIC = "vasp mp static"


MP_STEPS: Final = frozenset({Step.MP_RELAX, Step.MP_STATIC})
"""Steps with the settings of the Materials Project instead of the published ones."""

HUBBARD_U: Final[Mapping[str, float]] = MappingProxyType(
    {
        "Co": 3.32,
        "Cr": 3.7,
        "Fe": 5.3,
        "Mn": 3.9,
        "Mo": 4.38,
        "Ni": 6.2,
        "V": 3.25,
        "W": 6.2,
    }
)
"""Published U in eV, for oxides and fluorides only."""

HUBBARD_ANIONS: Final = frozenset({"O", "F"})

N_LINE_POINTS: Final = 40
"""Points per segment of the band path."""

K_SPACING: Final[Mapping[Step, float]] = MappingProxyType(
    {
        Step.RELAX_NORMAL: 0.20,
        Step.RELAX_PRECISE: 0.15,
        Step.STATIC: 0.10,
        Step.DFPT: 0.15,
        Step.DISPLACED: 0.15,
    }
)
"""Published spacing of the mesh in 1/A, with 2 pi."""

_ALWAYS: Final = {"GGA": "PE", "ISYM": 2, "SYMPREC": 1e-5}
_PRECISE: Final = {**_ALWAYS, "ENCUT": 520.0, "EDIFF": 1e-8}
_GAUSSIAN: Final = {"ISMEAR": 0, "SIGMA": 0.01}

PUBLISHED_INCAR: Final[Mapping[Step, Mapping[str, Any]]] = MappingProxyType(
    {
        Step.RELAX_NORMAL: {
            **_ALWAYS,
            **_GAUSSIAN,
            "ENCUT": None,  # the largest of the POTCARs
            "EDIFF": 1e-6,
            "EDIFFG": -1e-3,
            "IBRION": 2,
            "ISPIN": 2,
        },
        Step.RELAX_PRECISE: {**_PRECISE, **_GAUSSIAN, "EDIFFG": -1e-4, "IBRION": 2},
        Step.STATIC: {**_PRECISE, "ISMEAR": -5},
        Step.BANDS: {**_PRECISE, **_GAUSSIAN, "ICHARG": 11},
        Step.DFPT: {**_PRECISE, "IBRION": 8},
        Step.DISPLACED: {**_PRECISE, **_GAUSSIAN, "NSW": 0},
    }
)
"""What the papers state for each step; None for a tag that must be absent."""
