"""What a screen costs: the share of known crystals that it would have dropped."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.errors import ScreenError
from wyckflow.schemas.screening import FilterCost, ScreenCost
from wyckflow.screening.evidence import NO_EVIDENCE
from wyckflow.screening.filters._base import CANNOT_JUDGE, PASS
from wyckflow.screening.table import GeneTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.crystal.dataset import Dataset
    from wyckflow.screening.evidence import Evidence
    from wyckflow.screening.filters import GeneFilter
    from wyckflow.screening.screen import Screen

NEARLY_STABLE: Final = 0.1
"""Energy above the hull in eV/atom up to which a known crystal counts as stable."""


class KnownGroup(StrEnum):
    """Which crystals of a dataset a screen should let through."""

    ALL = "all"
    STABLE_SEMICONDUCTORS = "stable_semiconductors"
    """With a band gap, and at most 0.1 eV/atom above the hull."""


def select_known(dataset: Dataset, group: KnownGroup | str) -> NDArray[np.int64]:
    """Return the rows of a dataset that belong to a group.

    Parameters
    ----------
    dataset
        With ``band_gap`` (eV) and ``energy_above_hull`` (eV/atom) where asked for.
    group
        Which crystals.

    Raises
    ------
    ScreenError
        If the dataset lacks these properties, or has no such crystal.
    """
    rows = np.arange(len(dataset))
    if KnownGroup(group) is KnownGroup.STABLE_SEMICONDUCTORS:
        missing = {"band_gap", "energy_above_hull"} - dataset.properties.keys()
        if missing:
            raise ScreenError(
                f"The dataset {dataset.dataset_id} has no {' and no '.join(missing)}, "
                "so its semiconductors are not known; take the group 'all', or import "
                "it with these columns."
            )
        gaps = dataset.properties["band_gap"]
        energies = dataset.properties["energy_above_hull"]
        rows = np.flatnonzero((gaps > 0) & (energies <= NEARLY_STABLE))
    if not len(rows):
        raise ScreenError(
            f"The dataset {dataset.dataset_id} has no crystal of the group "
            f"'{KnownGroup(group)}'; take another one."
        )
    return rows


def cost_of(
    screen: Screen,
    dataset: Dataset,
    *,
    group: KnownGroup | str = KnownGroup.ALL,
    evidence: Evidence = NO_EVIDENCE,
    reference: str = "",
) -> ScreenCost:
    """Return the share of known crystals that each filter does not pass.

    A filter for which there is no evidence is left out of the sum, and says so.

    Parameters
    ----------
    screen
        What to measure.
    dataset
        Known crystals.
    group
        Which of them.
    evidence
        In the order of the dataset's rows.
    reference
        What to call these crystals; made of the group and the dataset's name if empty.
    """
    rows = select_known(dataset, group)
    evidence.check(len(dataset))
    table = GeneTable.from_arrays(*dataset.codes).take(rows)
    is_left = np.ones(len(table), bool)
    filters = []
    for item in screen.filters:
        if item.compares_genes:
            remark = "repetitions are no loss"
            filters.append(FilterCost(filter=item.name, share_alone=0, remark=remark))
            continue
        if missing := [name for name in item.needs if name not in evidence.names]:
            remark = f"not measured: no {', '.join(missing)}"
            filters.append(FilterCost(filter=item.name, remark=remark))
            continue
        verdicts = _judge_alone(item, table, evidence)
        passes = verdicts == PASS
        filters.append(
            FilterCost(
                filter=item.name,
                share_alone=float(1 - passes.mean()),
                share_in_order=float((is_left & ~passes).mean()),
                share_unjudged=float((verdicts == CANNOT_JUDGE).mean()),
            )
        )
        is_left &= passes
    words = "known crystals" if KnownGroup(group) is KnownGroup.ALL else str(group)
    words = words.replace("_", " ")
    return ScreenCost(
        reference=reference or f"{words} of dataset {dataset.dataset_id}",
        n_crystals=len(table),
        share_dropped=float(1 - is_left.mean()),
        filters=filters,
    )


def _judge_alone(
    item: GeneFilter, table: GeneTable, evidence: Evidence
) -> NDArray[np.uint8]:
    """Ask one filter about all crystals, piece by piece."""
    judge = item.begin()
    parts = [judge(part, evidence).verdicts for part in table.iter_chunks(10_000)]
    return np.concatenate(parts)
