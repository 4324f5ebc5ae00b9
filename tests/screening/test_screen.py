"""The row of filters: order, counts, who meets whom, and its forms as files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from monty.json import MontyDecoder

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import ScreenError
from wyckflow.schemas.screening import ScreeningDoc, Verdict, pack_verdicts
from wyckflow.screening.evidence import Evidence
from wyckflow.screening.filters import (
    FILTERS,
    ChargeNeutrality,
    GeneFilter,
    Judgements,
    MaxSites,
    MinimumScore,
    Uniqueness,
)
from wyckflow.screening.presets import (
    PRESETS,
    load_costs,
    load_preset,
    load_screen,
    parse_screen,
    write_screen,
)
from wyckflow.screening.screen import Screen
from wyckflow.screening.table import GeneTable

PEROVSKITE = WyckoffGene.from_text("221 Sr:a Ti:b O:c")
SAME_PEROVSKITE = WyckoffGene.from_text("221 Sr:b Ti:a O:d")
ROCKSALT = WyckoffGene.from_text("225 Na:a Cl:b")
FLUORITE = WyckoffGene.from_text("225 Na:a F:c")
HELIDE = WyckoffGene.from_text("225 He:a O:b")
GENES = [HELIDE, PEROVSKITE, FLUORITE, SAME_PEROVSKITE, ROCKSALT]
SCREEN = Screen((Uniqueness(), MaxSites(max_sites=11), ChargeNeutrality()))


def verdicts_of(screening):
    document = ScreeningDoc(
        n_genes=len(screening.table),
        n_accepted=len(screening.passed),
        funnel=screening.funnel,
        blob=pack_verdicts(screening.columns),
    )
    return list(document.iter_verdicts())


@dataclass(frozen=True, kw_only=True)
class Spy(GeneFilter):
    """A filter that remembers whom it saw."""

    kind: ClassVar[str] = "spy"
    verdict: int = 0
    seen: tuple[list, ...] = ([],)

    @property
    def rule(self):
        return "seen"

    def judge(self, table, _, /):
        self.seen[0].extend(table.genes())
        n = len(table)
        nothing = np.full(n, np.nan)
        codes = np.full(n, self.verdict, np.uint8)
        return Judgements(codes, nothing, nothing, np.zeros(n, np.int32), ("",))


def test_verdicts_keep_the_order_of_the_input_and_name_the_filter():
    found = SCREEN.judge(GENES)
    verdicts = verdicts_of(found)
    assert [item.gene for item in verdicts] == [str(gene) for gene in GENES]
    assert [item.gene_id for item in verdicts] == [gene.gene_id for gene in GENES]
    assert [(item.verdict.value, item.filter) for item in verdicts] == [
        ("cannot_judge", "charge_neutrality"),
        ("pass", None),
        ("fail", "max_sites"),
        ("fail", "uniqueness"),
        ("pass", None),
    ]
    assert found.accepted == [PEROVSKITE, ROCKSALT]


@pytest.mark.parametrize("genes_at_once", [1, 2, 3, 100])
def test_pieces_of_any_size_give_the_same(genes_at_once):
    """A repetition is found also where the first stands in an earlier piece."""
    whole = SCREEN.judge(GENES)
    pieces = SCREEN.judge(GENES, genes_at_once=genes_at_once)
    assert verdicts_of(pieces) == verdicts_of(whole)
    assert pieces.funnel == whole.funnel


def test_the_funnel_loses_nothing_and_counts_reasons():
    found = SCREEN.judge(GENES * 3)
    assert [step.filter for step in found.funnel] == [f.name for f in SCREEN.filters]
    left = len(GENES) * 3
    for step in found.funnel:
        assert step.n_in == left
        assert step.n_in == step.n_pass + step.n_fail + step.n_cannot_judge
        assert sum(item.n_genes for item in step.reasons) == left - step.n_pass
        left = step.n_pass
    assert left == len(found.passed)


@pytest.mark.parametrize("verdict", [1, 2], ids=["fail", "cannot judge"])
def test_a_stopped_gene_meets_no_further_filter(verdict):
    first = Spy(name="first", verdict=verdict, seen=([],))
    second = Spy(name="second", seen=([],))
    Screen((first, second)).judge([PEROVSKITE])
    assert (first.seen, second.seen) == (([PEROVSKITE],), ([],))


def test_without_genes_every_count_is_zero():
    found = SCREEN.judge([])
    assert (verdicts_of(found), found.accepted) == ([], [])
    assert [step.n_in for step in found.funnel] == [0, 0, 0]


def test_every_filter_can_be_asked_apart():
    verdicts = load_preset("published").judge_apart(FLUORITE)
    by_name = {item.filter: item for item in verdicts}
    assert by_name["published_neutrality"].verdict is Verdict.FAIL
    assert by_name["metal"].verdict is Verdict.CANNOT_JUDGE
    assert by_name["max_sites"].value == 12  # also asked, though it stands last
    assert by_name["max_sites"].threshold == 50


def test_progress_is_reported():
    seen = []
    SCREEN.judge(GENES, genes_at_once=2, report=seen.append)
    assert seen == [2, 4, 5]


# --- evidence -----------------------------------------------------------------------


def test_a_source_is_asked_only_for_genes_that_come_so_far():
    asked = []

    def score(table: GeneTable):
        asked.extend(table.genes())
        return np.linspace(0, 1, len(table))

    screen = Screen((Uniqueness(), MinimumScore(score="s", above=0.5)))
    found = screen.judge(GENES, Evidence(sources={"s": score}))
    assert asked == [HELIDE, PEROVSKITE, FLUORITE, ROCKSALT]
    assert found.accepted == [FLUORITE, ROCKSALT]


def test_arrays_keep_to_their_genes_in_pieces():
    screen = Screen((MinimumScore(score="s", above=0.5),))
    evidence = Evidence({"s": np.array([0.9, 0.1, 0.9, 0.1, 0.9])})
    found = screen.judge(GENES, evidence, genes_at_once=2)
    assert found.accepted == [HELIDE, FLUORITE, ROCKSALT]


def test_evidence_belongs_to_a_cut_table_as_it_is():
    """A table keeps the rows of the list it was cut from; arrays do not follow them."""
    table = GeneTable.from_genes(GENES).take(np.array([4, 1, 4]))
    screen = Screen((Uniqueness(), MinimumScore(score="s", above=0.5)))
    found = screen.judge(table, Evidence({"s": np.array([0.9, 0.1, 0.9])}))
    assert found.accepted == [ROCKSALT]
    assert [item.filter for item in verdicts_of(found)] == [
        None,
        "minimum_score",
        "uniqueness",
    ]
    assert verdicts_of(found)[2].value == 0  # the row of the first in this list


@pytest.mark.parametrize(
    ("evidence", "match"),
    [
        (Evidence({"s": np.zeros(3)}), "one number per gene"),
        (Evidence({}, {"s": np.zeros(5)}), "without values"),
        (Evidence(sources={"s": lambda _: np.zeros(1)}), "one number per gene"),
    ],
    ids=["length", "deviation alone", "source"],
)
def test_evidence_of_other_genes_is_refused(evidence, match):
    screen = Screen((MinimumScore(score="s", above=0.5),))
    with pytest.raises(ScreenError, match=match):
        screen.judge(GENES, evidence)


def test_a_screen_names_the_evidence_it_needs():
    assert load_preset("published").needs == ("synthesizability", "metal")
    assert load_preset("default").needs == ()


# --- forms --------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_dictionaries_and_yaml(name):
    screen = load_preset(name)
    assert screen.name == name
    assert screen.description
    assert Screen.from_dict(screen.as_dict()) == screen
    assert MontyDecoder().process_decoded(screen.as_dict()) == screen
    assert parse_screen(write_screen(screen)) == screen
    assert load_screen(name) == screen


def test_every_kind_survives_a_dictionary():
    options = {
        "max_sites": {"max_sites": 7},
        "number_of_elements": {"min": 2, "max": 3},
        "degrees_of_freedom": {"max": 9},
        "charge_neutrality": {"commonality": 12.5},
        "exclude_elements": {"elements": ["Cd", "Hg"], "sets": ["radioactive"]},
        "only_elements": {"elements": "Si, O"},
        "minimum_score": {"score": "s", "above": 0.4},
        "maximum_score": {"score": "s", "below": 0.4},
        "target_window": {"prediction": "band_gap", "min": 0.5, "max_sigma": 1},
        "novelty": {"min_level": "new"},
    }
    for kind, filter_class in FILTERS.items():
        made = filter_class.from_options(options.get(kind, {}))
        screen = Screen((made,), name="s")
        assert Screen.from_dict(screen.as_dict()) == screen
        assert parse_screen(write_screen(screen)) == screen
        assert made.rule


def test_the_published_funnel_is_that_of_the_paper():
    rules = {item.name: item.rule for item in load_preset("published").filters}
    assert list(rules) == [
        "uniqueness",
        "published_neutrality",
        "synthesizability",
        "metal",
        "exclusive_elements",
        "no_radioactive",
        "no_f_block",
        "max_sites",
    ]
    assert rules["synthesizability"].endswith("above 0.4")
    assert rules["metal"].endswith("below 0.5")
    assert rules["max_sites"].startswith("at most 50 atoms")
    assert rules["exclusive_elements"] == "no two of O, S, Se, Te, F, Cl, Br, I"


def test_a_users_file_is_read_and_takes_its_name_from_it(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("filters:\n- uniqueness\n- {filter: max_sites, max_sites: 9}\n")
    screen = load_screen(path)
    assert screen == Screen((Uniqueness(), MaxSites(max_sites=9)), name="mine")
    assert load_screen(str(path)) == screen
    assert load_screen({"filters": ["uniqueness"]}).filters == (Uniqueness(),)
    assert load_costs(screen) == []


def test_costs_belong_to_the_preset_and_to_no_screen_that_borrows_its_name():
    published = load_preset("published")
    assert load_costs(published)
    assert load_costs(Screen(published.filters[1:], name="published")) == []


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("filters: [uniquness]", "Did you mean 'uniqueness'"),
        ("filters: [{filter: max_sites, max_site: 3}]", "Did you mean 'max_sites'"),
        ("filters: [{filter: max_sites}]", "needs the option 'max_sites'"),
        ("filters: [{max_sites: 3}]", "is no filter"),
        ("filters: [{filter: max_sites, max_sites: many}]", "whole number"),
        ("filters: [uniqueness, uniqueness]", "another 'name'"),
        ("filters: []", "0 filters"),
        ("filters: uniqueness", "give a list"),
        ("filtres: [uniqueness]", "Did you mean 'filters'"),
        ("- uniqueness", "expected 'filters:'"),
        ("filters: [", "is no YAML"),
        ("filters: [{filter: exclude_elements, sets: [radoactive]}]", "'radioactive'"),
        ("filters: [{filter: exclude_elements, elements: [Xx]}]", "no chemical symbol"),
        ("filters: [{filter: exclude_elements}]", "without elements"),
        ("filters: [{filter: exclusive_elements, elements: [O]}]", "two elements"),
        ("filters: [{filter: number_of_elements}]", "'min', 'max' or both"),
        ("filters: [{filter: number_of_elements, min: 4, max: 2}]", "holds nothing"),
        ("filters: [{filter: degrees_of_freedom, max: -1}]", "at least 0"),
        ("filters: [{filter: novelty, min_level: nwe}]", "Did you mean 'new'"),
        ("filters: [{filter: minimum_score, score: s, above: high}]", "a number"),
        (
            "filters: [{filter: target_window, prediction: g, min: 1, max_sigma: -1}]",
            "0 or more",
        ),
        (
            "filters: [{filter: charge_neutrality, oxidation_states: icsd42}]",
            "Did you mean 'icsd2",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(text, match):
    with pytest.raises(ScreenError, match=match):
        parse_screen(text)


def test_names_that_are_no_screen_are_refused(tmp_path):
    with pytest.raises(ScreenError, match="Did you mean 'published'"):
        load_screen("publshed")
    with pytest.raises(ScreenError, match="Cannot read"):
        load_screen(tmp_path / "absent.yaml")
    with pytest.raises(ScreenError, match="no preset"):
        load_preset("mine")
