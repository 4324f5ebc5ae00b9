"""The example of the paper's funnel, small, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import wyckflow

SCRIPT = Path(wyckflow.__file__).parents[1] / "examples" / "paper_funnel.py"


def run(folder, *options):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )


def test_it_explains_itself_and_refuses_what_cannot_be(tmp_path):
    assert "--relaxations" in run(tmp_path, "--help").stdout
    done = run(tmp_path, "--genes", "0")
    assert done.returncode != 0
    assert "'n_genes' is 0" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.mongo
@pytest.mark.slow
def test_it_ends_with_the_funnel_the_candidates_and_the_time(tmp_path):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    done = run(tmp_path, "--genes", "16", "--relaxations", "1", "--output", "out")
    assert done.returncode == 0, done.stderr
    assert "published neutrality" in done.stdout
    assert "s of wall time" in done.stdout
    assert (tmp_path / "out" / "funnel.png").exists()
    assert len(list((tmp_path / "out" / "crystals").glob("*.cif"))) == 1
