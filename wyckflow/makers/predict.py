"""The job that predicts properties of given genes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path  # noqa: TC003 (jobflow reads the annotation)
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from jobflow import Maker

from wyckflow.crystal._elements import ATOMIC_NUMBERS
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import LETTER_BITS, pack_genes
from wyckflow.errors import GeneError, ModelError
from wyckflow.makers._job import wyckflow_job
from wyckflow.makers.generate import load_generator
from wyckflow.schemas.base import Provenance
from wyckflow.schemas.model import ModelDoc  # noqa: TC001 (jobflow reads it)
from wyckflow.schemas.prediction import (
    PredictionChunk,
    PredictionDoc,
    PredictionRefusal,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from wyckflow.ml.kinds import AnyGenerator

    Packed = tuple[NDArray[np.int16], NDArray[np.int16]]

CHUNK_GENES = 10_000
"""Genes read, predicted and packed at a time: below 1 MB of a blob."""

DEFAULT_DESCRIPTIONS: Final = 4
BUNDLED_SCALE: Final = "Materials Project (MP2020 corrections), PBE gaps"


@dataclass
class PredictMaker(Maker):
    """Predict properties of genes, each with its uncertainty.

    From the genes alone: estimates that order crystals, on the scale of what the model
    learned from. What is no gene, or has an element of none of the crystals that the
    model learned from, is refused and counted; the rest goes on.

    Attributes
    ----------
    name
        Name of the job.
    n_descriptions
        Equivalent descriptions of a gene that predictions are averaged over.
    """

    name: str = "gene predict"
    n_descriptions: int = DEFAULT_DESCRIPTIONS

    def __post_init__(self) -> None:
        """Refuse options that would fail on the worker."""
        if self.n_descriptions < 1:
            raise ValueError(f"{self.n_descriptions=} must be at least 1.")

    @wyckflow_job(PredictionDoc)
    def make(
        self, genes: Any, model: str | Path | ModelDoc = "bundled"
    ) -> PredictionDoc:
        """Predict.

        Parameters
        ----------
        genes
            Genes, their text such as ``221 Sr:a Ti:b O:c``, or a reference to a
            document that holds genes.
        model
            ``bundled``, the path of a model's file that every worker can read, or a
            reference to a registered or just trained model.
        """
        from wyckflow.settings import WyckflowSettings

        here = WyckflowSettings.load()
        found = GenePredictor.load(
            *load_generator(model, here.device, here.threads),
            n_descriptions=self.n_descriptions,
        )
        chunks, refused = [], Counter[str]()
        for first, genes_, lost in _read(genes):
            chunk, reasons = _predict(found, first, genes_, lost)
            chunks.append(chunk)
            refused.update(reasons)
        n_predicted = sum(chunk.n_genes for chunk in chunks)
        return PredictionDoc(
            provenance=Provenance.collect(
                model=f"{found.name} {found.identity}", device=found.model.device
            ),
            model_id=found.identity,
            model_name=found.name,
            predicted_by=found.predicted_by,
            scale=found.scale,
            properties=list(found.properties),
            n_descriptions=self.n_descriptions,
            n_asked=n_predicted + refused.total(),
            n_predicted=n_predicted,
            refused=dict(refused),
            chunks=chunks,
        )


@dataclass(frozen=True, eq=False)
class GenePredictor:
    """A trained model, asked for the properties of genes.

    Attributes
    ----------
    name, identity
        Of the model.
    model
        The model.
    predicted_by
        What of it predicts.
    scale
        Of its energies and gaps.
    knows
        Which elements the crystals have that it learned from, by atomic number.
    n_descriptions
        Equivalent descriptions of a gene averaged over.
    """

    name: str
    identity: str
    model: AnyGenerator
    predicted_by: str
    scale: str
    knows: NDArray[np.bool_]
    n_descriptions: int

    @classmethod
    def load(
        cls, name: str, model: AnyGenerator, *, n_descriptions: int
    ) -> GenePredictor:
        """Ask a model.

        Parameters
        ----------
        name, model
            As :func:`wyckflow.makers.generate.load_generator` returns them.
        n_descriptions
            Equivalent descriptions of a gene to average over.

        Raises
        ------
        ModelError
            If it predicts nothing.
        """
        from wyckflow.ml.kinds import name_predictor
        from wyckflow.ml.model_file import BUNDLED

        if not model.property_names:
            raise ModelError(
                f"The model {name} was trained without networks that predict; give "
                "another, or train it again with a 'predictor'."
            )
        checkpoint = model.to_checkpoint()
        data = " and ".join(checkpoint.info.dataset_ids)
        learned = f"that of the data that it learned from ({data})"
        knows = np.array(model.memory.elements.any(axis=0))
        knows[0] = True  # no site
        return cls(
            name=name,
            identity=checkpoint.identity,
            model=model,
            predicted_by=name_predictor(model),
            scale=BUNDLED_SCALE if name == BUNDLED else learned,
            knows=knows,
            n_descriptions=n_descriptions,
        )

    @property
    def properties(self) -> tuple[str, ...]:
        """What it predicts."""
        return self.model.property_names

    def find_unknown(self, codes: NDArray[np.int16]) -> NDArray[np.bool_]:
        """Return which packed genes have an element that it never saw."""
        unknown: NDArray[np.bool_] = ~self.knows[codes >> LETTER_BITS].all(axis=1)
        return unknown

    def list_unknown(self, gene: WyckoffGene) -> list[str]:
        """Return the elements of a gene that it never saw."""
        elements = sorted(set(gene.elements))
        return [item for item in elements if not self.knows[ATOMIC_NUMBERS[item]]]

    def predict(self, genes: Packed) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return values and standard deviations, (n, properties) each.

        Parameters
        ----------
        genes
            As `wyckflow.crystal.keys.pack_genes` writes them.
        """
        from wyckflow.ml.codec.sites import tensorise_codes

        if not len(genes[0]):
            nothing = np.zeros((0, len(self.properties)))
            return nothing, nothing
        found = self.model.predict_sites(
            tensorise_codes(*genes), n_descriptions=self.n_descriptions
        )
        # As in generation: what networks disagree about, and the error they expect.
        return found.mean, np.hypot(found.spread, found.expected_error)


def _predict(
    predictor: GenePredictor, first: int, genes: Packed, lost: set[int]
) -> tuple[PredictionChunk, list[str]]:
    """Predict for one part of the genes, of which some rows were lost in reading."""
    numbers, codes = genes
    n_rows = len(numbers) + len(lost)
    rows = np.setdiff1d(np.arange(first, first + n_rows), sorted(lost))
    unknown = predictor.find_unknown(codes)
    refused = [(row, PredictionRefusal.NO_GENE) for row in lost]
    refused += [
        (row, PredictionRefusal.UNKNOWN_ELEMENT) for row in rows[unknown].tolist()
    ]
    kept = numbers[~unknown], codes[~unknown]
    values, errors = predictor.predict(kept)
    chunk = PredictionChunk.pack(
        kept,
        rows[~unknown],
        dict(zip(predictor.properties, values.T, strict=True)),
        dict(zip(predictor.properties, errors.T, strict=True)),
        sorted(refused),
    )
    return chunk, [reason.value for _, reason in refused]


def _read(genes: Any) -> Iterator[tuple[int, Packed, set[int]]]:
    """Yield first row, genes, and rows that are none, some thousand at a time."""
    first = 0
    for numbers, codes, lost in _iter_parts(genes):
        yield first, (numbers, codes), {first + place for place in lost}
        first += len(numbers) + len(lost)


def _iter_parts(
    genes: Any,
) -> Iterator[tuple[NDArray[np.int16], NDArray[np.int16], list[int]]]:
    """Yield packed genes, and the places of what is none."""
    if hasattr(genes, "iter_chunks"):
        for arrays in genes.iter_chunks():
            numbers, codes = arrays["space_groups"], arrays["codes"]
            for start in range(0, len(numbers), CHUNK_GENES):
                stop = start + CHUNK_GENES
                yield numbers[start:stop], codes[start:stop], []
        return
    listed: Iterable[Any] = genes.genes() if hasattr(genes, "genes") else genes
    iterator = iter(listed)
    while part := list(islice(iterator, CHUNK_GENES)):
        good, lost = _parse(part)
        yield *pack_genes(good), lost


def _parse(items: Sequence[Any]) -> tuple[list[WyckoffGene], list[int]]:
    """Return the genes, and the places of what is none."""
    good, lost = [], []
    for place, item in enumerate(items):
        try:
            good.append(
                item if isinstance(item, WyckoffGene) else WyckoffGene.from_text(item)
            )
        except GeneError:
            lost.append(place)
    return good, lost
