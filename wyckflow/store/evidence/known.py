"""Known crystals beside candidates: how new each is, and what it is nearest to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

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

    Flags = NDArray[np.bool_]
    Found = tuple[int, tuple[Analogue, ...] | None]

MOST_ANALOGUES: Final = 3
_NAMES: Final = ("material_id", "id", "name")
_N_ELEMENTS: Final = 128


@dataclass(frozen=True, eq=False, slots=True)
class KnownFile:
    """What novelty is measured against.

    Attributes
    ----------
    name
        What people call it.
    known
        Its genes as hashed keys.
    dataset
        With the crystals; None if the file holds keys alone.
    """

    name: str
    known: KnownGenes
    dataset: Dataset | None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file.

        Parameters
        ----------
        path
            A data set, or a set of known genes.

        Raises
        ------
        DatasetError
            If it is neither, or damaged.
        """
        from wyckflow.crystal.dataset.table import load_dataset

        if is_known_file(path):
            known = load_known(path)
            return cls(known.name, known, None)
        dataset = load_dataset(path)
        known = KnownGenes.from_dataset(dataset, name=path.name)
        return cls(path.name, known, dataset)


def find_known(file: KnownFile, genes: Sequence[str]) -> list[Found]:
    """Return for each gene its novelty and its analogues.

    Parameters
    ----------
    file
        What is known. If it holds keys alone, there are no analogues to be shown, and
        they are None.
    genes
        In text form.
    """
    read = [WyckoffGene.from_text(text) for text in genes]
    if not read:
        return []
    levels = judge_novelty(read, file.known).level.tolist()
    if file.dataset is None:
        return [(level, None) for level in levels]
    analogues = _find_analogues(read, file.dataset, file.name)
    return list(zip(levels, analogues, strict=True))


def _find_analogues(
    genes: Sequence[WyckoffGene], dataset: Dataset, source: str
) -> list[tuple[Analogue, ...]]:
    """Return the nearest crystals of exactly the elements of each gene."""
    ours = elements_of(pack_genes(genes)[1])
    theirs = elements_of(dataset.codes[1])
    found = []
    for gene, mine in zip(genes, ours, strict=True):
        rows = np.flatnonzero((theirs == mine).all(axis=1))
        near = [_describe(gene, dataset, int(row), source) for row in rows]
        near.sort(key=lambda one: (-one.is_same_group, -one.n_shared, one.name))
        found.append(tuple(near[:MOST_ANALOGUES]))
    return found


def elements_of(codes: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return a bit per element and gene, packed.

    Parameters
    ----------
    codes
        Sites of genes, as `wyckflow.crystal.keys.pack_genes` writes them.
    """
    flags = np.zeros((len(codes), _N_ELEMENTS), np.bool_)
    numbers = codes.astype(np.int64) >> LETTER_BITS
    flags[np.arange(len(codes))[:, None], numbers] = True
    return pack_elements(flags)


def pack_elements(flags: Flags) -> NDArray[np.uint8]:
    """Return the same of a table that has a column per atomic number.

    Parameters
    ----------
    flags
        Which elements each gene has; column 0 stands for none.
    """
    wide = np.zeros((len(flags), _N_ELEMENTS), np.bool_)
    wide[:, 1 : flags.shape[1]] = flags[:, 1:]
    return np.packbits(wide, axis=1)


def _describe(gene: WyckoffGene, dataset: Dataset, row: int, source: str) -> Analogue:
    """Compare a row of a data set with a gene."""
    item = dataset[row]
    name = next((item.texts[key] for key in _NAMES if key in item.texts), f"row {row}")
    distance = item.properties.get("energy_above_hull")
    return compare_genes(gene, item.gene, name, source, distance)


def compare_genes(
    gene: WyckoffGene,
    other: WyckoffGene,
    name: str,
    source: str,
    energy_above_hull: float | None = None,
) -> Analogue:
    """Describe a known crystal in the way that shares most sites with a gene.

    Parameters
    ----------
    gene
        What it is compared with.
    other
        Gene of the known crystal.
    name, source, energy_above_hull
        Of the known crystal, as in `Analogue`.
    """
    is_same = other.space_group_number == gene.space_group_number
    best, n_shared = other, 0
    if is_same:
        best, n_shared = max(
            ((form, _count_shared(gene, form)) for form in equivalent_genes(other)),
            key=lambda pair: pair[1],
        )
    return Analogue(
        name,
        source,
        best.formula,
        best.to_text(),
        is_same,
        n_shared,
        energy_above_hull,
    )


def _count_shared(one: WyckoffGene, other: WyckoffGene) -> int:
    """Return how many sites two genes of one group have in common."""
    left = list(other.sites)
    n_shared = 0
    for site in one.sites:
        if site in left:
            left.remove(site)
            n_shared += 1
    return n_shared
