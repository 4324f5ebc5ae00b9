"""The texts of structures to the rows of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckflow.crystal.cell import Refusal
from wyckflow.crystal.dataset._arrays import RowArrays, pack_arrays
from wyckflow.crystal.elements import ATOMIC_NUMBERS
from wyckflow.crystal.encode import EncodedStructure, Engine, encode_structure
from wyckflow.crystal.read import parse_structure
from wyckflow.crystal.tables import WYCKOFF_LETTERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class EncodingOptions:
    """How genes are found: engine, tolerance in A, tolerance in degrees or None."""

    engine: Engine
    symprec: float
    angle_tolerance: float | None


def encode_texts(texts: Sequence[str], options: EncodingOptions) -> bytes:
    """Find the genes of some structures.

    Parameters
    ----------
    texts
        CIF, POSCAR or JSON each.
    options
        How genes are found.

    Returns
    -------
    bytes
        An npz file: rows, with their place among the texts as the record, and refusals.
    """
    encoded: list[tuple[int, EncodedStructure]] = []
    refused: list[tuple[int, Refusal]] = []
    for place, text in enumerate(texts):
        result = _encode_text(text, options)
        if isinstance(result, Refusal):
            refused.append((place, result))
        else:
            encoded.append((place, result))
    arrays: dict[str, Any] = _to_rows(encoded).to_mapping()
    arrays["refused_records"] = np.array([place for place, _ in refused], np.int64)
    arrays["refused_reasons"] = np.array([r.reason.value for _, r in refused], np.str_)
    arrays["refused_messages"] = np.array([r.message for _, r in refused], np.str_)
    return pack_arrays(arrays)


def _encode_text(text: str, options: EncodingOptions) -> EncodedStructure | Refusal:
    cell = parse_structure(text)
    if isinstance(cell, Refusal):
        return cell
    return encode_structure(
        cell,
        symprec=options.symprec,
        angle_tolerance=options.angle_tolerance,
        engine=options.engine,
        with_standard_cell=True,
    )


def _to_rows(encoded: Iterable[tuple[int, EncodedStructure]]) -> RowArrays:
    """Lay genes and standard cells out as arrays."""
    records, cells = [], []
    for place, structure in encoded:
        if structure.standard_cell is not None:
            records.append(place)
            cells.append(structure.standard_cell)
    sites = [site for cell in cells for site in cell.gene.sites]
    coordinates = [np.empty((0, 3)), *(cell.coordinates for cell in cells)]
    lattices = np.array([cell.lattice for cell in cells]).reshape(-1, 3, 3)
    return RowArrays(
        space_group_numbers=np.array(
            [cell.gene.space_group_number for cell in cells], np.uint8
        ),
        n_sites=np.array([cell.gene.n_orbits for cell in cells], np.int32),
        atomic_numbers=np.array([ATOMIC_NUMBERS[s.element] for s in sites], np.uint8),
        letter_indices=np.array(
            [WYCKOFF_LETTERS.index(site.letter) for site in sites], np.uint8
        ),
        coordinates=np.concatenate(coordinates),
        lattices=lattices.astype(np.float64),
        sources=np.zeros(len(cells), np.int32),
        records=np.array(records, np.int64),
        properties={},
        texts={},
    )
