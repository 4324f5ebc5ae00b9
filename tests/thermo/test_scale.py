"""Tags of energy scales: their form, and that two of them never meet."""

from __future__ import annotations

import itertools

import pytest

from wyckflow.errors import ReferenceDataError, ScaleMismatchError
from wyckflow.thermo.entry import ReferenceEntry
from wyckflow.thermo.hull import Hull
from wyckflow.thermo.reference import ReferenceSet
from wyckflow.thermo.scale import (
    KNOWN_SCALES,
    EnergyScale,
    refuse_correction,
    require_same_scale,
)
from wyckflow.thermo.stability import Relaxed, judge_stability


def test_a_tag_is_a_text_that_was_checked():
    scale = EnergyScale("chgnet-0.3.0")
    assert scale == "chgnet-0.3.0"
    assert scale.is_known
    assert "corrected" in scale.meaning
    assert not EnergyScale("mace-mp-0b3").is_known


@pytest.mark.parametrize(
    "tag", ["", "CHGNet", "chgnet 0.3.0", "-x", "chgnet/3", None, 3]
)
def test_what_is_no_tag_is_refused(tag):
    with pytest.raises(ReferenceDataError, match="no tag of an energy scale"):
        EnergyScale(tag)


def test_the_nearest_tag_is_named():
    with pytest.raises(ReferenceDataError, match=r"Did you mean 'chgnet-0\.3\.0'"):
        EnergyScale("CHGNET-0.3.0")


@pytest.mark.parametrize(
    ("one", "other"), [*itertools.permutations([*KNOWN_SCALES, "mace-mp-0b3"], 2)]
)
def test_no_two_scales_can_be_compared(one, other):
    with pytest.raises(ScaleMismatchError) as caught:
        require_same_scale(one, other, "a test")
    assert repr(one) in str(caught.value)
    assert repr(other) in str(caught.value)
    assert require_same_scale(one, one, "a test") == one


def test_a_slip_of_the_pen_is_pointed_out():
    with pytest.raises(ScaleMismatchError, match=r"mean 'mp2020-gga-u'"):
        require_same_scale("mp2020-ggau", "mp2020-gga-u", "a test")


@pytest.mark.parametrize("scale", KNOWN_SCALES)
def test_no_energy_takes_a_correction(scale):
    """CHGNet 0.3.0 learned corrected energies; once more would be once too often."""
    entry = ReferenceEntry({"Fe": 2, "O": 3}, -6.7, "x", correction=-2.061)
    with pytest.raises(ReferenceDataError, match=r"correction of -2\.061 eV"):
        ReferenceSet.from_entries("x", [entry], scale=scale, kind="total")


def test_a_corrected_scale_says_that_it_would_be_twice():
    for scale in ("chgnet-0.3.0", "chgnet-0.2.0", "mp2020-gga-u"):
        assert EnergyScale(scale).is_corrected
        with pytest.raises(ReferenceDataError, match="twice"):
            refuse_correction(scale, -0.7)
    for scale in ("pbe-fine", "chgnet-r2scan"):
        assert not EnergyScale(scale).is_corrected
        with pytest.raises(ReferenceDataError, match="another scale"):
            refuse_correction(scale, -0.7)


SCALES = ["chgnet-0.3.0", "chgnet-0.3.0-ase", "mp2020-gga-u", "pbe-fine", "mace-mp-0b3"]


@pytest.mark.parametrize(("one", "other"), [*itertools.permutations(SCALES, 2)])
def test_no_way_leads_from_one_scale_to_another(one, other):
    """Every function that brings energies together, with every pair."""

    def make(scale):
        entries = [ReferenceEntry({"Na": 1}, -1.3, "na")]
        return ReferenceSet.from_entries("toy", entries, scale=scale, kind="total")

    hull = Hull(make(one))
    sodium = [Relaxed("229 Na:a", -1.3, "converged", is_converged=True)]
    rule = type("Rule", (), {"scale": other, "identity": "rule"})()
    for mixed in (
        lambda: hull.energies_above_hull([{"Na": 1}], [-1.3], scale=other),
        lambda: hull.formation_energies([{"Na": 1}], [-1.3], scale=other),
        lambda: hull.with_layer(make(other)),
        lambda: make(one).merge(make(other)),
        lambda: judge_stability(hull, sodium, scale=other),
        lambda: judge_stability(hull, sodium, scale=one, calibration=rule),
    ):
        with pytest.raises(ScaleMismatchError) as caught:
            mixed()
        assert repr(one) in str(caught.value)
        assert repr(other) in str(caught.value)
