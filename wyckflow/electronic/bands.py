"""A band structure as arrays, whatever it came from, and the straight lines in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from wyckflow.errors import BandsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray
    from pymatgen.core.structure import Structure
    from pymatgen.electronic_structure.bandstructure import BandStructure

    Floats = NDArray[np.float64]

SAME_K: Final = 1e-5
"""Wave vectors nearer than this (fractional) are one."""
_SAME_STEP: Final = 0.02
"""Steps along a line may differ by this part, since VASP prints eight digits."""
_FEWEST_ON_LINE: Final = 3
_SAME_CELL: Final = 0.01


@dataclass(frozen=True, eq=False, slots=True)
class Atoms:
    """What the symmetry of the bands follows from.

    Attributes
    ----------
    coordinates
        Fractional.
    numbers
        Atomic numbers.
    moments
        Magnetic moment of each atom along the axis of spin, in Bohr magnetons; None if
        unknown.
    """

    coordinates: Floats
    numbers: NDArray[np.int64]
    moments: Floats | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Bands:
    """Energies of bands at wave vectors.

    Attributes
    ----------
    lattice
        Rows are the vectors of the cell, in A.
    kpoints
        Fractional, in the order of the calculation, shape (points, 3).
    energies
        In eV, shape (spins, bands, points); one spin if both are equal.
    fermi
        Fermi level in eV.
    labels
        Name of each wave vector, empty where it has none.
    n_electrons
        In the cell; None if unknown. Counting them tells filled bands from empty ones
        where the Fermi level of a run along lines is misplaced.
    is_noncollinear
        Whether a band holds one electron instead of two, as with spin-orbit coupling.
    atoms
        Of the cell; None if unknown.
    is_simulated
        Whether the energies come from a simulator of VASP.
    problem
        Why they must not be used, such as a run that is not converged; else empty.
    """

    lattice: Floats
    kpoints: Floats
    energies: Floats
    fermi: float
    labels: tuple[str, ...] = ()
    n_electrons: float | None = None
    is_noncollinear: bool = False
    atoms: Atoms | None = None
    is_simulated: bool = False
    problem: str = ""

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together."""
        shapes = (self.lattice.shape, self.kpoints.shape, self.energies.shape)
        fits = (
            self.lattice.shape == (3, 3)
            and self.kpoints.ndim == 2  # noqa: PLR2004
            and self.kpoints.shape[1:] == (3,)
            and self.energies.ndim == 3  # noqa: PLR2004
            and self.energies.shape[0] in (1, 2)
            and self.energies.shape[2] == len(self.kpoints)
            and self.energies.size > 0
        )
        if not fits:
            raise BandsError(
                f"Cell, wave vectors and energies came with the shapes {shapes}; "
                "expected (3, 3), (points, 3) and (1 or 2 spins, bands, points)."
            )
        arrays = (self.lattice, self.kpoints, self.energies, np.array(self.fermi))
        if not all(np.isfinite(array).all() for array in arrays):
            raise BandsError(
                "The band structure holds values that are no numbers; the calculation "
                "broke, repeat it."
            )
        if self.labels and len(self.labels) != len(self.kpoints):
            raise BandsError(
                f"{len(self.labels)} labels came for {len(self.kpoints)} wave vectors; "
                "give one each, empty where there is none."
            )

    @property
    def reciprocal(self) -> Floats:
        """Rows are the reciprocal vectors, in 1/A with 2 pi."""
        return np.asarray(2 * np.pi * np.linalg.inv(self.lattice).T)

    @property
    def n_spins(self) -> int:
        """Channels of spin."""
        return int(self.energies.shape[0])

    @property
    def spin_degeneracy(self) -> int:
        """Electrons that a band holds at each wave vector."""
        return 1 if self.n_spins > 1 or self.is_noncollinear else 2

    def name_of(self, index: int) -> str:
        """Return the label of a wave vector, or its coordinates.

        Parameters
        ----------
        index
            Which.
        """
        if self.labels and self.labels[index]:
            return self.labels[index]
        k = self.kpoints[index]
        if np.abs(k - np.rint(k)).max() < SAME_K:
            return "Γ"
        return "(" + " ".join(f"{value:.3f}" for value in k) + ")"

    def lines(self) -> list[tuple[int, int]]:
        """Return first and last point of each straight, even run of wave vectors.

        A corner that is written once ends one line and begins the next.
        """
        return split_lines(self.kpoints @ self.reciprocal)

    @classmethod
    def from_pymatgen(
        cls,
        source: BandStructure,
        *,
        n_electrons: float | None = None,
        structure: Structure | None = None,
    ) -> Self:
        """Take the arrays of a band structure of pymatgen.

        Parameters
        ----------
        source
            Along lines or on a mesh.
        n_electrons
            In the cell, if known.
        structure
            The crystal, in the same cell. Without projections pymatgen does not store
            it with the bands.

        Raises
        ------
        BandsError
            If the structure has another cell.
        """
        from pymatgen.electronic_structure.core import Spin

        spins = [spin for spin in (Spin.up, Spin.down) if spin in source.bands]
        structure = structure or getattr(source, "structure", None)
        inverse = np.linalg.inv(source.lattice_rec.matrix)
        lattice = np.asarray(2 * np.pi * inverse.T, dtype=np.float64)
        if structure is not None:
            check_cell(lattice, structure)
        return cls(
            lattice=lattice,
            kpoints=np.array([point.frac_coords for point in source.kpoints]),
            energies=np.array([source.bands[spin] for spin in spins], dtype=np.float64),
            fermi=float(source.efermi),
            labels=tuple(plain_label(point.label) for point in source.kpoints),
            n_electrons=n_electrons,
            atoms=None if structure is None else read_atoms(structure),
        )


def split_lines(points: ArrayLike) -> list[tuple[int, int]]:
    """Return first and last index of each straight, even run of points.

    Parameters
    ----------
    points
        Cartesian, shape (points, 3).
    """
    steps = np.diff(np.asarray(points, dtype=np.float64), axis=0)
    sizes = np.linalg.norm(steps, axis=1)
    lines: list[tuple[int, int]] = []
    start = 0
    for place in range(1, len(steps) + 1):
        goes_on = place < len(steps) and (
            min(sizes[place - 1], sizes[place]) > SAME_K
            and np.linalg.norm(steps[place] - steps[place - 1])
            < _SAME_STEP * sizes[place]
        )
        if not goes_on:
            lines.append((start, place))
            start = place
    return [(a, b) for a, b in lines if b - a + 1 >= _FEWEST_ON_LINE]


def check_cell(lattice: Floats, structure: Structure) -> None:
    """Refuse a structure whose cell is not that of the bands.

    Parameters
    ----------
    lattice
        Of the bands; rows are the vectors, in A.
    structure
        Of the crystal.

    Raises
    ------
    BandsError
        If they differ.
    """
    apart = float(np.abs(lattice - structure.lattice.matrix).max())
    if apart > _SAME_CELL:
        raise BandsError(
            f"The cell of the structure differs from that of the bands by {apart:.3f} "
            "A; give the structure of the same calculation, in the same setting."
        )


def read_atoms(structure: Structure) -> Atoms:
    """Take what symmetry needs out of a structure of pymatgen.

    Parameters
    ----------
    structure
        Ordered; with the site property ``magmom`` if it is magnetic.
    """
    moments = structure.site_properties.get("magmom")
    is_known = moments is not None and all(_is_number(one) for one in moments)
    return Atoms(
        coordinates=np.asarray(structure.frac_coords, dtype=np.float64),
        numbers=np.array(structure.atomic_numbers, dtype=np.int64),
        moments=np.array(moments, dtype=np.float64) if is_known else None,
    )


def _is_number(moment: object) -> bool:
    return isinstance(moment, int | float | np.floating)


def plain_label(label: str | None) -> str:
    r"""Return the name of a wave vector as people write it.

    Parameters
    ----------
    label
        As LaTeX or SeeK-path has it, such as ``\Gamma``, ``GAMMA`` or ``S_2``.
    """
    text = (label or "").strip().strip("$").replace("\\", "").replace("{", "")
    text = text.replace("}", "").replace("mathrm", "")
    return "Γ" if text.upper() in {"GAMMA", "G", "Γ"} else text


def label_points(
    kpoints: Floats, names: Sequence[str], places: Sequence[ArrayLike]
) -> tuple[str, ...]:
    """Return a label for each wave vector from those of some.

    Parameters
    ----------
    kpoints
        Fractional, to be labelled.
    names, places
        Labels, and the wave vectors that have them.
    """
    labels = [""] * len(kpoints)
    for name, place in zip(names, places, strict=True):
        is_there = np.abs(kpoints - np.asarray(place)).max(axis=1) < SAME_K
        for index in np.flatnonzero(is_there):
            labels[index] = plain_label(name)
    return tuple(labels)
