"""Many reduced structures as one blob of arrays, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import DocumentError
from wyckflow.schemas.blob import pack_arrays, unpack_arrays

if TYPE_CHECKING:
    from collections.abc import Sequence


def pack_structures(structures: Sequence[ReducedStructure]) -> bytes:
    """Return structures as the bytes of a ``blob`` field.

    Parameters
    ----------
    structures
        In the order in which they will be unpacked.

    Raises
    ------
    DocumentError
        If there are none, or the result is above 8 MB.
    """
    if not structures:
        raise DocumentError(
            "There are no structures to pack; leave the field 'blob' empty (None)."
        )
    return pack_arrays(
        {
            "genes": np.array([item.gene.to_text() for item in structures]),
            "lattices": np.array([item.lattice for item in structures]),
            "parameters": np.concatenate([item.parameters for item in structures]),
        }
    )


def unpack_structures(packed: bytes) -> list[ReducedStructure]:
    """Return the structures of :func:`pack_structures`, in their order.

    Parameters
    ----------
    packed
        The bytes of a ``blob`` field.

    Raises
    ------
    DocumentError
        If the bytes are no such blob, or its arrays do not fit together.
    """
    arrays = unpack_arrays(packed)
    if missing := {"genes", "lattices", "parameters"} - arrays.keys():
        raise DocumentError(
            f"A blob of structures lacks {sorted(missing)}; it has {sorted(arrays)}. "
            "Take the field 'blob' of a document that holds structures."
        )
    genes = [WyckoffGene.from_text(str(text)) for text in arrays["genes"]]
    ends = np.cumsum([gene.n_orbits for gene in genes])
    lattices, parameters = arrays["lattices"], arrays["parameters"]
    if len(lattices) != len(genes) or len(parameters) != (ends[-1] if genes else 0):
        raise DocumentError(
            f"A blob of structures is damaged: {len(genes)} genes came with "
            f"{len(lattices)} cells and {len(parameters)} rows of coordinates."
        )
    rows = np.split(parameters, ends[:-1])
    return [
        ReducedStructure(gene, lattice, row)
        for gene, lattice, row in zip(genes, lattices, rows, strict=True)
    ]
