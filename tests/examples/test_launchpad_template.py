"""The launchpad.yaml at the top of the repository does what its comments say."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

import wyckflow
from wyckflow.store.connect import OUTAGE_TOLERANCE_MS, Database, redact

TEMPLATE = Path(wyckflow.__file__).parents[1] / "launchpad.yaml"


@pytest.fixture
def content():
    return yaml.safe_load(TEMPLATE.read_text())


def test_fireworks_reads_it(content):
    from fireworks import LaunchPad

    launchpad = LaunchPad.from_file(str(TEMPLATE))
    assert launchpad.name == content["name"] == "wyckflow"
    assert launchpad.connection.HOST == "localhost" or launchpad.uri_mode
    launchpad.connection.close()


def test_it_says_what_wyckflow_itself_would_write(content):
    same = Database.from_uri("mongodb://127.0.0.1:27017/", "wyckflow")
    assert content == same.launchpad_options(timeout_ms=OUTAGE_TOLERANCE_MS)


def test_it_holds_no_password_and_may_be_read_by_all(content):
    assert redact(content["host"]) == content["host"]
    assert "@" not in content["host"]
    assert TEMPLATE.stat().st_mode & stat.S_IROTH
