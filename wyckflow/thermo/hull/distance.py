"""Exact energies above the convex hull of a reference set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.elements import SYMBOLS, reduced_formula
from wyckflow.errors import ReferenceDataError
from wyckflow.thermo.composition import Compositions, symbols_of
from wyckflow.thermo.entry import EnergyKind, ReferenceEntry
from wyckflow.thermo.hull.answer import HullDistances, Product
from wyckflow.thermo.hull.facets import find_facets
from wyckflow.thermo.hull.index import EntryIndex
from wyckflow.thermo.hull.pool import FacetPool, split_keys, unknown
from wyckflow.thermo.hull.solver import solve_decomposition
from wyckflow.thermo.reference import ReferenceSet
from wyckflow.thermo.scale import require_same_scale

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from wyckflow.thermo.composition import System
    from wyckflow.thermo.hull.facets import Points

AnyCompositions = Compositions | Sequence[Mapping[str, float]]

_LEAST_SHARE: Final = 1e-9


class Hull:
    """The convex hull of a reference set, for any chemical system in it.

    Facets are found when a system is first asked for, and kept. Each answer is proved:
    the plane that gives it lies below every entry, and the composition is inside its
    facet. Where rounding spoils the proof, a linear programme is solved instead.

    Parameters
    ----------
    reference
        The competing phases.
    """

    def __init__(self, reference: ReferenceSet) -> None:
        self.reference = reference
        self._index = EntryIndex(reference)
        self._pools: dict[int, FacetPool] = {}
        self.n_solved = 0
        """How many answers came from the linear programme."""

    @property
    def version(self) -> str:
        """Version of the reference set: the same entries, the same answers."""
        return self.reference.version

    def energies_above_hull(
        self,
        compositions: AnyCompositions,
        energies_per_atom: ArrayLike,
        *,
        scale: str,
        kind: EnergyKind | str = EnergyKind.TOTAL,
        own_ids: Sequence[str | None] | None = None,
    ) -> HullDistances:
        """Return how far candidates are above the hull of the reference.

        A candidate is compared with the reference alone, so that a new stable phase
        has a negative distance. One that is itself an entry is compared with the
        hull without it, if its id is given.

        Parameters
        ----------
        compositions
            Atoms by symbol, or `Compositions`.
        energies_per_atom
            eV/atom.
        scale
            Their scale, which must be that of the reference.
        kind
            Whether they are total or formation energies; as the reference has them.
        own_ids
            Id by which each candidate may be in the reference itself.

        Raises
        ------
        ScaleMismatchError
            If the scales differ.
        ReferenceDataError
            If the kinds differ, or the numbers do not fit together.
        """
        self._check_comparable(scale, kind)
        chosen = _as_compositions(compositions)
        energies = np.asarray(energies_per_atom, np.float64)
        if energies.shape != (len(chosen),):
            raise ReferenceDataError(
                f"{len(chosen)} compositions came with energies of the shape "
                f"{energies.shape}; give one energy per composition."
            )
        zeros = self._energies_of_elements(chosen)
        hull = self._hull_energies(chosen)
        missing = self._missing_elements(chosen, hull)
        if own_ids is not None:
            self._leave_out_own(chosen, own_ids, hull, zeros, missing)
        formation = energies - zeros
        return HullDistances(
            energies_above_hull=formation - hull,
            formation_energies=formation,
            hull_energies=hull,
            missing_elements=missing,
            scale=self.reference.scale,
            version=self.version,
        )

    def decompose(
        self,
        compositions: AnyCompositions,
        *,
        own_ids: Sequence[str | None] | None = None,
    ) -> list[tuple[Product, ...]]:
        """Return the stable phases that compositions separate into, most atoms first.

        Nothing where an element has no reference.

        Parameters
        ----------
        compositions
            Atoms by symbol, or `Compositions`.
        own_ids
            Id by which each may be in the reference itself; it is left out.
        """
        chosen = _as_compositions(compositions)
        own = own_ids or [None] * len(chosen)
        found: list[tuple[Product, ...]] = [()] * len(chosen)
        for width, places in _by_width(chosen).items():
            numbers, fractions = _rows(chosen, places, width)
            keys = split_keys(numbers)
            pool = self._pool(width, keys)
            known = [row for row, key in enumerate(keys) if key in pool]
            if not known:
                continue
            answer = pool.ask([keys[row] for row in known], fractions[known])
            shares = pool.shares(answer.facets, fractions[known])
            for at, row in enumerate(known):
                place, system = int(places[row]), tuple(keys[row])
                without = self._own_entries(chosen, place, own[place])
                if without or not answer.is_certain[at]:
                    parts = self._solve(system, fractions[row], without)
                    found[place] = self._products(*parts)
                    continue
                entries = pool.entries_of(int(answer.facets[at]))
                found[place] = self._products(entries, shares[at])
        return found

    def formation_energies(
        self, compositions: AnyCompositions, energies_per_atom: ArrayLike, *, scale: str
    ) -> NDArray[np.float64]:
        """Return total energies relative to the elements, eV/atom; NaN without one.

        Parameters
        ----------
        compositions
            Atoms by symbol, or `Compositions`.
        energies_per_atom
            Total energies, eV/atom.
        scale
            Their scale.
        """
        self._check_comparable(scale, EnergyKind.TOTAL)
        chosen = _as_compositions(compositions)
        energies = np.asarray(energies_per_atom, np.float64)
        return energies - self._energies_of_elements(chosen)

    def with_layer(self, new: ReferenceSet | Iterable[ReferenceEntry]) -> Hull:
        """Return the hull with more entries; this one stays as it is.

        The facets of systems that the new entries do not touch are taken over.

        Parameters
        ----------
        new
            Entries on the same scale.
        """
        layer = new if isinstance(new, ReferenceSet) else self._layer_of(new)
        merged = self.reference.merge(layer)
        hull = object.__new__(Hull)
        hull.reference = merged
        hull._index = self._index.extended(merged)
        hull.n_solved = 0
        touched = {frozenset(system) for system in layer.compositions.systems}
        hull._pools = {
            width: pool.without(lambda key: is_touched(key, touched))
            for width, pool in self._pools.items()
        }
        return hull

    # --- how --------------------------------------------------------------------

    def _check_comparable(self, scale: str, kind: EnergyKind | str) -> None:
        """Refuse energies of another scale or kind."""
        what = f"candidates with the reference {self.reference.name!r}"
        require_same_scale(scale, self.reference.scale, what)
        if EnergyKind(kind) is not self.reference.kind:
            raise ReferenceDataError(
                f"The reference {self.reference.name!r} holds {self.reference.kind} "
                f"energies, the candidates came with {EnergyKind(kind)} energies; use "
                "a reference of that kind."
            )

    def _layer_of(self, entries: Iterable[ReferenceEntry]) -> ReferenceSet:
        own = self.reference
        return ReferenceSet.from_entries(
            own.name, entries, scale=own.scale, kind=own.kind
        )

    def _energies_of_elements(self, chosen: Compositions) -> NDArray[np.float64]:
        """Return the energy of each composition as its elements, eV/atom."""
        if not len(chosen):
            return np.empty(0)
        starts = chosen.offsets[:-1]
        terms = chosen.counts * self._index.element_energies[chosen.atomic_numbers]
        n_atoms = np.add.reduceat(chosen.counts, starts)
        return np.asarray(np.add.reduceat(terms, starts) / n_atoms)

    def _hull_energies(self, chosen: Compositions) -> NDArray[np.float64]:
        """Return the formation energy of the hull at each composition, eV/atom."""
        found = np.full(len(chosen), np.nan)
        for width, group in _by_width(chosen).items():
            numbers, fractions = _rows(chosen, group, width)
            keys = split_keys(numbers)
            pool = self._pool(width, keys)
            known = np.flatnonzero([key in pool for key in keys])
            if not len(known):
                continue
            if len(known) < len(keys):
                keys, fractions = [keys[row] for row in known], fractions[known]
            answer = pool.ask(keys, fractions)
            found[group[known]] = answer.energies
            for row in np.flatnonzero(~answer.is_certain):
                entries, shares = self._solve(tuple(keys[row]), fractions[row], ())
                found[group[known[row]]] = self._energy_of(entries, shares)
        return found

    def _pool(self, width: int, keys: Sequence[bytes]) -> FacetPool:
        """Return the pool of a number of elements, knowing all systems it can."""
        pool = self._pools.setdefault(width, FacetPool(width))
        new = [
            key for key in unknown(keys, pool) if not self._index.missing(tuple(key))
        ]
        if new:
            points = [self._index.points(tuple(key)) for key in new]
            pool.add(dict(zip(new, find_facets(points), strict=True)))
        return pool

    def _missing_elements(
        self, chosen: Compositions, hull: NDArray[np.float64]
    ) -> dict[int, tuple[str, ...]]:
        """Name the elements that keep a candidate from being judged."""
        missing = {}
        for place in np.flatnonzero(np.isnan(hull)).tolist():
            system = tuple(number for number, _ in chosen.pairs[place])
            missing[place] = tuple(symbols_of(self._index.missing(system)))
        return missing

    def _own_entries(
        self, chosen: Compositions, place: int, own_id: str | None
    ) -> tuple[int, ...]:
        """Return the entries that are the candidate itself, if any is competing."""
        lowest = self._index.lowest_at(chosen.pairs[place]) if own_id else None
        if lowest is None or str(self.reference.ids[lowest]) != own_id:
            return ()
        same = self._index.with_same_composition(lowest)
        return tuple(same[self.reference.ids[same] == own_id].tolist())

    def _leave_out_own(
        self,
        chosen: Compositions,
        own_ids: Sequence[str | None],
        hull: NDArray[np.float64],
        zeros: NDArray[np.float64],
        missing: dict[int, tuple[str, ...]],
    ) -> None:
        """Put in the values without the candidate's own entries, in place."""
        for place, own_id in enumerate(own_ids):
            without = self._own_entries(chosen, place, own_id)
            if not without:
                continue
            system = tuple(number for number, _ in chosen.pairs[place])
            if len(system) == 1:
                self._leave_out_element(place, without, hull, zeros, missing)
                continue
            if place in missing:
                continue
            _, fractions = _rows(chosen, np.array([place]), len(system))
            parts = self._solve(system, fractions[0], without)
            hull[place] = self._energy_of(*parts)

    def _leave_out_element(
        self,
        place: int,
        without: Sequence[int],
        hull: NDArray[np.float64],
        zeros: NDArray[np.float64],
        missing: dict[int, tuple[str, ...]],
    ) -> None:
        """Judge the stable form of an element against its next best form."""
        if self.reference.kind is EnergyKind.FORMATION:
            return
        others = self._index.with_same_composition(without[0])
        others = others[~np.isin(others, without)]
        if len(others):
            # Its formation energy stays relative to the reference with itself.
            hull[place] = self.reference.energies[others].min() - zeros[place]
            return
        hull[place] = np.nan
        number = self.reference.compositions.pairs[without[0]][0][0]
        missing[place] = (SYMBOLS[number - 1],)

    def _solve(
        self, system: System, fractions: NDArray[np.float64], without: Sequence[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return products and shares of one composition by linear programming."""
        points: Points = self._index.points(system, without=without)
        self.n_solved += 1
        shares = solve_decomposition(points, fractions)
        chosen = np.flatnonzero(shares > _LEAST_SHARE)
        return points.entries[chosen], shares[chosen]

    def _energy_of(
        self, entries: NDArray[np.int64], shares: NDArray[np.float64]
    ) -> float:
        """Return the formation energy of products; elements are zero."""
        is_compound = entries >= 0
        values = self._index.formation_energies[entries[is_compound]]
        return float(values @ shares[is_compound])

    def _products(
        self, entries: NDArray[np.int64], shares: NDArray[np.float64]
    ) -> tuple[Product, ...]:
        """Describe the products with a share worth naming."""
        products = [
            self._product(int(entry), float(share))
            for entry, share in zip(entries, shares, strict=True)
            if share > _LEAST_SHARE
        ]
        return tuple(sorted(products, key=lambda item: (-item.fraction, item.id)))

    def _product(self, entry: int, share: float) -> Product:
        if entry < 0:  # an element that is zero by definition
            symbol = SYMBOLS[-entry - 1]
            formula = reduced_formula({symbol: 1})
            return Product(symbol, formula, share, formation_energy_per_atom=0.0)
        return Product(
            id=str(self.reference.ids[entry]),
            formula=self.reference.compositions.formula_of(entry),
            fraction=share,
            formation_energy_per_atom=float(self._index.formation_energies[entry]),
        )


def is_touched(key: Iterable[int], touched: Iterable[frozenset[int]]) -> bool:
    """Return whether entries of some systems compete in a system.

    Parameters
    ----------
    key
        Atomic numbers of the system.
    touched
        Systems of the entries.
    """
    elements = set(key)
    return any(system <= elements for system in touched)


def _as_compositions(compositions: AnyCompositions) -> Compositions:
    if isinstance(compositions, Compositions):
        return compositions
    return Compositions.from_counts(compositions)


def _by_width(chosen: Compositions) -> dict[int, NDArray[np.int64]]:
    """Return which compositions have how many elements."""
    widths = np.diff(chosen.offsets)
    return {int(width): np.flatnonzero(widths == width) for width in np.unique(widths)}


def _rows(
    chosen: Compositions, places: NDArray[np.int64], width: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return atomic numbers and fractions of compositions with as many elements."""
    at = chosen.offsets[places][:, None] + np.arange(width)
    counts = chosen.counts[at].astype(np.float64)
    return chosen.atomic_numbers[at], counts / counts.sum(axis=1, keepdims=True)
