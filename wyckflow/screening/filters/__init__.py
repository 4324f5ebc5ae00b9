"""The kinds of filters, and how their options become one.

`shape` counts, `chemistry` looks at the elements, `known` at evidence; `FILTERS` names
them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from wyckflow.errors import ScreenError, nearest_name
from wyckflow.screening.filters._base import GeneFilter, Judgements
from wyckflow.screening.filters.chemistry import (
    ChargeNeutrality,
    ElectronegativityOrder,
    ExcludeElements,
    ExclusiveElements,
    OnlyElements,
    PublishedNeutrality,
)
from wyckflow.screening.filters.known import (
    MaximumScore,
    MinimumScore,
    Novelty,
    TargetWindow,
)
from wyckflow.screening.filters.shape import (
    DegreesOfFreedom,
    MaxSites,
    NumberOfElements,
    Uniqueness,
)

__all__ = [
    "FILTERS",
    "ChargeNeutrality",
    "DegreesOfFreedom",
    "ElectronegativityOrder",
    "ExcludeElements",
    "ExclusiveElements",
    "GeneFilter",
    "Judgements",
    "MaxSites",
    "MaximumScore",
    "MinimumScore",
    "Novelty",
    "NumberOfElements",
    "OnlyElements",
    "PublishedNeutrality",
    "TargetWindow",
    "Uniqueness",
    "read_filter",
]

FILTERS: Final[Mapping[str, type[GeneFilter]]] = MappingProxyType(
    {
        kind.kind: kind
        for kind in (
            Uniqueness,
            MaxSites,
            NumberOfElements,
            DegreesOfFreedom,
            ChargeNeutrality,
            PublishedNeutrality,
            ElectronegativityOrder,
            ExcludeElements,
            OnlyElements,
            ExclusiveElements,
            MinimumScore,
            MaximumScore,
            TargetWindow,
            Novelty,
        )
    }
)
"""Every kind of filter by its name."""


def read_filter(item: Any) -> GeneFilter:
    """Make a filter of what stands in a file.

    Parameters
    ----------
    item
        The name of a kind, if it needs no option, or a mapping with the kind under
        ``filter`` and options beside it.

    Raises
    ------
    ScreenError
        If there is no such kind, or an option is unknown, missing or wrong.
    """
    options = {"filter": item} if isinstance(item, str) else item
    if not isinstance(options, Mapping) or "filter" not in options:
        raise ScreenError(
            f"{item!r} is no filter; write '- uniqueness', or '- filter: max_sites' "
            "with its options below."
        )
    kind = options["filter"]
    if kind not in FILTERS:
        raise ScreenError(
            f"There is no filter {kind!r}; there are {', '.join(FILTERS)}."
            f"{nearest_name(str(kind), FILTERS)}"
        )
    chosen = {name: value for name, value in options.items() if name != "filter"}
    return FILTERS[kind].from_options(chosen)
