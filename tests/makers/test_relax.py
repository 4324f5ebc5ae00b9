"""The relaxation job, run by jobflow."""

from __future__ import annotations

import subprocess
import sys

import pytest
from jobflow import run_locally

from wyckflow.makers.relax import RelaxMaker, take_shard
from wyckflow.schemas.relaxation import Outcome, RelaxationBatchDoc

GENES = ["225 Rn:a", "229 Fe:a", "225 Na:a Cl:b"]


@pytest.fixture(scope="module")
def relaxed(tmp_path_factory):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    from jobflow import JobStore
    from maggma.stores import MemoryStore

    store = JobStore(MemoryStore(), additional_stores={"blobs": MemoryStore()})
    store.connect()
    job = RelaxMaker(n_trials=1, engine="sampler", fmax=0.02).make(GENES)
    run_locally(
        job,
        store=store,
        root_dir=tmp_path_factory.mktemp("relax"),
        ensure_success=True,
        log=False,
    )
    return job, store


def read_document(job, store):
    stored = store.get_output(job.uuid, load=True)
    fields = {name: value for name, value in stored.items() if name[0] != "@"}
    return RelaxationBatchDoc.model_validate(fields)


def test_the_document_answers_gene_by_gene(relaxed):
    document = read_document(*relaxed)
    assert [item.gene for item in document.results] == GENES
    assert [item.outcome for item in document.results] == [
        Outcome.UNSUPPORTED_ELEMENT,
        Outcome.CONVERGED,
        Outcome.CONVERGED,
    ]
    assert document.n_converged == 2
    assert document.energy_scale == "chgnet-0.3.0"
    assert document.settings.fmax == 0.02
    assert all(item.max_force <= 0.02 for item in document.results[1:])


def test_the_document_says_what_computed_it(relaxed):
    provenance = read_document(*relaxed).provenance
    assert "sha256" in provenance.model
    assert provenance.device in {"cpu", "cuda:0"}
    assert provenance.wall_s > 0
    assert provenance.cpu_s > 0


def test_structures_lie_in_the_blob_store_and_come_back(relaxed):
    job, store = relaxed
    pointer = store.query_one({"uuid": job.uuid})["output"]["blob"]
    assert set(pointer) >= {"blob_uuid", "store"}
    document = read_document(job, store)
    iron = document.structures()[document.results[1].gene_id]
    # Ferromagnetic bcc iron: 2.83 A in PBE.
    assert iron.lattice[0, 0] == pytest.approx(2.83, rel=0.02)
    assert iron.volume / iron.n_atoms == pytest.approx(
        document.results[1].volume_per_atom, rel=1e-6
    )


def test_shards_take_every_gene_once():
    genes = [f"gene {index}" for index in range(11)]
    shards = [take_shard(genes, shard=index, n_shards=3) for index in range(3)]
    assert sorted(gene for shard in shards for gene in shard) == sorted(genes)
    assert [len(shard) for shard in shards] == [4, 4, 3]


@pytest.mark.parametrize(("shard", "n_shards"), [(3, 3), (-1, 3), (0, 0)])
def test_a_shard_that_is_not_there_is_refused(shard, n_shards):
    with pytest.raises(ValueError, match="does not exist"):
        take_shard([], shard=shard, n_shards=n_shards)


def test_the_maker_survives_its_dictionary_and_its_use():
    maker = RelaxMaker(n_trials=2, seed=5, engine="sampler", fmax=0.02)
    before = maker.as_dict()
    job = maker.make(GENES, shard=1, n_shards=2)
    assert RelaxMaker.from_dict(before) == maker
    assert maker.as_dict() == before
    assert job.name == "chgnet relax"


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_trials": 0},
        {"seed": -1},
        {"engine": "magic"},
        {"fmax": 0.0},
        {"max_steps": -1},
    ],
    ids=str,
)
def test_options_that_would_fail_on_the_worker_fail_here(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)) + "|magic"):
        RelaxMaker(**wrong)


def test_unknown_weights_fail_here():
    from wyckflow.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="weights"):
        RelaxMaker(weights="9.9")


def test_making_a_job_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from wyckflow.flows.demo import DemoFlowMaker\n"
        "DemoFlowMaker().make(['221 Sr:a Ti:b O:c'])\n"
        "heavy = {'torch', 'chgnet', 'ase', 'pyxtal', 'smact', 'atomate2', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
