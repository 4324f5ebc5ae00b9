"""The phonons of a batch as one document with one blob."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckflow.schemas.blob import MAX_BLOB_BYTES, pack_arrays
from wyckflow.schemas.phonon import LatticeStability, PhononBatchDoc, Spectrum

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wyckflow.relax.phonon.analysis import CrystalPhonons
    from wyckflow.schemas.base import Provenance
    from wyckflow.schemas.phonon import PhononSettings

_ROOM = MAX_BLOB_BYTES - 1024 * 1024  # names and headers of the arrays


def make_document(
    results: Sequence[CrystalPhonons],
    settings: PhononSettings,
    provenance: Provenance,
    *,
    energy_scale: str,
) -> PhononBatchDoc:
    """Bring the phonons of a batch into a document.

    If the blob would be too large, the largest spectra are left out, soft modes never.

    Parameters
    ----------
    results
        One per crystal, in the order of the input.
    settings
        What decided the verdicts.
    provenance
        What made the numbers.
    energy_scale
        Of the network.
    """
    parts = [_list_soft_modes(result) for result in results]
    spectra = [_list_spectrum(result) for result in results]
    kept = _choose(spectra, _ROOM - sum(map(_count_bytes, parts)))
    arrays = {
        f"{place}.{name}": array
        for place, part in enumerate(parts)
        for name, array in (part | (spectra[place] if place in kept else {})).items()
    }
    counts = Counter(result.document.verdict for result in results)
    return PhononBatchDoc(
        provenance=provenance,
        energy_scale=energy_scale,
        settings=settings,
        n_stable=counts[LatticeStability.STABLE],
        n_borderline=counts[LatticeStability.BORDERLINE],
        n_unstable=counts[LatticeStability.UNSTABLE],
        n_cannot_judge=counts[LatticeStability.CANNOT_JUDGE],
        results=[result.document for result in results],
        n_spectra_left_out=sum(
            1 for place, part in enumerate(spectra) if part and place not in kept
        ),
        blob=pack_arrays(arrays) if arrays else None,
    )


def _list_soft_modes(result: CrystalPhonons) -> dict[str, np.ndarray]:
    """Return the arrays of cell and soft modes."""
    cell, modes = result.cell, result.soft_modes
    if cell is None:
        return {}
    arrays: dict[str, np.ndarray] = {
        "lattice": cell.lattice,
        "coordinates": cell.coordinates,
        "numbers": cell.numbers,
        "masses": cell.masses,
    }
    if modes:
        arrays |= {
            "soft_q": np.array([mode.q for mode in modes]),
            "soft_frequencies": np.array([mode.frequency_thz for mode in modes]),
            "soft_eigenvectors": np.array([mode.eigenvector for mode in modes]),
            "soft_matrices": np.array([mode.supercell_matrix for mode in modes]),
        }
    return arrays


def _list_spectrum(result: CrystalPhonons) -> dict[str, np.ndarray]:
    """Return the arrays of bands and density of states, in single precision."""
    if result.spectrum is None:
        return {}
    arrays: dict[str, Any] = {
        name: getattr(result.spectrum, name) for name in Spectrum.__dataclass_fields__
    }
    return {
        name: array.astype(np.float32) if array.dtype == np.float64 else array
        for name, array in arrays.items()
    }


def _choose(spectra: Sequence[Mapping[str, np.ndarray]], room: int) -> set[int]:
    """Return which spectra fit, the small ones first."""
    sizes = [_count_bytes(part) for part in spectra]
    kept = set()
    for place in sorted(range(len(spectra)), key=lambda place: sizes[place]):
        room -= sizes[place]
        if room < 0:
            break
        kept.add(place)
    return kept


def _count_bytes(part: Mapping[str, np.ndarray]) -> int:
    """Return the size of arrays before they are compressed."""
    return sum(array.nbytes + 256 for array in part.values())
