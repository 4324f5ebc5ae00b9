"""The relaxation job, run by jobflow."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from jobflow import run_locally

from wyckflow.makers._running import begin_job, end_job, n_steps_kept
from wyckflow.makers.relax import RelaxMaker, take_shard
from wyckflow.relax import backends, race
from wyckflow.schemas.relaxation import Outcome, RelaxationBatchDoc

GENES = ["225 Rn:a", "229 Fe:a", "225 Na:a Cl:b"]
METALS = ["225 Cu:a", "221 Cu:c Au:a", "123 Cu:a Au:d", "139 Pd:a"]


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Keep what jobs leave behind out of the user's cache."""
    monkeypatch.setenv("WYCKFLOW_SCRATCH", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


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
    assert document.settings.backend == "chgnet-quotient"
    assert (document.schema_version, document.settings.n_coarse_stages) == (4, 4)
    assert all(item.max_force <= 0.02 for item in document.results[1:])


def test_every_trial_is_kept_in_the_table_alone(relaxed):
    """As documents, the trials of a shard would take megabytes."""
    document = read_document(*relaxed)
    assert [item.trials for item in document.results] == [[], [], []]
    listed = document.list_trials()
    for item in document.results:
        trials = listed[item.gene_id]
        if item.best_trial is None:
            assert trials == []
            continue
        assert trials[item.best_trial].energy_per_atom == item.energy_per_atom
        assert sum(t.n_evaluations for t in trials) == item.n_evaluations_of_gene
    assert document.trials.n_trials == 2


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


def test_moments_stand_beside_the_energies(relaxed):
    radon, iron, salt = read_document(*relaxed).results
    assert radon.magnetic_moments_mu_b is None
    # Iron has 2.2 mu_B, measured; sodium and chlorine ions have closed shells.
    assert iron.magnetic_moments_mu_b == pytest.approx([2.2], abs=0.3)
    assert salt.magnetic_moments_mu_b == pytest.approx([0, 0], abs=0.02)


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
    maker = RelaxMaker(
        n_trials=2, seed=5, engine="sampler", fmax=0.02, max_evaluations=90
    )
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
        {"n_coarse_stages": -1},
        {"energy_window": -0.1},
        {"keep_fraction": 2.0},
        {"max_evaluations": 0},
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


def test_an_unknown_backend_fails_here():
    from wyckflow.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="chgnet-quotient"):
        RelaxMaker(backend="chgnet")


# --- a job that is killed -------------------------------------------------------------


@pytest.fixture
def emt(monkeypatch):
    """A cheap potential in the place of the network; lists what it relaxes."""
    emt = pytest.importorskip("ase.calculators.emt", reason="install wyckflow[ml]")
    relaxed = []

    class Counting(backends.AseBackend):
        def relax(self, starts, options, progress=None):
            relaxed.extend(start.gene.to_text() for start in starts)
            return super().relax(starts, options, progress)

    backend = Counting(emt.EMT, energy_scale="emt", identity="EMT of ase")
    monkeypatch.setattr(backends, "load_backend", lambda *_, **__: backend)
    return relaxed


def run(maker, genes):
    """Run the job as a worker does, without a store."""
    return maker.make.original(maker, genes)


class Killed(BaseException):
    """What ends a process, in a form that a test survives."""


def run_until_killed(maker, genes, *, after, monkeypatch):
    """Let the job be killed when it has finished some heats."""
    run_heat, heats = race._run_heat, []

    def run_some(*args):
        if len(heats) == after:
            raise Killed
        heats.append(args)
        return run_heat(*args)

    with monkeypatch.context() as patch:
        patch.setattr(race, "_run_heat", run_some)
        with pytest.raises(Killed):
            run(maker, genes)


def without_provenance(document):
    return document.model_dump(exclude={"provenance"})


def test_a_killed_job_goes_on_where_it_was(emt, scratch, monkeypatch):
    maker = RelaxMaker(n_trials=4, fmax=0.05)
    whole = run(maker, METALS)
    assert not any(scratch.iterdir())
    emt.clear()
    run_until_killed(maker, METALS, after=2, monkeypatch=monkeypatch)
    assert set(emt) == set(METALS[:2])
    assert len(list(scratch.iterdir())) == 1
    emt.clear()
    resumed = run(maker, METALS)
    assert set(emt) == set(METALS[2:])
    assert without_provenance(resumed) == without_provenance(whole)
    assert not any(scratch.iterdir())


def test_only_what_could_be_kept_is_claimed(emt, scratch, monkeypatch):
    """Else a job that always crashes later would seem to get on each time."""
    maker = RelaxMaker(n_trials=4, fmax=0.05)
    claimed = []
    for folder in (scratch, scratch / "file" / "below"):
        monkeypatch.setenv("WYCKFLOW_SCRATCH", str(folder))
        begin_job()
        run(maker, METALS)
        claimed.append(n_steps_kept())
        end_job(is_stored=True)
        (scratch / "file").touch()
    assert claimed == [len(METALS), 0]


@pytest.mark.parametrize(
    "changed",
    [{"fmax": 0.04}, {"seed": 1}, {"n_trials": 5}, {"energy_window": 0.06}],
    ids=str,
)
def test_another_job_does_not_take_what_was_left(emt, monkeypatch, changed):
    maker = RelaxMaker(n_trials=4, fmax=0.05)
    run_until_killed(maker, METALS[:2], after=1, monkeypatch=monkeypatch)
    emt.clear()
    run(RelaxMaker(**{"n_trials": 4, "fmax": 0.05, **changed}), METALS[:2])
    assert set(emt) == set(METALS[:2])
    emt.clear()
    run(maker, METALS[:1])
    assert set(emt) == set(METALS[:1])


PROGRAM = """
import sys, time
from ase.calculators.emt import EMT
from wyckflow.makers.relax import RelaxMaker
from wyckflow.relax import backends

class Slow(backends.AseBackend):
    def relax(self, starts, options, progress=None):
        if "Pd" in starts[0].gene.elements and sys.argv[1] == "hang":
            print("hanging", flush=True)
            time.sleep(600)
        print(*(start.gene for start in starts), sep="\\n", flush=True)
        return super().relax(starts, options, progress)

backend = Slow(EMT, energy_scale="emt", identity="EMT of ase")
backends.load_backend = lambda *args, **options: backend
maker = RelaxMaker(n_trials=4, fmax=0.05)
document = maker.make.original(maker, sys.argv[2:])
print("converged", document.n_converged)
"""


def test_a_worker_killed_for_good_loses_what_it_was_at_and_no_more(scratch):
    pytest.importorskip("ase", reason="install wyckflow[ml]")
    genes = [METALS[0], METALS[3]]
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(
        [*command, "hang", *genes], stdout=subprocess.PIPE, text=True
    ) as worker:
        for line in worker.stdout:
            if line.strip() == "hanging":
                break
        worker.send_signal(signal.SIGKILL)
    assert worker.returncode == -signal.SIGKILL
    again = subprocess.run(
        [*command, "run", *genes], capture_output=True, text=True, check=True
    )
    lines = again.stdout.splitlines()
    assert METALS[0] not in lines
    assert METALS[3] in lines
    assert lines[-1] == "converged 2"
    assert not any(scratch.iterdir())


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
