"""The examples run as users run them: a process of their own, in their folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import wyckflow

EXAMPLES = Path(wyckflow.__file__).parents[1] / "examples"


@pytest.fixture
def run_example(tmp_path):
    """Run one of the scripts with the given words."""

    def run(name, *words, folder=tmp_path):
        return subprocess.run(
            [sys.executable, str(EXAMPLES / name), *map(str, words)],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ,
        )

    return run
