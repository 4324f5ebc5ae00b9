"""The command, called as a person calls it, without a process of its own."""

from __future__ import annotations

from dataclasses import dataclass

import pytest


@dataclass
class Done:
    """What a command printed and how it ended; text with its line breaks undone."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch):
    """Print to a wide terminal; the consoles took their width when first imported."""
    from wyckflow.cli.console import err, out

    monkeypatch.setenv("COLUMNS", "200")
    for console in (out, err):
        monkeypatch.setattr(console, "_width", 200)


@pytest.fixture
def wyckflow(monkeypatch, capsys):
    """Call the command with the given words."""
    from wyckflow.cli.main import run

    def call(*words):
        monkeypatch.setattr("sys.argv", ["wyckflow", *map(str, words)])
        capsys.readouterr()
        try:
            run()
            code = 0
        except SystemExit as leave:
            code = int(leave.code or 0)
        printed = capsys.readouterr()
        return Done(code, " ".join(printed.out.split()), " ".join(printed.err.split()))

    return call
