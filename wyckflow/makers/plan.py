"""The job that orders accepted genes by promise and cuts them into shards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from jobflow import Flow, Maker, Response

from wyckflow.makers._identity import identify
from wyckflow.makers._job import wyckflow_job
from wyckflow.makers.relax import RelaxMaker
from wyckflow.schemas.plan import PlanDoc, ShardDoc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.schemas.generation import GenerationDoc
    from wyckflow.schemas.screening import ScreeningDoc

ENERGY: Final = "formation_energy_per_atom"
PREDICTED_SCALE: Final = "mp2020-gga-u"
"""Scale of the formation energies that generators learn from."""

BY_HULL: Final = "predicted energy above the hull of the bundled DFT reference"
BY_ORDER: Final = "nothing: in the order in which they came"


@dataclass
class PlanMaker(Maker):
    """Order genes by their predicted distance to the hull, and cut them into shards.

    The most promising are relaxed first, so that a campaign that is stopped early has
    spent its time well. Shards take about the same time.

    Attributes
    ----------
    name
        Name of the job.
    shard_maker
        Makes the job or flow of one shard. A flow maker takes ``identity`` besides the
        genes.
    shard_minutes
        Minutes on one core that a shard should take.
    max_shards
        Most shards; beyond, each gets more genes. A workflow takes 300 jobs.
    max_genes
        Genes that the budget leaves; no limit if None.
    """

    name: str = "campaign plan"
    shard_maker: Maker = field(default_factory=RelaxMaker)
    shard_minutes: float = 10.0
    max_shards: int = 90
    max_genes: int | None = None

    def __post_init__(self) -> None:
        """Refuse plans without a shard."""
        if self.max_shards < 1 or self.shard_minutes <= 0:
            raise ValueError(
                f"{self.max_shards=} and {self.shard_minutes=} must be positive."
            )
        if self.max_genes is not None and self.max_genes < 0:
            raise ValueError(f"{self.max_genes=} must not be negative, or None.")

    @wyckflow_job(PlanDoc)
    def make(
        self,
        screening: ScreeningDoc,
        generation: GenerationDoc | None = None,
        identity: str | None = None,
    ) -> Response[PlanDoc]:
        """Plan the shards of one round, and start them.

        Parameters
        ----------
        screening
            What the screen accepted.
        generation
            The genes with their predictions, in the same order; without it the genes
            keep their order.
        identity
            Campaign and round. The same words give the jobs the same ids.
        """
        genes = screening.genes()
        order, ranked_by = rank_genes(genes, _energies(screening, generation))
        limit = len(genes) if self.max_genes is None else self.max_genes
        chosen = [genes[place] for place in order[:limit]]
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
            ranked_by=ranked_by,
            n_accepted=len(genes),
            n_planned=len(chosen),
            n_over_budget=len(genes) - len(chosen),
            estimated_cpu_s=sum(shard.estimated_cpu_s for shard in shards),
            shards=shards,
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
        """Yield shards of about equal cost, in order, with that cost."""
        from wyckflow.relax.cost import estimate_cpu_s

        costs = estimate_cpu_s(genes, self._n_trials)
        wanted = max(60 * self.shard_minutes, float(costs.sum()) / self.max_shards)
        part: list[WyckoffGene] = []
        cpu_s = 0.0
        for gene, cost in zip(genes, costs.tolist(), strict=True):
            part.append(gene)
            cpu_s += cost
            if cpu_s >= wanted:
                yield part, cpu_s
                part, cpu_s = [], 0.0
        if part:
            yield part, cpu_s


def rank_genes(
    genes: Sequence[WyckoffGene], energies: NDArray[np.float64] | None
) -> tuple[list[int], str]:
    """Return places in order of promise, and what they were ordered by, in words.

    The distance to the hull, not the energy: that of a composition with few stable
    competitors may be high and the gene still be stable. Genes with an element that
    the reference lacks come last.

    Parameters
    ----------
    genes
        The genes.
    energies
        Predicted formation energies, eV/atom, or None without predictions.
    """
    import numpy as np

    if energies is None or not len(genes):
        return list(range(len(genes))), BY_ORDER
    from wyckflow.thermo.bundled import load_bundled_reference
    from wyckflow.thermo.hull import Hull

    hull = Hull(load_bundled_reference(PREDICTED_SCALE))
    compositions = [gene.composition for gene in genes]
    found = hull.energies_above_hull(
        compositions, energies, scale=PREDICTED_SCALE, kind="formation"
    )
    distances = np.nan_to_num(found.energies_above_hull, nan=np.inf)
    return np.argsort(distances, kind="stable").tolist(), BY_HULL


def _energies(
    screening: ScreeningDoc, generation: GenerationDoc | None
) -> NDArray[np.float64] | None:
    """Return the predicted formation energies of the accepted genes."""
    import numpy as np

    if generation is None or ENERGY not in generation.properties:
        return None
    return generation.column(ENERGY)[screening.accepted_rows()].astype(np.float64)
