"""What a model expects of crystals: counts in the document, numbers in blobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import unpack_genes
from wyckflow.errors import DocumentError
from wyckflow.schemas.base import WyckflowDoc
from wyckflow.schemas.blob import pack_arrays, unpack_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VALUE, _DEVIATION = "predicted ", "deviation "


class PredictionRefusal(StrEnum):
    """Why nothing was predicted for a row."""

    NO_GENE = "no_gene"
    """It is no gene, or a structure that has none."""

    UNKNOWN_ELEMENT = "unknown_element"
    """None of the crystals that the model learned from has one of its elements."""

    NO_CELL = "no_cell"
    """The model reads cells, and this is a gene alone."""

    TOO_LARGE = "too_large"
    """It has more sites, atoms or elements than the model has room for."""


class PredictionChunk(BaseModel):
    """Some thousand genes as arrays, small enough for one blob."""

    model_config = ConfigDict(
        extra="forbid", ser_json_bytes="base64", val_json_bytes="base64"
    )

    n_genes: int = Field(ge=0, description="Predicted genes in this chunk.")
    blob: bytes = Field(
        description="Arrays of genes: space groups, codes of sites, rows where they "
        "stood in what came (from 0), and per property the predicted value and its "
        "uncertainty (disagreement of networks and expected absolute error, in "
        "quadrature); rows that were refused, with the reason of each."
    )

    @classmethod
    def pack(
        cls,
        genes: tuple[NDArray[np.int16], NDArray[np.int16]],
        rows: NDArray[np.int64],
        values: Mapping[str, NDArray[np.float64]],
        deviations: Mapping[str, NDArray[np.float64]],
        refused: Sequence[tuple[int, PredictionRefusal]] = (),
    ) -> PredictionChunk:
        """Put genes and what is expected of them together.

        Parameters
        ----------
        genes
            Space-group numbers (n,) and codes (n, sites), as
            `wyckflow.crystal.keys.pack_genes` writes them.
        rows
            Where each stood in what came, from 0.
        values, deviations
            Predicted value and uncertainty of each gene, by property.
        refused
            Rows without a prediction, and why.
        """
        numbers, codes = genes
        arrays: dict[str, NDArray[Any]] = {
            "space_groups": np.asarray(numbers, np.int16),
            "codes": np.asarray(codes, np.int16),
            "rows": np.asarray(rows, np.int32),
            "refused_rows": np.array([row for row, _ in refused], np.int32),
            "refused_reasons": np.array([why.value for _, why in refused], "U32"),
        }
        for prefix, columns in ((_VALUE, values), (_DEVIATION, deviations)):
            for name, column in columns.items():
                arrays[prefix + name] = np.asarray(column, np.float32)
        return cls(n_genes=len(numbers), blob=pack_arrays(arrays))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays as they were packed."""
        found = unpack_arrays(self.blob)
        if len(found.get("space_groups", ())) != self.n_genes:
            raise DocumentError(
                f"A chunk says it has {self.n_genes} genes, its blob holds "
                f"{len(found.get('space_groups', ()))}: the document is damaged; "
                "run the job that made it again."
            )
        return found


class PredictionDoc(WyckflowDoc):
    """Properties that one model expects of crystals."""

    SCHEMA_VERSION: ClassVar[int] = 1

    model_id: str = Field(description="Hash of the model's file (sha256).")
    model_name: str = Field(description="Name of the model.")
    predicted_by: str = Field(
        description="What predicted, such as 'ensemble of 3 networks'."
    )
    predicted_from: str = Field(
        default="the gene alone",
        description="What of a crystal was read, such as 'the gene alone' or 'cell and "
        "coordinates'.",
    )
    scale: str = Field(
        description="Scale of the predicted energies (eV/atom) and gaps (eV): that of "
        "the data the model learned from."
    )
    properties: list[str] = Field(
        description="Properties that the model predicts, in the units of its data."
    )
    n_descriptions: int = Field(
        ge=1, description="Equivalent descriptions of a gene averaged over."
    )
    n_asked: int = Field(ge=0, description="Genes that came.")
    n_predicted: int = Field(ge=0, description="Genes with a prediction.")
    refused: dict[str, int] = Field(
        default_factory=dict, description="Rows without a prediction, by reason."
    )
    chunks: list[PredictionChunk] = Field(
        default_factory=list, description="The genes, some thousand per chunk."
    )

    def iter_chunks(self) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the arrays of one chunk after the other."""
        for chunk in self.chunks:
            yield chunk.arrays()

    def genes(self) -> list[WyckoffGene]:
        """Return every gene with a prediction, in order."""
        return [
            gene
            for arrays in self.iter_chunks()
            for gene in unpack_genes(arrays["space_groups"], arrays["codes"])
        ]

    def refusals(self) -> list[tuple[int, PredictionRefusal]]:
        """Return the rows without a prediction, from 0, and why."""
        return [
            (row, PredictionRefusal(reason))
            for arrays in self.iter_chunks()
            for row, reason in zip(
                arrays["refused_rows"].tolist(),
                arrays["refused_reasons"].tolist(),
                strict=True,
            )
        ]

    def column(self, name: str) -> NDArray[Any]:
        """Return one number per predicted gene.

        Parameters
        ----------
        name
            ``rows``, a property, or ``NAME_deviation``.

        Raises
        ------
        DocumentError
            If there is no such column.
        """
        keys = {"rows": "rows"}
        for item in self.properties:
            keys |= {item: _VALUE + item, f"{item}_deviation": _DEVIATION + item}
        if name not in keys:
            raise DocumentError(
                f"These predictions have no column {name!r}; they have "
                f"{', '.join(keys)}."
            )
        parts = [arrays[keys[name]] for arrays in self.iter_chunks()]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)
