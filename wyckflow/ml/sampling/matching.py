"""Which genes meet a target, condition by condition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from wyckflow.crystal.elements import ATOMIC_NUMBERS
from wyckflow.crystal.tables import load_space_group
from wyckflow.errors import ModelError, TargetError, nearest_name
from wyckflow.schemas.target import Window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from wyckflow.ml.codec.sites import SiteTensors
    from wyckflow.schemas.target import Target

_N_ELEMENTS: Final = 119
_N_GROUPS: Final = 231


def check_properties(target: Target, known: Mapping[str, object]) -> None:
    """Refuse a target on a property that the model does not predict.

    Parameters
    ----------
    target
        What is asked.
    known
        What the model predicts.

    Raises
    ------
    ModelError
        Naming the nearest property that it knows.
    """
    for name in target.properties:
        if name not in known:
            raise ModelError(
                f"The target has a range of {name!r}, but the model predicts "
                f"{', '.join(known) or 'nothing'}.{nearest_name(name, known)} Take "
                "another model, or train one on a dataset with this column."
            )


@dataclass(frozen=True, eq=False, slots=True)
class GeneTraits:
    """What a target can ask of genes, their properties apart.

    Attributes
    ----------
    space_group
        Space-group numbers (n,).
    has_element
        Which elements each has, by atomic number (n, 119).
    n_atoms
        Atoms in the conventional cell (n,), or None if that is not known; then the
        condition on it is not asked.
    """

    space_group: NDArray[np.integer[Any]]
    has_element: NDArray[np.bool_]
    n_atoms: NDArray[np.integer[Any]] | None

    def __len__(self) -> int:
        """Return the number of genes."""
        return len(self.space_group)

    @classmethod
    def from_sites(cls, sites: SiteTensors) -> Self:
        """Look at genes.

        Parameters
        ----------
        sites
            The genes.
        """
        table = np.zeros((len(sites), _N_ELEMENTS), bool)
        rows = np.broadcast_to(np.arange(len(sites))[:, None], sites.mask.shape)
        table[rows[sites.mask], sites.atomic_number[sites.mask]] = True
        return cls(sites.space_group, table, sites.multiplicity.sum(1))


def match_target(
    target: Target,
    traits: GeneTraits,
    properties: Mapping[str, ArrayLike],
    *,
    tolerances: Mapping[str, float] | None = None,
) -> dict[str, NDArray[np.bool_]]:
    """Say which genes meet each condition of a target.

    Parameters
    ----------
    target
        The conditions; those left out are not among the results.
    traits
        Of the genes.
    properties
        One value per gene, by property; NaN meets no range.
    tolerances
        By how much a value may lie outside its range, by property.

    Returns
    -------
    dict
        A mask per condition, in the order of :meth:`Target.conditions`.
    """
    check_properties(target, properties)
    allowed = tolerances or {}
    masks = {
        name: _within(window, np.asarray(properties[name]), allowed.get(name, 0.0))
        for name, window in target.properties.items()
    }
    if target.space_groups:
        masks["space_groups"] = _among(traits, target.space_groups)
    if target.crystal_systems:
        systems = set(target.crystal_systems)
        groups = [
            number
            for number in range(1, _N_GROUPS)
            if load_space_group(number).crystal_system in systems
        ]
        masks["crystal_systems"] = _among(traits, groups)
    masks |= _match_elements(target, traits)
    if target.n_elements != Window():
        masks["n_elements"] = _within(target.n_elements, traits.has_element.sum(1))
    if target.nsites != Window() and traits.n_atoms is not None:
        masks["nsites"] = _within(target.nsites, traits.n_atoms)
    return {name: masks[name] for name in target.conditions() if name in masks}


def meet_all(masks: Mapping[str, NDArray[np.bool_]], n_genes: int) -> NDArray[np.bool_]:
    """Return which genes meet every condition.

    Parameters
    ----------
    masks
        As `match_target` returns them.
    n_genes
        How many genes there are, for a target without conditions.
    """
    met = np.ones(n_genes, bool)
    for mask in masks.values():
        met &= mask
    return met


def refuse_empty(
    target: Target, traits: GeneTraits, properties: Mapping[str, ArrayLike]
) -> None:
    """Say why no known gene meets a target: which condition empties it, and by how far.

    Parameters
    ----------
    target
        The conditions.
    traits
        Of the genes that the model knows.
    properties
        Their properties as the model predicts them.

    Raises
    ------
    TargetError
        If none meets all conditions.
    """
    masks = match_target(target, traits, properties)
    met = meet_all(masks, len(traits))
    if met.any():
        return
    words = target.conditions()
    alone = [name for name, mask in masks.items() if not mask.any()]
    if alone:
        blame = "; ".join(
            f"{name} ({words[name]}) is met by none of them"
            f"{_nearest(target, name, np.ones(len(traits), bool), properties)}"
            for name in alone
        )
    else:
        left = {
            name: meet_all({k: v for k, v in masks.items() if k != name}, len(traits))
            for name in masks
        }
        name = max(left, key=lambda key: int(left[key].sum()))
        n_left = int(left[name].sum())
        blame = (
            f"each condition alone is met, but not all together; without {name} "
            f"({words[name]}) {n_left:,} are left"
            f"{_nearest(target, name, left[name], properties)}"
        )
    raise TargetError(
        f"None of the {len(traits):,} crystals that the model learned from is within "
        f"the target: {blame}. Widen that condition, or ask for genes without starts "
        "(method 'prior')."
    )


def _match_elements(target: Target, traits: GeneTraits) -> dict[str, NDArray[np.bool_]]:
    """Return the masks of the conditions on elements that are set."""
    table = traits.has_element
    masks: dict[str, NDArray[np.bool_]] = {}
    if target.elements_all:
        masks["elements_all"] = np.logical_and.reduce(
            table[:, _numbers(target.elements_all)], axis=1
        )
    if target.elements_any:
        masks["elements_any"] = _has_any(table, _numbers(target.elements_any))
    if target.elements_none:
        masks["elements_none"] = ~_has_any(table, _numbers(target.elements_none))
    if target.elements_only:
        allowed = _numbers(target.elements_only)
        others = [number for number in range(_N_ELEMENTS) if number not in allowed]
        masks["elements_only"] = ~_has_any(table, others)
    return masks


def _has_any(table: NDArray[np.bool_], numbers: list[int]) -> NDArray[np.bool_]:
    """Return which genes have at least one of some elements."""
    found: NDArray[np.bool_] = np.logical_or.reduce(table[:, numbers], axis=1)
    return found


def _numbers(symbols: tuple[str, ...]) -> list[int]:
    return [ATOMIC_NUMBERS[symbol] for symbol in symbols]


def _among(traits: GeneTraits, groups: ArrayLike) -> NDArray[np.bool_]:
    """Return which genes are in one of some space groups."""
    table = np.zeros(_N_GROUPS, bool)
    table[np.asarray(groups)] = True
    chosen: NDArray[np.bool_] = table[traits.space_group]
    return chosen


def _within(
    window: Window, values: NDArray[Any], tolerance: float = 0.0
) -> NDArray[np.bool_]:
    """Return which values lie in a range; NaN does not."""
    low, high = window.lower - tolerance, window.upper + tolerance
    inside: NDArray[np.bool_] = (values >= low) & (values <= high)
    return inside


def _nearest(
    target: Target,
    name: str,
    among: NDArray[np.bool_],
    properties: Mapping[str, ArrayLike],
) -> str:
    """Word the value nearest to a range that is not met, where it is of a property."""
    window = target.properties.get(name)
    if window is None:
        return ""
    values = np.asarray(properties[name])[among]
    values = values[np.isfinite(values)]
    if not values.size:
        return ", for it is known of none"
    gaps = np.maximum(window.lower - values, values - window.upper)
    return f", the nearest has {values[gaps.argmin()]:.3g}"
