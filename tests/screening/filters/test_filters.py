"""Each filter against plain Python on the same genes, and at its limits."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Element

from wyckflow.crystal.elements import SYMBOLS
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.tables import load_space_group
from wyckflow.screening.element_sets import ELEMENT_SETS
from wyckflow.screening.evidence import NO_EVIDENCE, Evidence
from wyckflow.screening.filters import (
    ChargeNeutrality,
    DegreesOfFreedom,
    ElectronegativityOrder,
    ExcludeElements,
    ExclusiveElements,
    MaximumScore,
    MaxSites,
    MinimumScore,
    Novelty,
    NumberOfElements,
    OnlyElements,
    TargetWindow,
)
from wyckflow.screening.neutrality import judge_charge_neutrality
from wyckflow.screening.table import GeneTable

PASS, FAIL, CANNOT_JUDGE = 0, 1, 2


def draw_genes(n_genes, seed=0):
    """Random genes of all space groups and many elements."""
    rng = np.random.default_rng(seed)
    genes = []
    while len(genes) < n_genes:
        group = load_space_group(int(rng.integers(1, 231)))
        letters = rng.permutation(list(group.letters))[:4]
        elements = rng.choice(SYMBOLS[:90], 3).tolist()
        pairs = [(elements[i % 3], str(x)) for i, x in enumerate(letters)]
        genes.append(WyckoffGene.from_pairs(group.number, pairs))
    return genes


GENES = draw_genes(200)
TABLE = GeneTable.from_genes(GENES)


def judge(item, genes, evidence=NO_EVIDENCE):
    return item.judge(GeneTable.from_genes(genes), evidence)


def gene(text):
    return WyckoffGene.from_text(text)


# --- tables of genes ----------------------------------------------------------------


def test_tables_say_what_genes_say():
    assert TABLE.genes() == GENES
    assert TABLE.n_sites.tolist() == [item.n_sites for item in GENES]
    assert TABLE.degrees_of_freedom.tolist() == [g.degrees_of_freedom for g in GENES]
    assert [f"{key:016x}" for key in TABLE.keys.tolist()] == [g.gene_id for g in GENES]
    assert TABLE.is_possible.all()
    for row, item in enumerate(GENES):
        held = np.flatnonzero(TABLE.has_element[row]) - 1
        assert {SYMBOLS[z] for z in held.tolist()} == set(item.elements)
        unit = TABLE.compositions.row(row)
        ratios = {item.composition[s] / n for s, n in unit.items()}
        assert len(ratios) == 1
        assert np.gcd.reduce(list(unit.values())) == 1


def test_parts_of_a_table_keep_their_rows():
    part = TABLE.take(np.array([5, 3])).take(np.array([1]))
    assert part.rows.tolist() == [3]
    assert part.genes() == [GENES[3]]


@pytest.mark.parametrize(
    ("codes", "is_possible"),
    [
        ([(11 << 5) + 0, (17 << 5) + 1], True),
        ([(11 << 5) + 0, (17 << 5) + 0], False),  # two atoms on the fixed point 4a
        ([(11 << 5) + 8, (11 << 5) + 8], True),  # 96j has free coordinates
        ([(11 << 5) + 25, 0], False),  # the group has no letter z
        ([0, 0], False),
    ],
    ids=["rock salt", "crowded", "free", "no letter", "empty"],
)
def test_genes_of_arrays_may_be_impossible(codes, is_possible):
    table = GeneTable.from_arrays(np.array([225]), np.array([codes], np.int16))
    assert table.is_possible.tolist() == [is_possible]


def test_genes_may_come_from_a_generator():
    table = GeneTable.from_genes(item for item in GENES)
    assert table.genes() == GENES
    assert len(GeneTable.from_genes([])) == 0


# --- shape --------------------------------------------------------------------------


def test_max_sites_counts_the_conventional_cell_and_includes_the_limit():
    rocksalt = [gene("225 Na:a Cl:b")]
    at_limit = judge(MaxSites(max_sites=8), rocksalt)
    above = judge(MaxSites(max_sites=7), rocksalt)
    assert at_limit.verdicts.tolist() == [PASS]
    assert above.verdicts.tolist() == [FAIL]
    assert (above.values[0], above.thresholds[0]) == (8, 7)


def test_ranges_include_both_ends_and_name_the_side():
    genes = [gene("225 Cu:a"), gene("225 Na:a Cl:b"), gene("221 Sr:a Ti:b O:c")]
    found = judge(NumberOfElements(min=2, max=2), genes)
    assert found.verdicts.tolist() == [FAIL, PASS, FAIL]
    assert [found.texts[i] for i in found.reasons] == [
        "too few elements",
        "",
        "too many elements",
    ]
    assert found.values.tolist() == [1, 2, 3]


def test_degrees_of_freedom_are_those_of_the_gene():
    found = DegreesOfFreedom(max=8).judge(TABLE, NO_EVIDENCE)
    expected = [FAIL if g.degrees_of_freedom > 8 else PASS for g in GENES]
    assert found.verdicts.tolist() == expected
    assert {PASS, FAIL} == set(expected)


# --- chemistry ----------------------------------------------------------------------


def test_charge_neutrality_is_that_of_the_composition():
    found = ChargeNeutrality().judge(TABLE, NO_EVIDENCE)
    for row, item in enumerate(GENES):
        judgement = judge_charge_neutrality(item.composition)
        verdict = ("pass", "fail", "cannot_judge")[found.verdicts[row]]
        assert verdict == judgement.verdict
        if verdict != "pass":
            assert found.texts[found.reasons[row]] == judgement.reason
    assert len(set(found.verdicts.tolist())) == 3


def test_the_order_of_electronegativities_is_judged_by_itself():
    """Neutral both ways, neutral only the wrong way, never neutral, an alloy."""
    item = ElectronegativityOrder(oxidation_states="wiki")
    strict = ChargeNeutrality(oxidation_states="wiki")
    loose = ChargeNeutrality(
        oxidation_states="wiki", requires_electronegativity_order=False
    )
    found, by_order, anyhow = (
        judgement.judge(TABLE, NO_EVIDENCE).verdicts
        for judgement in (item, strict, loose)
    )
    assert np.array_equal(found == PASS, by_order == PASS)
    assert np.array_equal(found == FAIL, (by_order == FAIL) & (anyhow == PASS))
    assert {PASS, FAIL, CANNOT_JUDGE} == set(found.tolist())


def test_elements_are_excluded_by_symbol_and_by_set():
    item = ExcludeElements(elements=("O",), sets=("radioactive", "f_block"))
    found = item.judge(TABLE, NO_EVIDENCE)
    unwanted = {"O", *ELEMENT_SETS["radioactive"], *ELEMENT_SETS["f_block"]}
    counts = [len(unwanted & set(g.elements)) for g in GENES]
    assert found.values.tolist() == counts
    assert found.verdicts.tolist() == [FAIL if n else PASS for n in counts]
    named = judge(item, [gene("225 U:a O:c")])
    assert named.texts[named.reasons[0]].startswith("holds O")


def test_only_wanted_elements_pass():
    item = OnlyElements(elements=("Na", "Cl"))
    genes = [gene("225 Na:a Cl:b"), gene("225 K:a Cl:b"), gene("225 K:a F:b")]
    found = judge(item, genes)
    assert found.verdicts.tolist() == [PASS, FAIL, FAIL]
    assert found.values.tolist() == [0, 1, 2]


def test_elements_exclude_each_other():
    genes = [gene("129 Bi:c O:a Cl:c"), gene("225 Na:a Cl:b"), gene("225 Cu:a")]
    found = judge(ExclusiveElements(), genes)
    assert found.verdicts.tolist() == [FAIL, PASS, PASS]
    assert (found.values[0], found.thresholds[0]) == (2, 1)
    assert found.texts[found.reasons[0]] == "holds O and Cl"


def test_sets_of_elements_agree_with_pymatgen():
    known = [Element(symbol) for symbol in SYMBOLS]
    sets = {name: set(symbols) for name, symbols in ELEMENT_SETS.items()}
    f_block = {e.symbol for e in known if e.is_lanthanoid or e.is_actinoid}
    assert sets["f_block"] == f_block
    assert sets["noble_gases"] == {e.symbol for e in known if e.is_noble_gas} - {"Og"}
    assert sets["halogens"] == {e.symbol for e in known if e.is_halogen} - {"Ts"}
    assert sets["chalcogens"] == {e.symbol for e in known if e.is_chalcogen} - {"Lv"}
    # pymatgen leaves out elements of which long-lived isotopes exist on Earth.
    radioactive = {e.symbol for e in known if e.is_radioactive}
    assert radioactive <= sets["radioactive"]
    assert sets["radioactive"] - radioactive <= {"Th", "Pa", "U"}
    assert not sets["toxic"] & sets["earth_abundant"]
    assert not sets["precious"] & sets["earth_abundant"]


# --- evidence -----------------------------------------------------------------------

THREE = [gene("225 Na:a Cl:b"), gene("225 K:a Cl:b"), gene("225 K:a F:b")]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (MinimumScore(score="s", above=0.4), [FAIL, PASS, CANNOT_JUDGE]),
        (MaximumScore(score="s", below=0.4), [FAIL, FAIL, CANNOT_JUDGE]),
        (MaximumScore(score="s", below=0.5), [PASS, FAIL, CANNOT_JUDGE]),
    ],
    ids=["above", "below", "below more"],
)
def test_scores_are_compared_without_their_limit(item, expected):
    found = judge(item, THREE, Evidence({"s": np.array([0.4, 0.5, np.nan])}))
    assert found.verdicts.tolist() == expected


def test_missing_evidence_cannot_be_judged_and_says_what_to_do():
    for item in (
        MinimumScore(score="synthesizability", above=0.4),
        TargetWindow(prediction="band_gap", min=1),
        Novelty(),
    ):
        found = judge(item, THREE)
        assert found.verdicts.tolist() == [CANNOT_JUDGE] * 3
        (name,) = item.needs
        assert repr(name) in found.texts[1]
        assert ":" in found.texts[1]


def test_a_window_forgives_the_uncertainty_it_is_told():
    values = Evidence(
        {"band_gap": np.array([0.2, 0.5, 2.9])}, {"band_gap": np.array([0.4, 0.1, 0.4])}
    )
    strict = judge(TargetWindow(prediction="band_gap", min=0.5, max=2.0), THREE, values)
    assert strict.verdicts.tolist() == [FAIL, PASS, FAIL]
    assert strict.thresholds.tolist() == [0.5, 0.5, 2.0]
    item = TargetWindow(prediction="band_gap", min=0.5, max=2.0, max_sigma=1)
    found = judge(item, THREE, values)  # 0.3 below with 0.4 passes, 0.9 above does not
    assert found.verdicts.tolist() == [PASS, PASS, FAIL]
    assert "1 standard deviations outside" in item.rule


def test_a_window_with_uncertainty_needs_the_uncertainty():
    item = TargetWindow(prediction="g", min=0.5, max_sigma=2)
    found = judge(item, THREE, Evidence({"g": np.ones(3)}))
    assert found.verdicts.tolist() == [CANNOT_JUDGE] * 3
    partly = Evidence({"g": np.ones(3)}, {"g": np.array([0.1, np.nan, 0.1])})
    assert judge(item, THREE, partly).verdicts.tolist() == [PASS, CANNOT_JUDGE, PASS]
    assert "max_sigma" in found.texts[1]


@pytest.mark.parametrize(
    ("min_level", "expected"),
    [
        ("prototype", [FAIL, PASS, PASS, PASS, CANNOT_JUDGE]),
        ("ordering", [FAIL, FAIL, PASS, PASS, CANNOT_JUDGE]),
        ("new", [FAIL, FAIL, FAIL, PASS, CANNOT_JUDGE]),
    ],
)
def test_novelty_is_asked_by_level(min_level, expected):
    levels = Evidence({"novelty": np.array([0, 1, 2, 3, np.nan])})
    found = judge(Novelty(min_level=min_level), [*THREE, *THREE[:2]], levels)
    assert found.verdicts.tolist() == expected
    assert all(
        bool(found.texts[r]) == bool(v)
        for r, v in zip(found.reasons, found.verdicts, strict=True)
    )
