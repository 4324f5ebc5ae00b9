"""The queue templates as FireWorks renders them, and as a shell runs them."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
import warnings
from pathlib import Path

import pytest
import yaml
from fireworks.user_objects.queue_adapters.common_adapter import CommonAdapter

import wyckflow
from wyckflow.resources import Category

QUEUES = Path(wyckflow.__file__).parents[1] / "examples" / "queues"
TEMPLATES = sorted(QUEUES.glob("*.yaml"))
GRACE_S = 120

each_template = pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)


def render(path, monkeypatch, launch_folder="/scratch/launch"):
    """Return the batch script as 'qlaunch -q FILE' in the file's folder writes it."""
    monkeypatch.chdir(path.parent)
    adapter = CommonAdapter.from_file(path.name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a key that the template does not have
        return adapter.get_script_str(launch_folder)


def launch_words(path):
    return shlex.split(yaml.safe_load(path.read_text())["rocket_launch"])


def seconds(clock):
    hours, minutes, rest = map(int, clock.split(":"))
    return 3600 * hours + 60 * minutes + rest


def test_there_is_one_for_each_queue_and_kind_of_worker():
    expected = {f"{queue}_{kind}" for queue in ("pbs", "slurm") for kind in Category}
    assert {path.stem for path in TEMPLATES} == expected


@each_template
def test_fireworks_renders_it_whole(path, monkeypatch):
    script = render(path, monkeypatch)
    content = yaml.safe_load(path.read_text())
    assert "$$" not in script
    assert "None" not in script
    assert content["_fw_name"] == CommonAdapter._fw_name
    given = {k: v for k, v in content.items() if v is not None and k[0] != "_"}
    for key, value in given.items():
        assert str(value).strip() in script, key
    directive = "#SBATCH" if path.stem.startswith("slurm") else "#PBS"
    last_directive = script.rindex(directive)
    assert last_directive < script.index("source "), (
        "directives after commands count not"
    )


def test_the_lines_for_torque_fit_the_template_of_fireworks(monkeypatch):
    path = QUEUES / "pbs_gpu.yaml"
    assert "nnodes: 1 and ppnode: '8:gpus=1'" in path.read_text()
    content = yaml.safe_load(path.read_text())
    del content["_fw_template_file"], content["select"]
    adapter = CommonAdapter.from_dict(content | {"nnodes": 1, "ppnode": "8:gpus=1"})
    assert "#PBS -l nodes=1:ppn=8:gpus=1\n" in adapter.get_script_str("/scratch")


@each_template
def test_a_shell_can_read_the_script(path, monkeypatch):
    script = render(path, monkeypatch)
    done = subprocess.run(
        ["/bin/bash", "-n"], input=script, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


@each_template
def test_it_starts_a_worker_of_its_kind_in_the_place_of_the_shell(path):
    words = launch_words(path)
    assert words[:4] == ["exec", "wyckflow", "worker", "start"]
    assert words[words.index("--category") + 1] == path.stem.split("_")[1]


@each_template
def test_the_command_is_one_that_wyckflow_understands(path):
    import typer

    from wyckflow.cli.main import app

    start = typer.main.get_command(app).commands["worker"].commands["start"]
    context = start.make_context(
        "start", launch_words(path)[4:], resilient_parsing=True
    )
    assert context.params["category"] == path.stem.split("_")[1]
    assert context.params["lifetime"] > 0


@each_template
def test_the_worker_stops_taking_jobs_before_the_queue_ends_it(path):
    content = yaml.safe_load(path.read_text())
    words = launch_words(path)
    lifetime = float(words[words.index("--lifetime") + 1])
    warned = seconds(content["walltime"]) - GRACE_S
    if "signal" in content:
        assert content["signal"].startswith("B:USR1@")
        warned = seconds(content["walltime"]) - int(content["signal"].split("@")[1])
    assert lifetime < warned


@each_template
def test_qlaunch_counts_jobs_by_the_queue_it_is_given(path):
    assert yaml.safe_load(path.read_text())["queue"]


@each_template
def test_the_command_in_the_comment_names_files_that_exist(path):
    comment = " ".join(re.findall("^# (.*)$", path.read_text(), re.MULTILINE))
    worker, queue = re.search(r"qlaunch -w (\S+) -q (\S+) rapidfire", comment).groups()
    assert queue == path.name
    assert worker == f"fworker_{path.stem.split('_')[1]}.yaml"


def test_as_many_workers_as_cores_are_asked_for():
    for path in (QUEUES / "slurm_cpu.yaml", QUEUES / "pbs_cpu.yaml"):
        words, content = launch_words(path), yaml.safe_load(path.read_text())
        processes = words[words.index("--processes") + 1]
        asked = content.get("cpus_per_task") or content["select"]
        assert str(asked) == processes or f"ncpus={processes}:" in asked


@each_template
def test_a_signal_to_the_batch_shell_reaches_the_worker(path, monkeypatch, tmp_path):
    """With a stand-in for wyckflow that writes down the signal that it gets."""
    home, log = tmp_path / "home", tmp_path / "log"
    for name in ("wyckflow/.venv/bin/activate", "my-project/env.sh"):
        (home / name).parent.mkdir(parents=True)
        (home / name).touch()
    program = tmp_path / "bin" / "wyckflow"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/bash\ntrap 'echo heard >> {log}; exit 0' USR1 TERM\n"
        f'echo "$@" > {log}\nwhile true; do sleep 0.05; done\n'
    )
    program.chmod(0o755)
    (program.parent / "module").symlink_to("/bin/true")
    script = render(path, monkeypatch, str(tmp_path))
    number = signal.SIGUSR1 if path.stem.startswith("slurm") else signal.SIGTERM
    search = f"{program.parent}:{os.environ['PATH']}"
    shell = subprocess.Popen(
        ["/bin/bash", "-c", script], env={"HOME": str(home), "PATH": search}
    )
    try:
        deadline = time.monotonic() + 30
        while not (log.exists() and log.read_text().endswith("\n")):
            assert time.monotonic() < deadline, "the worker was never started"
            time.sleep(0.02)
        shell.send_signal(number)
        assert shell.wait(30) == 0
    finally:
        shell.kill()
        shell.wait()
    assert log.read_text().splitlines() == [shlex.join(launch_words(path)[2:]), "heard"]
