"""Known crystals beside candidates: how new each is, and what it is nearest to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.equivalence import equivalent_genes
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import LETTER_BITS, pack_genes
from wyckflow.schemas.report import Analogue
from wyckflow.screening.novelty.judge import judge_novelty
from wyckflow.screening.novelty.known import KnownGenes, is_known_file, load_known

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wyckflow.crystal.dataset.table import Dataset

    Found = tuple[int, tuple[Analogue, ...] | None]

_MOST_ANALOGUES: Final = 3
_NAMES: Final = ("material_id", "id", "name")
_N_ELEMENTS: Final = 128


def find_known(path: Path, genes: Sequence[str]) -> tuple[str, list[Found]]:
    """Return the name of what is known, and for each gene its novelty and analogues.

    Parameters
    ----------
    path
        A data set, or a set of known genes; the latter holds no genes that could be
        shown, so that analogues are None.
    genes
        In text form.
    """
    read = [WyckoffGene.from_text(text) for text in genes]
    if is_known_file(path):
        known = load_known(path)
        levels = judge_novelty(read, known).level.tolist() if read else []
        return known.name, [(level, None) for level in levels]
    dataset = _load(path)
    known = KnownGenes.from_dataset(dataset, name=path.name)
    levels = judge_novelty(read, known).level.tolist() if read else []
    analogues = _find_analogues(read, dataset, path.name)
    return path.name, list(zip(levels, analogues, strict=True))


def _load(path: Path) -> Dataset:
    """Return a data set, from its own file or from a table of crystals."""
    from wyckflow.crystal.dataset.table import load_dataset

    return load_dataset(path)


def _find_analogues(
    genes: Sequence[WyckoffGene], dataset: Dataset, source: str
) -> list[tuple[Analogue, ...]]:
    """Return the nearest crystals of exactly the elements of each gene."""
    if not genes:
        return []
    ours = _elements_of(pack_genes(genes)[1])
    theirs = _elements_of(dataset.codes[1])
    found = []
    for gene, mine in zip(genes, ours, strict=True):
        rows = np.flatnonzero((theirs == mine).all(axis=1))
        near = [_compare(gene, dataset, int(row), source) for row in rows]
        near.sort(key=lambda one: (-one.is_same_group, -one.n_shared, one.name))
        found.append(tuple(near[:_MOST_ANALOGUES]))
    return found


def _elements_of(codes: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return a bit per element and gene, packed."""
    flags = np.zeros((len(codes), _N_ELEMENTS), np.bool_)
    numbers = codes.astype(np.int64) >> LETTER_BITS
    flags[np.arange(len(codes))[:, None], numbers] = True
    flags[:, 0] = False
    return np.packbits(flags, axis=1)


def _compare(gene: WyckoffGene, dataset: Dataset, row: int, source: str) -> Analogue:
    """Describe a known crystal in the way that shares most with a gene."""
    item = dataset[row]
    name = next((item.texts[key] for key in _NAMES if key in item.texts), f"row {row}")
    is_same = item.gene.space_group_number == gene.space_group_number
    best, n_shared = item.gene, 0
    if is_same:
        best, n_shared = max(
            ((form, _count_shared(gene, form)) for form in equivalent_genes(item.gene)),
            key=lambda pair: pair[1],
        )
    return Analogue(name, source, best.formula, best.to_text(), is_same, n_shared)


def _count_shared(one: WyckoffGene, other: WyckoffGene) -> int:
    """Return how many sites two genes of one group have in common."""
    left = list(other.sites)
    n_shared = 0
    for site in one.sites:
        if site in left:
            left.remove(site)
            n_shared += 1
    return n_shared
