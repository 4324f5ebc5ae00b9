"""From crystals to verdicts: known ones, impossible ones, and poison."""

from __future__ import annotations

import logging
import os

import numpy as np
import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.relax.phonon import stability
from wyckflow.relax.phonon.options import PhononOptions
from wyckflow.relax.phonon.soft_modes import modulate_crystal
from wyckflow.relax.phonon.stability import Crystal, compute_phonons
from wyckflow.schemas.phonon import LatticeStability

SMALL = PhononOptions(min_length=5.0)


def judge(potential, *crystals, options=SMALL):
    return [one.document for one in compute_phonons(crystals, potential, options)]


def test_rocksalt_and_copper_hold(judged):
    for name in ("NaCl", "Cu"):
        found = judged[name].document
        assert found.verdict is LatticeStability.STABLE
        assert found.min_frequency_thz > 0.5
        assert found.max_acoustic_at_gamma_thz < 1e-3
        assert found.min_interpolated_thz > -0.1
    assert judged["Cu"].document.gamma_frequencies_thz == []
    assert len(judged["NaCl"].document.gamma_frequencies_thz) == 3


def test_every_mode_is_counted_once(judged):
    for one in judged.values():
        n_modes = 3 * one.document.nsites_primitive
        dos = one.spectrum
        assert np.trapezoid(dos.dos, dos.dos_frequencies) == pytest.approx(
            n_modes, rel=0.03
        )
        assert dos.bands.shape == (len(dos.distances), n_modes)


def test_cubic_strontium_titanate_turns_its_octahedra(judged):
    """The mode at R: oxygen moves across its bonds to titanium, nothing else does."""
    found = judged["SrTiO3"]
    assert found.document.verdict is LatticeStability.UNSTABLE
    assert "(1/2, 1/2, 1/2), below -1 THz" in found.document.reason
    modes = [m for m in found.soft_modes if m.q == pytest.approx([0.5] * 3)]
    assert len(modes) == 3
    for mode in modes:
        assert round(np.linalg.det(mode.supercell_matrix)) == 2
        for number, place, move in zip(
            mode.cell.numbers, mode.cell.coordinates, mode.eigenvector, strict=True
        ):
            if number != 8:
                assert abs(move) == pytest.approx(0, abs=1e-3)
                continue
            titanium = mode.cell.coordinates[list(mode.cell.numbers).index(22)]
            apart = place - titanium
            bond = apart - np.rint(apart)
            along = abs(move @ bond) / np.linalg.norm(bond)
            assert along == pytest.approx(0, abs=1e-3)


def test_by_default_only_the_clearly_soft_perovskite_is_rejected(minima, potential):
    """BaTiO3 wants to be polar, at the centre; SrTiO3 is soft, but not as much."""
    names = ("BaTiO3", "SrTiO3")
    crystals = [Crystal.of(name, minima[name]) for name in names]
    barium, strontium = compute_phonons(crystals, potential, SMALL)
    assert barium.document.verdict is LatticeStability.UNSTABLE
    assert strontium.document.verdict is LatticeStability.BORDERLINE
    assert "CHGNet's phonons are too soft" in strontium.document.reason
    mode = barium.soft_modes[0]
    assert mode.q == pytest.approx([0, 0, 0])
    moves = np.real(mode.eigenvector)
    along = np.argmax(abs(moves).max(axis=0))
    titanium = moves[list(mode.cell.numbers).index(22), along]
    oxygen = moves[mode.cell.numbers == 8, along].sum()
    assert titanium * oxygen < 0  # against each other


def test_following_a_soft_mode_lowers_the_energy(judged, potential):
    from ase import Atoms

    mode = judged["SrTiO3"].soft_modes[0]
    energies = []
    for amplitude in (0.0, 0.08):
        lattice, coordinates, numbers = modulate_crystal(mode, amplitude)
        atoms = Atoms(
            numbers=numbers, cell=lattice, scaled_positions=coordinates, pbc=True
        )
        atoms.calc = potential.calculator()
        energies.append(atoms.get_potential_energy())
    assert energies[1] < energies[0]


def test_what_cannot_be_judged_says_why(minima, make_cubic, potential):
    squeezed = make_cubic("225 Na:a Cl:b", 5.3)
    polonium = make_cubic("221 Po:a", 3.3)
    gone = Crystal("gone", "MgO", WyckoffGene.from_text("225 Mg:a O:b"), None, "stuck")
    found = judge(
        potential,
        Crystal.of("squeezed", squeezed),
        Crystal.of("polonium", polonium),
        gone,
        Crystal.of("overlap", make_cubic("225 Na:a Cl:b", 2.0)),
        Crystal.of("fine", minima["NaCl"]),
    )
    reasons = {one.name: one.reason for one in found}
    assert "not at its minimum" in reasons["squeezed"]
    assert "stress" in reasons["squeezed"]
    assert "Po" in reasons["polonium"]
    assert reasons["gone"] == "stuck"
    assert "volume per atom" in reasons["overlap"]
    verdicts = [one.verdict for one in found]
    assert verdicts[:4] == [LatticeStability.CANNOT_JUDGE] * 4
    assert verdicts[4] is LatticeStability.STABLE


def test_a_force_is_told_with_its_limit(rutile, potential):
    (found,) = judge(potential, Crystal.of("rutile", rutile))
    assert found.verdict is LatticeStability.CANNOT_JUDGE
    assert "eV/A (at most 0.02)" in found.reason


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (PhononOptions(max_atoms=10), "no supercell of 10 atoms"),
        (PhononOptions(max_atoms_in_all=100), "more than 100 atoms in all"),
    ],
    ids=["supercell", "all"],
)
def test_a_crystal_above_the_limits_cannot_be_judged(options, words, minima, potential):
    (found,) = judge(potential, Crystal.of("NaCl", minima["NaCl"]), options=options)
    assert found.verdict is LatticeStability.CANNOT_JUDGE
    assert words in found.reason


@pytest.mark.parametrize("step", ["find_primitive_cell", "analyse_crystal"])
def test_poison_does_not_take_the_batch_down(
    step, minima, potential, monkeypatch, caplog
):
    working = getattr(stability, step)

    def fail_for_silicon(what, *others):
        crystal = getattr(getattr(what, "crystal", None), "structure", what)
        if crystal.gene.formula == "Si":
            raise ZeroDivisionError("poison")
        return working(what, *others)

    monkeypatch.setattr(stability, step, fail_for_silicon)
    crystals = [Crystal.of(name, minima[name]) for name in ("NaCl", "Si", "Cu")]
    with caplog.at_level(logging.CRITICAL):
        found = judge(potential, *crystals)
    assert [one.verdict for one in found] == ["stable", "cannot_judge", "stable"]
    assert found[1].reason == "ZeroDivisionError: poison"


def test_poison_among_the_forces_is_found_alone(minima, potential, monkeypatch):
    working = stability.compute_forces

    def fail_for_silicon(tasks, network):
        if any(14 in task.numbers for task in tasks):
            raise MemoryError("poison")
        return working(tasks, network)

    monkeypatch.setattr(stability, "compute_forces", fail_for_silicon)
    monkeypatch.setattr(stability, "_ATOMS_AT_ONCE_CPU", 10**6)
    crystals = [Crystal.of(name, minima[name]) for name in ("NaCl", "Si", "Cu")]
    found = judge(potential, *crystals)
    assert [one.verdict for one in found] == ["stable", "cannot_judge", "stable"]


def test_a_broken_machine_is_no_verdict(minima, potential, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no device")

    monkeypatch.setattr(stability, "evaluate_structures", fail)
    with pytest.raises(RuntimeError, match="no device"):
        judge(potential, Crystal.of("NaCl", minima["NaCl"]))


def test_progress_is_told_to_the_end(minima, potential):
    told = []
    crystals = [Crystal.of(name, minima[name]) for name in ("Cu", "NaCl")]
    list(compute_phonons(crystals, potential, SMALL, told.append))
    assert told[-1] == 2


def test_phonopy_gets_no_more_threads_than_torch(potential, monkeypatch):
    monkeypatch.setenv("RAYON_NUM_THREADS", "7")
    list(compute_phonons([], potential))
    assert os.environ["RAYON_NUM_THREADS"] == "7"  # the user's own choice holds
    monkeypatch.delenv("RAYON_NUM_THREADS")
    list(compute_phonons([], potential))
    assert os.environ["RAYON_NUM_THREADS"] == "1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"displacement": 0},
        {"min_length": float("nan")},
        {"reject_thz": 0.01},
        {"dtype": "float16"},
    ],
    ids=lambda item: next(iter(item)),
)
def test_options_without_a_meaning_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PhononOptions(**wrong)
