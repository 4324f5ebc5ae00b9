"""Facets of many chemical systems in one set of arrays, asked all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from wyckflow.thermo.hull.facets import Facets

TIE_TOLERANCE: Final = 1e-10
"""Facets whose planes differ by less at a composition are the same there, eV/atom."""

SHARE_TOLERANCE: Final = 1e-9
"""A composition with no smaller share of a vertex than minus this is inside."""

_MOST_PAIRS: Final = 400_000
_ARRAYS: Final = ("potentials", "inverses", "entries")


@dataclass(frozen=True, eq=False)
class PoolAnswer:
    """What the pool knows of each composition.

    Attributes
    ----------
    energies
        Energy of the hull, eV/atom.
    facets
        Facet that contains the composition, a row of the pool.
    is_certain
        Whether that facet does contain it, which proves the energy.
    """

    energies: NDArray[np.float64]
    facets: NDArray[np.int64]
    is_certain: NDArray[np.bool_]


class FacetPool:
    """Facets of all systems with one number of elements that were asked for so far.

    Parameters
    ----------
    width
        That number.

    Attributes
    ----------
    slots
        Number of each system that is known, by its atomic numbers as bytes.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.slots: dict[bytes, int] = {}
        self.potentials = np.empty((0, width))
        self.inverses = np.empty((0, width, width))
        self.entries = np.empty((0, width), np.int64)
        self.starts = np.empty(0, np.int64)
        self.ends = np.empty(0, np.int64)
        self.n_facets = 0

    def __contains__(self, key: bytes) -> bool:
        """Return whether a system's facets are known."""
        return key in self.slots

    def add(self, systems: Mapping[bytes, Facets]) -> None:
        """Take in the facets of further systems.

        Parameters
        ----------
        systems
            By atomic numbers as bytes; none known yet.
        """
        facets = list(systems.values())
        counts = np.array([len(item.potentials) for item in facets], np.int64)
        first, end = self.n_facets, self.n_facets + int(counts.sum())
        ends = first + np.cumsum(counts)
        self.slots |= {key: place for place, key in enumerate(systems, len(self.slots))}
        self.starts = np.concatenate([self.starts, ends - counts])
        self.ends = np.concatenate([self.ends, ends])
        self._reserve(end)
        self.potentials[first:end] = np.concatenate([f.potentials for f in facets])
        self.inverses[first:end] = np.concatenate([f.inverses for f in facets])
        self.entries[first:end] = np.concatenate([f.entries for f in facets])
        self.n_facets = end

    def without(self, is_stale: Callable[[bytes], bool]) -> Self:
        """Return a copy that has forgotten some systems.

        Parameters
        ----------
        is_stale
            Says of a system whether to forget it.
        """
        kept = [key for key in self.slots if not is_stale(key)]
        places = np.array([self.slots[key] for key in kept], np.int64)
        fresh = type(self)(self.width)
        fresh.slots = {key: place for place, key in enumerate(kept)}
        fresh.starts, fresh.ends = self.starts[places], self.ends[places]
        # Facets of forgotten systems stay behind unused, which costs only memory.
        fresh.n_facets = self.n_facets
        for name in _ARRAYS:
            setattr(fresh, name, getattr(self, name)[: self.n_facets].copy())
        return fresh

    def ask(self, keys: Sequence[bytes], fractions: NDArray[np.float64]) -> PoolAnswer:
        """Return the energy of the hull at compositions.

        Parameters
        ----------
        keys
            System of each, known to the pool.
        fractions
            Atomic fractions, one row per composition.
        """
        slots = np.fromiter(map(self.slots.__getitem__, keys), np.int64, len(keys))
        starts, counts = self.starts[slots], (self.ends - self.starts)[slots]
        parts = [
            self._ask(fractions[part], starts[part], counts[part])
            for part in _cut(counts)
        ]
        return PoolAnswer(
            np.concatenate([part.energies for part in parts]),
            np.concatenate([part.facets for part in parts]),
            np.concatenate([part.is_certain for part in parts]),
        )

    def shares(
        self, facets: NDArray[np.int64], fractions: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the share of each vertex of a facet in each composition.

        Parameters
        ----------
        facets
            One facet per composition.
        fractions
            Atomic fractions, one row per composition.
        """
        shares: NDArray[np.float64] = fractions[:, None, :] @ self.inverses[facets]
        return shares[:, 0, :]

    def entries_of(self, facet: int) -> NDArray[np.int64]:
        """Return the entries at the vertices of a facet."""
        return np.asarray(self.entries[facet])

    def _ask(
        self,
        fractions: NDArray[np.float64],
        starts: NDArray[np.int64],
        counts: NDArray[np.int64],
    ) -> PoolAnswer:
        """Compare each composition with all facets of its system."""
        ends = np.cumsum(counts)
        begins = ends - counts
        owners = np.repeat(np.arange(len(counts)), counts)
        facets = np.arange(ends[-1]) + np.repeat(starts - begins, counts)
        values = np.einsum("ij,ij->i", self.potentials[facets], fractions[owners])
        energies = np.maximum.reduceat(values, begins)
        is_tied = values >= energies[owners] - TIE_TOLERANCE
        tied, tied_owners = facets[is_tied], owners[is_tied]
        # Among tied facets the composition is in the one with no negative share.
        least = self.shares(tied, fractions[tied_owners]).min(axis=1)
        first = np.searchsorted(tied_owners, np.arange(len(counts)))
        best = np.maximum.reduceat(least, first)
        chosen = np.flatnonzero(least == best[tied_owners])
        chosen = chosen[np.searchsorted(tied_owners[chosen], np.arange(len(counts)))]
        return PoolAnswer(energies, tied[chosen], best >= -SHARE_TOLERANCE)

    def _reserve(self, size: int) -> None:
        """Make room for so many facets, doubling so that adding one stays cheap."""
        if size <= len(self.potentials):
            return
        room = max(size, 2 * len(self.potentials))
        for name in _ARRAYS:
            old = getattr(self, name)
            new = np.empty((room, *old.shape[1:]), old.dtype)
            new[: self.n_facets] = old[: self.n_facets]
            setattr(self, name, new)


def split_keys(numbers: NDArray[np.uint8]) -> list[bytes]:
    """Return each row of atomic numbers as bytes.

    Parameters
    ----------
    numbers
        One row per composition, all with as many elements.
    """
    width, content = numbers.shape[1], np.ascontiguousarray(numbers).tobytes()
    return [content[at : at + width] for at in range(0, len(content), width)]


def _cut(counts: NDArray[np.int64]) -> Iterator[slice]:
    """Yield parts whose comparisons with facets fit into memory."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = int(ends[start - 1]) if start else 0
        stop = int(np.searchsorted(ends, before + _MOST_PAIRS, side="right"))
        stop = max(stop, start + 1)
        yield slice(start, stop)
        start = stop


def unknown(keys: Iterable[bytes], pool: FacetPool) -> list[bytes]:
    """Return the systems that a pool does not know, each once.

    Parameters
    ----------
    keys
        Systems, in any number.
    pool
        Which.
    """
    return [key for key in dict.fromkeys(keys) if key not in pool.slots]
