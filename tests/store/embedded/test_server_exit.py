"""Why a server ended, told from its exit status and log lines."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from wyckflow.store.embedded.exit import ServerExit, read_log_since


def explain(text="", code=1, port=None, data=Path("/f/data")):
    return ServerExit(code, text, Path("/f/mongod.log"), data, port).explain()


# What MongoDB and WiredTiger print in these cases, from their sources and tickets.
@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("WiredTiger error: __posix_file_write: No space left on device", "Free some"),
        ("write: handle-write: pwrite: failed: Disk quota exceeded", "Free some space"),
        (
            "UPGRADE PROBLEM: Found an invalid featureCompatibilityVersion document",
            "another version",
        ),
        (
            "WT_ERROR: unsupported WiredTiger file version: version 13.0",
            "another version",
        ),
        ("WT_TRY_SALVAGE: database corruption detected", "backup"),
        ("Unable to create socket: Too many open files", "ulimit -n"),
        ("/f/data/mongod.lock: Read-only file system", "another folder"),
        ("IllegalOperation: Permission denied: /f/data/mongod.lock", "another folder"),
        ("SocketException: Address already in use", "--port OTHER"),
    ],
)
def test_known_causes_come_with_their_remedy(line, remedy):
    entry = json.dumps({"s": "E", "msg": "bad", "attr": {"error": line}})
    message = explain(entry, port=27017)
    assert remedy in message
    assert "/f/mongod.log" in message


def test_illegal_instruction_means_the_processor_is_too_old():
    assert "AVX" in explain(code=-signal.SIGILL)


def test_kill_from_outside_suggests_memory():
    assert "memory" in explain(code=-signal.SIGKILL)


def test_unknown_cause_shows_the_last_errors_and_nothing_else():
    lines = [
        json.dumps({"s": "I", "msg": "harmless", "attr": {}}),
        json.dumps({"s": "E", "msg": "odd thing", "attr": {"why": "moon"}}),
    ]
    message = explain("\n".join(lines), code=14)
    assert "status 14" in message
    assert 'odd thing {"why": "moon"}' in message
    assert "harmless" not in message


def test_text_that_is_no_log_entry_is_shown_as_it_is():
    message = explain("error while loading shared libraries: libcurl.so.4", code=127)
    assert "libcurl.so.4" in message


def test_silence_is_said_to_be_silence():
    assert "it wrote no error" in explain(code=3)


def test_owner_of_the_data_is_named_by_its_lock_file(tmp_path):
    (tmp_path / "mongod.lock").write_text("4711\n")
    assert "(pid 4711)" in explain("DBPathInUse: Unable to lock", data=tmp_path)


def test_log_is_read_from_where_this_start_began(tmp_path):
    log = tmp_path / "log"
    log.write_text("old\nnew\n")
    assert read_log_since(log, 4) == "new\n"
    assert read_log_since(tmp_path / "absent", 0) == ""
