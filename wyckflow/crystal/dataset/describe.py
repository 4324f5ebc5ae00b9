"""What is in a dataset: counts, ranges, and one figure of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.dataset.metadata import PARTS
from wyckflow.crystal.keys import anonymous_keys
from wyckflow.crystal.tables import load_space_group

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from wyckflow.crystal.dataset.table import Dataset

# Lattice points of a conventional cell by the first letter of the group's symbol.
_LATTICE_POINTS: Final = {"P": 1, "A": 2, "C": 2, "I": 2, "R": 3, "F": 4}

_QUANTILES: Final = (0.0, 0.05, 0.5, 0.95, 1.0)


@dataclass(frozen=True, slots=True)
class PropertySummary:
    """How one property is spread.

    Attributes
    ----------
    name, unit
        What it is.
    n_known
        Rows that have it.
    mean
        Over those rows; not-a-number if there are none.
    quantiles
        Smallest, 5 %, median, 95 % and largest.
    """

    name: str
    unit: str
    n_known: int
    mean: float
    quantiles: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What is in a dataset.

    Attributes
    ----------
    n_rows, n_genes, n_formulas, n_prototypes
        Rows; different genes, formulas, and genes without the names of elements.
    crystal_systems, space_groups, elements
        Rows by crystal system, space-group number and chemical symbol.
    n_elements, n_orbits, n_atoms
        Rows by how many of these they have; atoms are those of the primitive cell.
    properties
        How the properties are spread.
    parts
        Rows by part, if the dataset was split.
    refused
        Rows that were not taken, by reason.
    """

    n_rows: int
    n_genes: int
    n_formulas: int
    n_prototypes: int
    crystal_systems: dict[str, int]
    space_groups: dict[int, int]
    elements: dict[str, int]
    n_elements: dict[int, int]
    n_orbits: dict[int, int]
    n_atoms: dict[int, int]
    properties: tuple[PropertySummary, ...]
    parts: dict[str, int]
    refused: dict[str, int]


def describe_dataset(dataset: Dataset) -> DatasetSummary:
    """Count what is in a dataset.

    Parameters
    ----------
    dataset
        Any dataset.
    """
    numbers = dataset.arrays.space_group_numbers.tolist()
    systems = Counter(load_space_group(n).crystal_system.value for n in numbers)
    elements: Counter[str] = Counter()
    for gene in dataset.genes:
        elements.update(gene.elements)
    parts = dataset.parts
    return DatasetSummary(
        n_rows=len(dataset),
        n_genes=len(np.unique(dataset.keys)),
        n_formulas=len(set(dataset.formulas)),
        n_prototypes=len(np.unique(anonymous_keys(*dataset.codes))),
        crystal_systems=dict(systems.most_common()),
        space_groups=dict(Counter(numbers).most_common()),
        elements=dict(elements.most_common()),
        n_elements=_count(len(gene.elements) for gene in dataset.genes),
        n_orbits=_count(dataset.arrays.n_sites.tolist()),
        n_atoms=_count(atoms_of_primitive_cells(dataset)),
        properties=tuple(
            _summarise(name, dataset.metadata.units.get(name, ""), values)
            for name, values in dataset.properties.items()
        ),
        parts={}
        if parts is None
        else {part.value: int((parts == i).sum()) for i, part in enumerate(PARTS)},
        refused=dict(
            Counter(row.reason.value for row in dataset.metadata.refused).most_common()
        ),
    )


def atoms_of_primitive_cells(dataset: Dataset) -> list[int]:
    """Return how many atoms the primitive cell of every row has.

    Parameters
    ----------
    dataset
        Any dataset.
    """
    return [
        gene.n_sites // _LATTICE_POINTS[gene.space_group.symbol[0]]
        for gene in dataset.genes
    ]


def _count(values: Iterable[int]) -> dict[int, int]:
    return dict(sorted(Counter(values).items()))


def _summarise(name: str, unit: str, values: NDArray[np.float64]) -> PropertySummary:
    known = values[~np.isnan(values)]
    if not len(known):
        nothing = (float("nan"),) * len(_QUANTILES)
        return PropertySummary(name, unit, 0, float("nan"), nothing)
    quantiles = tuple(np.quantile(known, _QUANTILES).tolist())
    return PropertySummary(name, unit, len(known), float(known.mean()), quantiles)
