"""The example of the paper's funnel, small, in a process of its own."""

from __future__ import annotations

import pytest

SCRIPT = "paper_funnel.py"


def test_it_explains_itself_and_refuses_what_cannot_be(run_example):
    assert "--relaxations" in run_example(SCRIPT, "--help").stdout
    done = run_example(SCRIPT, "--genes", "0")
    assert done.returncode != 0
    assert "'n_genes' is 0" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.mongo
def test_it_ends_with_the_funnel_the_candidates_and_the_time(run_example, tmp_path):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    done = run_example(SCRIPT, "--genes", "16", "--relaxations", "1", "--output", "out")
    assert done.returncode == 0, done.stderr
    assert "published neutrality" in done.stdout
    assert "s of wall time" in done.stdout
    assert (tmp_path / "out" / "funnel.png").exists()
    assert len(list((tmp_path / "out" / "crystals").glob("*.cif"))) == 1
