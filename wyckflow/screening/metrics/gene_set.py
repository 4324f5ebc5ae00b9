"""A generated set: genes, what was predicted of them, and rows that are no genes."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from wyckflow.crystal.dataset import Dataset
from wyckflow.crystal.keys import anonymous_keys
from wyckflow.screening.table import GeneTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from wyckflow.crystal.gene import WyckoffGene

ID_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row that holds no gene.

    Attributes
    ----------
    row
        Place in the source, counted from 1.
    reason
        One word for counting, such as ``unknown_letter``.
    message
        What was wrong, in a sentence.
    """

    row: int
    reason: str
    message: str


@dataclass(frozen=True, eq=False)
class GeneSet:
    """Genes that belong together, with one number per gene in each column.

    Attributes
    ----------
    name
        What people call it.
    table
        The genes; ``table.rows`` are their places in the source.
    columns
        Numbers per gene, such as predictions; not-a-number where there is none.
    n_rows
        Rows of the source, readable or not.
    unreadable
        Rows that hold no gene.
    n_attempts
        Genes that the generator tried to make, where the source says so.
    """

    name: str
    table: GeneTable
    columns: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    n_rows: int = 0
    unreadable: Sequence[UnreadableRow] = ()
    n_attempts: int | None = None

    @classmethod
    def of(cls, genes: Any, *, name: str = "genes") -> Self:
        """Take genes in any form that they come in.

        Parameters
        ----------
        genes
            A gene set, a dataset, a `GeneTable`, a list of genes, or the arrays that
            `wyckflow.crystal.keys.pack_genes` makes.
        name
            What to call it, where it has no name.
        """
        if isinstance(genes, cls):
            return genes
        if isinstance(genes, Dataset):
            return cls.from_dataset(genes)
        if isinstance(genes, GeneTable):
            table = genes
        elif isinstance(genes, tuple) and genes and isinstance(genes[0], np.ndarray):
            table = GeneTable.from_arrays(*genes)
        else:
            table = GeneTable.from_genes(genes)
        return cls(name=name, table=table, n_rows=len(table))

    @classmethod
    def from_dataset(cls, dataset: Dataset, *, name: str | None = None) -> Self:
        """Take the genes and properties of a dataset.

        Parameters
        ----------
        dataset
            Any dataset.
        name
            What to call it; the names of its files if not given.
        """
        files = ", ".join(source.name for source in dataset.metadata.sources)
        refused = dataset.metadata.refused
        return cls(
            name=name or files,
            table=GeneTable.from_arrays(*dataset.codes),
            columns=dict(dataset.properties),
            n_rows=len(dataset) + len(refused),
            unreadable=tuple(
                UnreadableRow(row.record, row.reason.value, row.message)
                for row in refused
            ),
        )

    def __len__(self) -> int:
        """Return the number of genes."""
        return len(self.table)

    @property
    def genes(self) -> list[WyckoffGene]:
        """The genes as objects."""
        return self.table.genes()

    @property
    def reasons(self) -> dict[str, int]:
        """How many rows are no genes, by reason, the most frequent first."""
        return dict(Counter(row.reason for row in self.unreadable).most_common())

    @cached_property
    def content_id(self) -> str:
        """16 hexadecimal digits for the genes as a collection, in whatever order."""
        keys = np.sort(self.table.keys).astype("<u8")
        return hashlib.sha256(keys.tobytes()).hexdigest()[:ID_LENGTH]

    @cached_property
    def prototype_keys(self) -> NDArray[np.uint64]:
        """A number per gene that genes share which differ in their elements alone."""
        return anonymous_keys(self.table.space_group_numbers, self.table.codes)

    @cached_property
    def first_rows(self) -> NDArray[np.int64]:
        """The places of the genes of which no equivalent one stands earlier."""
        _, first = np.unique(self.table.keys, return_index=True)
        return np.sort(first)
