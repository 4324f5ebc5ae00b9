"""Verdicts of the hull: one rule, and every way in which there is none."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.errors import ScaleMismatchError
from wyckflow.schemas.screening import Verdict
from wyckflow.thermo.entry import ReferenceEntry
from wyckflow.thermo.hull import Hull
from wyckflow.thermo.hull.completeness import measure_completeness
from wyckflow.thermo.reference import ReferenceSet
from wyckflow.thermo.stability import (
    Relaxed,
    count_verdicts,
    find_calibration,
    judge_stability,
)

SCALE = "chgnet-0.3.0"
ROCKSALT, PEROVSKITE = "225 Na:a Cl:b", "221 Sr:a Ti:b O:c"


@pytest.fixture
def hull():
    entries = [
        ReferenceEntry({"Na": 1}, -1.0, "na"),
        ReferenceEntry({"Cl": 1}, -2.0, "cl"),
        ReferenceEntry({"Na": 1, "Cl": 1}, -3.5, "nacl"),
    ]
    return Hull(ReferenceSet.from_entries("toy", entries, scale=SCALE, kind="total"))


class Rule:
    """Half the candidates, whatever they are."""

    identity = "rule 1"
    scale = SCALE
    reference_version = "0" * 16

    def probabilities(self, energies_above_hull, completeness):
        assert not np.isnan(energies_above_hull).any()
        assert len(completeness) == len(energies_above_hull)
        return np.tile([0.25, 0.5, 0.75], (len(energies_above_hull), 1))


def judge(hull, *relaxed, **options):
    return judge_stability(hull, relaxed, scale=SCALE, **options)


def relaxed(gene=ROCKSALT, energy=-3.5, outcome="converged"):
    return Relaxed(gene, energy, outcome, outcome == "converged")


def test_the_threshold_decides(hull):
    verdicts = judge(
        hull, relaxed(energy=-3.61), relaxed(energy=-3.45), relaxed(energy=-3.3)
    )
    assert [item.verdict for item in verdicts] == ["pass", "pass", "fail"]
    distances = [item.energy_above_hull for item in verdicts]
    assert distances == pytest.approx([-0.11, 0.05, 0.2])
    assert [item.value for item in verdicts] == distances
    assert verdicts[2].reason == "200 meV/atom above the hull"
    assert verdicts[2].threshold == 0.1
    assert verdicts[0].formation_energy_per_atom == pytest.approx(-2.11)
    (product,) = verdicts[0].decomposition
    assert (product.formula_pretty, product.entry_id) == ("NaCl", "nacl")


def test_what_had_not_converged_passes_but_never_fails(hull):
    low, high = judge(
        hull,
        relaxed(energy=-3.45, outcome="step_limit"),
        relaxed(energy=-3.3, outcome="step_limit"),
    )
    assert low.verdict is Verdict.PASS
    assert high.verdict is Verdict.CANNOT_JUDGE
    assert "at most" in high.reason
    assert "step_limit" in high.reason
    assert high.energy_above_hull == pytest.approx(0.2)


def test_what_cannot_be_judged_says_why(hull):
    unknown, none = judge(
        hull, relaxed(PEROVSKITE, -8.0), relaxed(energy=None, outcome="build_failed")
    )
    assert unknown.verdict is none.verdict is Verdict.CANNOT_JUDGE
    assert unknown.reason == "the reference has no energy of O, Sr, Ti"
    assert unknown.completeness.missing_elements == ["O", "Sr", "Ti"]
    assert unknown.energy_above_hull is None
    assert unknown.decomposition == []
    assert "build_failed" in none.reason
    assert count_verdicts([unknown, none]) == {
        "n_pass": 0,
        "n_fail": 0,
        "n_cannot_judge": 2,
    }


def test_a_calibration_is_asked_only_for_what_can_be_judged(hull):
    verdicts = judge(
        hull,
        relaxed(PEROVSKITE, -8.0),
        relaxed(),
        relaxed(energy=None),
        calibration=Rule(),
    )
    rows = [
        (item.probability_within_0_mev, item.probability_within_100_mev)
        for item in verdicts
    ]
    assert rows == [(None, None), (0.25, 0.75), (None, None)]


def test_where_a_calibration_says_nothing_there_is_no_probability(hull):
    rule = Rule()
    rule.probabilities = lambda energies, _: np.full((len(energies), 3), np.nan)
    (verdict,) = judge(hull, relaxed(), calibration=rule)
    assert verdict.probability_within_0_mev is None
    assert verdict.energy_above_hull == pytest.approx(0)


def test_the_calibration_that_comes_along_is_for_one_scale():
    assert find_calibration("chgnet-0.3.0").scale == "chgnet-0.3.0"
    assert find_calibration("pbe-fine") is None


def test_a_calibration_of_another_scale_is_refused(hull):
    rule = Rule()
    rule.scale = "pbe-fine"
    with pytest.raises(ScaleMismatchError, match=r"pbe-fine.*chgnet"):
        judge(hull, relaxed(), calibration=rule)


def test_energies_of_another_scale_are_refused(hull):
    with pytest.raises(ScaleMismatchError):
        judge_stability(hull, [relaxed()], scale="chgnet-r2scan")


def test_completeness_counts_what_is_known(hull):
    known = measure_completeness(hull.reference, "O-Na-Cl")
    assert known.chemsys == "Cl-Na-O"
    assert known.missing_elements == ("O",)
    assert known.n_entries_by_size == [2, 1, 0]
    assert (known.n_subsystems, known.n_empty_subsystems) == (4, 3)
    assert dict(known.n_entries_by_subsystem) == {"Cl": 1, "Na": 1, "Cl-Na": 1}
    alone = measure_completeness(hull.reference, "Na")
    assert (alone.n_subsystems, alone.n_empty_subsystems) == (0, 0)
