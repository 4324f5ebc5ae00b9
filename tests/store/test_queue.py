"""Plain qlaunch with the shipped SLURM template, against a queue that runs at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from toy_jobs import ToyMaker
from waiting import wait_until

import wyckflow
from wyckflow.store.submit import submit

pytestmark = pytest.mark.mongo

TEMPLATE = Path(wyckflow.__file__).parents[1] / "examples" / "queues" / "slurm_cpu.yaml"
SBATCH = """#!/bin/bash
echo "Submitted batch job 4242"
(bash "$1" > batch.log 2>&1; echo done > batch.done) > /dev/null 2>&1 < /dev/null &
"""


@pytest.fixture
def queue(tmp_path, environment):
    """An sbatch that starts the script in the background, as SLURM would elsewhere."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", "#!/bin/bash\necho\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    path = os.pathsep.join([str(folder), f"{sys.prefix}/bin", environment["PATH"]])
    return {**environment, "PATH": path}


def test_qlaunch_submits_a_worker_that_does_the_job(project, database, queue):
    submit(ToyMaker().make(11), campaign="c", database=database)
    template = yaml.safe_load(TEMPLATE.read_text())
    template["pre_rocket"] = f"source {project.path('env.sh')}"
    words = template["rocket_launch"].replace("--processes 16", "--processes 1")
    template["rocket_launch"] = words.replace("--idle 600", "--idle 1")
    project.path("my_queue.yaml").write_text(yaml.safe_dump(template))
    command = ["qlaunch", "-s", "-w", "fworker_cpu.yaml", "-q", "my_queue.yaml"]
    done = subprocess.run(
        [f"{sys.prefix}/bin/{command[0]}", *command[1:], "singleshot"],
        env=queue,
        cwd=project.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    wait_until(
        lambda: list(project.folder.rglob("batch.done")), what="end of the batch job"
    )
    (log,) = project.folder.rglob("batch.log")
    with database.client() as client:
        output = client[database.name].outputs.find_one()
    assert output is not None, log.read_text()
    assert output["output"]["value"] == 110
