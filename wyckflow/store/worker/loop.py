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

from wyckflow import __version__
from wyckflow.errors import ConfigurationError, DatabaseError
from wyckflow.makers._release import RELEASE, release_number, release_text
from wyckflow.store.campaign.budget_keeper import BudgetKeeper
from wyckflow.store.connect import redact
from wyckflow.store.gate.keeper import GATE_KEEPERS, GateKeeper
from wyckflow.store.indexes import missing_indexes
from wyckflow.store.project import (
    FIREWORKS_FILE,
    FIREWORKS_RULES,
    JOBFLOW_FILE,
    read_yaml,
)
from wyckflow.store.worker.failure import is_lost_connection
from wyckflow.store.worker.room import Room

if TYPE_CHECKING:
    from collections.abc import Callable

    from wyckflow.store.connect import Database
    from wyckflow.store.project import Project
    from wyckflow.store.worker.preemption import PreemptibleLaunchPad

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

        from wyckflow.store.worker.preemption import PreemptibleLaunchPad
        from wyckflow.store.worker.recovery import Watch
        from wyckflow.store.worker.repair import TornWatch

        self.project = project
        self.database = database
        self.options = options
        self.say = say
        self.report = WorkerReport(options.unique_name)
        self.launchpad: PreemptibleLaunchPad = PreemptibleLaunchPad(
            **database.launchpad_options()
        )
        self.probe = database.open()
        # Jobs of a newer wyckflow are left alone; `_has_work` says so.
        self.fworker = FWorker(
            self.report.name,
            project.pulls(options.category),
            query={f"spec.{RELEASE}": {"$not": {"$gt": release_number()}}},
        )
        self.folder = project.launch_folder / self.report.name
        settings = project.settings
        period_s = settings.recovery_period_s
        self.room = Room(self.folder, wait_s=period_s)
        self.watch = Watch(lost_after_s=settings.rerun_after_s, period_s=period_s)
        self.torn = TornWatch(grace_s=settings.lost_after_s)
        self.complaints: set[str] = set()
        is_keeper = options.category == GATE_KEEPERS
        self.keeper = GateKeeper(database, say) if is_keeper else None
        self.budgets = BudgetKeeper(database, say)
        self.started = self.last_work = time.monotonic()
        # Workers started together should not all look for lost jobs at once.
        jitter = random.random()  # noqa: S311 (no secret)
        self.next_recovery = self.started + jitter * period_s

    def run(self) -> WorkerReport:
        """Work until a reason to leave."""
        from wyckflow.store.worker.heartbeat import Heartbeat
        from wyckflow.store.worker.preemption import Preempted

        self._use_job_store()
        settings, category = self.project.settings, self.options.category
        beat = Heartbeat(
            self.database,
            self.report.name,
            category,
            period_s=settings.heartbeat_s,
            current_job=lambda: self.launchpad.fw_id,
            stuck_after_s=settings.stuck_after_s,
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
        self.say(
            f"{self.report.name} leaves after {self.report.n_jobs} jobs: "
            f"{self.report.reason}"
        )
        return self.report

    def _step(self) -> None:
        """Run one job, or wait a moment for one."""
        try:
            self._recover()
            ran = self._may_work() and self._has_work() and self._launch()
        except (PyMongoError, DatabaseError, RuntimeError) as error:
            # FireWorks makes a RuntimeError of what goes wrong in a workflow.
            if isinstance(error, RuntimeError) and not is_lost_connection(str(error)):
                raise
            text = redact(str(error)).split(",")[0]
            self.say(f"the database does not answer, waiting for it ({text[:120]})")
            self.last_work = time.monotonic()  # an outage is not idleness
            ran = False
        if ran:
            self.report.n_jobs += 1
            self.last_work = time.monotonic()
        else:
            time.sleep(self.project.settings.idle_poll_s)

    def _may_work(self) -> bool:
        """Return whether there is room for a job; if not, say so once."""
        lack = self.room.lacks()
        if lack:
            self._complain(f"takes no job for want of room: {lack}")
        return not lack

    def _complain(self, complaint: str) -> None:
        """Say what is wrong, each thing once until all is well."""
        if complaint and complaint not in self.complaints:
            self.say(f"{self.report.name} {complaint}")
            self.complaints.add(complaint)

    def _has_work(self) -> bool:
        """Ask, with little patience, for a job of ours that is ready."""
        query = {**self.fworker.query, "state": "READY"}
        fireworks = self.probe["fireworks"]
        if fireworks.find_one(query, {"_id": 1}) is not None:
            return True
        query[f"spec.{RELEASE}"] = {"$gt": release_number()}
        if (newer := fireworks.find_one(query, {f"spec.{RELEASE}": 1})) is not None:
            wanted = release_text(newer["spec"][RELEASE])
            self._complain(
                f"leaves jobs alone that wyckflow {wanted} submitted: this is "
                f"{__version__}, which may not know their options; update it"
            )
        return False

    def _launch(self) -> bool:
        """Run one job in a folder of its own."""
        from fireworks.core.rocket import Rocket

        launchpad = self.launchpad
        launchpad.gave_back = launchpad.lost_to_another = launchpad.no_room = None
        for fw_id in launchpad.return_stale(self.report.name):
            self.say(f"gave job {fw_id} back to the queue, it was never begun")
        folder = self.folder / time.strftime(f"%Y%m%d-%H%M%S-{self.report.n_jobs:05d}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self.room.close(f"{folder} cannot be made ({error.strerror})")
            return False
        os.chdir(folder)
        errors = io.StringIO()
        try:
            ran = bool(Rocket(launchpad, self.fworker, None).run(err_file=errors))
        finally:
            os.chdir(self.folder)
            if not any(folder.iterdir()):
                folder.rmdir()
        self._tell_end(errors.getvalue())
        return ran

    def _tell_end(self, errors: str) -> None:
        """Say how the last job ended, if not well."""
        launchpad = self.launchpad
        if launchpad.lost_to_another is not None:
            self.say(
                f"job {launchpad.lost_to_another} was given to another worker while "
                "this one was silent; its result here is not stored"
            )
            return
        if launchpad.no_room is not None:
            self.room.close(f"{launchpad.no_room}; make room")
        elif errors and not launchpad.is_leaving:
            self.say(f"a job failed: {redact(errors.strip().splitlines()[-1])[:300]}")
            sys.stderr.write(redact(errors))
        else:
            self.room.prove()
            self.complaints.clear()
        if launchpad.gave_back is not None:
            self.say(f"gave job {launchpad.gave_back} back to the queue")

    def _recover(self) -> None:
        """See, now and then, to jobs that others left behind."""
        if time.monotonic() < self.next_recovery:
            return
        self.next_recovery = time.monotonic() + self.project.settings.recovery_period_s
        with self.launchpad.uninterrupted():
            self._rerun_lost_jobs()
            self._mend_torn_jobs()
            self.budgets.look()
            if self.keeper is not None:
                self.keeper.look()

    def _rerun_lost_jobs(self) -> None:
        """Rerun jobs whose worker is gone."""
        from wyckflow.store.worker.recovery import Fate, rerun_lost_job

        for job in self.watch.look(self.launchpad):
            fate = rerun_lost_job(self.launchpad, job)
            self.report.n_rerun += fate is Fate.READY
            self.say(f"job {job.fw_id} ({job.name}) lost by {job.worker}: {fate}")

    def _mend_torn_jobs(self) -> None:
        """Bring jobs to an end that a crash left between two states."""
        from wyckflow.store.worker.repair import mend, put_aside

        torn = self.torn.look(self.launchpad)
        for job in torn:
            mend(self.launchpad, job)
            self.say(f"job {job.fw_id} mended: it was {job.what}")
        if torn or self.torn.has_orphans:
            put_aside(self.launchpad, self.torn.look_for_orphans(self.launchpad))

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

        from wyckflow.store.fence import FencedJobStore

        missing = missing_indexes(self.probe)
        if missing:
            names = ", ".join(f"{i.collection}({', '.join(i.fields)})" for i in missing)
            raise ConfigurationError(
                f"The database lacks indexes ({names}); run 'wyckflow doctor --fix'."
            )
        store: FencedJobStore = FencedJobStore.from_dict_spec(
            self.database.job_store_spec()
        )
        store.is_ours = self.launchpad.still_has_job
        jobflow.SETTINGS.JOB_STORE = store


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
