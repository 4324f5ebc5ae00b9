"""Charge neutrality, held against SMACT itself and against chemistry by hand."""

from __future__ import annotations

import itertools
import random

import pytest

from wyckflow.schemas.screening import Verdict
from wyckflow.screening.neutrality import (
    NeutralityRule,
    OxidationStates,
    judge_charge_neutralities,
    judge_charge_neutrality,
)

# Metals, metalloids, anions, and elements that lack states or electronegativity.
ELEMENTS = (
    *("Li", "Na", "Ca", "Sr", "Ti", "Fe", "Cu", "Zn", "Al", "Ge", "Sb", "La", "Pm"),
    *("H", "C", "N", "O", "F", "S", "Cl", "Se", "I", "Te", "Kr", "Ar"),
)


def draw_compositions(n_compositions: int) -> list[dict[str, int]]:
    rng = random.Random(7)  # noqa: S311 - a fixed sample, no secret
    return [
        {
            symbol: rng.choice((1, 1, 2, 2, 3, 4, 6))
            for symbol in rng.sample(ELEMENTS, rng.choice((1, 2, 2, 3, 3, 4)))
        }
        for _ in range(n_compositions)
    ]


SMACT_NAMES = {
    OxidationStates.ICSD24_CONSENSUS: None,
    OxidationStates.ICSD24: "icsd24",
    OxidationStates.ICSD16: "icsd16",
    OxidationStates.SMACT14: "smact14",
    OxidationStates.PYMATGEN: "pymatgen_sp",
}


@pytest.mark.parametrize("states", list(OxidationStates))
@pytest.mark.parametrize(
    ("ordered", "alloys"), list(itertools.product((True, False), repeat=2))
)
def test_passes_exactly_what_smact_calls_valid(states, ordered, alloys):
    from pymatgen.core.composition import Composition
    from smact.screening import smact_validity

    rule = NeutralityRule(
        oxidation_states=states,
        requires_electronegativity_order=ordered,
        accepts_alloys=alloys,
    )
    compositions = draw_compositions(60)
    found = judge_charge_neutralities(compositions, rule)
    expected = [
        smact_validity(
            Composition(composition),
            use_pauling_test=ordered,
            include_alloys=alloys,
            oxidation_states_set=SMACT_NAMES[states],
        )
        for composition in compositions
    ]
    assert [item.verdict is Verdict.PASS for item in found] == expected
    assert 0 < sum(expected) < len(expected)


@pytest.mark.parametrize(
    ("composition", "verdict"),
    [
        ({"Na": 1, "Cl": 1}, Verdict.PASS),
        ({"Na": 1, "Cl": 2}, Verdict.FAIL),
        ({"Sr": 1, "Ti": 1, "O": 3}, Verdict.PASS),
        ({"Mg": 2, "F": 1}, Verdict.FAIL),
        ({"Si": 8}, Verdict.PASS),
        ({"Ti": 3, "Al": 1}, Verdict.PASS),
        ({"He": 1, "O": 1}, Verdict.CANNOT_JUDGE),
        ({"Pm": 1, "O": 1}, Verdict.CANNOT_JUDGE),
        ({"Rf": 1, "O": 2}, Verdict.CANNOT_JUDGE),
    ],
    ids=lambda value: "".join(map(str, value)) if isinstance(value, dict) else None,
)
def test_known_chemistry(composition, verdict):
    found = judge_charge_neutrality(composition)
    assert found.verdict is verdict
    assert bool(found.reason) is (verdict is not Verdict.PASS)


def test_magnetite_needs_mixed_valence():
    magnetite = {"Fe": 3, "O": 4}
    mixed = NeutralityRule(accepts_mixed_valence=True)
    assert judge_charge_neutrality(magnetite).verdict is Verdict.FAIL
    assert judge_charge_neutrality(magnetite, mixed).verdict is Verdict.PASS


def test_alloys_pass_only_where_the_rule_says_so():
    alloy = {"Cu": 3, "Zn": 1}
    strict = NeutralityRule(accepts_alloys=False)
    assert judge_charge_neutrality(alloy).verdict is Verdict.PASS
    assert judge_charge_neutrality(alloy, strict).verdict is Verdict.FAIL


def test_giving_up_is_no_judgement():
    mixed = NeutralityRule(accepts_mixed_valence=True)
    found = judge_charge_neutrality({"Fe": 29, "Mn": 31, "Na": 1}, mixed)
    assert found.verdict is Verdict.PASS  # an alloy, before any counting
    strict = NeutralityRule(accepts_mixed_valence=True, accepts_alloys=False)
    found = judge_charge_neutrality({"Fe": 29, "Mn": 31, "Na": 1}, strict)
    assert found.verdict is Verdict.CANNOT_JUDGE
    assert "combinations" in found.reason


def test_the_multiple_and_the_order_of_a_formula_do_not_matter():
    once = judge_charge_neutrality({"Fe": 2, "O": 3})
    assert judge_charge_neutrality({"O": 18, "Fe": 12}) == once


@pytest.mark.parametrize("composition", [{}, {"Na": 0}, {"Na": -1}, {"Na": 0.5}])
def test_what_is_no_composition_is_refused(composition):
    with pytest.raises(ValueError, match="whole number"):
        judge_charge_neutrality(composition)


def test_an_unknown_list_of_states_is_refused():
    with pytest.raises(ValueError, match="nonsense"):
        NeutralityRule(oxidation_states="nonsense")
