"""The validator of the Materials Project, on real runs where they are at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from wyckflow.vasp.validation import MpCompatibilityValidator, validate_folder


def real_run(name):
    folder = Path(os.environ.get("WYCKFLOW_DATA", "missing")).parent / "vasp_outputs"
    if not (folder / name).is_dir():
        pytest.skip("needs real outputs of VASP beside the data folder")
    return folder / name


@pytest.mark.parametrize("name", ["GaAs_r2scan_static", "Si_uniform"])
def test_a_real_run_gets_the_verdict_of_the_validator(name):
    from pymatgen.io.validation import VaspValidator

    folder = real_run(name)
    theirs = VaspValidator.from_directory(folder, check_potcar=False)
    verdict = validate_folder(folder, needs_potcar=False)
    assert verdict["reasons"] == theirs.reasons
    assert verdict["is_valid"] is (not theirs.reasons)
    assert "cannot be judged" not in str(verdict["reasons"])


def test_a_published_run_without_its_potcar_is_no_evidence():
    verdict = validate_folder(real_run("GaAs_r2scan_static"))
    assert verdict["is_valid"] is False
    assert "POTCAR" in verdict["reasons"][0]


def test_an_empty_folder_is_not_valid_and_does_not_fail_the_run(tmp_path):
    assert MpCompatibilityValidator().check(str(tmp_path)) is False
    verdict = json.loads((tmp_path / "mp_validation.json").read_text())
    assert verdict["is_valid"] is False
    assert "INCAR" in verdict["reasons"][0]


def test_a_torn_run_is_not_valid(tmp_path):
    for name in ("INCAR", "POSCAR", "POTCAR", "OUTCAR", "vasprun.xml"):
        (tmp_path / name).write_text("torn")
    verdict = validate_folder(tmp_path)
    assert verdict["is_valid"] is False
    assert "cannot be judged" in verdict["reasons"][0]


def test_a_simulated_run_is_never_valid(tmp_path):
    for name in ("INCAR", "POSCAR", "POTCAR", "OUTCAR"):
        (tmp_path / name).write_text("")
    (tmp_path / "vasprun.xml").write_text("<i name='version'>6.4.2-SIMULATED</i>")
    assert validate_folder(tmp_path)["reasons"] == ["a simulator wrote it"]
