"""Fixtures shared by all tests: a real server, a project on it, quiet settings."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "wyckflow",
    deadline=None,  # no test is judged by its speed
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("wyckflow")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch, tmp_path_factory):
    """Hide the developer's own project and settings from every test."""
    keep = {"WYCKFLOW_DATA", "WYCKFLOW_ORACLES"}
    for name in list(os.environ):
        if name.startswith(("WYCKFLOW_", "JOBFLOW_", "FW_")) and name not in keep:
            monkeypatch.delenv(name)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def _stay_in_folder():
    """Return to the working directory, whatever a test did."""
    before = Path.cwd()
    yield
    os.chdir(before)


@pytest.fixture(autouse=True)
def _no_job_running():
    """Forget the job that a test let fail: jobflow itself does not."""
    yield
    if "jobflow" in sys.modules:
        sys.modules["jobflow"].CURRENT_JOB.reset()


@pytest.fixture
def job_store():
    """A job store in memory with the blob store of our decorator."""
    from jobflow import JobStore
    from maggma.stores import MemoryStore

    store = JobStore(MemoryStore(), additional_stores={"blobs": MemoryStore()})
    store.connect()
    return store


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory):
    """The embedded server, started once; tests that need it skip where none runs."""
    from wyckflow.errors import ServerError
    from wyckflow.store.embedded.server import EmbeddedServer

    server = EmbeddedServer(tmp_path_factory.mktemp("mongo"))
    try:
        server.start(die_with_parent=True)
    except ServerError as error:
        pytest.skip(f"no MongoDB server can run here: {error}")
    yield server
    server.stop()


@pytest.fixture
def database(mongo_server):
    """A fresh, prepared database on the session's server."""
    from wyckflow.store.connect import Database
    from wyckflow.store.indexes import create_indexes

    empty = Database.from_uri(mongo_server.uri, mongo_server.database_name)
    with empty.client() as client:
        client.drop_database(empty.name)
    create_indexes(empty)
    return empty


@pytest.fixture
def project(database, tmp_path):
    """A project folder that points at the fresh database."""
    from wyckflow.settings import SETTINGS_FILE, WyckflowSettings
    from wyckflow.store.project import Project, load_project, write_private_yaml

    folder = tmp_path / "project"
    Project(folder, WyckflowSettings()).write_files(database, store_password=True)
    quick = {"project_layout": 1, "idle_poll_s": 0.2, "heartbeat_s": 0.5}
    quick |= {"recovery_period_s": 0.5, "lost_after_s": 3.0}
    write_private_yaml(folder / SETTINGS_FILE, quick)
    return load_project(folder)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The file of a generator that was trained for a moment, on made-up salts."""
    pytest.importorskip("torch", reason="install wyckflow[ml]")
    sys.path.insert(0, str(Path(__file__).parent))
    from tiny_model import train_tiny_model

    path = tmp_path_factory.mktemp("model") / "tiny.npz"
    train_tiny_model().save(path)
    return path
