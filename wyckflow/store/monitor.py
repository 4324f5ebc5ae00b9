"""What the LaunchPad is doing: jobs by state and kind, rate, time left, workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pymongo.errors import PyMongoError

from wyckflow.resources import Category
from wyckflow.store.connect import explain
from wyckflow.store.heartbeat import WORKERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymongo.database import Database as MongoDatabase

    from wyckflow.store.connect import Database

OPEN_STATES = ("READY", "WAITING", "RESERVED", "RUNNING")
RATE_WINDOW = timedelta(minutes=15)
MAX_FAILURES_SHOWN = 5


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
    """A job that ended in an exception."""

    fw_id: int
    name: str
    message: str


@dataclass(frozen=True)
class Status:
    """A snapshot of the LaunchPad."""

    rows: list[JobRow]
    workers: list[WorkerRow]
    failures: list[Failure]
    jobs_per_minute: float
    hints: list[str] = field(default_factory=list)

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
            rows = _job_rows(mongo, chosen)
            workers = _worker_rows(mongo, now, lost_after_s)
            return Status(
                rows=rows,
                workers=workers,
                failures=_failures(mongo, chosen),
                jobs_per_minute=_rate(mongo, now),
                hints=_hints(rows, workers),
            )
        except PyMongoError as error:
            raise explain(error, database) from error


def _job_rows(mongo: MongoDatabase[Any], chosen: dict[str, Any]) -> list[JobRow]:
    """Count the fireworks by name, category and state."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    group = {"name": "$name", "category": "$spec._category", "state": "$state"}
    pipeline = [{"$match": chosen}, {"$group": {"_id": group, "n": {"$sum": 1}}}]
    for item in mongo["fireworks"].aggregate(pipeline):
        key = item["_id"]
        category = key.get("category") or Category.CPU
        states = counts.setdefault((key["name"], str(category)), {})
        states[key["state"]] = states.get(key["state"], 0) + item["n"]
    return [
        JobRow(name, kind, states) for (name, kind), states in sorted(counts.items())
    ]


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
    """Return the last jobs that failed, with the last line of their exception."""
    query = {**chosen, "state": "FIZZLED"}
    found = []
    jobs = mongo["fireworks"].find(query, {"fw_id": 1, "name": 1, "launches": 1})
    for job in jobs.sort("_id", -1).limit(MAX_FAILURES_SHOWN):
        launch = mongo["launches"].find_one(
            {"launch_id": {"$in": job["launches"]}},
            {"action.stored_data._exception": 1, "wyckflow_note": 1},
        )
        found.append(Failure(job["fw_id"], job["name"], _last_line(launch or {})))
    return found


def _last_line(launch: dict[str, Any]) -> str:
    """Return why a launch failed, in one line."""
    stored = (launch.get("action") or {}).get("stored_data") or {}
    trace = (stored.get("_exception") or {}).get("_stacktrace") or ""
    lines = trace.strip().splitlines()
    return lines[-1] if lines else launch.get("wyckflow_note", "no message stored")


def _rate(mongo: MongoDatabase[Any], now: datetime) -> float:
    """Return the jobs completed per minute, lately."""
    since = now - RATE_WINDOW
    query = {"state": "COMPLETED", "time_end": {"$gte": since.isoformat()}}
    times = [
        launch["time_end"] for launch in mongo["launches"].find(query, {"time_end": 1})
    ]
    if not times:
        return 0.0
    first = datetime.fromisoformat(min(times))
    elapsed = max((now - first.astimezone(UTC)).total_seconds(), 1.0)
    return 60.0 * len(times) / elapsed


def _hints(rows: list[JobRow], workers: list[WorkerRow]) -> list[str]:
    """Return what a person should do, if anything."""
    hints = []
    for category in sorted({row.category for row in rows}):
        n_ready = sum(row.count("READY") for row in rows if row.category == category)
        if n_ready and not any(w.is_alive and w.category == category for w in workers):
            hints.append(
                f"{n_ready} {category} jobs are ready and no {category} worker lives: "
                f"'wyckflow worker start --category {category}'"
            )
    if any(not worker.is_alive for worker in workers):
        hints.append("a worker fell silent: 'wyckflow doctor' shows its jobs")
    if n_held := sum(row.count("PAUSED") for row in rows):
        hints.append(f"{n_held} jobs are held: 'wyckflow campaign resume CAMPAIGN'")
    if any(row.count("FIZZLED") for row in rows):
        hints.append(
            "jobs failed: after mending the cause, 'wyckflow campaign retry CAMPAIGN'"
        )
    return hints
