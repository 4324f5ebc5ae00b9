"""``wyckflow hull build``, called as a person calls it."""

from __future__ import annotations

import pytest

from wyckflow.makers import _journal, _phases
from wyckflow.thermo.hull import Hull
from wyckflow.thermo.reference import ReferenceSet

pytest.importorskip("chgnet", reason="install wyckflow[ml]")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with crystals of the system Cs-Cl, and one that is disordered."""
    from pymatgen.core import Lattice, Structure

    monkeypatch.chdir(tmp_path)
    points = [[0, 0, 0], [0.5, 0.5, 0.5]]
    (tmp_path / "cifs").mkdir()
    for name, pair in [
        ("salt", ("Cs", "Cl")),
        ("other", ("Rb", "Cl")),
        ("mixed", ({"Cs": 0.5, "K": 0.5}, "Cl")),
    ]:
        crystal = Structure(Lattice.cubic(4.2), pair, points)
        crystal.to(filename=str(tmp_path / "cifs" / f"{name}.cif"))
    return tmp_path


@pytest.fixture
def few_elements(monkeypatch):
    """Relaxing all 455 starts takes longer than a test should."""
    import wyckflow.cli.hull_build as command

    few = ["Cs", "Rb", "Cl"]
    monkeypatch.setattr(
        command, "element_entries", lambda: _phases.element_entries(few)
    )


ARGUMENTS = ("cifs", "-o", "ref.npz", "--device", "cpu", "--max-steps", "60")


@pytest.mark.filterwarnings("ignore::UserWarning:pymatgen.io.cif")
def test_structures_become_a_reference_that_judges(wyckflow, folder, few_elements):
    done = wyckflow("hull", "build", *ARGUMENTS, "--name", "salts")
    assert done.code == 0, done.err
    reference = ReferenceSet.load(folder / "ref.npz")
    assert (reference.name, str(reference.scale)) == ("salts", "chgnet-0.3.0")
    assert set(reference.ids) >= {"salt", "other"}
    assert "mixed" not in set(reference.ids)
    assert "mixed: refused" in done.out
    assert reference.version in done.out
    assert "sha256" in reference.provenance["potential"]
    assert not list(folder.glob("*.partial"))
    # Caesium chloride is stable against its elements and 1.9 eV/atom below them in
    # experiment; a fictitious Cs2Cl at the energy of its elements is not.
    hull = Hull(reference)
    salt = float(reference.energies[list(reference.ids).index("salt")])
    answer = hull.energies_above_hull(
        [{"Cs": 1, "Cl": 1}], [salt], scale="chgnet-0.3.0"
    )
    assert answer.formation_energies[0] == pytest.approx(-2.3, abs=0.4)
    assert answer.energies_above_hull[0] == pytest.approx(0, abs=1e-9)


@pytest.mark.filterwarnings("ignore::UserWarning:pymatgen.io.cif")
def test_a_run_that_was_stopped_goes_on(wyckflow, folder, few_elements, monkeypatch):
    monkeypatch.setattr(_phases, "_CHUNK", 4)
    real, n_calls = _journal.compute_phases, []

    def stop_early(*arguments):
        for number, chunk in enumerate(real(*arguments)):
            if not n_calls and number == 2:
                n_calls.append(number)
                raise KeyboardInterrupt
            yield chunk

    monkeypatch.setattr(_journal, "compute_phases", stop_early)
    done = wyckflow("hull", "build", *ARGUMENTS)
    assert done.code == 130
    assert "the same command goes on" in done.out
    assert not (folder / "ref.npz").exists()
    refused = wyckflow("hull", "build", *ARGUMENTS, "--fmax", "0.05")
    assert refused.code == 1
    assert "another run" in refused.err
    done = wyckflow("hull", "build", *ARGUMENTS)
    assert done.code == 0, done.err
    assert "8 of " in done.out
    resumed = ReferenceSet.load(folder / "ref.npz")
    done = wyckflow("hull", "build", *ARGUMENTS, "--overwrite")
    assert done.code == 0, done.err
    assert set(ReferenceSet.load(folder / "ref.npz").ids) == set(resumed.ids)


def test_an_existing_set_is_not_replaced_by_accident(wyckflow, folder):
    (folder / "ref.npz").write_bytes(b"precious")
    done = wyckflow("hull", "build", *ARGUMENTS)
    assert done.code == 1
    assert "--overwrite" in done.err
    assert (folder / "ref.npz").read_bytes() == b"precious"


def test_the_help_teaches_with_an_example(wyckflow):
    done = wyckflow("hull", "build", "--help")
    assert done.code == 0
    assert "Example: wyckflow hull build" in done.out
    assert "lower bound" in done.out
