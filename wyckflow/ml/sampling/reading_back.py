"""How many genes a model reads back from their latent points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wyckflow.crystal.keys import LETTER_BITS, canonical_keys

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.ml.mpvae.generator import MultiPropertyVAE

_LETTERS = (1 << LETTER_BITS) - 1


def share_read_back(
    model: MultiPropertyVAE, space_group_numbers: NDArray[Any], codes: NDArray[Any]
) -> dict[str, float]:
    """Encode genes, decode them without noise, and count what came out right.

    Parameters
    ----------
    model
        A trained model.
    space_group_numbers, codes
        The genes, as `wyckflow.crystal.keys.pack_genes` writes them.

    Returns
    -------
    dict
        Shares of all genes: the space group, the elements, the letters (each with the
        right group), everything as it was written, and everything up to an equivalent
        description.
    """
    latents = model.encode_codes(space_group_numbers, codes)
    read = model.sample_around(latents, level=0.0, seed=0, temperature=0.0)
    own_numbers = np.asarray(space_group_numbers)[read.seed_index]
    own, found = _same_width(np.asarray(codes)[read.seed_index], read.codes)
    is_group = own_numbers == read.space_group_numbers
    right = {
        "space group": is_group,
        "elements": _same_sets(own >> LETTER_BITS, found >> LETTER_BITS),
        "letters": is_group & _same_sorted(_letters(own), _letters(found)),
        "as written": is_group & _same_sorted(own, found),
        "up to equivalence": canonical_keys(own_numbers, own)
        == canonical_keys(read.space_group_numbers, found),
    }
    return {name: float(mask.sum()) / len(codes) for name, mask in right.items()}


def _same_width(*tables: NDArray[Any]) -> list[NDArray[np.int64]]:
    """Fill tables of codes up to one width."""
    width = max(table.shape[1] for table in tables)
    return [
        np.pad(table.astype(np.int64), ((0, 0), (0, width - table.shape[1])))
        for table in tables
    ]


def _letters(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the letters of sites, counted from 1, and 0 where there is no site."""
    return np.where(codes > 0, (codes & _LETTERS) + 1, 0)


def _same_sorted(own: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows hold the same numbers, in any order."""
    same: NDArray[np.bool_] = (np.sort(own, axis=1) == np.sort(found, axis=1)).all(1)
    return same


def _same_sets(own: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows hold the same elements, however often."""
    pairs = zip(own.tolist(), found.tolist(), strict=True)
    return np.array([set(a) | {0} == set(b) | {0} for a, b in pairs], bool)
