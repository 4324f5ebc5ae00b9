"""The example that relaxes files: known lattices, and what it does with other input."""

from __future__ import annotations

import re

import pytest
from pymatgen.core import Lattice, Structure

SCRIPT = "relax_cifs.py"


@pytest.fixture
def folder(tmp_path):
    salt = Structure.from_spacegroup(
        225, Lattice.cubic(5.4), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    salt.to(filename=str(tmp_path / "salt.cif"))
    return tmp_path


def test_rock_salt_finds_its_lattice(run_example, folder):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    done = run_example(SCRIPT, "salt.cif")
    assert done.returncode == 0, done.stderr
    assert "scale chgnet-" in done.stdout
    a, b, c = map(float, re.search(r"(\S+) (\S+) (\S+) A", done.stdout).groups())
    assert a == b == c
    assert a == pytest.approx(5.64, abs=0.1)  # measured at room temperature


def test_a_file_that_is_not_there_is_named(run_example):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    done = run_example(SCRIPT, "none.cif")
    assert done.returncode != 0
    assert "none.cif" in done.stderr
    assert "Traceback" not in done.stderr
