"""The collector of benchmarks shows figures beside targets and survives a failure."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

import wyckflow

FOLDER = Path(wyckflow.__file__).parents[1] / "benchmarks"


@pytest.fixture
def runner(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("bench_run", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "targets.yaml").write_text((FOLDER / "targets.yaml").read_text())
    monkeypatch.setattr(module, "HERE", tmp_path)
    return module


def write_benchmark(folder, name, body):
    header = "import json, sys\npath = sys.argv[sys.argv.index('--json') + 1]\n"
    (folder / f"{name}.py").write_text(header + body)


def test_records_are_shown_beside_their_targets_and_written(
    runner, tmp_path, monkeypatch, capfd
):
    record = {"target": "P5", "value": 3.25, "unit": "us", "peer": "x", "n": 7}
    body = (
        f"assert '--quick' in sys.argv\nopen(path, 'w').write({json.dumps([record])!r})"
    )
    write_benchmark(tmp_path, "good", body)
    out = tmp_path / "all.json"
    monkeypatch.setattr("sys.argv", ["run.py", "--quick", "--json", str(out)])
    assert runner.main() == 0
    assert json.loads(out.read_text()) == [record]
    printed = capfd.readouterr().out
    assert "3.25 us" in printed
    assert "10 us per gene" in printed


def test_one_that_fails_is_named_and_the_others_go_on(
    runner, tmp_path, monkeypatch, capfd
):
    write_benchmark(tmp_path, "bad", "sys.exit(3)")
    write_benchmark(tmp_path, "good", "open(path, 'w').write('[]')")
    monkeypatch.setattr("sys.argv", ["run.py"])
    assert runner.main() == 1
    assert "failed: bad" in capfd.readouterr().out


def test_every_target_of_the_plan_can_be_shown():
    import yaml

    targets = yaml.safe_load((FOLDER / "targets.yaml").read_text())
    expected = (
        {f"P{i}" for i in range(1, 13)} | {f"Q{i}" for i in range(1, 11)} | {"R1"}
    )
    assert expected <= set(targets)
