"""The row of filters: order, counts, and who meets whom."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.schemas.screening import Judgement, Verdict
from wyckflow.screening.filters import (
    ChargeNeutrality,
    MaxSites,
    Uniqueness,
    screen_genes,
)
from wyckflow.screening.neutrality import DEFAULT_RULE

PEROVSKITE = WyckoffGene.from_text("221 Sr:a Ti:b O:c")
SAME_PEROVSKITE = WyckoffGene.from_text("221 Sr:b Ti:a O:d")
ROCKSALT = WyckoffGene.from_text("225 Na:a Cl:b")
FLUORITE = WyckoffGene.from_text("225 Na:a F:c")
HELIDE = WyckoffGene.from_text("225 He:a O:b")


@dataclass
class Spy:
    """A filter that remembers whom it saw."""

    verdict: Verdict
    seen: list[WyckoffGene] = field(default_factory=list)
    name: str = "spy"
    rule: str = "seen"

    def judge(self, genes):
        self.seen.extend(genes)
        return [Judgement(verdict=self.verdict) for _ in genes]


def test_verdicts_keep_the_order_of_the_input_and_name_the_filter():
    genes = [HELIDE, PEROVSKITE, FLUORITE, SAME_PEROVSKITE, ROCKSALT]
    filters = [Uniqueness(), MaxSites(11), ChargeNeutrality(DEFAULT_RULE)]
    found = screen_genes(genes, filters)
    assert [item.gene for item in found.verdicts] == [str(gene) for gene in genes]
    assert [item.gene_id for item in found.verdicts] == [g.gene_id for g in genes]
    assert [(item.verdict.value, item.filter) for item in found.verdicts] == [
        ("cannot_judge", "charge_neutrality"),
        ("pass", None),
        ("fail", "max_sites"),
        ("fail", "uniqueness"),
        ("pass", None),
    ]
    assert found.accepted == [PEROVSKITE, ROCKSALT]


def test_the_funnel_loses_nothing():
    genes = [HELIDE, PEROVSKITE, FLUORITE, SAME_PEROVSKITE, ROCKSALT]
    filters = [Uniqueness(), MaxSites(11), ChargeNeutrality(DEFAULT_RULE)]
    found = screen_genes(genes, filters)
    assert [step.filter for step in found.funnel] == [item.name for item in filters]
    left = len(genes)
    for step in found.funnel:
        assert step.n_in == left
        assert step.n_in == step.n_pass + step.n_fail + step.n_cannot_judge
        left = step.n_pass
    assert left == len(found.accepted)


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.CANNOT_JUDGE])
def test_a_stopped_gene_meets_no_further_filter(verdict):
    first, second = Spy(verdict), Spy(Verdict.PASS)
    screen_genes([PEROVSKITE], [first, second])
    assert (first.seen, second.seen) == ([PEROVSKITE], [])


def test_max_sites_counts_the_conventional_cell_and_includes_the_limit():
    (at_limit,) = MaxSites(8).judge([ROCKSALT])
    (above,) = MaxSites(7).judge([ROCKSALT])
    assert at_limit.verdict is Verdict.PASS
    assert (above.verdict, above.value, above.threshold) == (Verdict.FAIL, 8, 7)


def test_the_filters_say_their_options():
    assert "7 atoms" in MaxSites(7).rule
    assert "icsd24_consensus" in ChargeNeutrality(DEFAULT_RULE).rule


def test_without_genes_every_count_is_zero():
    found = screen_genes([], [Uniqueness(), MaxSites(1)])
    assert (found.verdicts, found.accepted) == ([], [])
    assert [step.n_in for step in found.funnel] == [0, 0]
