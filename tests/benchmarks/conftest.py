"""Scripts of the folder ``benchmarks``, which is no package, as modules."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

import wyckflow

FOLDER = Path(wyckflow.__file__).parents[1] / "benchmarks"


@pytest.fixture
def load_script(monkeypatch):
    """Import a benchmark by its name; those that train need torch."""

    def load(name):
        pytest.importorskip("torch", reason="install wyckflow[ml]")
        monkeypatch.syspath_prepend(str(FOLDER))
        return importlib.import_module(name)

    return load


@pytest.fixture
def run(monkeypatch):
    """Run a benchmark with the words of a command line; its exit code."""

    def run(script, *words):
        monkeypatch.setattr(sys, "argv", [f"{script.__name__}.py", *map(str, words)])
        return script.main()

    return run
