"""Bulky arrays as compressed bytes, the only form that survives every store.

A document that carries arrays has one field ``blob: bytes``; the job decorator sends
that field to the blob store. Bare arrays would come back as nested lists.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from wyckflow.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

BLOB_STORE = "blobs"
"""Name of the additional store that takes bulky fields, and of its collection."""

BLOB_FIELD = "blob"
"""Every field of this name, at any depth of a document, goes there."""

MAX_BLOB_BYTES = 8 * 1024 * 1024
"""Half of MongoDB's limit for one document."""


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return named arrays as one compressed ``npz``.

    Parameters
    ----------
    arrays
        Arrays of numbers or fixed-width strings.

    Raises
    ------
    DocumentError
        If an array holds Python objects, or the result is above 8 MB.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise DocumentError(
                f"Array {name!r} holds Python objects; convert it to numbers or "
                "fixed-width strings before packing."
            )
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    packed = buffer.getvalue()
    if len(packed) > MAX_BLOB_BYTES:
        raise DocumentError(
            f"The packed arrays {sorted(arrays)} take {len(packed) / 2**20:.1f} MB, "
            f"above the {MAX_BLOB_BYTES // 2**20} MB of one blob; use smaller shards."
        )
    return packed


def unpack_arrays(packed: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of :func:`pack_arrays`.

    Parameters
    ----------
    packed
        The bytes of a ``blob`` field.

    Raises
    ------
    DocumentError
        If the bytes are not such a blob.
    """
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, TypeError) as error:
        raise DocumentError(
            f"These {type(packed).__name__} are not a blob of arrays ({error}); was "
            "the document read from a store other than MongoStore?"
        ) from error
