"""The launch loop of ``wyckflow worker``: FireWorks underneath, nothing lost on top."""

from __future__ import annotations

import io
import logging
import os
import random
import socket
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pymongo.errors import PyMongoError

from wyckflow.errors import ConfigurationError
from wyckflow.store.connect import redact
from wyckflow.store.indexes import missing_indexes
from wyckflow.store.project import (
    FIREWORKS_FILE,
    FIREWORKS_RULES,
    JOBFLOW_FILE,
    read_yaml,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from wyckflow.store.connect import Database
    from wyckflow.store.preemption import PreemptibleLaunchPad
    from wyckflow.store.project import Project

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerOptions:
    """What a worker does and when it leaves.

    Parameters
    ----------
    category
        Kind of worker: one that the project has a worker file for.
    name
        Base of its unique name; the host if ``None``.
    lifetime_s
        Takes no new job after this many seconds; ``None`` for no limit.
    idle_s
        Leaves after so many seconds without work; ``None`` to wait for ever.
    max_jobs
        Leaves after so many jobs; ``None`` for no limit.
    """

    category: str
    name: str | None = None
    lifetime_s: float | None = None
    idle_s: float | None = None
    max_jobs: int | None = None

    @property
    def unique_name(self) -> str:
        """A name that no other worker has."""
        return f"{self.name or socket.gethostname()}-{self.category}-{os.getpid()}"


@dataclass
class WorkerReport:
    """What a worker did, for its last words."""

    name: str
    n_jobs: int = 0
    n_rerun: int = 0
    reason: str = ""


def run_worker(
    project: Project,
    options: WorkerOptions,
    *,
    say: Callable[[str], None] = logger.info,
) -> WorkerReport:
    """Pull and run jobs until told to leave.

    Must be called in the main thread, and before anything imported FireWorks: its
    settings are read when it is imported.

    Parameters
    ----------
    project
        The project folder.
    options
        Kind of job, and when to leave.
    say
        Takes one sentence at a time for the worker's log.

    Raises
    ------
    ConfigurationError
        If results would be lost, or FireWorks runs on other settings.
    DatabaseError
        If the database cannot be reached, entered or written.
    """
    database = project.database()
    project.pulls(options.category)
    database.ping()
    database.check_writable()
    refuse_lossy_job_store(project, database)
    _load_fireworks(project)
    _limit_threads(project.settings.threads)
    return _Loop(project, database, options, say).run()


class _Loop:
    """The state of one running worker."""

    def __init__(
        self,
        project: Project,
        database: Database,
        options: WorkerOptions,
        say: Callable[[str], None],
    ) -> None:
        from fireworks import FWorker

        from wyckflow.store.preemption import PreemptibleLaunchPad

        self.project = project
        self.database = database
        self.options = options
        self.say = say
        self.report = WorkerReport(options.unique_name)
        self.launchpad: PreemptibleLaunchPad = PreemptibleLaunchPad(
            **database.launchpad_options()
        )
        self.probe = database.open()
        self.fworker = FWorker(self.report.name, project.pulls(options.category))
        self.folder = project.launch_folder / self.report.name
        self.started = self.last_work = time.monotonic()
        # Workers started together should not all look for lost jobs at once.
        jitter = random.random()  # noqa: S311 (no secret)
        self.next_recovery = self.started + jitter * self._recovery_period_s

    def run(self) -> WorkerReport:
        """Work until a reason to leave."""
        from wyckflow.store.heartbeat import Heartbeat
        from wyckflow.store.preemption import Preempted

        self._use_job_store()
        self.folder.mkdir(parents=True, exist_ok=True)
        settings, category = self.project.settings, self.options.category
        beat = Heartbeat(
            self.database,
            self.report.name,
            category,
            period_s=settings.heartbeat_s,
            current_job=lambda: self.launchpad.fw_id,
        )
        self.launchpad.listen()
        where = self.database.address
        self.say(f"{self.report.name} pulls {category} jobs from {where}")
        try:
            with beat:
                while not self._reason_to_leave():
                    self._step()
        except Preempted as signal_name:
            self.report.reason = f"{signal_name} received"
        finally:
            os.chdir(self.project.folder)
        if self.launchpad.gave_back is not None:
            self.say(f"gave job {self.launchpad.gave_back} back to the queue")
        self.say(
            f"{self.report.name} leaves after {self.report.n_jobs} jobs: "
            f"{self.report.reason}"
        )
        return self.report

    def _step(self) -> None:
        """Run one job, or wait a moment for one."""
        try:
            self._recover()
            ran = self._has_work() and self._launch()
        except PyMongoError as error:
            text = redact(str(error)).split(",")[0]
            self.say(f"the database does not answer, waiting for it ({text[:120]})")
            self.last_work = time.monotonic()  # an outage is not idleness
            ran = False
        if ran:
            self.report.n_jobs += 1
            self.last_work = time.monotonic()
        else:
            time.sleep(self.project.settings.idle_poll_s)

    def _has_work(self) -> bool:
        """Ask, with little patience, for a job of ours that is ready."""
        query = {**self.fworker.query, "state": "READY"}
        return self.probe["fireworks"].find_one(query, {"_id": 1}) is not None

    def _launch(self) -> bool:
        """Run one job in a folder of its own."""
        from fireworks.core.rocket import Rocket

        folder = self.folder / time.strftime(f"%Y%m%d-%H%M%S-{self.report.n_jobs:05d}")
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        errors = io.StringIO()
        try:
            ran = bool(Rocket(self.launchpad, self.fworker, None).run(err_file=errors))
        finally:
            os.chdir(self.folder)
            if not any(folder.iterdir()):
                folder.rmdir()
        if errors.getvalue() and self.launchpad.gave_back is None:
            last_line = errors.getvalue().strip().splitlines()[-1]
            self.say(f"a job failed: {redact(last_line)[:300]}")
            sys.stderr.write(redact(errors.getvalue()))
        return ran

    def _recover(self) -> None:
        """See, now and then, to jobs that others left behind."""
        if time.monotonic() < self.next_recovery:
            return
        self.next_recovery = time.monotonic() + self._recovery_period_s
        with self.launchpad.uninterrupted():
            self._rerun_lost_jobs()
            self._mend_torn_jobs()

    def _rerun_lost_jobs(self) -> None:
        """Rerun jobs whose worker is gone."""
        from wyckflow.store.recovery import find_lost_jobs, rerun_lost_job

        expiry_s = self.project.settings.rerun_after_s
        for job in find_lost_jobs(self.launchpad, lost_after_s=expiry_s):
            again = rerun_lost_job(self.launchpad, job)
            self.report.n_rerun += again
            fate = "made ready again" if again else "given up: it keeps being lost"
            self.say(f"job {job.fw_id} ({job.name}) lost by {job.worker}: {fate}")

    def _mend_torn_jobs(self) -> None:
        """Bring jobs to an end that a crash left between two states."""
        from wyckflow.store.repair import archive_orphans, find_torn_jobs, mend

        grace_s = self.project.settings.lost_after_s
        torn = find_torn_jobs(self.launchpad, grace_s=grace_s)
        for job in torn:
            mend(self.launchpad, job)
            self.say(f"job {job.fw_id} mended: it was {job.what}")
        if torn:
            archive_orphans(self.launchpad, grace_s=grace_s)

    @property
    def _recovery_period_s(self) -> float:
        """Seconds between two looks for lost jobs."""
        return self.project.settings.recovery_period_s

    def _reason_to_leave(self) -> str:
        """Return why to stop now, or an empty string."""
        options, now = self.options, time.monotonic()
        reason = ""
        if self.launchpad.is_leaving:
            reason = "asked by a signal"
        elif options.lifetime_s is not None and now - self.started > options.lifetime_s:
            reason = f"lifetime of {options.lifetime_s:g} s is over"
        elif options.idle_s is not None and now - self.last_work > options.idle_s:
            reason = f"no work for {options.idle_s:g} s"
        elif options.max_jobs is not None and self.report.n_jobs >= options.max_jobs:
            reason = f"{options.max_jobs} jobs done"
        self.report.reason = reason
        return reason

    def _use_job_store(self) -> None:
        """Give jobflow the project's store, whatever its environment says."""
        import jobflow

        missing = missing_indexes(self.probe)
        if missing:
            names = ", ".join(f"{i.collection}({', '.join(i.fields)})" for i in missing)
            raise ConfigurationError(
                f"The database lacks indexes ({names}); run 'wyckflow doctor --fix'."
            )
        jobflow.SETTINGS.JOB_STORE = self.database.job_store()


def refuse_lossy_job_store(project: Project, database: Database) -> None:
    """Refuse a ``jobflow.yaml`` that would drop results or send them elsewhere.

    Parameters
    ----------
    project
        The project folder.
    database
        What ``launchpad.yaml`` names.

    Raises
    ------
    ConfigurationError
        With the remedy.
    """
    path = project.path(JOBFLOW_FILE)
    remedy = "run 'wyckflow init' again to rewrite it"
    store: dict[str, Any] = read_yaml(path, remedy=remedy).get("JOB_STORE") or {}
    documents = store.get("docs_store") or {}
    if documents.get("type") != "MongoStore":
        raise ConfigurationError(
            f"{path} stores job outputs in {documents.get('type', 'memory')!r}: every "
            f"result would be lost when the worker ends. Expected MongoStore; {remedy}."
        )
    named = documents.get("database")
    if named != database.name:
        raise ConfigurationError(
            f"{path} writes to the database {named!r} but launchpad.yaml names "
            f"{database.name!r}; {remedy}."
        )


def _load_fireworks(project: Project) -> None:
    """Import FireWorks with the project's settings, and check that it took them."""
    os.environ.update(project.environment())
    os.chdir(project.folder)  # a FW_config.yaml here beats one in the home folder
    from fireworks import fw_config

    path = project.path(FIREWORKS_FILE)
    wanted = read_yaml(path, remedy="run 'wyckflow init' again")
    for name in FIREWORKS_RULES:
        value, expected = getattr(fw_config, name), wanted.get(name)
        if value != expected:
            raise ConfigurationError(
                f"FireWorks runs with {name} = {value!r}, {path} says {expected!r}: it "
                "read another FW_config.yaml (look in ~/.fireworks and the working "
                "directory), or was imported before the worker started."
            )


def _limit_threads(threads: int) -> None:
    """Keep numerical libraries to this worker's share of the processor."""
    libraries = ("OMP", "MKL", "OPENBLAS", "RAYON")
    for name in (f"{library}_NUM_THREADS" for library in libraries):
        os.environ.setdefault(name, str(threads))
