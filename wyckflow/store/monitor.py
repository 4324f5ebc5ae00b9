"""What the LaunchPad is doing: jobs by state and kind, rate, time left, workers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pymongo.errors import PyMongoError

from wyckflow import __version__
from wyckflow.makers._release import RELEASE, release_number
from wyckflow.resources import Category
from wyckflow.store.connect import explain
from wyckflow.store.worker.failure import last_line, traceback_of
from wyckflow.store.worker.heartbeat import WORKERS
from wyckflow.store.worker.tries import QUARANTINED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymongo.database import Database as MongoDatabase

    from wyckflow.store.connect import Database

OPEN_STATES = ("READY", "WAITING", "RESERVED", "RUNNING")
BLOCKED = "BLOCKED"
"""Ours, not FireWorks': WAITING for a quarantined job, directly or through others."""

_NUMBER = re.compile(r"\d+")
RATE_WINDOW = timedelta(minutes=15)
MAX_FAILURES_SHOWN = 5
MAX_FAILURES_READ = 500


@dataclass(frozen=True)
class JobRow:
    """The jobs of one name: how many in which state."""

    name: str
    category: str
    by_state: Mapping[str, int]

    def count(self, *states: str) -> int:
        """Return how many are in any of the states."""
        return sum(self.by_state.get(state, 0) for state in states)


@dataclass(frozen=True)
class WorkerRow:
    """One worker, as its heartbeat tells."""

    name: str
    category: str
    host: str
    silent_s: float
    is_alive: bool
    fw_id: int | None


@dataclass(frozen=True)
class Failure:
    """A quarantined job: it failed, or was lost with its worker, at every try."""

    fw_id: int
    name: str
    message: str


@dataclass(frozen=True)
class FailureReason:
    """Jobs of one name that ended in the same exception."""

    name: str
    reason: str
    n_jobs: int
    fw_id: int
    """The newest of them."""


@dataclass(frozen=True)
class Status:
    """A snapshot of the LaunchPad."""

    rows: list[JobRow]
    workers: list[WorkerRow]
    failures: list[Failure]
    jobs_per_minute: float
    hints: list[str] = field(default_factory=list)
    reasons: list[FailureReason] = field(default_factory=list)

    @property
    def n_open(self) -> int:
        """Jobs that still have to run or are running."""
        return sum(row.count(*OPEN_STATES) for row in self.rows)

    @property
    def n_done(self) -> int:
        """Jobs that completed."""
        return sum(row.count("COMPLETED") for row in self.rows)

    @property
    def eta_s(self) -> float | None:
        """Seconds until the open jobs known now are done, at the present rate."""
        if not self.n_open or not self.jobs_per_minute:
            return None
        return 60.0 * self.n_open / self.jobs_per_minute


def read_status(
    database: Database, *, campaign: str | None = None, lost_after_s: float = 90.0
) -> Status:
    """Take a snapshot.

    Parameters
    ----------
    database
        Where.
    campaign
        Only its jobs; all if ``None``.
    lost_after_s
        Silence after which a worker counts as dead, in seconds.

    Raises
    ------
    DatabaseError
        If the database does not answer.
    """
    with database.client() as client:
        mongo = client[database.name]
        try:
            now = client.admin.command("hello")["localTime"].replace(tzinfo=UTC)
            chosen = {"spec.campaign": campaign} if campaign else {}
            rows = _job_rows(mongo, chosen, _blocked(mongo, chosen))
            workers = _worker_rows(mongo, now, lost_after_s)
            failures = _failures(mongo, chosen)
            return Status(
                rows=rows,
                workers=workers,
                failures=failures[:MAX_FAILURES_SHOWN],
                jobs_per_minute=_rate(mongo, now, chosen),
                hints=_hints(rows, workers, _n_too_new(mongo, chosen)),
                reasons=_group_failures(failures),
            )
        except PyMongoError as error:
            raise explain(error, database) from error


def read_traceback(database: Database, fw_id: int) -> str:
    """Return the whole message of the last try of a job that failed; empty if none.

    Parameters
    ----------
    database
        Where.
    fw_id
        The job.

    Raises
    ------
    DatabaseError
        If the database does not answer.
    """
    with database.client() as client:
        launches = client[database.name]["launches"]
        try:
            tries = list(launches.find({"fw_id": fw_id}).sort("launch_id", -1))
        except PyMongoError as error:
            raise explain(error, database) from error
    traces = (traceback_of(launch.get("action") or {}) for launch in tries)
    notes = (launch.get("wyckflow_note", "") for launch in tries)
    return next(filter(None, (*traces, *notes)), "")


def _job_rows(
    mongo: MongoDatabase[Any], chosen: dict[str, Any], blocked: list[int]
) -> list[JobRow]:
    """Count the fireworks by name, category and state."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    state = {"$cond": [{"$in": ["$fw_id", blocked]}, BLOCKED, "$state"]}
    group = {"name": "$name", "category": "$spec._category", "state": state}
    pipeline = [{"$match": chosen}, {"$group": {"_id": group, "n": {"$sum": 1}}}]
    for item in mongo["fireworks"].aggregate(pipeline):
        key = item["_id"]
        category = key.get("category") or Category.CPU
        states = counts.setdefault((key["name"], str(category)), {})
        states[key["state"]] = states.get(key["state"], 0) + item["n"]
    return [
        JobRow(name, kind, states) for (name, kind), states in sorted(counts.items())
    ]


def _blocked(mongo: MongoDatabase[Any], chosen: dict[str, Any]) -> list[int]:
    """Return the jobs that wait for a quarantined one, through others or directly."""
    failed = mongo["fireworks"].distinct("fw_id", {**chosen, "state": "FIZZLED"})
    found: set[int] = set()
    fields = {"links": 1, "fw_states": 1}
    for workflow in mongo["workflows"].find({"nodes": {"$in": failed}}, fields):
        links, states = workflow["links"], workflow["fw_states"]
        front = [str(fw_id) for fw_id in failed if str(fw_id) in links]
        while front:
            children = {str(child) for parent in front for child in links[parent]}
            front = [c for c in children if states[c] == "WAITING"]
            front = [child for child in front if int(child) not in found]
            found |= {int(child) for child in front}
    return sorted(found)


def _n_too_new(mongo: MongoDatabase[Any], chosen: dict[str, Any]) -> int:
    """Return how many ready jobs a newer wyckflow than this one has submitted."""
    newer = {f"spec.{RELEASE}": {"$gt": release_number()}}
    query = {**chosen, "state": "READY", **newer}
    return mongo["fireworks"].count_documents(query)


def _worker_rows(
    mongo: MongoDatabase[Any], now: datetime, lost_after_s: float
) -> list[WorkerRow]:
    """Return the workers that live, and those that died without a word."""
    rows = []
    for beat in mongo[WORKERS].find({"state": "alive"}).sort("_id"):
        silent_s = (now - beat["seen_at"].replace(tzinfo=UTC)).total_seconds()
        is_alive = silent_s <= lost_after_s
        rows.append(
            WorkerRow(
                name=beat["_id"],
                category=beat["category"],
                host=beat["host"],
                silent_s=silent_s,
                is_alive=is_alive,
                fw_id=beat.get("fw_id"),
            )
        )
    return rows


def _failures(mongo: MongoDatabase[Any], chosen: dict[str, Any]) -> list[Failure]:
    """Return the jobs that failed, the last first, each with the line that says why."""
    query = {**chosen, "state": "FIZZLED"}
    fields = {"fw_id": 1, "name": 1}
    newest_first = mongo["fireworks"].find(query, fields).sort("_id", -1)
    jobs = list(newest_first.limit(MAX_FAILURES_READ))
    found = mongo["launches"].find(
        {"fw_id": {"$in": [job["fw_id"] for job in jobs]}},
        {"fw_id": 1, "action.stored_data._exception": 1, "wyckflow_note": 1},
    )
    errors: dict[int, str] = {}
    notes: dict[int, str] = {}
    for launch in found.sort("launch_id", 1):  # of each kind, the last counts
        if error := last_line(traceback_of(launch.get("action") or {})):
            errors[launch["fw_id"]] = error
        note = str(launch.get("wyckflow_note", "no message stored"))
        notes[launch["fw_id"]] = note.removeprefix(QUARANTINED)
    whys = notes | errors  # being lost is what a failing job may be besides
    return [
        Failure(job["fw_id"], job["name"], whys.get(job["fw_id"], "no launch"))
        for job in jobs
    ]


def _group_failures(failures: list[Failure]) -> list[FailureReason]:
    """Count failures by job and reason, most frequent first; numbers are left out."""
    alike: dict[tuple[str, str], list[Failure]] = {}
    for item in failures:
        key = item.name, _NUMBER.sub("#", item.message)
        alike.setdefault(key, []).append(item)
    found = [
        FailureReason(*key, len(items), items[0].fw_id) for key, items in alike.items()
    ]
    return sorted(found, key=lambda reason: -reason.n_jobs)


def _rate(mongo: MongoDatabase[Any], now: datetime, chosen: dict[str, Any]) -> float:
    """Return the jobs completed per minute, lately."""
    since = now - RATE_WINDOW
    query = {"state": "COMPLETED", "time_end": {"$gte": since.isoformat()}}
    ends = {
        launch["fw_id"]: launch["time_end"]
        for launch in mongo["launches"].find(query, {"fw_id": 1, "time_end": 1})
    }
    if chosen and ends:
        own = {**chosen, "fw_id": {"$in": list(ends)}}
        ours = mongo["fireworks"].find(own, {"fw_id": 1})
        ends = {job["fw_id"]: ends[job["fw_id"]] for job in ours}
    if not ends:
        return 0.0
    first = datetime.fromisoformat(min(ends.values()))
    elapsed = max((now - first.astimezone(UTC)).total_seconds(), 1.0)
    return 60.0 * len(ends) / elapsed


def _hints(rows: list[JobRow], workers: list[WorkerRow], n_too_new: int) -> list[str]:
    """Return what a person should do, if anything."""
    hints = []
    for category in sorted({row.category for row in rows}):
        n_ready = sum(row.count("READY") for row in rows if row.category == category)
        if n_ready and not any(w.is_alive and w.category == category for w in workers):
            hints.append(
                f"{n_ready} {category} jobs are ready and no {category} worker lives: "
                f"'wyckflow worker start --category {category}'"
            )
    if n_too_new:
        hints.append(
            f"{n_too_new} ready jobs were submitted by a newer wyckflow than this one "
            f"({__version__}), whose workers leave them alone: update wyckflow here"
        )
    if any(not worker.is_alive for worker in workers):
        hints.append("a worker fell silent: 'wyckflow doctor' shows its jobs")
    if n_held := sum(row.count("PAUSED") for row in rows):
        hints.append(f"{n_held} jobs are held: 'wyckflow campaign resume CAMPAIGN'")
    if n_failed := sum(row.count("FIZZLED") for row in rows):
        n_blocked = sum(row.count(BLOCKED) for row in rows)
        waiting = f", and {n_blocked} jobs wait for them" if n_blocked else ""
        hints.append(
            f"{n_failed} jobs failed at every try and are quarantined{waiting}; the "
            "others go on. After mending the cause: 'wyckflow campaign retry CAMPAIGN'"
        )
    return hints
