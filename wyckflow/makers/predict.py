"""The job that predicts properties of given genes or structures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jobflow import Maker

from wyckflow.makers._crystal_rows import read_rows
from wyckflow.makers._job import wyckflow_job
from wyckflow.makers._predictors import PropertyPredictor
from wyckflow.makers.models import load_model
from wyckflow.schemas.base import Provenance
from wyckflow.schemas.model import ModelDoc  # noqa: TC001 (jobflow reads it)
from wyckflow.schemas.prediction import PredictionChunk, PredictionDoc

if TYPE_CHECKING:
    from wyckflow.makers._crystal_rows import CrystalRows

CHUNK_GENES = 10_000
"""Genes read, predicted and packed at a time: below 1 MB of a blob."""


@dataclass
class PredictMaker(Maker):
    """Predict properties of crystals, each with its uncertainty.

    Estimates that order crystals, on the scale of what the model learned from: from the
    genes alone, or, if the model is a forward model that reads them, from cells and
    coordinates too. Rows that are no crystal, lack the cell that the model reads, do
    not fit into it, or have an element of none of the crystals that it learned from,
    are refused and counted; the rest goes on.

    Attributes
    ----------
    name
        Name of the job.
    n_descriptions
        Equivalent descriptions of a crystal that predictions are averaged over; if
        None, 4, and for a forward model what it was trained with. One that was trained
        without ``augment`` takes one, whatever stands here.
    symprec
        Tolerance in A of the symmetry of pymatgen's structures.
    """

    name: str = "gene predict"
    n_descriptions: int | None = None
    symprec: float = 0.01

    def __post_init__(self) -> None:
        """Refuse options that would fail on the worker."""
        if self.n_descriptions is not None and self.n_descriptions < 1:
            raise ValueError(f"{self.n_descriptions=} must be at least 1.")
        if self.symprec <= 0:
            raise ValueError(f"{self.symprec=} A must be positive.")

    @wyckflow_job(PredictionDoc)
    def make(
        self, genes: Any, model: str | Path | ModelDoc = "bundled"
    ) -> PredictionDoc:
        """Predict.

        Parameters
        ----------
        genes
            Genes, their text such as ``221 Sr:a Ti:b O:c``, structures (reduced ones,
            or pymatgen's), the path of a dataset, or a reference to a document that
            holds genes or relaxed structures.
        model
            ``bundled``, the path of a model's file that every worker can read, or a
            reference to a registered or just trained model.
        """
        from wyckflow.settings import WyckflowSettings

        _check_source(genes)
        here = WyckflowSettings.load()
        found = PropertyPredictor.load(
            *load_model(model, here.device, here.threads),
            n_descriptions=self.n_descriptions,
        )
        chunks, refused = [], Counter[str]()
        for part in read_rows(
            genes,
            with_cells=found.needs_cells,
            symprec=self.symprec,
            size=CHUNK_GENES,
        ):
            chunk, reasons = _predict(found, part)
            chunks.append(chunk)
            refused.update(reasons)
        n_predicted = sum(chunk.n_genes for chunk in chunks)
        return PredictionDoc(
            provenance=Provenance.collect(
                model=f"{found.name} {found.identity}", device=found.device
            ),
            model_id=found.identity,
            model_name=found.name,
            predicted_by=found.predicted_by,
            predicted_from=found.predicted_from,
            scale=found.scale,
            properties=list(found.properties),
            n_descriptions=found.n_descriptions,
            n_asked=n_predicted + refused.total(),
            n_predicted=n_predicted,
            refused=dict(refused),
            chunks=chunks,
        )


def _check_source(genes: Any) -> None:
    """Refuse what is no list of crystals, or one of something else.

    A structure is a list of sites, and a mapping one of names.
    """
    is_crystal = hasattr(genes, "lattice") or hasattr(genes, "space_group_number")
    is_source = not isinstance(genes, Mapping)
    is_source &= isinstance(genes, (str, Path, Iterable)) or any(
        hasattr(genes, name) for name in ("iter_chunks", "genes", "structures")
    )
    if is_crystal or not is_source:
        raise TypeError(
            f"A {type(genes).__name__} came, but genes, structures, the path of a "
            "dataset or a document that holds genes was expected; put crystals into a "
            "list, also a single one."
        )


def _predict(
    predictor: PropertyPredictor, part: CrystalRows
) -> tuple[PredictionChunk, list[str]]:
    """Predict for one part of the rows."""
    reasons = predictor.find_refused(part.crystals)
    kept = np.array([reason is None for reason in reasons], np.bool_)
    refused = part.refused + list(
        zip(part.rows[~kept].tolist(), reasons[~kept], strict=True)
    )
    values, errors = predictor.predict(part.crystals.take(np.flatnonzero(kept)))
    chunk = PredictionChunk.pack(
        (part.genes[0][kept], part.genes[1][kept]),
        part.rows[kept],
        dict(zip(predictor.properties, values.T, strict=True)),
        dict(zip(predictor.properties, errors.T, strict=True)),
        sorted(refused),
    )
    return chunk, [reason.value for _, reason in refused]
