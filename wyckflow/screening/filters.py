"""Filters in a row: each gene meets them until one does not pass it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from wyckflow.crystal.keys import gene_ids
from wyckflow.schemas.screening import FunnelStep, GeneVerdict, Judgement, Verdict
from wyckflow.screening.neutrality import NeutralityRule, judge_charge_neutralities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wyckflow.crystal.gene import WyckoffGene


class GeneFilter(Protocol):
    """A question that a gene answers with pass, fail or cannot judge."""

    @property
    def name(self) -> str:
        """Name, as it stands in verdicts and funnels."""

    @property
    def rule(self) -> str:
        """What is asked, in words, with options and units."""

    def judge(self, genes: Sequence[WyckoffGene]) -> list[Judgement]:
        """Judge genes that passed all filters before, in one go."""


@dataclass(frozen=True, slots=True)
class Uniqueness:
    """Stop repetitions of a gene that stands earlier in the list."""

    name: str = "uniqueness"

    @property
    def rule(self) -> str:
        """What is asked."""
        return "no equivalent gene stands earlier in the list"

    def judge(self, genes: Sequence[WyckoffGene]) -> list[Judgement]:
        """Judge by the id of the gene, the same for equivalent genes."""
        first: dict[str, int] = {}
        judgements = []
        for index, gene_id in enumerate(gene_ids(genes)):
            earlier = first.setdefault(gene_id, index)
            if earlier == index:
                judgements.append(Judgement(verdict=Verdict.PASS))
                continue
            reason = f"the same arrangement as {genes[earlier]}"
            judgements.append(Judgement(verdict=Verdict.FAIL, reason=reason))
        return judgements


@dataclass(frozen=True, slots=True)
class MaxSites:
    """Stop genes with many atoms.

    Attributes
    ----------
    max_sites
        Largest number of atoms in the conventional cell.
    """

    max_sites: int
    name: str = "max_sites"

    @property
    def rule(self) -> str:
        """What is asked."""
        return f"at most {self.max_sites} atoms in the conventional cell"

    def judge(self, genes: Sequence[WyckoffGene]) -> list[Judgement]:
        """Count atoms."""
        return [self._judge_one(gene.n_sites) for gene in genes]

    def _judge_one(self, n_sites: int) -> Judgement:
        """Compare one number of atoms with the limit."""
        passes = n_sites <= self.max_sites
        return Judgement(
            verdict=Verdict.PASS if passes else Verdict.FAIL,
            value=n_sites,
            threshold=self.max_sites,
            reason="" if passes else "too many atoms in the conventional cell",
        )


@dataclass(frozen=True, slots=True)
class ChargeNeutrality:
    """Stop genes whose elements cannot balance their charges.

    Attributes
    ----------
    neutrality
        What counts as neutral.
    """

    neutrality: NeutralityRule
    name: str = "charge_neutrality"

    @property
    def rule(self) -> str:
        """What is asked."""
        return str(self.neutrality)

    def judge(self, genes: Sequence[WyckoffGene]) -> list[Judgement]:
        """Judge the compositions."""
        compositions = [gene.composition for gene in genes]
        return judge_charge_neutralities(compositions, self.neutrality)


@dataclass(frozen=True, slots=True)
class Screening:
    """What a row of filters made of a list of genes.

    Attributes
    ----------
    verdicts
        One per gene, in the order of the input.
    funnel
        Counts per filter, in order.
    accepted
        Genes that passed every filter, in the order of the input.
    """

    verdicts: list[GeneVerdict]
    funnel: list[FunnelStep]
    accepted: list[WyckoffGene]


def screen_genes(
    genes: Sequence[WyckoffGene], filters: Sequence[GeneFilter]
) -> Screening:
    """Put genes through filters; a gene that one does not pass meets no further one.

    Parameters
    ----------
    genes
        Genes in any order.
    filters
        Filters in the order in which they are asked, the cheapest first.
    """
    stopped: dict[int, tuple[str, Judgement]] = {}
    funnel = []
    left = list(range(len(genes)))
    for item in filters:
        judgements = item.judge([genes[index] for index in left])
        funnel.append(_count(item, judgements))
        pairs = list(zip(left, judgements, strict=True))
        left = [index for index, found in pairs if found.verdict is Verdict.PASS]
        stopped.update(
            (index, (item.name, found))
            for index, found in pairs
            if found.verdict is not Verdict.PASS
        )
    verdicts = [
        _verdict(gene, gene_id, stopped.get(index))
        for index, (gene, gene_id) in enumerate(
            zip(genes, gene_ids(genes), strict=True)
        )
    ]
    return Screening(verdicts, funnel, [genes[index] for index in left])


def _count(item: GeneFilter, judgements: Sequence[Judgement]) -> FunnelStep:
    """Count what one filter said."""
    verdicts = [judgement.verdict for judgement in judgements]
    return FunnelStep(
        filter=item.name,
        rule=item.rule,
        n_in=len(verdicts),
        n_pass=verdicts.count(Verdict.PASS),
        n_fail=verdicts.count(Verdict.FAIL),
        n_cannot_judge=verdicts.count(Verdict.CANNOT_JUDGE),
    )


def _verdict(
    gene: WyckoffGene, gene_id: str, stopped: tuple[str, Judgement] | None
) -> GeneVerdict:
    """Write the verdict on one gene: that of the filter that stopped it, if any."""
    name, judgement = stopped or (None, Judgement(verdict=Verdict.PASS))
    return GeneVerdict(
        gene=gene.to_text(),
        gene_id=gene_id,
        filter=name,
        **judgement.model_dump(),
    )
