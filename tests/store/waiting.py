"""Waiting for what other processes do."""

from __future__ import annotations

import time

import pytest


def wait_until(condition, *, what, seconds=60):
    """Wait for something real to happen; a missed deadline is a failure, not a time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(f"{what} did not happen within {seconds} s")
