"""Candidates beside what is known: samples, bundled phases, the model's own memory."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import pack_genes
from wyckflow.errors import ModelError
from wyckflow.ml.generator import GeneBatch
from wyckflow.schemas.screening import Verdict
from wyckflow.store.evidence.compare import place_genes
from wyckflow.store.evidence.distances import predict_distances, read_distances
from wyckflow.store.evidence.known import KnownFile
from wyckflow.store.evidence.phases import list_phase_distances, load_phases
from wyckflow.store.evidence.remembered import find_remembered, recall_genes
from wyckflow.store.evidence.sample import GeneSample, Sampler, sample_genes
from wyckflow.thermo.bundled import load_bundled_reference

TESTS = Path(__file__).parents[2]
sys.path[:0] = [str(TESTS), str(TESTS / "report")]

GENES = [f"225 {metal}:a {other}:b" for metal in ("Na", "K", "Li") for other in "OS"]


# --- samples ------------------------------------------------------------------------


def pass_by(sampler, n, part=7):
    """Genes that can be told apart by their energy alone, some at a time."""
    groups, codes = pack_genes([WyckoffGene.from_text("225 Na:a Cl:b")] * n)
    energies = np.arange(n, dtype=np.float32)
    for start in range(0, n, part):
        some = slice(start, start + part)
        arrays = {"space_groups": groups[some], "codes": codes[some]}
        sampler.add(arrays | {"formation_energy_per_atom": energies[some]})
    return sampler.take()


def test_a_sample_is_bounded_and_the_same_every_time():
    one, two = (pass_by(Sampler(20), 500) for _ in range(2))
    assert len(one) == 20
    assert one.n_genes == 500
    assert len(set(one.energies.tolist())) == 20
    assert one.energies.tolist() == two.energies.tolist()
    in_one_go = pass_by(Sampler(20), 500, part=500)
    assert in_one_go.energies.tolist() == one.energies.tolist()
    assert pass_by(Sampler(20, seed=1), 500).energies.tolist() != one.energies.tolist()


def test_every_gene_has_the_same_chance():
    """Of 40 genes 10 are drawn 400 times: 100 each, within five deviations."""
    counts = Counter()
    for seed in range(400):
        counts.update(pass_by(Sampler(10, seed=seed), 40).energies.tolist())
    deviation = (400 * 0.25 * 0.75) ** 0.5
    assert len(counts) == 40
    assert all(abs(n - 100) < 5 * deviation for n in counts.values())


def test_few_genes_are_all_taken():
    found = pass_by(Sampler(100), 30)
    assert found.energies.tolist() == list(range(30))
    assert Sampler().take().n_genes == 0


# --- bundled phases -----------------------------------------------------------------


def test_phases_are_distances_above_the_hull_points_of_the_reference():
    phases, whole = load_phases(), load_bundled_reference("mp2020-gga-u")
    ids = phases.reference.ids.tolist()
    assert len(set(ids)) == len(ids)
    assert not any(name.startswith("hull-at-") for name in ids)
    energies = dict(zip(whole.ids.tolist(), whole.energies.tolist(), strict=True))
    for place in range(0, len(ids), 997):
        hull = energies.get(f"hull-at-{ids[place]}", energies[ids[place]])
        expected = energies[ids[place]] - hull
        assert phases.distances[place] == pytest.approx(expected, abs=1e-9)


def test_phases_of_a_system_come_the_most_stable_first_without_letters():
    found = load_phases().list_of(["Ti", "O"])
    distances = [one.energy_above_hull for one in found]
    assert distances == sorted(distances)
    assert {one.gene for one in found} == {""}
    assert {frozenset(Composition(one.formula_pretty).as_dict()) for one in found} == {
        frozenset({"Ti", "O"})
    }
    assert load_phases().list_of(["Xe", "Og"]) == []


def test_an_id_is_named_with_its_distance_only_where_it_is_the_only_one():
    phases = load_phases()
    counts = {formula: len(rows) for formula, rows in phases.formulas.items()}
    single, several = (next(f for f, n in counts.items() if n == k) for k in (1, 2))
    name, distance = phases.name_of(single)
    assert name in phases.reference.ids
    assert distance is not None
    name, distance = phases.name_of(several)
    assert name.count(" or ") == 1
    assert distance is None
    assert phases.name_of("XeOg") == ("", None)


def test_a_model_that_learned_from_a_bundled_source_is_compared_with_that_alone():
    phases = load_phases()
    sources = phases.reference.sources
    rows = np.flatnonzero(sources == sources[0])
    elements = np.zeros((len(rows), 119), bool)
    for place, row in enumerate(rows.tolist()):
        composition = phases.reference.compositions
        part = slice(composition.offsets[row], composition.offsets[row + 1])
        elements[place, composition.atomic_numbers[part]] = True
    memory = SimpleNamespace(elements=elements[::-1])  # in whatever order
    same = list_phase_distances(_sized(memory, len(rows)))
    assert (same.label, len(same.values)) == ("learned from", len(rows))
    elements[0, 1] = not elements[0, 1]
    other = list_phase_distances(_sized(memory, len(rows)))
    assert (other.label, len(other.values)) == ("known phases", len(phases))
    assert list_phase_distances(None).label == "known phases"


def _sized(memory, n):
    class Sized:
        elements = memory.elements

        def __len__(self):
            return n

    return Sized()


# --- predicted distances ------------------------------------------------------------


def test_predicted_distances_are_those_of_pymatgen():
    """Genes of the Ti-O system against the same reference."""
    texts = ["221 Ti:a O:b", "225 Ti:a O:c", "221 Ti:a O:d"]
    energies = [-2.9, -3.2, -1.0]
    sample = sample_genes(texts, n_genes=30)
    sample = GeneSample(sample.space_groups, sample.codes, np.array(energies), 30)
    (found,) = predict_distances({"for the target": sample})
    reference = load_bundled_reference("mp2020-gga-u").select(chemsys="O-Ti")
    entries = [PDEntry(Composition({symbol: 1}), 0.0) for symbol in ("Ti", "O")]
    for place in range(len(reference)):
        formula = Composition(reference.compositions.counts_of(place))
        energy = reference.energies[place] * formula.num_atoms
        entries.append(PDEntry(formula, energy))
    diagram = PhaseDiagram(entries)
    for text, energy, value in zip(texts, energies, found.values, strict=True):
        formula = Composition(WyckoffGene.from_text(text).composition)
        hull = diagram.get_hull_energy_per_atom(formula)
        assert value == pytest.approx(energy - hull, abs=1e-6)
    assert (found.method, found.scale) == ("predicted", "mp2020-gga-u")
    assert found.n_genes == 30


def test_genes_without_an_energy_have_no_distance():
    assert predict_distances({"x": sample_genes(["225 Na:a Cl:b"], n_genes=1)}) == []


def test_a_file_that_states_distances_is_taken_at_its_word(tmp_path):
    from tiny_model import dataset_of_genes, make_salts

    genes = [WyckoffGene.from_text(text) for text in GENES]
    stated = {"energy_above_hull": [0.0, 0.1, np.nan, 0.2, 0.3, 0.4]}
    path = tmp_path / "lab.npz"
    dataset_of_genes(genes, stated).save(path)
    found = read_distances(KnownFile.load(path))
    assert found.values.tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert found.label == "lab.npz"
    make_salts().save(path)
    assert read_distances(KnownFile.load(path)) is None


# --- the model ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tiny_model):
    from wyckflow.ml.model_file import describe_model
    from wyckflow.store.evidence.models import CampaignModel

    return CampaignModel(describe_model(tiny_model, name="tiny"))


def remember_like(model, read_back):
    """A model with the memory of another, whose decoder reads what a function says."""

    points = model.memory.latents.astype(np.float32)

    def sample_around(latents, **_):
        rows = [int(np.abs(points - one).sum(axis=1).argmin()) for one in latents]
        genes = pack_genes([read_back(row) for row in rows])
        return GeneBatch(*genes, np.zeros(len(rows)), np.arange(len(rows)), {})

    return SimpleNamespace(
        name="stub",
        has_space=True,
        memory=model.memory,
        generator=SimpleNamespace(sample_around=sample_around),
    )


def test_what_a_decoder_makes_up_is_left_out(model):
    """Of each system one gene comes out right, the others wrong in one way each."""
    from tiny_model import make_salts

    salts = make_salts().genes
    own = {
        "225 Na:a O:b": "225 Na:a O:b",
        "225 Na:a O:c": "225 Na:a O:d",  # of no crystal
        "225 K:a O:b": "225 Na:a O:b",  # known, but of other elements
        "225 K:a O:c": "225 K:a O:b",  # known, but of fewer atoms: see below
    }

    def read_back(row):
        text = salts[row].to_text()
        return WyckoffGene.from_text(own.get(text, text))

    asked = [WyckoffGene.from_text(text) for text in ("225 O:a Na:b", "1 K:a O:a")]
    found, words = recall_genes(remember_like(model, read_back), asked)
    read = [{gene.to_text() for gene in group} for group in found.values()]
    # The last has the key of another row of its elements: known, and told once.
    assert read == [{"225 Na:a O:b"}, {"225 K:a O:b"}]
    assert "(2 of 4)" in words


def test_analogues_need_no_file():
    """Of the bundled model: halite by its id, Ba3TiO5 in the group of Cs3CoCl5."""
    from wyckflow.ml.model_file import bundled_model_path, describe_model
    from wyckflow.store.evidence.models import CampaignModel

    bundled = CampaignModel(describe_model(bundled_model_path(), name="bundled"))
    notes = []
    texts = ["225 Na:a Cl:b", "221 Ba:a Ti:b O:d", "225 Fe:a Xe:b"]
    words, found = find_remembered(bundled, texts, notes)
    assert notes == []
    assert "--known DATASET" in words
    halite = found[0][0]
    assert (halite.name, halite.gene) == ("mp-22862", "225 Na:a Cl:b")
    assert (halite.is_same_group, halite.n_shared) == (True, 2)
    groups = {one.formula_pretty: one.gene.split(" ")[0] for one in found[1]}
    assert groups["Ba3TiO5"] == "140"
    assert found[1][-1].gene == ""  # a phase without letters comes last
    for text, near in zip(texts, found, strict=True):
        elements = set(WyckoffGene.from_text(text).composition)
        for one in near:
            assert set(Composition(one.formula_pretty).as_dict()) == elements
    assert found[-1] == ()


def test_without_a_model_phases_remain_and_their_limits_are_said():
    words, (found,) = find_remembered(None, ["221 Ti:a O:b"], [])
    assert found
    assert all(one.gene == "" for one in found)
    assert "Without letters" in words


def make_candidate(place):
    from report_things import make_candidate as make

    verdicts = [{"stage": "hull distance", "verdict": Verdict.PASS}]
    if place == 2:
        verdicts[0]["verdict"] = Verdict.FAIL
    return make(place, GENES[place][4:], verdicts=verdicts)


def test_genes_are_placed_by_the_encoder_whatever_their_order(model):
    """Long and short genes are encoded apart, and come back in their order."""
    texts = ["221 Na:a Ti:b O:c", "225 Na:a O:b", "225 K:a S:c", "221 K:a Ti:b S:c"]
    sample = sample_genes(texts, n_genes=70)
    candidates = tuple(make_candidate(place) for place in range(3))
    notes = []
    space = place_genes(model, candidates, sample, sample_genes([], n_genes=0), notes)
    placed = {one.label: one for one in space.placed}
    assert notes == []
    assert set(placed) == {"proposed", "best"}
    alone = [model.generator.encode([WyckoffGene.from_text(one)])[0] for one in texts]
    assert placed["proposed"].latents == pytest.approx(np.array(alone), abs=1e-5)
    assert placed["proposed"].n_genes == 70
    assert len(placed["best"].latents) == 2  # one of three was stopped


def test_a_model_without_a_latent_space_gives_a_note_and_no_map():
    transformer = SimpleNamespace(
        name="t", has_space=False, describe_space=lambda: None
    )
    notes = []
    none = sample_genes([], n_genes=0)
    assert place_genes(transformer, (), None, none, notes) is None
    assert "the model t has no latent space" in notes[0]
    words, _ = find_remembered(transformer, GENES, notes)
    assert "Letters" not in words


def test_a_model_that_cannot_compute_here_still_gives_its_map(model):
    class Silent:
        name, has_space, memory = "quiet", True, model.memory
        describe_space = model.describe_space

        @property
        def generator(self):
            raise ModelError("install 'wyckflow[ml]'.")

    notes = []
    sample = sample_genes(GENES, n_genes=6)
    space = place_genes(Silent(), (), sample, sample, notes)
    assert space.placed == ()
    assert len(space.latents) == len(model.memory)
    find_remembered(Silent(), GENES, notes)
    assert all("wyckflow[ml]" in one for one in notes)
    assert len(notes) == 2


@pytest.mark.mongo
def test_accepted_genes_are_those_that_passed_the_screen(database):
    from report_things import make_candidate as make

    from wyckflow.store.candidates.builder import CANDIDATES
    from wyckflow.store.evidence.sample import read_accepted

    made = [make(0), make(1), make(2, is_relaxed=False), make(3, campaign="others")]
    with database.client() as client:
        client[database.name][CANDIDATES].insert_many(
            [one.model_dump(mode="json") for one in made]
        )
    found = read_accepted(database, "salts")
    assert (len(found), found.n_genes) == (2, 2)
    some = read_accepted(database, "salts", size=1)
    assert (len(some), some.n_genes) == (1, 2)
    first = min(made[:2], key=lambda one: one.gene_id)
    assert (
        some.codes.tolist()
        == pack_genes([WyckoffGene.from_text(first.gene)])[1].tolist()
    )
