"""Everything wrong is listed at once."""

from __future__ import annotations

import sys

import pytest

from wyckflow.errors import ConfigurationError
from wyckflow.makers.vasp_preflight import VaspPreflightMaker, published_input_sets
from wyckflow.vasp.preflight import (
    check_command,
    check_folder,
    check_hidden_settings,
    check_machine,
    count_plane_waves,
    is_simulator,
)

SIMULATOR = f"{sys.executable} -m wyckflow.vasp.simulator"


@pytest.fixture
def no_potcars(monkeypatch):
    from pymatgen.io.vasp import inputs

    monkeypatch.delitem(inputs.SETTINGS, "PMG_VASP_PSP_DIR", raising=False)


def test_a_ready_machine_has_no_problem(potcars, wustite, tmp_path):
    document = VaspPreflightMaker(min_free_gb=0).inspect(
        wustite, command=SIMULATOR, folder=tmp_path
    )
    assert (document.problems, document.is_ready) == ([], True)
    assert document.potcars == ["Fe_pv", "O"]
    assert document.space_group_number == 225
    assert len(document.structure) == 2


def test_stand_ins_are_not_taken_for_vasp(potcars, wustite):
    document = VaspPreflightMaker().inspect(wustite, command=None)
    assert document.is_simulated
    assert "stand-ins" in document.warnings[0]
    assert is_simulator(SIMULATOR)
    assert not is_simulator("srun vasp_std")


def test_all_problems_come_together(no_potcars, wustite, tmp_path, monkeypatch):
    from atomate2 import SETTINGS

    monkeypatch.setattr(SETTINGS, "VASP_INCAR_UPDATES", {"NCORE": 4})
    found = check_machine(
        [wustite],
        published_input_sets(),
        command="no-launcher -n 4 no_vasp_here",
        folder=tmp_path / "absent",
    )
    assert len(found.problems) == 5
    text = "\n".join(found.problems)
    for part in ("'no-launcher'", "'no_vasp_here'", "NCORE", "absent", "PMG_VASP_PSP"):
        assert part in text


def test_a_missing_potcar_is_named_once(potcars, wustite):
    (potcars / "POT_GGA_PAW_PBE" / "POTCAR.Fe_pv").unlink()
    found = check_machine([wustite, wustite], published_input_sets(), command=None)
    (problem,) = found.problems
    assert "'Fe_pv'" in problem


def test_the_job_fails_with_the_whole_list(no_potcars, wustite, monkeypatch):
    monkeypatch.setenv("WYCKFLOW_VASP_COMMAND", "no_vasp_here")
    with pytest.raises(ConfigurationError, match=r"\(1\).*no_vasp_here.*\(2\)"):
        VaspPreflightMaker().make.original(VaspPreflightMaker(), wustite)


@pytest.mark.parametrize(
    "command", ["", "srun 'vasp_std", "/nowhere/vasp_std", "env /nowhere/vasp_gam"]
)
def test_a_command_that_cannot_run_is_found(command):
    assert len(check_command(command)) == 1


@pytest.mark.parametrize("command", [SIMULATOR, "env", f"env {sys.executable}"])
def test_a_command_that_can_run_is_left_alone(command):
    assert check_command(command) == []


def test_a_folder_without_room_is_found(tmp_path):
    (problem,) = check_folder(tmp_path, min_free_gb=1e9)
    assert "GB are free" in problem


def test_no_hidden_setting_is_no_problem():
    assert check_hidden_settings() == []


def test_sizes_are_those_of_the_inputs(potcars, gallium_arsenide):
    document = VaspPreflightMaker().inspect(gallium_arsenide, command=None)
    costs = {item.step: item for item in document.costs}
    assert list(costs) == list(published_input_sets())
    assert costs["vasp static"].mesh == [20, 20, 20]
    # Monkhorst and Pack's count for a centred cubic mesh with full symmetry.
    assert costs["vasp static"].n_kpoints == 256
    assert costs["vasp bands"].mesh is None
    assert costs["vasp bands"].n_kpoints % 40 == 0
    assert all(item.wave_function_gb > 0 for item in document.costs)


def test_plane_waves_are_those_in_the_sphere(gallium_arsenide):
    """Counted one by one."""
    import numpy as np

    cutoff = 300.0
    cell = gallium_arsenide.lattice
    reach = range(-14, 15)
    grid = np.array(np.meshgrid(reach, reach, reach)).reshape(3, -1).T
    vectors = cell.reciprocal_lattice.get_cartesian_coords(grid)
    energies = 3.80998 * (vectors**2).sum(axis=1)  # hbar^2 / 2m in eV A^2
    counted = int((energies < cutoff).sum())
    assert count_plane_waves(gallium_arsenide, cutoff) == pytest.approx(
        counted, rel=0.03
    )
