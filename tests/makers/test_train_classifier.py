"""The job that trains a classifier, run by jobflow."""

from __future__ import annotations

import numpy as np
import pytest
from jobflow import run_locally

from wyckflow.crystal.dataset._arrays import RowArrays
from wyckflow.crystal.dataset.metadata import DatasetMetadata
from wyckflow.crystal.dataset.table import Dataset
from wyckflow.crystal.encode import Engine
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import LETTER_BITS, pack_genes
from wyckflow.errors import TrainingError
from wyckflow.makers.train_classifier import TrainClassifierMaker
from wyckflow.ml.classifiers.model import load_classifier
from wyckflow.schemas.training import TrainingDoc

METALS = ("Li", "Na", "K", "Mg", "Ca", "Sr", "Al", "Ti", "Fe", "Co")
ANIONS = ("O", "S", "F", "Cl")


def write_dataset(path, *, with_gaps=True):
    """Write binaries: those with an anion have a gap."""
    genes, gaps = [], []
    for template in ("225 {}:a {}:b", "221 {}:a {}:b"):
        for first in METALS:
            for second in METALS + ANIONS:
                if first != second:
                    genes.append(WyckoffGene.from_text(template.format(first, second)))
                    gaps.append(2.0 if second in ANIONS else 0.0)
    groups, codes = pack_genes(genes)
    flat = codes[codes > 0].astype(np.int64)
    arrays = RowArrays(
        space_group_numbers=groups.astype(np.uint8),
        n_sites=(codes > 0).sum(axis=1).astype(np.int32),
        atomic_numbers=(flat >> LETTER_BITS).astype(np.uint8),
        letter_indices=(flat & (1 << LETTER_BITS) - 1).astype(np.uint8),
        coordinates=np.zeros((len(flat), 3)),
        lattices=np.tile(np.eye(3) * 4.0, (len(genes), 1, 1)),
        sources=np.zeros(len(genes), np.int32),
        records=np.arange(1, len(genes) + 1),
        properties={"band_gap": np.array(gaps)} if with_gaps else {},
        texts={},
    )
    Dataset(arrays, DatasetMetadata(engine=Engine.SPGLIB, symprec=0.1)).save(path)
    return str(path)


def test_the_job_stores_a_model_that_scores_as_it_said(job_store, tmp_path):
    path = write_dataset(tmp_path / "binaries.npz")
    maker = TrainClassifierMaker(task="metal", n_members=2, n_epochs=3)
    made = maker.make([path], test=[])
    responses = run_locally(
        made, store=job_store, root_dir=tmp_path, ensure_success=True, log=False
    )
    document = TrainingDoc.model_validate(responses[made.uuid][1].output)
    assert document.kind == "classifier"
    assert [record.epoch for record in document.epochs] == [1, 2, 3]
    assert document.n_train > document.n_validation > 0
    assert document.n_test == 0
    assert len(document.dataset_ids) == 1
    classifier = load_classifier(document.model.to_bytes())
    assert classifier.identity == document.model_id
    scores = classifier.score([WyckoffGene.from_text("225 Na:a Cl:b")])
    assert 0 < scores[0] < 1


def test_the_way_through_the_store_keeps_the_file(job_store, tmp_path):
    """Its bytes go to the blob store and come back."""
    path = write_dataset(tmp_path / "binaries.npz")
    made = TrainClassifierMaker(task="metal", n_members=1, n_epochs=1).make([path])
    run_locally(
        made, store=job_store, root_dir=tmp_path, ensure_success=True, log=False
    )
    stored = job_store.get_output(made.uuid, load=True)
    fields = {name: stored[name] for name in TrainingDoc.model_fields}
    document = TrainingDoc.model_validate(fields)
    assert load_classifier(document.model.to_bytes()).identity == document.model_id


def test_a_wrong_task_is_refused_before_submission():
    with pytest.raises(TrainingError, match="Did you mean 'synthesizability'"):
        TrainClassifierMaker(task="synthesisability")
    with pytest.raises(TrainingError, match="n_epochs"):
        TrainClassifierMaker(n_epochs=0)


def test_a_dataset_without_gaps_fails_with_the_remedy(tmp_path):
    path = write_dataset(tmp_path / "binaries.npz", with_gaps=False)
    maker = TrainClassifierMaker(task="metal")
    with pytest.raises(TrainingError, match="--column band_gap="):
        maker.make.original(maker, [path])
