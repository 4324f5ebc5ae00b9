"""Whether lattices hold: phonons of relaxed crystals, per crystal and per job.

Frequencies are in THz; a mode along which the energy falls has an imaginary frequency,
which is written as a negative number. Wave vectors are fractions of the reciprocal
vectors of SeeK-path's primitive cell, which the blob holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from wyckflow.errors import DocumentError, nearest_name
from wyckflow.schemas.base import WyckflowDoc
from wyckflow.schemas.blob import unpack_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray


class LatticeStability(StrEnum):
    """What phonons say of a crystal."""

    STABLE = "stable"
    """No mode is below minus the tolerance."""
    BORDERLINE = "borderline"
    """A mode is softer than the tolerance, but it is not clear that it is real."""
    UNSTABLE = "unstable"
    """A mode that fits the supercell is clearly imaginary."""
    CANNOT_JUDGE = "cannot_judge"
    """Not at a minimum, too large, an unknown element, or the software failed."""


class PhononSettings(BaseModel):
    """The options that decided the verdicts of a batch."""

    model_config = ConfigDict(extra="forbid")

    min_length: float = Field(
        gt=0, description="Shortest distance between images in a supercell, A."
    )
    max_atoms: int = Field(ge=1, description="Atoms of the largest supercell.")
    max_atoms_in_all: int = Field(
        ge=1, description="Atoms of all displaced supercells of a crystal."
    )
    displacement: float = Field(gt=0, description="Displacement of one atom, A.")
    max_force: float = Field(
        gt=0, description="Largest force of a crystal at its minimum, eV/A."
    )
    max_stress_gpa: float = Field(
        gt=0, description="Largest stress of a crystal at its minimum, GPa."
    )
    tolerance_thz: float = Field(
        gt=0, description="Modes above minus this count as stable, THz."
    )
    reject_thz: float = Field(
        gt=0,
        description="A mode below minus this that fits the supercell makes a crystal "
        "unstable, THz.",
    )
    mesh_length: float = Field(
        gt=0, description="Length that the mesh of wave vectors resolves, A."
    )
    dtype: str = Field(description="Precision of the network's layers.")


class PhononDoc(BaseModel):
    """The phonons of one crystal in numbers; arrays are in the batch's blob."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="Id of its gene, or another name it came with.")
    gene: str | None = Field(
        default=None,
        description="Gene in text form, such as '225 Na:a Cl:b'; null if the structure "
        "has none.",
    )
    gene_id: str | None = Field(
        default=None, description="Hash of the canonical gene; null without one."
    )
    formula_pretty: str = Field(description="Reduced formula, such as 'NaCl'.")
    verdict: LatticeStability = Field(description="Whether its lattice holds.")
    reason: str = Field(default="", description="What was found, in words.")
    min_frequency_thz: FiniteFloat | None = Field(
        default=None,
        description="Lowest frequency at the wave vectors that fit the supercell, "
        "translations left out, THz; negative if imaginary.",
    )
    min_frequency_q: list[float] | None = Field(
        default=None, description="Wave vector of that mode, fractional."
    )
    min_interpolated_thz: FiniteFloat | None = Field(
        default=None,
        description="Lowest frequency on the mesh and the band path, interpolated "
        "between the former, THz.",
    )
    min_interpolated_q: list[float] | None = Field(
        default=None, description="Wave vector of that mode, fractional."
    )
    is_dip_near_gamma: bool | None = Field(
        default=None,
        description="Whether that mode is an acoustic one nearer to the zone centre "
        "than any wave vector that fits the supercell: most likely interpolation.",
    )
    max_frequency_thz: FiniteFloat | None = Field(
        default=None, description="Highest frequency on the mesh, THz."
    )
    gamma_frequencies_thz: list[FiniteFloat] = Field(
        default_factory=list,
        description="Frequencies at the zone centre without the translations, THz.",
    )
    max_acoustic_at_gamma_thz: FiniteFloat | None = Field(
        default=None,
        ge=0,
        description="Largest size of a frequency of the three translations, THz.",
    )
    n_imaginary: int = Field(
        default=0,
        ge=0,
        description="Modes below minus the tolerance, each star of wave vectors that "
        "fit the supercell counted once.",
    )
    nsites_primitive: int | None = Field(
        default=None, ge=1, description="Atoms of the primitive cell."
    )
    supercell_matrix: list[list[int]] | None = Field(
        default=None,
        description="Rows are the supercell's vectors as sums of primitive ones.",
    )
    n_atoms_supercell: int | None = Field(
        default=None, ge=1, description="Atoms of the supercell."
    )
    min_image_distance: FiniteFloat | None = Field(
        default=None, description="Distance of an atom to its nearest image, A."
    )
    n_displacements: int = Field(
        default=0, ge=0, description="Displaced supercells that were evaluated."
    )
    max_force: FiniteFloat | None = Field(
        default=None, ge=0, description="Largest force on an atom at rest, eV/A."
    )
    max_stress_gpa: FiniteFloat | None = Field(
        default=None, ge=0, description="Largest component of the stress at rest, GPa."
    )
    max_force_constant: FiniteFloat | None = Field(
        default=None, ge=0, description="Largest force constant, eV/A^2."
    )
    symmetrization_change: FiniteFloat | None = Field(
        default=None,
        ge=0,
        description="Largest change of a force constant by making all symmetric, "
        "eV/A^2: a measure of noise.",
    )
    cpu_s: FiniteFloat | None = Field(
        default=None, ge=0, description="Processor seconds of this crystal."
    )


@dataclass(frozen=True, eq=False, slots=True)
class PhononCell:
    """The primitive cell that wave vectors and eigenvectors refer to.

    Attributes
    ----------
    lattice
        Rows are the vectors, in A.
    coordinates
        Fractional.
    numbers
        Atomic numbers.
    masses
        In atomic mass units.
    """

    lattice: NDArray[np.float64]
    coordinates: NDArray[np.float64]
    numbers: NDArray[np.int64]
    masses: NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class SoftMode:
    """A mode along which a crystal lowers its energy.

    Atom ``j`` in the primitive cell at ``R`` moves along
    ``Re[eigenvector[j] * exp(2 pi i q.x)] / sqrt(mass[j])``, where ``x`` is its own
    position in fractions of the primitive vectors.

    Attributes
    ----------
    cell
        The primitive cell.
    q
        Wave vector, fractional.
    frequency_thz
        Negative, since imaginary.
    eigenvector
        Mass-weighted and normalised, shape (atoms, 3), complex.
    supercell_matrix
        Of the smallest cell in which the mode repeats itself; rows are its vectors
        as sums of primitive ones.
    """

    cell: PhononCell
    q: NDArray[np.float64]
    frequency_thz: float
    eigenvector: NDArray[np.complex128]
    supercell_matrix: NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Spectrum:
    """Bands along SeeK-path's path and the density of states.

    Attributes
    ----------
    distances
        Along the path, in 1/A (without 2 pi), one per wave vector.
    q_points
        Fractional, shape (points, 3).
    bands
        Frequencies in THz, shape (points, modes), ascending at each point.
    segment_starts
        First point of each straight segment.
    labels
        Names of the two ends of each segment, shape (segments, 2).
    dos_frequencies
        In THz.
    dos
        Modes per THz and primitive cell.
    """

    distances: NDArray[np.float64]
    q_points: NDArray[np.float64]
    bands: NDArray[np.float64]
    segment_starts: NDArray[np.int64]
    labels: NDArray[np.str_]
    dos_frequencies: NDArray[np.float64]
    dos: NDArray[np.float64]


class PhononBatchDoc(WyckflowDoc):
    """The phonons of one job, in the order of its input."""

    SCHEMA_VERSION: ClassVar[int] = 1

    energy_scale: str = Field(
        description="Scale of the energies whose curvature this is, such as "
        "'chgnet-0.3.0'."
    )
    settings: PhononSettings = Field(description="Options of the job.")
    n_stable: int = Field(ge=0, description="Crystals that are stable.")
    n_borderline: int = Field(ge=0, description="Crystals on the border.")
    n_unstable: int = Field(ge=0, description="Crystals that are unstable.")
    n_cannot_judge: int = Field(ge=0, description="Crystals without a verdict.")
    results: list[PhononDoc] = Field(
        description="One entry per crystal, in the order of the input."
    )
    n_spectra_left_out: int = Field(
        default=0,
        ge=0,
        description="Crystals whose bands would have made the blob too large; their "
        "soft modes are there.",
    )
    blob: bytes | None = Field(
        default=None,
        description="Primitive cells, soft modes, bands and densities of states as "
        "arrays, for soft_modes() and spectrum(); null without any.",
    )

    def soft_modes(self, name: str) -> list[SoftMode]:
        """Return the modes along which a crystal falls apart, the softest first.

        Parameters
        ----------
        name
            Of one of the results: the id of its gene.

        Raises
        ------
        DocumentError
            If there is no such crystal.
        """
        place = self._find(name)
        return unpack_soft_modes(self._arrays(), place)

    def spectrum(self, name: str) -> Spectrum | None:
        """Return bands and density of states of a crystal, if it has any.

        Parameters
        ----------
        name
            Of one of the results: the id of its gene.

        Raises
        ------
        DocumentError
            If there is no such crystal.
        """
        place = self._find(name)
        arrays = self._arrays()
        fields = Spectrum.__dataclass_fields__
        if f"{place}.bands" not in arrays:
            return None
        return Spectrum(**{field: arrays[f"{place}.{field}"] for field in fields})

    def cell(self, name: str) -> PhononCell | None:
        """Return the primitive cell that a crystal's wave vectors refer to.

        None if it was not judged.

        Parameters
        ----------
        name
            Of one of the results: the id of its gene.

        Raises
        ------
        DocumentError
            If there is no such crystal.
        """
        return unpack_cell(self._arrays(), self._find(name))

    def _find(self, name: str) -> int:
        """Return the place of a result."""
        names = [result.name for result in self.results]
        if name not in names:
            raise DocumentError(
                f"These phonons have no crystal {name!r}.{nearest_name(name, names)} "
                "Take the name of one of the results."
            )
        return names.index(name)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {} if self.blob is None else unpack_arrays(self.blob)


def unpack_cell(arrays: dict[str, np.ndarray], place: int) -> PhononCell | None:
    """Return the primitive cell of one result of a batch, if it was judged.

    Parameters
    ----------
    arrays
        Of the batch's blob.
    place
        Which result.
    """
    if f"{place}.lattice" not in arrays:
        return None
    fields = PhononCell.__dataclass_fields__
    return PhononCell(**{field: arrays[f"{place}.{field}"] for field in fields})


def unpack_soft_modes(arrays: dict[str, np.ndarray], place: int) -> list[SoftMode]:
    """Return the soft modes of one result of a batch.

    Parameters
    ----------
    arrays
        Of the batch's blob.
    place
        Which result.
    """
    cell = unpack_cell(arrays, place)
    if cell is None or f"{place}.soft_q" not in arrays:
        return []
    columns = ("soft_q", "soft_frequencies", "soft_eigenvectors", "soft_matrices")
    rows = zip(*(arrays[f"{place}.{column}"] for column in columns), strict=True)
    return [
        SoftMode(cell, q, float(frequency), eigenvector, matrix)
        for q, frequency, eigenvector, matrix in rows
    ]
