"""Importing is cheap and silent: a worker pays for it at every start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache

import pytest

HEAVY = ("torch", "chgnet", "atomate2", "matplotlib", "pandas", "pyxtal")

PROBE = """
import json, os, sys, warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

heavy, chosen = json.loads(sys.argv[1]), json.loads(sys.argv[2])
seen = {"heavy": {}, "written": {}, "read": {}, "warnings": [], "modules": []}
current = "none"
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.chdir", "os.symlink",
           "shutil.rmtree", "socket.connect", "subprocess.Popen"}
home = Path(find_spec("wyckflow").origin).parent

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        path, _, flags = arguments
        if flags & WRITES and path != os.devnull:
            seen["written"].setdefault(current, []).append(path)
        if path.startswith(f"{home}/") and not path.endswith((".py", ".pyc")):
            seen["read"].setdefault(current, []).append(path)
    elif event in CHANGES:
        seen["written"].setdefault(current, []).append(f"{event} {arguments[:2]}")

def name_of(path):
    parts = path.relative_to(home.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")

if not chosen:  # what other packages do at their import is not ours to answer for
    for module in (*heavy, "custodian.vasp.handlers"):
        if find_spec(module.partition(".")[0]):
            import_module(module)
sys.addaudithook(watch)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for name in sorted(map(name_of, home.rglob("*.py"))):
        if chosen and not name.startswith(tuple(chosen)):
            continue
        current = name
        import_module(name)
        seen["modules"].append(name)
        for module in heavy:
            if module in sys.modules:
                seen["heavy"].setdefault(module, name)
seen["warnings"] = [
    f"{item.filename}: {item.message}"
    for item in caught
    if item.filename.startswith(f"{home}/")
]
print(json.dumps(seen))
"""


@cache
def probe(*chosen):
    """Import the modules that begin with a name, in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROBE, json.dumps(HEAVY), json.dumps(chosen)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) | {"printed": done.stdout}


@pytest.mark.parametrize("package", ["flows", "makers", "cli", "resources"])
def test_what_submits_and_commands_load_nothing_heavy(package):
    """The heavy libraries are loaded inside the jobs that need them."""
    seen = probe(
        "wyckflow.flows", "wyckflow.makers", "wyckflow.cli", "wyckflow.resources"
    )
    assert any(name.startswith(f"wyckflow.{package}") for name in seen["modules"])
    guilty = {
        module: name
        for module, name in seen["heavy"].items()
        if name.startswith(f"wyckflow.{package}")
    }
    assert guilty == {}, "heavy library: first module that loads it"


def test_importing_any_module_changes_nothing_outside_the_process():
    assert probe()["written"] == {}


def test_importing_any_module_reads_no_data_file():
    assert probe()["read"] == {}


def test_importing_any_module_warns_of_nothing_and_prints_nothing():
    seen = probe()
    assert seen["warnings"] == []
    assert len(seen["printed"].splitlines()) == 1


def test_every_module_was_imported():
    modules = set(probe()["modules"])
    assert {"wyckflow.crystal.gene", "wyckflow.store.worker.loop"} <= modules
