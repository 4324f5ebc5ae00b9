"""New stable phases of a campaign, and the candidates that they judge anew.

A candidate is out of date if its hull version is not that of the last state of the
layer that touches its chemical system. That is decided from what is stored, so that a
run that broke off, or two at once, leave nothing that the next run would not mend.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pymongo import UpdateOne

from wyckflow.errors import DatabaseError
from wyckflow.schemas.candidate import StageVerdict
from wyckflow.schemas.relaxation import Outcome
from wyckflow.schemas.screening import Verdict
from wyckflow.store.candidates.joins import HULL_STAGE, stability_fields, stability_link
from wyckflow.store.references import ReferenceLedger
from wyckflow.thermo.composition import format_system, parse_system
from wyckflow.thermo.entry import ReferenceEntry
from wyckflow.thermo.stability import (
    DEFAULT_THRESHOLD,
    Relaxed,
    composition_of,
    find_calibration,
    judge_stability,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wyckflow.schemas.ledger import LedgerLayerDoc
    from wyckflow.schemas.stability import StabilityVerdict
    from wyckflow.store.connect import Database
    from wyckflow.thermo.composition import System

Row = dict[str, Any]

CANDIDATES: Final = "candidates"
RELAX_STAGE: Final = "chgnet relax"
_FIELDS: Final = (
    "gene_id",
    "gene",
    "chemsys",
    "energy_per_atom",
    "hull_version",
    "probability_within_0_mev",
    "outcomes",
    "verdicts",
    "updated_at",
)
_MOST_ROUNDS: Final = 20


@dataclass(frozen=True)
class InsertReport:
    """What inserting phases did.

    Attributes
    ----------
    hull_version
        Version of the campaign's hull now.
    n_new
        Phases that were not in it before.
    systems
        Chemical systems of all given phases; what contains one was looked at.
    n_ranked_again
        Candidates with a new verdict.
    """

    hull_version: str
    n_new: int
    systems: tuple[str, ...]
    n_ranked_again: int


def insert_phases(
    ledger: ReferenceLedger,
    campaign: str,
    entries: Sequence[ReferenceEntry],
    *,
    scale: str,
) -> InsertReport:
    """Add stable phases to a campaign's layer and rank its candidates again.

    May be repeated, and run twice at the same time: the result is the same.

    Parameters
    ----------
    ledger
        Of the database with the campaign's candidates.
    campaign
        Whose layer; it was started.
    entries
        New phases.
    scale
        Scale of their energies.
    """
    state, n_new = ledger.insert(campaign, scale, entries)
    systems = sorted(
        {format_system(parse_system(item.composition)) for item in entries}
    )
    n_changed = rank_again(ledger, campaign, scale=scale, systems=systems)
    return InsertReport(state.hull_version, n_new, tuple(systems), n_changed)


def find_stable_candidates(
    ledger: ReferenceLedger, campaign: str, *, scale: str, limit: float = 0.0
) -> list[ReferenceEntry]:
    """Return the candidates that lower the hull, as entries for the layer.

    Only those whose relaxation had converged.

    Parameters
    ----------
    ledger
        Of the database with the candidates.
    campaign
        Which.
    scale
        Of their energies.
    limit
        Largest energy above the hull that counts as stable, eV/atom.
    """
    query = {
        "campaign": campaign,
        "hull_scale": scale,
        "energy_above_hull": {"$lte": limit},
        "outcomes": {
            "$elemMatch": {"stage": RELAX_STAGE, "outcome": Outcome.CONVERGED.value}
        },
    }
    fields = ("gene_id", "gene", "energy_per_atom", "updated_at")
    with ledger.collection(CANDIDATES) as collection:
        found = list(collection.find(query, dict.fromkeys(fields, 1)))
    return [
        ReferenceEntry(
            composition=composition_of(item["gene"]),
            energy_per_atom=item["energy_per_atom"],
            id=item["gene_id"],
            source=f"campaign {campaign}",
        )
        for item in sorted(found, key=lambda item: str(item["gene_id"]))
    ]


def refresh_campaign(database: Database, campaign: str) -> int:
    """Bring all candidates of a campaign up to its layers; return how many changed.

    Parameters
    ----------
    database
        Where.
    campaign
        Which; nothing happens if it has no layer.
    """
    with ReferenceLedger(database) as ledger:
        scales = sorted({state.scale for state in ledger.states(campaign)})
        return sum(rank_again(ledger, campaign, scale=scale) for scale in scales)


def rank_again(
    ledger: ReferenceLedger,
    campaign: str,
    *,
    scale: str,
    systems: Iterable[str] | None = None,
) -> int:
    """Judge the candidates anew that are out of date; return how many changed.

    Only candidates that a hull had judged before, on this scale.

    Parameters
    ----------
    ledger
        Of the database with the candidates.
    campaign, scale
        Which layer.
    systems
        Only candidates that contain all elements of one of these systems.

    Raises
    ------
    DatabaseError
        If others change the same candidates all the time.
    """
    query: Row = {
        "campaign": campaign,
        "hull_scale": scale,
        "energy_per_atom": {"$ne": None},
    }
    if systems is not None:
        chosen = [{"elements": {"$all": system.split("-")}} for system in systems]
        if not chosen:
            return 0
        query["$or"] = chosen
    n_changed = 0
    for _ in range(_MOST_ROUNDS):
        states = ledger.states(campaign, scale)
        stale = _find_stale(ledger, query, states)
        if not stale:
            return n_changed
        changes = _judge_again(ledger, states, stale)
        with ledger.collection(CANDIDATES) as collection:
            written = collection.bulk_write(changes, ordered=False)
            n_changed += written.modified_count
    raise DatabaseError(
        f"The candidates of {campaign!r} were changed by others {_MOST_ROUNDS} times "
        "while they were ranked; run this again when less is going on."
    )


def _find_stale(
    ledger: ReferenceLedger, query: Row, states: Sequence[LedgerLayerDoc]
) -> list[tuple[Row, str]]:
    """Return the candidates that are out of date, with the version they should have."""
    touching = [
        (None if state.has_new_base else _parse_all(state.systems), state.hull_version)
        for state in reversed(states)
    ]
    with ledger.collection(CANDIDATES) as collection:
        # Few chemical systems and versions stand for many candidates.
        kinds = {"chemsys": "$chemsys", "hull_version": "$hull_version"}
        groups = collection.aggregate([{"$match": query}, {"$group": {"_id": kinds}}])
        wanted = {}
        for group in groups:
            chemsys, held = group["_id"]["chemsys"], group["_id"]["hull_version"]
            version = _last_touching(parse_system(chemsys), touching)
            if version is not None and version != held:
                wanted[chemsys] = version
        if not wanted:
            return []
        chosen = {**query, "chemsys": {"$in": sorted(wanted)}}
        rows = list(collection.find(chosen, dict.fromkeys(_FIELDS, 1)))
    return [
        (row, wanted[row["chemsys"]])
        for row in rows
        if row["hull_version"] != wanted[row["chemsys"]]
    ]


def _parse_all(systems: Iterable[str]) -> list[frozenset[int]]:
    return [frozenset(parse_system(system)) for system in systems]


def _last_touching(
    system: System, touching: Sequence[tuple[list[frozenset[int]] | None, str]]
) -> str | None:
    """Return the version of the last state that has anything to say of a system."""
    elements = set(system)
    for systems, version in touching:
        if systems is None or any(part <= elements for part in systems):
            return version
    return None


def _judge_again(
    ledger: ReferenceLedger,
    states: Sequence[LedgerLayerDoc],
    stale: Sequence[tuple[Row, str]],
) -> list[UpdateOne]:
    """Return new verdicts as changes of the candidates.

    What another program changes meanwhile is left to the next round.
    """
    hull, scale = ledger.hull(states[-1].hull_version), states[-1].scale
    changes = []
    for (threshold, is_calibrated), group in _by_rule(stale).items():
        verdicts = judge_stability(
            hull,
            [_relaxed(row) for row, _ in group],
            scale=scale,
            threshold=threshold,
            calibration=find_calibration(scale) if is_calibrated else None,
        )
        for (row, version), verdict in zip(group, verdicts, strict=True):
            fields = stability_fields(verdict, scale=scale, hull_version=version)
            unchanged = {"_id": row["_id"], "updated_at": row["updated_at"]}
            changes.append(UpdateOne(unchanged, {"$set": _plain(fields, row, verdict)}))
    return changes


def _by_rule(
    stale: Sequence[tuple[Row, str]],
) -> dict[tuple[float, bool], list[tuple[Row, str]]]:
    """Group candidates by the threshold and the calibration that judged them before."""
    groups = defaultdict(list)
    for row, version in stale:
        before = _link_of(row)
        threshold = before.get("threshold")
        rule = (
            DEFAULT_THRESHOLD if threshold is None else float(threshold),
            row["probability_within_0_mev"] is not None,
        )
        groups[rule].append((row, version))
    return groups


def _relaxed(row: Row) -> Relaxed:
    """Return what the verdict needs to know of a candidate."""
    outcomes = {item["stage"]: item["outcome"] for item in row["outcomes"]}
    outcome = outcomes.get(RELAX_STAGE, Outcome.CONVERGED.value)
    return Relaxed(
        gene=row["gene"],
        energy_per_atom=row["energy_per_atom"],
        outcome=outcome,
        is_converged=outcome == Outcome.CONVERGED.value,
        own_id=row["gene_id"],
    )


def _plain(
    fields: Mapping[str, Any], row: Row, verdict: StabilityVerdict
) -> dict[str, Any]:
    """Return the changes of a candidate as MongoDB takes them."""
    link = stability_link(verdict)
    before = [StageVerdict.model_validate(item) for item in row["verdicts"]]
    chain = [link if item.stage == HULL_STAGE else item for item in before]
    completeness = fields["hull_completeness"]
    return {
        **fields,
        "decomposition": [item.model_dump() for item in fields["decomposition"]],
        "hull_completeness": completeness.model_dump() if completeness else None,
        "verdicts": [item.model_dump(mode="json") for item in chain],
        "verdict": Verdict(chain[-1].verdict).value if chain else None,
        "updated_at": datetime.now(UTC),
    }


def _link_of(row: Row) -> Mapping[str, Any]:
    """Return the verdict of the hull in a candidate's chain; empty without one."""
    found = [item for item in row["verdicts"] if item["stage"] == HULL_STAGE]
    return found[0] if found else {}
