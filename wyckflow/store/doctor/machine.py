"""Checks of the installation and of a project's files."""

from __future__ import annotations

import shutil
import stat
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from wyckflow.errors import ConfigurationError, ServerError
from wyckflow.resources import Category
from wyckflow.store.connect import redact
from wyckflow.store.doctor.finding import Finding, Level
from wyckflow.store.embedded.mongod import find_mongod
from wyckflow.store.project import JOBFLOW_FILE, LAUNCHPAD_FILE
from wyckflow.store.worker.loop import refuse_lossy_job_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wyckflow.store.doctor.finding import Patient

MIN_FREE_GB = 2.0


def check_versions(_patient: Patient) -> Iterator[Finding]:
    """Compare what is installed with what the package asks for."""
    yield Finding("python", Level.OK, f"{sys.version.split()[0]} at {sys.prefix}")
    wrong, absent = [], []
    for text in requires("wyckflow") or []:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": "ml"}):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            absent.append(requirement.name)
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            wrong.append(
                f"{requirement.name} {installed} (needs {requirement.specifier})"
            )
    if wrong:
        yield Finding(
            "versions",
            Level.FAILURE,
            f"{'; '.join(wrong)}: pip install -U -c constraints.txt wyckflow",
        )
    if absent:
        yield Finding(
            "versions",
            Level.WARNING,
            f"not installed: {', '.join(absent)}. Only GPU and CPU workers need them: "
            "pip install 'wyckflow[ml]'",
        )
    if not wrong and not absent:
        yield Finding("versions", Level.OK, "every package is as new as needed")


def check_server_binary(_patient: Patient) -> Iterator[Finding]:
    """Look for a mongod that 'wyckflow db start' could run."""
    try:
        binary = find_mongod()
    except ServerError as error:
        yield Finding("embedded server", Level.WARNING, str(error))
        return
    text = f"mongod {'.'.join(map(str, binary.version))} ({binary.origin})"
    yield Finding("embedded server", Level.OK, text)


def check_project_files(patient: Patient) -> Iterator[Finding]:
    """Check that the files agree, and that passwords are private."""
    project = patient.project
    database = project.database()
    refuse_lossy_job_store(project, database)
    yield Finding("project", Level.OK, f"{project.folder} names {database.address}")
    for name in (LAUNCHPAD_FILE, JOBFLOW_FILE):
        path = project.path(name)
        others = path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        text = path.read_text()
        if others and redact(text) != text:
            yield Finding(
                "project",
                Level.FAILURE,
                f"{path} holds a password and others can read it: chmod 600 {path}",
            )
    stray = Path.home() / ".fireworks" / "FW_config.yaml"
    if stray.exists():
        yield Finding(
            "project",
            Level.WARNING,
            f"{stray} would beat this project's FireWorks settings outside its folder: "
            "move it away, or run rlaunch and lpad only inside the project folder",
        )


def check_worker_files(patient: Patient) -> Iterator[Finding]:
    """Check that every worker file names what it pulls."""
    for kind in sorted({*Category, *patient.project.worker_kinds}):
        try:
            pulls = patient.project.pulls(kind)
        except ConfigurationError as error:
            yield Finding("worker files", Level.FAILURE, str(error))
            continue
        names = ", ".join(name or "(unlabelled)" for name in pulls)
        yield Finding("worker files", Level.OK, f"fworker_{kind}.yaml pulls {names}")


def check_disk(patient: Patient) -> Iterator[Finding]:
    """Check the room for launches and the embedded database."""
    folder = patient.project.folder
    free_gb = shutil.disk_usage(folder).free / 1e9
    level = Level.OK if free_gb > MIN_FREE_GB else Level.FAILURE
    advice = "" if level is Level.OK else ": make room, or move the project folder"
    yield Finding("disk", level, f"{free_gb:.1f} GB free at {folder}{advice}")


def check_database(patient: Patient) -> Iterator[Finding]:
    """Check that the server answers and lets us in."""
    database = patient.project.database()
    info = database.ping()
    patient.address = database
    where = f"{database.name!r} at {database.address}"
    yield Finding("database", Level.OK, f"MongoDB {info['version']}, {where}")
