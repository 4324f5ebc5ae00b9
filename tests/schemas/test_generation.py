"""Generated genes come back from their blobs as they went in."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import unpack_genes
from wyckflow.errors import DocumentError
from wyckflow.schemas.generation import GeneChunk, GenerationDoc
from wyckflow.schemas.target import Target

TEXTS = ["221 Sr:a Ti:b O:c", "225 Na:a Cl:b", "62 Ca:c Ti:b O:c O:d"]
GENES = [WyckoffGene.from_text(text) for text in TEXTS]


def chunk(genes, gap):
    n = len(genes)
    return GeneChunk.pack(
        genes,
        log_probabilities=np.arange(n, dtype=np.float32),
        seeds=np.full(n, -1, np.int32),
        predictions={"band_gap": np.full(n, gap, np.float32)},
        deviations={"band_gap": np.full(n, 0.1, np.float32)},
    )


def document(chunks):
    return GenerationDoc(
        model_id="0" * 64,
        model_name="m",
        method="prior",
        target=Target(),
        seed=0,
        level=1.0,
        temperature=1.0,
        n_asked=3,
        n_decoded=3,
        n_genes=3,
        failures={},
        properties=["band_gap"],
        chunks=chunks,
    )


def test_genes_and_numbers_come_back_in_order_across_chunks():
    found = document([chunk(GENES[:2], 1.0), chunk(GENES[2:], 2.0)])
    found = GenerationDoc.model_validate_json(found.model_dump_json())
    assert found.genes() == GENES
    assert found.column("band_gap").tolist() == [1, 1, 2]
    assert found.column("band_gap_deviation").tolist() == pytest.approx([0.1] * 3)
    assert found.column("log_probabilities").tolist() == [0, 1, 0]
    assert found.column("seeds").tolist() == [-1] * 3


def test_rows_come_some_at_a_time_with_their_columns():
    found = document([chunk(GENES[:2], 1.0), chunk(GENES[2:], 2.0)])
    parts = list(found.iter_rows(1))
    assert [len(part["codes"]) for part in parts] == [1, 1, 1]
    assert [part["band_gap"].tolist() for part in parts] == [[1], [1], [2]]
    unpacked = [unpack_genes(part["space_groups"], part["codes"]) for part in parts]
    assert [gene for genes in unpacked for gene in genes] == GENES


def test_an_unknown_column_is_refused_with_those_that_are_there():
    with pytest.raises(DocumentError, match="band_gap"):
        document([chunk(GENES, 1.0)]).column("formation_energy_per_atom")


def test_no_genes_are_no_error():
    assert document([]).genes() == []
    assert document([]).column("band_gap").size == 0


def test_a_chunk_that_lost_genes_is_refused():
    damaged = chunk(GENES, 1.0).model_copy(update={"n_genes": 4})
    with pytest.raises(DocumentError, match="damaged"):
        damaged.arrays()
