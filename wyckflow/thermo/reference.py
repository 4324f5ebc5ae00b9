"""Reference sets: energies of known phases, all on one scale, named by their content.

A set is arrays, not objects: a hundred thousand entries are loaded in a moment. Two
sets with the same entries have the same version, in whatever order they were put in.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from wyckflow.errors import ReferenceDataError
from wyckflow.thermo.composition import Compositions, parse_system, symbols_of
from wyckflow.thermo.entry import EnergyKind, EnergyOrigin, ReferenceEntry, check_entry
from wyckflow.thermo.scale import EnergyScale, require_same_scale

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from wyckflow.thermo.composition import System

    # Named, since Sphinx takes an underscore at the end of a word for a link.
    Texts = NDArray[np.str_]
    Flags = NDArray[np.bool_]

VERSION_LENGTH: Final = 16
_DIGEST_BITS: Final = 256
TEXT_COLUMNS: Final = ("ids", "sources", "dates")
_COLUMNS: Final = ("energies", "is_relaxed", *TEXT_COLUMNS)


@dataclass(frozen=True, eq=False)
class ReferenceSet:
    """Energies of known phases on one scale; read-only.

    Make one with :meth:`from_entries`, :meth:`load` or :meth:`merge`.

    Attributes
    ----------
    name
        For people; not part of the version.
    scale
        Scale of all energies.
    kind
        Total energies or formation energies.
    compositions
        Of the entries.
    energies
        Per atom, eV.
    ids
        Of the entries at their source.
    sources
        Where the entries are from.
    dates
        When each was computed or taken over, ISO form, or empty.
    is_relaxed
        Whether each structure was relaxed by the method of the energy.
    provenance
        How the set came about, in words by heading.
    """

    name: str
    scale: EnergyScale
    kind: EnergyKind
    compositions: Compositions
    energies: NDArray[np.float64]
    ids: Texts
    sources: Texts
    dates: Texts
    is_relaxed: Flags
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together, and energies that are none."""
        object.__setattr__(self, "scale", EnergyScale(self.scale))
        object.__setattr__(self, "kind", EnergyKind(self.kind))
        lengths = {name: len(getattr(self, name)) for name in _COLUMNS}
        if set(lengths.values()) != {len(self.compositions)}:
            raise ReferenceDataError(
                f"The reference set {self.name!r} has {len(self.compositions)} "
                f"compositions, but {lengths}; every column needs one value per entry."
            )
        if not np.isfinite(self.energies).all():
            place = int(np.flatnonzero(~np.isfinite(self.energies))[0])
            raise ReferenceDataError(
                f"Entry {str(self.ids[place])!r} of the reference set {self.name!r} "
                f"has the energy {self.energies[place]} eV/atom; leave it out."
            )
        for name in _COLUMNS:
            getattr(self, name).flags.writeable = False

    # --- making -----------------------------------------------------------------

    @classmethod
    def from_entries(
        cls,
        name: str,
        entries: Iterable[ReferenceEntry],
        *,
        scale: str,
        kind: EnergyKind | str,
        provenance: Mapping[str, str] | None = None,
    ) -> Self:
        """Make a set of entries; the same entry twice counts once.

        Parameters
        ----------
        name
            For people.
        entries
            On one scale, in any order.
        scale
            That scale, such as ``chgnet-0.3.0``.
        kind
            ``total`` or ``formation``.
        provenance
            How the set came about, in words by heading.

        Raises
        ------
        ReferenceDataError
            If an entry has no composition, energy or date that can be, or comes with
            a correction.
        """
        tag, chosen = EnergyScale(scale), list(entries)
        for entry in chosen:
            check_entry(entry, tag)
        made = cls(
            name=name,
            scale=tag,
            kind=EnergyKind(kind),
            compositions=Compositions.from_counts(item.composition for item in chosen),
            # A zero has no sign, so that its version does not depend on one.
            energies=np.array([item.energy_per_atom for item in chosen], float) + 0.0,
            ids=_texts(item.id for item in chosen),
            sources=_texts(item.source for item in chosen),
            dates=_texts(item.date for item in chosen),
            is_relaxed=np.array(
                [EnergyOrigin(item.origin) is EnergyOrigin.RELAXED for item in chosen],
                bool,
            ),
            provenance=dict(provenance or {}),
        )
        return made.without_doubles()

    def take(self, indices: ArrayLike) -> Self:
        """Return the entries at some places.

        Parameters
        ----------
        indices
            Places, or one truth value per entry.
        """
        chosen = np.asarray(indices)
        if not chosen.size:  # nothing chosen has no type of its own
            chosen = np.empty(0, np.intp)
        places = np.arange(len(self))[chosen]
        return replace(
            self,
            compositions=self.compositions.take(places),
            energies=self.energies[places],
            ids=self.ids[places],
            sources=self.sources[places],
            dates=self.dates[places],
            is_relaxed=self.is_relaxed[places],
        )

    def select(
        self,
        *,
        chemsys: str | Iterable[str] | None = None,
        ids: Iterable[str] | None = None,
        source: str | None = None,
        origin: EnergyOrigin | str | None = None,
    ) -> Self:
        """Return the entries that meet every condition.

        Parameters
        ----------
        chemsys
            Only elements of this chemical system occur, not necessarily all.
        ids
            The id is one of these.
        source
            It is from there.
        origin
            ``relaxed`` or ``evaluated``.
        """
        keep = np.ones(len(self), bool)
        if chemsys is not None:
            inside = np.isin(self.compositions.atomic_numbers, parse_system(chemsys))
            outside = np.concatenate([[0], np.cumsum(~inside)])
            ends = self.compositions.offsets
            keep &= outside[ends[1:]] == outside[ends[:-1]]
        if ids is not None:
            keep &= np.isin(self.ids, list(ids))
        if source is not None:
            keep &= self.sources == source
        if origin is not None:
            wanted = EnergyOrigin(origin) is EnergyOrigin.RELAXED
            keep &= self.is_relaxed == wanted
        return self.take(keep)

    def merge(self, other: ReferenceSet, *, name: str | None = None) -> Self:
        """Return the entries of both; what both have counts once.

        Parameters
        ----------
        other
            On the same scale and of the same kind.
        name
            Of the new set; that of the first if not given.

        Raises
        ------
        ScaleMismatchError
            If their scales differ.
        ReferenceDataError
            If one has total energies and the other formation energies.
        """
        what = f"merging the reference sets {self.name!r} and {other.name!r}"
        require_same_scale(self.scale, other.scale, what)
        if self.kind is not other.kind:
            raise ReferenceDataError(
                f"{self.name!r} holds {self.kind} energies and {other.name!r} "
                f"{other.kind} energies; only sets of one kind can be merged."
            )
        held = set(self.digests)
        fresh = other.take(
            [at for at, digest in enumerate(other.digests) if digest not in held]
        ).without_doubles()
        both = replace(
            self,
            name=name or self.name,
            compositions=self.compositions.join(fresh.compositions),
            energies=np.concatenate([self.energies, fresh.energies]),
            ids=np.concatenate([self.ids, fresh.ids]),
            sources=np.concatenate([self.sources, fresh.sources]),
            dates=np.concatenate([self.dates, fresh.dates]),
            is_relaxed=np.concatenate([self.is_relaxed, fresh.is_relaxed]),
            provenance={**other.provenance, **self.provenance},
        )
        # What was computed for a hundred thousand entries is not computed again.
        vars(both)["digests"] = self.digests + fresh.digests
        return both

    def without_doubles(self) -> Self:
        """Return the set with the first of each group of identical entries."""
        first: dict[int, int] = {}
        for place, digest in enumerate(self.digests):
            first.setdefault(digest, place)
        if len(first) == len(self):
            return self
        return self.take(list(first.values()))

    # --- asking -----------------------------------------------------------------

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self.compositions)

    def __getitem__(self, index: int) -> ReferenceEntry:
        """Return one entry."""
        place = range(len(self))[index]
        return ReferenceEntry(
            composition=self.compositions.counts_of(place),
            energy_per_atom=float(self.energies[place]),
            id=str(self.ids[place]),
            source=str(self.sources[place]),
            date=str(self.dates[place]),
            origin=self.origin_of(place),
        )

    def origin_of(self, index: int) -> EnergyOrigin:
        """Return how the energy of one entry came about."""
        relaxed = bool(self.is_relaxed[index])
        return EnergyOrigin.RELAXED if relaxed else EnergyOrigin.EVALUATED

    @cached_property
    def elements(self) -> frozenset[int]:
        """Atomic numbers of the elements for which a hull can be made.

        With total energies those with an entry of their own; with formation energies
        those that occur in any entry.
        """
        if self.kind is EnergyKind.FORMATION:
            return frozenset(np.unique(self.compositions.atomic_numbers).tolist())
        return frozenset(
            system[0] for system in self.compositions.systems if len(system) == 1
        )

    def covers(self, chemsys: str | Iterable[str]) -> bool:
        """Return whether a hull can be made for a chemical system.

        Parameters
        ----------
        chemsys
            Text such as ``O-Sr-Ti``, or symbols.
        """
        return not self.missing_elements(parse_system(chemsys))

    def missing_elements(self, system: System) -> list[str]:
        """Return the symbols for which the set has no reference.

        Parameters
        ----------
        system
            Atomic numbers.
        """
        return symbols_of([number for number in system if number not in self.elements])

    # --- identity ---------------------------------------------------------------

    @cached_property
    def digests(self) -> tuple[int, ...]:
        """One number of 256 bits per entry, of what decides a verdict.

        That is composition, energy, id and origin; not source and date.
        """
        rows = zip(
            self.compositions.pairs,
            self.energies.tolist(),
            self.ids.tolist(),
            self.is_relaxed.tolist(),
            strict=True,
        )
        return tuple(
            _digest(f"{pairs} {energy.hex()} {relaxed} {text}")
            for pairs, energy, text, relaxed in rows
        )

    @cached_property
    def digest_sum(self) -> int:
        """The sum of the digests: the same for any order of the entries."""
        return sum(self.digests) % (1 << _DIGEST_BITS)

    @property
    def version(self) -> str:
        """A hash of scale, kind and entries, whatever their order."""
        return version_of(self.scale, self.kind, len(self), self.digest_sum)

    # --- files ------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Return the set as the bytes of an npz archive."""
        from wyckflow.thermo._reference_file import pack_reference

        return pack_reference(self)

    @classmethod
    def from_bytes(cls, content: bytes, *, where: str = "these bytes") -> ReferenceSet:
        """Read what :meth:`to_bytes` wrote, and check it against its version.

        Parameters
        ----------
        content
            The bytes.
        where
            What they are, for the message of an error.

        Raises
        ------
        ReferenceDataError
            If they are no reference set, or one that was damaged.
        """
        from wyckflow.thermo._reference_file import unpack_reference

        return unpack_reference(content, where=where)

    def save(self, path: Path) -> None:
        """Write the set to a file, in one step.

        Parameters
        ----------
        path
            Where; an existing file is replaced.
        """
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_bytes(self.to_bytes())
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> ReferenceSet:
        """Read a file that :meth:`save` wrote.

        Parameters
        ----------
        path
            Which.

        Raises
        ------
        ReferenceDataError
            If it is missing, or no reference set, or damaged.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ReferenceDataError(
                f"The reference set {path} cannot be read ({error.strerror}); give a "
                "file that 'wyckflow hull build' or 'wyckflow hull export' wrote."
            ) from error
        return cls.from_bytes(content, where=str(path))


def version_of(scale: str, kind: str, n_entries: int, digest_sum: int) -> str:
    """Return the version of a set of which the digests are known.

    Parameters
    ----------
    scale
        Its scale.
    kind
        Its kind.
    n_entries
        Its size.
    digest_sum
        Sum of the digests of its entries.
    """
    text = f"{scale} {kind} {n_entries} {digest_sum:064x}"
    return hashlib.sha256(text.encode()).hexdigest()[:VERSION_LENGTH]


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")


def _texts(values: Iterable[str]) -> Texts:
    """Return texts as an array; an empty one keeps the type of text."""
    return np.array(list(values), dtype=np.str_)
