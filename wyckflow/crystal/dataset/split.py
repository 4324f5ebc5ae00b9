"""Datasets to train, validation and test parts that share no group.

Rows of one group (a formula, a prototype) are more alike than chance; a group in two
parts would let a model be tested on what it was trained on. Groups are put in an order
that depends only on their names and the seed, so neither the order of the rows nor that
of the files matters.
"""

from __future__ import annotations

import hashlib
import math
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.dataset.metadata import PARTS, Part, SplitInfo
from wyckflow.crystal.keys import anonymous_keys
from wyckflow.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wyckflow.crystal.dataset.table import Dataset

DEFAULT_FRACTIONS: Final = (0.8, 0.1, 0.1)


class GroupBy(StrEnum):
    """What must not be in two parts."""

    FORMULA = "formula"
    """The reduced formula: no part knows the composition of another."""
    PROTOTYPE = "prototype"
    """Space group and sites without the names of the elements."""
    CHEMSYS = "chemsys"
    """The set of elements."""


def split_dataset(
    dataset: Dataset,
    *,
    fractions: Sequence[float] = DEFAULT_FRACTIONS,
    by: GroupBy = GroupBy.FORMULA,
    seed: int = 0,
) -> Dataset:
    """Split a dataset into train, validation and test.

    Parameters
    ----------
    dataset
        Any dataset; an earlier split is forgotten.
    fractions
        Shares of the three parts, which add up to 1. Parts come as close to their
        share as whole groups allow; one that is to have rows gets at least one group.
    by
        What must not be in two parts.
    seed
        Another seed gives another split.

    Returns
    -------
    Dataset
        The same rows, with `Dataset.part` at hand.

    Raises
    ------
    DatasetError
        If the fractions are no shares, or there are fewer groups than parts.
    """
    shares = _checked(fractions)
    names = group_names(dataset, GroupBy(by))
    groups, group_of_row = np.unique(names, return_inverse=True)
    sizes = np.bincount(group_of_row, minlength=len(groups))
    order = np.argsort([_draw(name, seed) for name in groups.tolist()])
    wanted = [index for index, share in enumerate(shares) if share > 0]
    if len(groups) < len(wanted):
        raise DatasetError(
            f"{len(dataset)} rows of {len(groups)} groups by {by} cannot make "
            f"{len(wanted)} parts; give fewer parts, or group by something finer."
        )
    part_of_group = np.empty(len(groups), np.uint8)
    part_of_group[order] = _cut(sizes[order], shares, wanted)
    info = SplitInfo(
        by=GroupBy(by).value, seed=seed, fractions=shares, n_groups=len(groups)
    )
    return dataset.with_split(part_of_group[group_of_row], info)


def group_names(dataset: Dataset, by: GroupBy) -> list[str]:
    """Name the group of every row.

    Parameters
    ----------
    dataset
        Any dataset.
    by
        What makes a group.
    """
    if by is GroupBy.FORMULA:
        return list(dataset.formulas)
    if by is GroupBy.CHEMSYS:
        return [gene.chemsys for gene in dataset.genes]
    return [f"{key:016x}" for key in anonymous_keys(*dataset.codes).tolist()]


def _checked(fractions: Sequence[float]) -> tuple[float, float, float]:
    shares = tuple(float(fraction) for fraction in fractions)
    is_sum = math.isclose(sum(shares), 1, abs_tol=1e-6)
    if len(shares) != len(PARTS) or not is_sum or min(shares) < 0:
        raise DatasetError(
            f"The fractions {', '.join(map(str, shares))} are no shares of "
            f"{', '.join(Part)}; give three numbers that add up to 1, such as "
            "0.8,0.1,0.1."
        )
    return shares[0], shares[1], shares[2]


def _draw(name: str, seed: int) -> str:
    """Give a group its place in the order: noise that depends on name and seed only."""
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def _cut(
    sizes: NDArray[np.int64], shares: Sequence[float], wanted: Sequence[int]
) -> NDArray[np.uint8]:
    """Cut the row of groups where the shares are reached, to the nearest group."""
    middles = (np.cumsum(sizes) - sizes / 2) / sizes.sum()
    borders = np.searchsorted(middles, np.cumsum(shares)[list(wanted[:-1])])
    ends: list[int] = []
    for place, border in enumerate(borders.tolist(), 1):
        at_least = (ends[-1] if ends else 0) + 1
        at_most = len(sizes) - (len(wanted) - place)
        ends.append(min(max(border, at_least), at_most))
    counts = np.diff([0, *ends, len(sizes)])
    return np.repeat(np.array(wanted, np.uint8), counts)
