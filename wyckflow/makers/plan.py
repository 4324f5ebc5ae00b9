"""The job that orders accepted genes by promise and cuts them into shards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from jobflow import Flow, Maker, Response

from wyckflow.makers._identity import identify
from wyckflow.makers._job import wyckflow_job
from wyckflow.makers._ranking import (
    BY_HULL,
    BY_ORDER,
    BY_RANKER,
    RANKERS,
    AcceptedGenes,
    rank_genes,
)
from wyckflow.makers.relax import RelaxMaker
from wyckflow.schemas.plan import PlanDoc, ShardDoc, pack_keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.schemas.generation import GenerationDoc
    from wyckflow.schemas.screening import ScreeningDoc

_SHARE_OF_REST: Final = 1 / 8
_LEAST_SHARE: Final = 1 / 30
_LEAST_CPU_S: Final = 20.0
"""What a shard takes of what is left, and the least: by the number of shards that this
makes at the end, and by the time below which its jobs would be mostly orchestration."""

__all__ = ["BY_HULL", "BY_ORDER", "BY_RANKER", "PlanMaker", "rank_genes"]


@dataclass
class PlanMaker(Maker):
    """Order genes by their predicted distance to the hull, and cut them into shards.

    The most promising are relaxed first, so that a campaign that is stopped early has
    spent its time well. Shards take about the same time, less towards the end.

    Attributes
    ----------
    name
        Name of the job.
    shard_maker
        Makes the job or flow of one shard. A flow maker takes ``identity`` besides the
        genes.
    shard_minutes
        Minutes on one core that a shard should take; the last ones take less.
    max_shards
        Most shards; beyond, each gets more genes. A workflow takes 300 jobs.
    max_genes_per_shard
        Most genes of a shard, so that no document grows above 1 MB. What does not fit
        into so many shards is left out, the least promising.
    max_genes
        Genes that the budget leaves; no limit if None.
    ranker
        Who predicts the energies that genes are ordered by: ``bundled``, a model that
        has seen unstable crystals, or ``generator``, the one that made them.
    """

    name: str = "campaign plan"
    shard_maker: Maker = field(default_factory=RelaxMaker)
    shard_minutes: float = 10.0
    max_shards: int = 90
    max_genes_per_shard: int = 500
    max_genes: int | None = None
    ranker: str = "bundled"

    def __post_init__(self) -> None:
        """Refuse plans without a shard."""
        for name in ("max_shards", "max_genes_per_shard", "shard_minutes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive.")
        if self.max_genes is not None and self.max_genes < 0:
            raise ValueError(f"{self.max_genes=} must not be negative, or None.")
        if self.ranker not in RANKERS:
            raise ValueError(
                f"{self.ranker=} is unknown; choose one of {', '.join(RANKERS)}."
            )

    @wyckflow_job(PlanDoc)
    def make(
        self,
        screening: ScreeningDoc | list[ScreeningDoc],
        generation: GenerationDoc | list[GenerationDoc] | None = None,
        identity: str | None = None,
        earlier: list[PlanDoc] | None = None,
    ) -> Response[PlanDoc]:
        """Plan the shards of one round, and start them.

        Parameters
        ----------
        screening
            What the screen accepted, of one part or of several.
        generation
            The genes as they were generated, in the same order; without it they keep
            their order.
        identity
            Campaign and round. The same words give the jobs the same ids.
        earlier
            Plans of earlier rounds, whose genes are left out.
        """
        accepted = AcceptedGenes.gather(
            _as_list(screening), _as_list(generation), self.ranker
        )
        fresh = accepted
        for document in earlier or ():
            fresh = fresh.without(document.planned_keys())
        most = self.max_shards * self.max_genes_per_shard
        limit = most if self.max_genes is None else min(most, self.max_genes)
        chosen = fresh.head(limit)
        shards: list[ShardDoc] = []
        flows = []
        for number, (part, cpu_s) in enumerate(self._cut(chosen)):
            name = None if identity is None else f"{identity}/{number}"
            made = self._make_shard(part, name)
            uuids = list(made.job_uuids) if isinstance(made, Flow) else [made.uuid]
            flows.append(made)
            shards.append(
                ShardDoc(
                    number=number,
                    n_genes=len(part),
                    estimated_cpu_s=cpu_s,
                    job_uuids=uuids,
                )
            )
        document = PlanDoc(
            identity=identity or "",
            ranked_by=accepted.ranked_by,
            n_accepted=accepted.n_accepted,
            n_repeated=accepted.n_accepted - len(accepted),
            n_planned_before=len(accepted) - len(fresh),
            n_planned=len(chosen),
            n_over_budget=len(fresh) - len(chosen),
            estimated_cpu_s=sum(shard.estimated_cpu_s for shard in shards),
            shards=shards,
            blob=pack_keys(fresh.keys[:limit]),
        )
        addition = Flow(flows, name="shards") if flows else None
        return Response(output=document, addition=addition)

    def _make_shard(self, genes: Sequence[WyckoffGene], identity: str | None) -> Any:
        """Return the jobs of one shard, whether their maker makes one or a flow."""
        texts = [gene.to_text() for gene in genes]
        if hasattr(type(self.shard_maker).make, "original"):  # that of a job
            return identify(self.shard_maker.make(texts), identity)
        if identity is None:
            return self.shard_maker.make(texts)
        return self.shard_maker.make(texts, identity=identity)

    @property
    def _n_trials(self) -> int | None:
        """Starts per gene, if the maker of the shards fixes their number."""
        relax_maker = getattr(self.shard_maker, "relax_maker", self.shard_maker)
        return getattr(relax_maker, "n_trials", None)

    def _cut(
        self, genes: Sequence[WyckoffGene]
    ) -> Iterator[tuple[list[WyckoffGene], float]]:
        """Yield shards in order, with their cost.

        They get smaller towards the end, so that the workers end together.
        """
        from wyckflow.relax.cost import estimate_cpu_s

        costs = estimate_cpu_s(genes, self._n_trials)
        rest_s = float(costs.sum())
        bulk = max(1, self.max_shards - self.max_shards // 3)
        largest = max(60 * self.shard_minutes, rest_s / bulk)
        smallest = min(largest, max(_LEAST_CPU_S, largest * _LEAST_SHARE))
        wanted = max(smallest, min(largest, rest_s * _SHARE_OF_REST))
        part: list[WyckoffGene] = []
        cpu_s = 0.0
        n_shards = 1
        for n_done, (gene, cost) in enumerate(zip(genes, costs.tolist(), strict=True)):
            part.append(gene)
            cpu_s += cost
            n_left = len(genes) - n_done - 1
            room_left = (self.max_shards - n_shards) * self.max_genes_per_shard
            is_full = len(part) == self.max_genes_per_shard
            if is_full or (cpu_s >= wanted and n_left <= room_left):
                yield part, cpu_s
                rest_s -= cpu_s
                wanted = max(smallest, min(largest, rest_s * _SHARE_OF_REST))
                part, cpu_s = [], 0.0
                n_shards += 1
        if part:
            yield part, cpu_s


def _as_list(documents: Any) -> Any:
    """Return one document as a list of one, and nothing as nothing."""
    is_one = documents is not None and not isinstance(documents, list | tuple)
    return [documents] if is_one else documents
