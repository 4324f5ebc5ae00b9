"""Reference sets computed in shards, and what survives a kill."""

from __future__ import annotations

import csv

import pytest
from jobflow import run_locally

from wyckflow.crystal.dataset.importing import import_dataset
from wyckflow.errors import ConfigurationError, ReferenceDataError
from wyckflow.flows.hull import HullReferenceFlowMaker
from wyckflow.makers import _phases
from wyckflow.makers._journal import Journal
from wyckflow.makers._phase_sources import open_phase_source
from wyckflow.makers._phases import (
    EVALUATED,
    Phase,
    PhaseOptions,
    collect_phases,
    compute_phases,
    element_entries,
)
from wyckflow.makers.reference import (
    CollectReferenceMaker,
    HullReferenceMaker,
    read_document,
)
from wyckflow.relax.contract import RelaxOptions
from wyckflow.thermo.entry import EnergyKind
from wyckflow.thermo.reference import ReferenceSet

pytest.importorskip("chgnet", reason="install wyckflow[ml]")


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Keep what jobs leave behind out of the user's cache."""
    monkeypatch.setenv("WYCKFLOW_SCRATCH", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


@pytest.fixture(scope="module")
def backend():
    from wyckflow.relax.backends import load_backend

    return load_backend(device="cpu")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Three salts and a row that is no crystal."""
    from pymatgen.core import Lattice, Structure

    points = [[0, 0, 0], [0.5, 0.5, 0.5]]
    rows = []
    for name, pair, edge in [
        ("one", ("Cs", "Cl"), 4.2),
        ("two", ("Cs", "Br"), 4.6),
        ("three", ("Cu", "Zn"), 3.0),
    ]:
        cell = Lattice.cubic(edge)
        rows.append((name, Structure(cell, pair, points).to(fmt="cif")))
    path = tmp_path_factory.mktemp("data") / "salts.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["material_id", "cif"])
        writer.writerows([*rows, ("none", "this is no CIF")])
    return path


def compute(table, backend, **options):
    entries = open_phase_source(table).entries(symprec=0.01)
    chunks = compute_phases(entries, backend, PhaseOptions(**options))
    return {phase.id: phase for chunk in chunks for phase in chunk}


def test_relaxed_phases_are_below_evaluated_ones_and_both_match_chgnet(table, backend):
    """The energy of a structure as it came is chgnet's own prediction."""
    from chgnet.model import CHGNet
    from pymatgen.core import Structure

    relaxed = compute(table, backend)
    evaluated = compute(table, backend, evaluate_only=True)
    assert list(relaxed) == list(evaluated) == ["one", "two", "three", "none"]
    network = CHGNet.load(verbose=False, use_device="cpu")
    with table.open(newline="") as stream:
        texts = {row["material_id"]: row["cif"] for row in csv.DictReader(stream)}
    for name in ("one", "two", "three"):
        theirs = network.predict_structure(Structure.from_str(texts[name], "cif"))["e"]
        assert evaluated[name].energy_per_atom == pytest.approx(float(theirs), abs=1e-4)
        assert relaxed[name].energy_per_atom < evaluated[name].energy_per_atom
        assert evaluated[name].outcome == EVALUATED
        assert relaxed[name].outcome == "converged"
    assert relaxed["one"].composition == {"Cs": 1, "Cl": 1}
    assert (relaxed["one"].source, relaxed["none"].outcome) == ("salts.csv", "refused")
    assert relaxed["none"].reason


def test_only_crystals_with_much_freedom_are_taken_as_they_are(table, backend):
    found = compute(table, backend, max_freedom=1)
    assert found["one"].outcome == "converged"  # one free length
    found = compute(table, backend, max_freedom=0)
    assert found["one"].outcome == EVALUATED
    assert found["one"].to_entry("2026-01-01").origin == "evaluated"


def test_starts_of_elements_are_relaxed_even_if_nothing_else_is(backend):
    options = PhaseOptions(evaluate_only=True)
    (phases,) = compute_phases(element_entries(["Cu", "O"]), backend, options)
    assert {phase.outcome for phase in phases} == {"converged"}
    reference = collect_phases(
        phases, name="x", scale=backend.energy_scale, date="2026-01-01", provenance={}
    )
    assert len(reference) == 2
    copper = [p.energy_per_atom for p in phases if p.composition.keys() == {"Cu"}]
    assert reference.select(chemsys="Cu").energies[0] == min(copper)
    assert reference.kind is EnergyKind.TOTAL
    assert reference.covers("Cu-O")


def test_a_bare_gene_is_no_known_phase(tmp_path, backend):
    path = tmp_path / "wanted.txt"
    path.write_text("225 Na:a Cl:b\n")
    for options in (PhaseOptions(), PhaseOptions(evaluate_only=True)):
        entries = open_phase_source(path).entries(symprec=0.01)
        ((phase,),) = compute_phases(entries, backend, options)
        assert (phase.outcome, phase.energy_per_atom) == ("refused", None)
        assert "without a structure" in phase.reason


def test_a_dataset_gives_the_same_energies_as_its_table(table, tmp_path, backend):
    output = tmp_path / "salts.npz"
    import_dataset([table], output)
    direct = compute(table, backend)
    through = compute(output, backend)
    for name in ("one", "two", "three"):
        assert through[name].energy_per_atom == pytest.approx(
            direct[name].energy_per_atom, abs=2e-4
        )


# --- the journal ----------------------------------------------------------------------


def phase(name, energy=-1.0):
    return Phase(name, "file.csv", {"Cs": 1, "Cl": 1}, energy, "converged")


def test_a_journal_gives_back_what_was_kept_also_after_a_torn_line(tmp_path):
    journal = Journal(tmp_path / "j", {"a": (1, 2)})
    journal.add([phase("one"), phase("two")])
    with journal.path.open("a") as stream:
        stream.write('{"id": "thr')
    journal.add([phase("four")])
    assert [key[1] for key in journal.load()] == ["one", "two", "four"]
    assert journal.load()["file.csv", "one"] == phase("one")


def test_a_journal_of_other_work_is_refused(tmp_path):
    Journal(tmp_path / "j", {"fmax": 0.01}).add([phase("one")])
    with pytest.raises(ConfigurationError, match="another run"):
        Journal(tmp_path / "j", {"fmax": 0.05}).load()


def test_finished_phases_are_not_computed_again(table, backend, tmp_path, monkeypatch):
    monkeypatch.setattr(_phases, "_CHUNK", 1)
    journal = Journal(tmp_path / "j", {})
    entries = list(open_phase_source(table).entries(symprec=0.01))
    run = journal.run(entries, backend, PhaseOptions(evaluate_only=True))
    assert [next(run).id, next(run).id] == ["one", "two"]
    run.close()  # killed while the third is computed
    seen = []
    again = list(
        journal.run(entries, backend, PhaseOptions(evaluate_only=True), seen.append)
    )
    assert [item.id for item in again] == ["one", "two", "three", "none"]
    assert seen[0] == 2
    assert seen[-1] == 4


# --- the jobs -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def collected(table, tmp_path_factory):
    """The flow on two shards, run by jobflow."""
    from jobflow import JobStore
    from maggma.stores import MemoryStore

    store = JobStore(MemoryStore(), additional_stores={"blobs": MemoryStore()})
    store.connect()
    maker = HullReferenceFlowMaker(
        reference_maker=HullReferenceMaker(fmax=0.05, max_stress_gpa=0.5, max_steps=60),
        collect_maker=CollectReferenceMaker(max_failed_fraction=0.5),
        n_shards=2,
    )
    flow = maker.make([str(table)])
    run_locally(
        flow,
        store=store,
        root_dir=tmp_path_factory.mktemp("run"),
        ensure_success=True,
        log=False,
    )
    return [read_document(store.get_output(j.uuid, load=True)) for j in flow.jobs]


def test_shards_join_to_one_set_with_one_entry_per_element(collected):
    *shards, whole = collected
    reference = ReferenceSet.from_bytes(whole.blob)
    assert [shard.n_shards for shard in shards] == [2, 2]
    assert whole.n_entries == len(reference) == 89 + 3
    assert whole.version == reference.version
    assert whole.n_without_energy == 1
    assert {item.outcome for item in whole.outcomes} >= {"converged", "refused"}
    assert len(reference.elements) == 89
    assert str(reference.scale) == whole.energy_scale == "chgnet-0.3.0"
    for element in ("Cu", "O", "Pu"):
        here = [ReferenceSet.from_bytes(s.blob).select(chemsys=element) for s in shards]
        lowest = min(energy for part in here for energy in part.energies)
        assert reference.select(chemsys=element).energies.tolist() == [lowest]


def test_a_shard_leaves_nothing_behind_but_its_document(collected, scratch):
    assert not list(scratch.glob("hull-reference-*"))


def test_shards_that_do_not_fit_together_are_refused(collected):
    first, second, _ = collected
    make = CollectReferenceMaker.make.original
    maker = CollectReferenceMaker(max_failed_fraction=1.0)
    with pytest.raises(ReferenceDataError, match="each once"):
        make(maker, [first])
    other = second.model_copy(
        update={"settings": second.settings.model_copy(update={"fmax": 0.2})}
    )
    with pytest.raises(ReferenceDataError, match="not all of one set"):
        make(maker, [first, other])
    with pytest.raises(ReferenceDataError, match="gave no energy"):
        make(CollectReferenceMaker(max_failed_fraction=0.0), [first, second])


def test_a_shard_that_is_not_there_is_refused(table):
    make = HullReferenceMaker.make.original
    with pytest.raises(ValueError, match="does not exist"):
        make(HullReferenceMaker(), [str(table)], shard=2, n_shards=2)


@pytest.mark.parametrize(
    "wrong", [{"fmax": 0.0}, {"weights": "9"}, {"symprec": -1.0}], ids=str
)
def test_options_that_cannot_work_fail_at_once(wrong):
    with pytest.raises((ValueError, ConfigurationError)):
        HullReferenceMaker(**wrong)
    with pytest.raises(ValueError, match="between 0 and 1"):
        CollectReferenceMaker(max_failed_fraction=2.0)
    with pytest.raises(ValueError, match="at least 1"):
        HullReferenceFlowMaker(n_shards=0)


def test_relaxation_options_reach_the_relaxer():
    options = HullReferenceMaker(fmax=0.03, max_steps=7, max_freedom=4)._options()
    expected = RelaxOptions(fmax=0.03, max_steps=7)
    assert options == PhaseOptions(expected, max_freedom=4)
