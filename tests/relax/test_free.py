"""Crystals that are let go: what is stable stays, what is not leaves, ASE agrees."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="install wyckflow[ml]")
pytest.importorskip("chgnet", reason="install wyckflow[ml]")

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.relax.backends import QuotientBackend
from wyckflow.relax.contract import Relaxed, RelaxOptions
from wyckflow.relax.free import (
    FreeOptions,
    Verdict,
    check_symmetry,
    drop_symmetry,
    kick_structure,
    measure_displacement,
)
from wyckflow.schemas.relaxation import Outcome, RelaxedState

CRYSTALS = {
    "rocksalt": ("225 Na:a Cl:b", 5.7),
    "diamond": ("227 Si:a", 5.45),
    "perovskite": ("221 Ba:a Ti:b O:c", 4.04),  # ferroelectric below 390 K
    "zirconia": ("225 Zr:a O:c", 5.1),  # tetragonal below 2600 K
}


def make(text, edge):
    gene = WyckoffGene.from_text(text)
    return ReducedStructure(gene, np.eye(3) * edge, np.zeros((gene.n_orbits, 3)))


@pytest.fixture(scope="module")
def backend(potential):
    return QuotientBackend(potential)


@pytest.fixture(scope="module")
def minima(backend):
    starts = [make(*crystal) for crystal in CRYSTALS.values()]
    ends = backend.relax(starts, RelaxOptions(fmax=0.002))
    return dict(zip(CRYSTALS, ends, strict=True))


@pytest.fixture(scope="module")
def checks(backend, minima):
    return dict(
        zip(minima, check_symmetry(list(minima.values()), backend), strict=True)
    )


def relax_with_ase(structure, potential):
    """Relax without symmetry, by other code; return the energy in eV/atom."""
    import warnings

    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    atoms = structure.to_structure().to_ase_atoms(msonable=False)
    atoms.calc = potential.calculator()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the calculator
        BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=0.005, steps=150)
        return atoms.get_potential_energy() / len(atoms)


@pytest.mark.parametrize("name", ["rocksalt", "diamond"])
def test_stable_crystals_fall_back_into_their_symmetry(checks, minima, name):
    check = checks[name]
    assert check.verdict is Verdict.KEPT, check.reason
    assert (
        check.space_group_numbers[-1] == minima[name].structure.gene.space_group_number
    )
    assert abs(check.energy_gain_mev) < 0.1
    assert check.largest_displacement < 0.05  # less than the kick of 0.1


@pytest.mark.parametrize("name", ["perovskite", "zirconia"])
def test_unstable_crystals_leave_it(checks, minima, name):
    check = checks[name]
    assert check.verdict is Verdict.BROKEN, check.reason
    before = minima[name].structure.gene.space_group_number
    assert check.space_group_numbers[0] not in {None, before}
    assert check.energy_gain_mev > 5
    assert check.largest_displacement > 0.1


@pytest.mark.filterwarnings("ignore:Converting a tensor:UserWarning")
def test_the_free_minimum_is_one_of_chgnet(checks, predict):
    for check in checks.values():
        found = predict(check.structure.to_structure())
        assert np.linalg.norm(found["f"], axis=1).max() < 0.005


def test_ase_finds_that_the_perovskite_breaks_and_rocksalt_does_not(
    minima, checks, potential
):
    for name in ("perovskite", "rocksalt"):
        cell = drop_symmetry(minima[name].structure)
        kicked = kick_structure(cell, FreeOptions(seed=5))
        before = minima[name].state.energy_per_atom
        gain = (before - relax_with_ase(kicked, potential)) * 1e3
        ours = checks[name]
        assert (gain > 1) == (ours.verdict is Verdict.BROKEN)
        # From other kicks it may end in another of the broken variants.
        assert gain == pytest.approx(ours.energy_gain_mev, rel=0.3, abs=0.1)


def test_the_cell_without_symmetry_is_the_same_crystal(minima, predict):
    for minimum in minima.values():
        for supercell in (1, 2):
            cell = drop_symmetry(minimum.structure, supercell)
            assert cell.gene.space_group_number == 1
            assert cell.n_atoms == minimum.structure.n_atoms * supercell**3
            assert cell.gene.formula == minimum.structure.gene.formula
            assert cell.volume == pytest.approx(minimum.structure.volume * supercell**3)
        cell = drop_symmetry(minimum.structure, 1).to_structure()
        energy = float(predict(cell, task="e")["e"])
        assert energy == pytest.approx(minimum.state.energy_per_atom, abs=1e-5)


def test_spglib_finds_the_symmetry_of_a_supercell_again(minima):
    import spglib

    structure = minima["perovskite"].structure
    cell = drop_symmetry(structure, 2)
    found = spglib.get_symmetry_dataset((cell.lattice, *cell.expand()), symprec=1e-5)
    assert found.number == 221
    assert len(found.rotations) == 48 * 8


def test_kicks_have_the_size_that_is_said_and_come_again(minima):
    cell = drop_symmetry(minima["rocksalt"].structure, 2)
    options = FreeOptions(kick=0.2, strain=0.02)
    kicked = kick_structure(cell, options)
    moved = kicked.parameters - cell.parameters
    moved = (moved - np.rint(moved)) @ cell.lattice
    assert np.abs(moved.mean(axis=0)).max() < 1e-12
    assert np.sqrt((moved**2).sum(axis=1).mean()) == pytest.approx(0.2)
    lengths = np.linalg.norm(kicked.lattice, axis=1) / np.linalg.norm(
        cell.lattice, axis=1
    )
    assert 0 < np.abs(lengths - 1).max() < 4 * 0.02
    assert kicked == kick_structure(cell, options)
    assert kicked != kick_structure(cell, FreeOptions(kick=0.2, strain=0.02, seed=1))


def test_a_shift_of_the_whole_is_no_displacement(minima):
    cell = drop_symmetry(minima["diamond"].structure)
    shifted = ReducedStructure(cell.gene, cell.lattice, cell.parameters + 0.01)
    assert measure_displacement(cell, shifted) < 1e-9
    one = cell.parameters.copy()
    one[0] += [0.01, 0, 0]
    moved = ReducedStructure(cell.gene, cell.lattice, one)
    expected = 0.01 * cell.lattice[0, 0] * 7 / 8  # of eight atoms one moved
    assert measure_displacement(cell, moved) == pytest.approx(expected)


def test_what_is_no_minimum_or_too_large_cannot_be_judged(minima, backend):
    failed = Relaxed(RelaxedState(outcome=Outcome.GUARDED, reason="flat"))
    good = minima["rocksalt"]
    unfinished = good.state.model_copy(update={"outcome": Outcome.STEP_LIMIT})
    ends = [failed, Relaxed(unfinished, good.structure), good]
    checks = check_symmetry(ends, backend, FreeOptions(max_atoms=7))
    assert {check.verdict for check in checks} == {Verdict.CANNOT_JUDGE}
    assert "guarded" in checks[0].reason
    assert "step_limit" in checks[1].reason
    assert checks[2].reason.startswith("8 atoms without symmetry")


def test_a_free_relaxation_without_an_end_cannot_be_judged(minima, backend):
    options = FreeOptions(relax=RelaxOptions(max_steps=1))
    (check,) = check_symmetry([minima["rocksalt"]], backend, options)
    assert check.verdict is Verdict.CANNOT_JUDGE


@pytest.mark.parametrize(
    "wrong",
    [{"kick": 0}, {"strain": -1}, {"supercell": 0}, {"symprecs": (0.1, 0.01)},
     {"symprecs": ()}, {"min_gain": float("nan")}, {"seed": -1}],
)  # fmt: skip
def test_options_without_a_meaning_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FreeOptions(**wrong)
