"""The job that proposes genes for a target."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 (jobflow reads the annotation)
from typing import TYPE_CHECKING, Any

import numpy as np
from jobflow import Maker

from wyckflow.crystal.keys import unpack_genes
from wyckflow.makers._job import wyckflow_job
from wyckflow.makers.models import load_generator
from wyckflow.schemas.base import Provenance
from wyckflow.schemas.generation import GeneChunk, GenerationDoc
from wyckflow.schemas.model import ModelDoc  # noqa: TC001 (jobflow reads it)
from wyckflow.schemas.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from wyckflow.ml.kinds import AnyGenerator
    from wyckflow.ml.sampling.draw import DrawnGenes
    from wyckflow.ml.sampling.options import DrawOptions

CHUNK_GENES = 50_000
"""Genes of one blob: about 2 MB, a quarter of what a blob may have."""


@dataclass
class GenerateMaker(Maker):
    """Draw genes from a trained generator, with what it predicts of them.

    Genes exist by construction: the decoder can only choose what a space group allows.
    Those that the model learned from, and those that come again, are left out and
    counted.

    Attributes
    ----------
    name
        Name of the job.
    target
        What the genes should be like; anything if empty. Kept as a dictionary.
    n_genes
        Genes wanted.
    seed
        The same seed gives the same genes.
    method
        Where the latent points come from: ``prior`` (noise alone), ``posterior``
        (around known crystals), ``local`` (around known crystals within the target),
        ``guided`` (around points moved towards the target along gradients),
        ``conditional`` (from a transformer that is told what is asked for), or
        ``auto``: ``prior`` for a target without ranges of properties, else ``local``
        or, of a transformer, ``conditional``.
    level
        Noise on the point of a start: 0 repeats the start, 1 forgets it.
    guidance
        How far ``conditional`` goes beyond what the conditions say: 0 takes them as
        they are, 1 as far again as they lead away from no condition.
    temperature
        Of the decoder's choices: 1 as it believes, less is bolder.
    tolerance
        How many of the model's expected errors a start may lie outside the target.
    max_atoms
        Most atoms in the conventional cell.
    keep_known
        Whether to keep genes that the model has learned from.
    keep_repeats
        Whether to keep genes that come again.
    keep_outside
        Whether to keep genes whose predicted properties are outside the target.
    max_tries
        Genes decoded at most per gene wanted.
    n_descriptions
        Equivalent descriptions of a gene that predictions are averaged over.
    """

    name: str = "gene generate"
    target: Target | dict[str, Any] = field(default_factory=dict)
    n_genes: int = 1000
    seed: int = 0
    method: str = "auto"
    level: float = 0.8
    guidance: float = 1.0
    temperature: float = 1.0
    tolerance: float = 1.0
    max_atoms: int = 100
    keep_known: bool = False
    keep_repeats: bool = False
    keep_outside: bool = False
    max_tries: int = 50
    n_descriptions: int = 2

    def __post_init__(self) -> None:
        """Refuse options that would fail on the worker."""
        # A plain dictionary: FireWorks would store the object as its text.
        target = Target.model_validate(self.target)
        self.target = target.model_dump(mode="json", exclude_defaults=True)
        if self.n_genes < 1:
            raise ValueError(f"{self.n_genes=} must be at least 1.")
        if self.seed < 0:
            raise ValueError(f"{self.seed=} must not be negative.")
        self._options()

    @wyckflow_job(GenerationDoc)
    def make(
        self, model: str | Path | ModelDoc = "bundled", shard: int = 0, part: int = 0
    ) -> GenerationDoc:
        """Draw genes.

        Parameters
        ----------
        model
            ``bundled``, the path of a model's file that every worker can read, or a
            reference to a registered or just trained model.
        shard
            Number of the round of a campaign; it changes the seed.
        part
            Number of this job where several share the work of a round; so does it.
        """
        from wyckflow.settings import WyckflowSettings

        here = WyckflowSettings.load()
        loaded = load_generator(model, here.device, here.threads)
        return self.draw(*loaded, shard=shard, part=part)

    def draw(
        self,
        model_name: str,
        model: AnyGenerator,
        *,
        shard: int = 0,
        part: int = 0,
        report: Callable[[int], None] | None = None,
    ) -> GenerationDoc:
        """Draw genes from a model at hand, without a job.

        Parameters
        ----------
        model_name
            Its name.
        model
            The model.
        shard, part
            As in :meth:`make`.
        report
            Told the number of genes so far.
        """
        from wyckflow.ml.kinds import name_predictor
        from wyckflow.ml.sampling.draw import Draw
        from wyckflow.ml.sampling.options import Method

        target = Target.model_validate(self.target)
        # The first part is what a round without parts is.
        numbers = [self.seed, shard, part] if part else [self.seed, shard]
        seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
        draw = Draw(model, self.n_genes, target, self._options(), seed=seed)
        chunks = list(_pack(_watch(draw, report)))
        identity = model.to_checkpoint().identity
        return GenerationDoc(
            provenance=Provenance.collect(
                model=f"{model_name} {identity}", device=model.device
            ),
            model_id=identity,
            model_name=model_name,
            method=draw.method.value,
            target=target,
            seed=self.seed,
            shard=shard,
            part=part,
            level=self.level,
            guidance=self.guidance if draw.method is Method.CONDITIONAL else None,
            temperature=self.temperature,
            n_asked=self.n_genes,
            n_decoded=draw.n_decoded,
            n_genes=draw.n_kept,
            failures=dict(draw.failures),
            n_starts=draw.n_starts,
            n_in_target=None if target.is_open else draw.n_in_target,
            properties=list(model.property_names),
            predicted_by=name_predictor(model),
            chunks=chunks,
        )

    def check(self, model: ModelDoc) -> None:
        """Refuse a target that a model cannot meet, before a worker would.

        Parameters
        ----------
        model
            With its file.

        Raises
        ------
        ModelError
            If it does not predict a property of the target, or generates nothing.
        TargetError
            If nothing that it knows is within the target.
        """
        from wyckflow.ml.sampling.draw import Draw

        _, generator = load_generator(model)
        target = Target.model_validate(self.target)
        Draw(generator, self.n_genes, target, self._options(), seed=self.seed)

    def _options(self) -> DrawOptions:
        """Return what decides the genes."""
        from wyckflow.ml.sampling.options import DrawOptions

        names = DrawOptions.__dataclass_fields__
        return DrawOptions(**{name: getattr(self, name) for name in names})


def _watch(
    drawn: Iterable[DrawnGenes], report: Callable[[int], None] | None
) -> Iterator[DrawnGenes]:
    """Pass batches on, telling how many genes there are."""
    n_genes = 0
    for batch in drawn:
        n_genes += len(batch)
        if report is not None:
            report(n_genes)
        yield batch


def _pack(batches: Iterator[DrawnGenes]) -> Iterator[GeneChunk]:
    """Put batches together until a chunk is full."""
    waiting: list[DrawnGenes] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= CHUNK_GENES:
            yield _join(waiting)
            waiting = []
    if waiting:
        yield _join(waiting)


def _join(batches: list[DrawnGenes]) -> GeneChunk:
    """Write batches as one chunk."""
    genes = [
        gene
        for batch in batches
        for gene in unpack_genes(batch.space_group_numbers, batch.codes)
    ]
    names = batches[0].predictions.names

    def column(tables: Sequence[NDArray[np.float64]], place: int) -> NDArray[Any]:
        return np.concatenate([table[:, place] for table in tables])

    means = [batch.predictions.mean for batch in batches]
    # What the members disagree on, and the noise that they expect: independent errors.
    errors = [
        np.hypot(batch.predictions.spread, batch.predictions.expected_error)
        for batch in batches
    ]
    return GeneChunk.pack(
        genes,
        log_probabilities=np.concatenate([b.log_probabilities for b in batches]),
        seeds=np.concatenate([b.starts for b in batches]),
        predictions={name: column(means, i) for i, name in enumerate(names)},
        deviations={name: column(errors, i) for i, name in enumerate(names)},
    )
