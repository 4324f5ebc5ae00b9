"""Real worker processes on a real project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wyckflow.errors import ServerError
from wyckflow.store.embedded.mongod import find_mongod
from wyckflow.store.embedded.server import EmbeddedServer, temporary_server

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # so that this process and the workers agree on toy_jobs


@pytest.fixture
def environment(project):
    """The variables of a shell in which env.sh was sourced."""
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, **project.environment(), "PYTHONPATH": path}


@pytest.fixture
def start_worker(project, environment):
    """Start ``wyckflow worker`` in a process of its own; ended with the test."""
    started = []

    def start(category, *options, folder=project.folder, **variables):
        command = [sys.executable, "-m", "wyckflow.cli.main", "worker", "start"]
        command += ["--category", category, *options]
        process = subprocess.Popen(
            command,
            env={**environment, **variables},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        out, _ = process.communicate()
        print(out or "")  # shown where the test failed


@pytest.fixture(scope="session")
def binary():
    """The server program; tests that need it skip where there is none."""
    try:
        return find_mongod()
    except ServerError as error:
        pytest.skip(str(error))


@pytest.fixture
def server(tmp_path):
    """A server that was not started, and is stopped whatever happens."""
    embedded = EmbeddedServer(tmp_path / "database")
    yield embedded
    embedded.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One running server for the tests that only look."""
    with temporary_server(tmp_path_factory.mktemp("shared"), ephemeral=False) as one:
        yield one
