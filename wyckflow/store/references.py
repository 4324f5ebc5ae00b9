"""The ledger: reference sets by version, and what campaigns add to them.

Everything is written once and never changed. A set is written as chunks first and its
description last, so that whoever sees the description can read the set. A campaign's
layer is a chain of numbered states: two writers cannot both write the next number, and
the one that comes second looks again.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from pymongo.errors import DuplicateKeyError, PyMongoError

from wyckflow.errors import DatabaseError, ReferenceDataError, nearest_name
from wyckflow.schemas.blob import MAX_BLOB_BYTES
from wyckflow.schemas.ledger import (
    LedgerChunkDoc,
    LedgerLayerDoc,
    LedgerPhase,
    LedgerSetDoc,
)
from wyckflow.store.connect import explain
from wyckflow.thermo.composition import format_system
from wyckflow.thermo.entry import EnergyOrigin, ReferenceEntry
from wyckflow.thermo.hull import Hull
from wyckflow.thermo.reference import ReferenceSet
from wyckflow.thermo.scale import require_same_scale

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from pymongo.collection import Collection

    from wyckflow.schemas.base import WyckflowDoc
    from wyckflow.store.connect import Database

REFERENCES: Final = "references"
MOST_PHASES: Final = 2_000
"""Phases of one state, which keeps its document far below 1 MB."""

_CHUNK_BYTES: Final = MAX_BLOB_BYTES - 64 * 1024
_MOST_TRIES: Final = 100
_HULLS_KEPT: Final = 4


class ReferenceLedger:
    """The reference sets of a database and the layers of its campaigns.

    Hulls that were asked for are kept, so that one ledger should live as long as the
    work with it. It holds a connection: close it, or use it in a `with` statement.

    Parameters
    ----------
    database
        Where.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._client = database.client()
        self._hulls: dict[str, Hull] = {}

    def __enter__(self) -> Self:
        """Use the ledger for a while."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    @contextmanager
    def collection(self, name: str) -> Iterator[Collection[dict[str, Any]]]:
        """Open a collection of the database, and explain what goes wrong with it.

        Parameters
        ----------
        name
            Which.

        Raises
        ------
        DatabaseError
            If the database does not answer, or refuses.
        """
        try:
            yield self._client[self.database.name][name]
        except PyMongoError as error:
            raise explain(error, self.database) from error

    # --- sets -------------------------------------------------------------------

    def store(self, reference: ReferenceSet) -> LedgerSetDoc:
        """Write a set, unless its version is there already.

        Parameters
        ----------
        reference
            Which.
        """
        if (present := self.find_set(reference.version)) is not None:
            return present
        file = reference.to_bytes()
        content = hashlib.sha256(file).hexdigest()[:32]
        starts = range(0, len(file), _CHUNK_BYTES)
        for number, start in enumerate(starts):
            self._write_once(
                LedgerChunkDoc(
                    key=f"chunk:{content}:{number}",
                    content=content,
                    number=number,
                    blob=file[start : start + _CHUNK_BYTES],
                )
            )
        self._write_once(
            LedgerSetDoc(
                key=f"set:{reference.version}",
                version=reference.version,
                name=reference.name,
                scale=str(reference.scale),
                kind=reference.kind.value,
                n_entries=len(reference),
                n_elements=len(reference.elements),
                n_chunks=len(starts),
                n_bytes=len(file),
                content=content,
            )
        )
        # Whoever was first, with the same entries under another name, has won.
        return self._get_set(reference.version)

    def find_set(self, version: str) -> LedgerSetDoc | None:
        """Return the description of a set, if there is one of this version.

        Parameters
        ----------
        version
            Hash of its entries.
        """
        found = list(self._find({"_id": f"set:{version}"}))
        return LedgerSetDoc.model_validate(found[0]) if found else None

    def list_sets(self) -> list[LedgerSetDoc]:
        """Return the descriptions of all sets, the oldest first."""
        return [LedgerSetDoc.model_validate(item) for item in self._find_all("set")]

    def load(self, version: str) -> ReferenceSet:
        """Return the entries of a version: of a set, or of a state of a layer.

        Parameters
        ----------
        version
            As a verdict names it.

        Raises
        ------
        ReferenceDataError
            If there is none of this version.
        """
        return self.hull(version).reference

    def hull(self, version: str) -> Hull:
        """Return the hull of a version, with which a verdict can be reproduced.

        Parameters
        ----------
        version
            As a verdict names it.

        Raises
        ------
        ReferenceDataError
            If there is none of this version.
        """
        if version in self._hulls:
            return self._hulls[version]
        if self.find_set(version) is not None:
            return self._keep(Hull(self._read_set(version)))
        found = list(self._find({"record": "layer", "hull_version": version}))
        if not found:
            known = [item.version for item in self.list_sets()]
            raise ReferenceDataError(
                f"The ledger has no hull of version {version!r}."
                f"{nearest_name(version, known)} Sets: {', '.join(known) or 'none'}; "
                "'wyckflow hull list' shows them with the layers of campaigns."
            )
        return self._hull_of_state(LedgerLayerDoc.model_validate(found[0]))

    # --- layers -----------------------------------------------------------------

    def states(
        self, campaign: str | None = None, scale: str | None = None
    ) -> list[LedgerLayerDoc]:
        """Return the states of layers, each layer's oldest first.

        Parameters
        ----------
        campaign, scale
            Only those of this campaign and scale.
        """
        query = {"record": "layer", "campaign": campaign, "scale": scale}
        found = self._find({k: v for k, v in query.items() if v is not None})
        states = [LedgerLayerDoc.model_validate(item) for item in found]
        return sorted(states, key=lambda item: (item.campaign, item.scale, item.number))

    def start_layer(self, campaign: str, base: ReferenceSet) -> LedgerLayerDoc:
        """Put a campaign's layer on a base set, which is stored if need be.

        A layer that stands on another set is moved, with the phases that it has.

        Parameters
        ----------
        campaign
            Whose layer.
        base
            The known phases below it.
        """
        self.store(base)
        for _ in range(_MOST_TRIES):
            states = self.states(campaign, base.scale)
            if states and states[-1].base_version == base.version:
                return states[-1]
            hull = Hull(base)
            if phases := [entry for item in states for entry in _entries_of(item)]:
                hull = hull.with_layer(phases)
            state = self._next_state(states, campaign, base.version, hull, phases=())
            if self._write_once(state):
                self._keep(hull)
                return state
        raise _contested(campaign)

    def insert(
        self, campaign: str, scale: str, entries: Sequence[ReferenceEntry]
    ) -> tuple[LedgerLayerDoc, int]:
        """Add phases to a campaign's layer; those that are there change nothing.

        Parameters
        ----------
        campaign
            Whose layer; it was started.
        scale
            Of the energies.
        entries
            New stable phases.

        Returns
        -------
        tuple
            The layer's last state, and how many phases were new.

        Raises
        ------
        ReferenceDataError
            If the campaign has no layer of this scale.
        """
        n_new = 0
        for start in range(0, len(entries), MOST_PHASES):
            part = entries[start : start + MOST_PHASES]
            n_new += self._insert_part(campaign, scale, part)
        return self._states_of(campaign, scale)[-1], n_new

    def _insert_part(
        self, campaign: str, scale: str, entries: Sequence[ReferenceEntry]
    ) -> int:
        """Write one state with the phases that are new; return how many are."""
        for _ in range(_MOST_TRIES):
            states = self._states_of(campaign, scale)
            last = states[-1]
            require_same_scale(scale, last.scale, f"the layer of {campaign!r}")
            before = self.hull(last.hull_version)
            after = before.with_layer(entries)
            first, end = len(before.reference), len(after.reference)
            if first == end:
                return 0
            new = tuple(after.reference[place] for place in range(first, end))
            state = self._next_state(
                states, campaign, last.base_version, after, phases=new
            )
            if self._write_once(state):
                self._keep(after)
                return len(new)
        raise _contested(campaign)

    def _states_of(self, campaign: str, scale: str) -> list[LedgerLayerDoc]:
        """Return the states of one layer, or say how to start it."""
        states = self.states(campaign, scale)
        if not states:
            others = {item.scale for item in self.states(campaign)}
            has = f"only for {', '.join(sorted(others))}" if others else "none"
            raise ReferenceDataError(
                f"The campaign {campaign!r} has no layer on the scale {scale!r} (it "
                f"has {has}); start one on a base set with start_layer."
            )
        return states

    @staticmethod
    def _next_state(
        states: Sequence[LedgerLayerDoc],
        campaign: str,
        base_version: str,
        hull: Hull,
        *,
        phases: Sequence[ReferenceEntry],
    ) -> LedgerLayerDoc:
        """Describe the state after the last one."""
        reference, number = hull.reference, len(states)
        first = len(reference) - len(phases)
        added = reference.take(range(first, len(reference)))
        return LedgerLayerDoc(
            key=f"layer:{campaign}:{reference.scale}:{number}",
            campaign=campaign,
            scale=str(reference.scale),
            number=number,
            base_version=base_version,
            has_new_base=not states or states[-1].base_version != base_version,
            phases=[_phase_of(entry) for entry in phases],
            systems=sorted(map(format_system, added.compositions.systems)),
            n_entries=len(reference),
            hull_version=hull.version,
        )

    def _hull_of_state(self, state: LedgerLayerDoc) -> Hull:
        """Build the hull of a state from its base and the phases up to it."""
        states = self.states(state.campaign, state.scale)[: state.number + 1]
        base = self.hull(state.base_version)
        phases = [entry for item in states for entry in _entries_of(item)]
        hull = base.with_layer(phases) if phases else base
        if hull.version != state.hull_version:
            raise ReferenceDataError(
                f"The layer of {state.campaign!r} should give the hull "
                f"{state.hull_version}, but gives {hull.version}: documents of the "
                f"collection {REFERENCES!r} were changed or removed by hand."
            )
        return self._keep(hull)

    # --- the collection ---------------------------------------------------------

    def _read_set(self, version: str) -> ReferenceSet:
        """Put the chunks of a set together."""
        found = self._get_set(version)
        chunks = list(self._find({"record": "chunk", "content": found.content}))
        chunks.sort(key=lambda item: int(item["number"]))
        file = b"".join(item["blob"] for item in chunks)
        return ReferenceSet.from_bytes(file, where=f"the set {version} of the ledger")

    def _get_set(self, version: str) -> LedgerSetDoc:
        found = self.find_set(version)
        if found is None:
            raise ReferenceDataError(
                f"The set {version} vanished from the ledger; it was removed by hand. "
                "Import its file again with 'wyckflow hull import'."
            )
        return found

    def _keep(self, hull: Hull) -> Hull:
        """Keep a hull for the next question, and forget the oldest."""
        self._hulls.pop(hull.version, None)
        self._hulls[hull.version] = hull
        while len(self._hulls) > _HULLS_KEPT:
            del self._hulls[next(iter(self._hulls))]
        return hull

    def _find_all(self, record: str) -> list[dict[str, Any]]:
        return list(self._find({"record": record}))

    def _find(self, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
        with self.collection(REFERENCES) as collection:
            yield from collection.find(query, {"_id": 0}).sort("_id", 1)

    def _write_once(self, document: WyckflowDoc) -> bool:
        """Write a document; return whether it was not there yet."""
        fields = document.model_dump()
        with self.collection(REFERENCES) as collection:
            try:
                collection.insert_one({"_id": fields["key"], **fields})
            except DuplicateKeyError:
                return False
        return True


def _phase_of(entry: ReferenceEntry) -> LedgerPhase:
    """Return an entry as it is stored."""
    return LedgerPhase(
        entry_id=entry.id,
        elements=list(entry.composition),
        counts=[int(count) for count in entry.composition.values()],
        energy_per_atom=entry.energy_per_atom,
        source=entry.source,
        date=entry.date,
        origin=entry.origin.value,
    )


def _entries_of(state: LedgerLayerDoc) -> list[ReferenceEntry]:
    """Return the phases that a state added."""
    return [
        ReferenceEntry(
            composition=dict(zip(item.elements, item.counts, strict=True)),
            energy_per_atom=item.energy_per_atom,
            id=item.entry_id,
            source=item.source,
            date=item.date,
            origin=EnergyOrigin(item.origin),
        )
        for item in state.phases
    ]


def _contested(campaign: str) -> DatabaseError:
    return DatabaseError(
        f"The layer of {campaign!r} was changed {_MOST_TRIES} times while phases were "
        "to be added; too many programs write at once. Try again."
    )
