"""What decides the phonons of a crystal, and what is made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

LAYER_TYPES: Final = ("float32", "float64")


@dataclass(frozen=True, slots=True)
class PhononOptions:
    """How far atoms are displaced, in which cells, and what is tolerated.

    Attributes
    ----------
    min_length
        Shortest distance between an atom and its periodic image in the supercell, A.
    max_atoms
        Atoms of the largest supercell that is looked at.
    max_atoms_in_all
        Atoms of all displaced supercells of one crystal together, which bounds its
        time.
    displacement
        Of one atom at a time, in A. CHGNet's energy is corrugated on a scale of
        0.03 A, so that smaller displacements measure the corrugation: the curvature
        levels off between 0.05 and 0.1 A.
    max_force
        A crystal with a larger force on an atom is not at its minimum, eV/A.
    max_stress_gpa
        Nor is one with a larger component of the stress, GPa.
    tolerance_thz
        Modes down to minus this are taken as numerical noise.
    reject_thz
        A mode below minus this, at a wave vector that fits the supercell, is a clear
        instability. Of 70 crystals on the hull or made in a laboratory, 11 % have such
        a mode with 2 THz, 20 % with 1 THz (``benchmarks/phonon.py``).
    mesh_length
        Length in A whose wave vectors the mesh in the Brillouin zone resolves.
    dtype
        ``float32`` or ``float64``, of the network's layers.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    min_length: float = 10.0
    max_atoms: int = 400
    max_atoms_in_all: int = 60_000
    displacement: float = 0.05
    max_force: float = 0.02
    max_stress_gpa: float = 0.5
    tolerance_thz: float = 0.1
    reject_thz: float = 2.0
    mesh_length: float = 40.0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        """Refuse numbers without a meaning."""
        for name in (
            "min_length",
            "max_atoms",
            "max_atoms_in_all",
            "displacement",
            "max_force",
            "max_stress_gpa",
            "tolerance_thz",
            "mesh_length",
        ):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name}={value!r} must be a positive number.")
        if not self.reject_thz >= self.tolerance_thz:
            raise ValueError(
                f"reject_thz={self.reject_thz!r} must not be below "
                f"tolerance_thz={self.tolerance_thz!r}: what is noise rejects nothing."
            )
        if self.dtype not in LAYER_TYPES:
            raise ValueError(f"dtype={self.dtype!r} must be one of {LAYER_TYPES}.")
