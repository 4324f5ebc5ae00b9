"""What a generator made: counts in the document, genes and predictions in blobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import pack_genes, unpack_genes
from wyckflow.errors import DocumentError
from wyckflow.schemas.base import WyckflowDoc
from wyckflow.schemas.blob import pack_arrays, unpack_arrays
from wyckflow.schemas.target import Target

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PREDICTED, _DEVIATION = "predicted ", "deviation "


class GeneChunk(BaseModel):
    """Some thousand genes as arrays, small enough for one blob."""

    model_config = ConfigDict(
        extra="forbid", ser_json_bytes="base64", val_json_bytes="base64"
    )

    n_genes: int = Field(ge=0, description="Genes in this chunk.")
    blob: bytes = Field(
        description="Arrays of genes: space groups, codes of sites, log-probabilities "
        "(nats), rows of the model's memory they started from (-1 without), and per "
        "property the predicted value and its uncertainty (disagreement of networks "
        "and expected absolute error, in quadrature)."
    )

    @classmethod
    def pack(
        cls,
        genes: Sequence[WyckoffGene],
        *,
        log_probabilities: NDArray[np.float32],
        seeds: NDArray[np.int32],
        predictions: Mapping[str, NDArray[np.float32]],
        deviations: Mapping[str, NDArray[np.float32]],
    ) -> GeneChunk:
        """Put genes and what is said of them together.

        Parameters
        ----------
        genes
            In their order.
        log_probabilities
            Of each gene, by the decoder, in nats.
        seeds
            Row of the model's memory that each started from, -1 without one.
        predictions, deviations
            Predicted value and uncertainty of each gene, by property.
        """
        numbers, codes = pack_genes(genes)
        arrays: dict[str, NDArray[Any]] = {
            "space_groups": numbers,
            "codes": codes,
            "log_probabilities": np.asarray(log_probabilities, np.float32),
            "seeds": np.asarray(seeds, np.int32),
            **{
                _PREDICTED + k: np.asarray(v, np.float32)
                for k, v in predictions.items()
            },
            **{
                _DEVIATION + k: np.asarray(v, np.float32) for k, v in deviations.items()
            },
        }
        return cls(n_genes=len(genes), blob=pack_arrays(arrays))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays as they were packed."""
        found = unpack_arrays(self.blob)
        if len(found.get("space_groups", ())) != self.n_genes:
            raise DocumentError(
                f"A chunk says it has {self.n_genes} genes, its blob holds "
                f"{len(found.get('space_groups', ()))}: the document is damaged; "
                "run the job that made it again."
            )
        return found


class GenerationDoc(WyckflowDoc):
    """Genes proposed by one model for one target."""

    SCHEMA_VERSION: ClassVar[int] = 1

    model_id: str = Field(description="Hash of the model's file (sha256).")
    model_name: str = Field(description="Name of the model.")
    method: str = Field(
        description="How genes were drawn: 'prior', 'posterior', 'local', 'guided' or "
        "'conditional'."
    )
    target: Target = Field(description="What was asked for.")
    seed: int = Field(ge=0, description="Seed of the random numbers.")
    shard: int = Field(
        default=0, ge=0, description="Number of the round of a campaign, from 0."
    )
    part: int = Field(
        default=0, ge=0, description="Number of this part of the round, from 0."
    )
    level: FiniteFloat = Field(
        ge=0,
        le=1,
        description="Noise on the latent point of a start: 0 repeats it, 1 forgets it; "
        "without meaning for a generator without latent space.",
    )
    guidance: FiniteFloat | None = Field(
        default=None,
        ge=0,
        description="How far a transformer was led beyond what the conditions say; "
        "null for other ways of drawing.",
    )
    temperature: FiniteFloat = Field(
        gt=0, description="Temperature of the decoder; below 1 it is bolder."
    )
    n_asked: int = Field(ge=0, description="Genes asked for.")
    n_decoded: int = Field(ge=0, description="Genes that the decoder was run for.")
    n_genes: int = Field(ge=0, description="Genes in the blobs.")
    failures: dict[str, int] = Field(
        description="Decoded genes left out, counted by reason."
    )
    n_starts: int | None = Field(
        default=None,
        ge=0,
        description="Known crystals within the target that genes started from; null "
        "without starts.",
    )
    n_in_target: int | None = Field(
        default=None,
        ge=0,
        description="Genes whose predicted properties, symmetry and elements meet the "
        "target; null without a target.",
    )
    properties: list[str] = Field(
        default_factory=list, description="Properties that the model predicted."
    )
    predicted_by: str = Field(
        default="",
        description="What predicted them, such as 'ensemble of 3 networks'; empty in "
        "documents from before it was recorded.",
    )
    chunks: list[GeneChunk] = Field(
        default_factory=list, description="The genes, some thousand per chunk."
    )

    def iter_chunks(self) -> Iterator[dict[str, NDArray[np.generic]]]:
        """Yield the arrays of one chunk after the other."""
        for chunk in self.chunks:
            yield chunk.arrays()

    def iter_rows(self, n_genes: int) -> Iterator[dict[str, NDArray[np.generic]]]:
        """Yield the arrays of at most so many genes at a time, by column.

        Parameters
        ----------
        n_genes
            Genes at a time.
        """
        for arrays in self.iter_chunks():
            named = {name.removeprefix(_PREDICTED): a for name, a in arrays.items()}
            for start in range(0, len(arrays["space_groups"]), n_genes):
                part = slice(start, start + n_genes)
                yield {name: array[part] for name, array in named.items()}

    def genes(self) -> list[WyckoffGene]:
        """Return every gene, in order."""
        return [
            gene
            for arrays in self.iter_chunks()
            for gene in unpack_genes(arrays["space_groups"], arrays["codes"])
        ]

    def column(self, name: str) -> NDArray[np.float32]:
        """Return one number per gene.

        Parameters
        ----------
        name
            ``log_probabilities``, ``seeds``, a property, or ``NAME_deviation``.

        Raises
        ------
        DocumentError
            If there is no such column.
        """
        key = name
        if name in self.properties:
            key = _PREDICTED + name
        elif name.removesuffix("_deviation") in self.properties:
            key = _DEVIATION + name.removesuffix("_deviation")
        parts = [arrays.get(key) for arrays in self.iter_chunks()]
        if any(part is None for part in parts):
            raise DocumentError(
                f"These genes have no column {name!r}; they have log_probabilities, "
                f"seeds, {', '.join(self.properties) or 'no property'}."
            )
        found = [part for part in parts if part is not None]
        return np.concatenate(found) if found else np.empty(0, np.float32)
