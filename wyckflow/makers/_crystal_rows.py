"""What a predicting job is given, some thousand rows at a time: genes or structures."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import pack_genes
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import GeneError, StructureError
from wyckflow.schemas.prediction import PredictionRefusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from wyckflow.ml.forward.crystals import Crystals

    Packed = tuple[NDArray[np.int16], NDArray[np.int16]]
    Item = WyckoffGene | ReducedStructure


@dataclass(frozen=True, eq=False, slots=True)
class CrystalRows:
    """Some of the rows that came.

    Attributes
    ----------
    crystals
        Those that are crystals, with cells if cells were asked for and are known.
    genes
        The same, packed.
    rows
        Where each of them stood in all that came.
    refused
        The other rows, and why.
    """

    crystals: Crystals
    genes: Packed
    rows: NDArray[np.int64]
    refused: list[tuple[int, PredictionRefusal]]


def read_rows(
    source: Any, *, with_cells: bool, symprec: float, size: int
) -> Iterator[CrystalRows]:
    """Yield what came, in order.

    Parameters
    ----------
    source
        Genes, their texts, structures, the path of a dataset, or a document that holds
        genes or structures.
    with_cells
        Whether genes alone are refused.
    symprec
        Tolerance in A of the symmetry of pymatgen's structures.
    size
        Rows at a time.
    """
    if isinstance(source, (str, Path)):
        yield from _read_dataset(Path(source), size)
    elif hasattr(source, "iter_chunks"):
        yield from _read_chunks(source, size)
    else:
        first = 0
        iterator = iter(_list_items(source))
        while part := list(islice(iterator, size)):
            yield _take(part, first, with_cells=with_cells, symprec=symprec)
            first += len(part)


def _read_dataset(path: Path, size: int) -> Iterator[CrystalRows]:
    from wyckflow.crystal.dataset.table import load_dataset
    from wyckflow.ml.forward.crystals import crystals_from_dataset

    dataset = load_dataset(path)
    for first in range(0, len(dataset), size):
        rows = np.arange(first, min(first + size, len(dataset)))
        part = dataset.select(rows)
        yield CrystalRows(crystals_from_dataset(part), part.codes, rows, [])


def _read_chunks(document: Any, size: int) -> Iterator[CrystalRows]:
    """Take the packed genes of a document without making objects of them."""
    from wyckflow.ml.forward.crystals import crystals_from_codes

    first = 0
    for arrays in document.iter_chunks():
        numbers, codes = arrays["space_groups"], arrays["codes"]
        for start in range(0, len(numbers), size):
            genes = numbers[start : start + size], codes[start : start + size]
            rows = np.arange(first, first + len(genes[0]))
            yield CrystalRows(crystals_from_codes(*genes), genes, rows, [])
            first += len(rows)


def _list_items(source: Any) -> Iterable[Any]:
    """Return genes or structures one by one."""
    if hasattr(source, "results") and hasattr(source, "list_structures"):
        pairs = zip(source.list_structures(), source.results, strict=True)
        return [item.gene if found is None else found for found, item in pairs]
    listed: Iterable[Any] = source.genes() if hasattr(source, "genes") else source
    return listed


def _take(
    items: Sequence[Any], first: int, *, with_cells: bool, symprec: float
) -> CrystalRows:
    """Sort out what is no crystal, or lacks a cell."""
    from wyckflow.ml.forward.crystals import (
        crystals_from_genes,
        crystals_from_structures,
    )

    good: list[Item] = []
    rows, refused = [], []
    for row, item in enumerate(items, first):
        found = _parse(item, symprec)
        if found is None:
            refused.append((row, PredictionRefusal.NO_GENE))
        elif with_cells and isinstance(found, WyckoffGene):
            refused.append((row, PredictionRefusal.NO_CELL))
        else:
            good.append(found)
            rows.append(row)
    genes = [item if isinstance(item, WyckoffGene) else item.gene for item in good]
    structures = [item for item in good if isinstance(item, ReducedStructure)]
    crystals = (
        crystals_from_structures(structures)
        if with_cells
        else crystals_from_genes(genes)
    )
    return CrystalRows(crystals, pack_genes(genes), np.array(rows, np.int64), refused)


def _parse(item: Any, symprec: float) -> Item | None:
    """Return a gene or a structure, None for what is neither."""
    if isinstance(item, (WyckoffGene, ReducedStructure)):
        return item
    try:
        if isinstance(item, str):
            return WyckoffGene.from_text(item)
        if hasattr(item, "lattice"):
            return ReducedStructure.from_structure(item, symprec=symprec)
    except (GeneError, StructureError):
        return None
    return None
