"""The predicting job with forward models: genes, structures, and what has no cell."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from jobflow import Flow, run_locally
from pymatgen.core import Lattice, Structure

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import pack_genes
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import CheckpointError
from wyckflow.makers.generate import GenerateMaker
from wyckflow.makers.predict import PredictMaker
from wyckflow.ml.checkpoint import load_checkpoint
from wyckflow.ml.forward.crystals import (
    crystals_from_dataset,
    crystals_from_genes,
    crystals_from_structures,
)
from wyckflow.ml.forward.model import ForwardModel
from wyckflow.schemas.prediction import PredictionDoc, PredictionRefusal
from wyckflow.schemas.relaxation import (
    Outcome,
    RelaxationBatchDoc,
    RelaxationDoc,
    RelaxationSettings,
)
from wyckflow.schemas.structures import pack_structures

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny_forward import make_salts_with_cells, train_tiny_forward

GENES = ["225 Na:a Cl:b", "221 Sr:a Ti:b O:c", "225 Mg:a O:b"]
PROPERTIES = ("formation_energy_per_atom", "band_gap")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("forward")


@pytest.fixture(scope="module")
def by_formula(folder):
    """The file of a model that reads compositions."""
    return train_tiny_forward(folder / "by-formula.npz", "composition")


@pytest.fixture(scope="module")
def by_graph(folder):
    """The file of a model that needs cells."""
    return train_tiny_forward(folder / "by-graph.npz", "graph")


def salt(edge=5.6, elements=("Na", "Cl")):
    """Rock salt in its primitive cell, by the edge of the conventional one."""
    length = edge / np.sqrt(2)
    cell = Lattice.from_parameters(length, length, length, 60, 60, 60)
    return Structure(cell, elements, [[0, 0, 0], [0.5, 0.5, 0.5]])


def run(genes, model, **options):
    return PredictMaker.make.original(PredictMaker(**options), genes, model)


def ask_directly(file, crystals):
    return ForwardModel.load(load_checkpoint(file)).predict(crystals)


def assert_same_numbers(document, found):
    deviation = np.hypot(found.spread, found.expected_error)
    for place, name in enumerate(PROPERTIES):
        np.testing.assert_allclose(
            document.column(name), found.mean[:, place], rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            document.column(f"{name}_deviation"), deviation[:, place], rtol=1e-3
        )


def test_a_model_of_formulas_takes_genes(by_formula):
    document = run(GENES, by_formula)
    genes = [WyckoffGene.from_text(text) for text in GENES]
    assert_same_numbers(document, ask_directly(by_formula, crystals_from_genes(genes)))
    assert document.predicted_by == "1 network of kind 'composition'"
    assert document.n_descriptions == 1
    assert document.model_name == "by-formula"


def test_genes_alone_are_refused_by_a_model_of_cells_and_the_rest_goes_on(by_graph):
    reduced = ReducedStructure.from_structure(salt(5.2))
    mixed = [GENES[0], salt(), "no gene", reduced, salt(6.0, ("Xe", "O")), {"a": 1}]
    document = run(mixed, by_graph)
    assert document.refusals() == [
        (0, PredictionRefusal.NO_CELL),
        (2, PredictionRefusal.NO_GENE),
        (4, PredictionRefusal.UNKNOWN_ELEMENT),
        (5, PredictionRefusal.NO_GENE),
    ]
    assert document.refused == {"no_cell": 1, "no_gene": 2, "unknown_element": 1}
    assert document.column("rows").tolist() == [1, 3]
    assert document.predicted_from == "cell and coordinates"
    structures = [ReducedStructure.from_structure(salt()), reduced]
    assert_same_numbers(
        document, ask_directly(by_graph, crystals_from_structures(structures))
    )
    values = document.column("band_gap_deviation")
    assert values[0] != values[1]  # the cells differ


def test_structures_survive_the_way_to_the_job(by_graph, job_store):
    job = PredictMaker().make([salt(), salt(5.0)], str(by_graph))
    run_locally(Flow([job]), store=job_store, ensure_success=True, log=False)
    stored = job_store.get_output(job.uuid, load=True)
    document = PredictionDoc.model_validate(
        {key: value for key, value in stored.items() if not key.startswith("@")}
    )
    structures = [ReducedStructure.from_structure(salt(edge)) for edge in (5.6, 5.0)]
    assert_same_numbers(
        document, ask_directly(by_graph, crystals_from_structures(structures))
    )


def test_generated_genes_have_no_cells(by_graph, by_formula, tiny_model):
    made = GenerateMaker.make.original(GenerateMaker(n_genes=10), tiny_model)
    refused = run(made, by_graph)
    assert refused.refused == {"no_cell": 10}
    assert (refused.n_asked, refused.n_predicted) == (10, 0)
    assert run(made, by_formula).genes() == made.genes()


def relaxed_batch(structures):
    """A document of relaxed genes, the last of which has no structure."""
    genes = [*(item.gene for item in structures), WyckoffGene.from_text(GENES[2])]
    results = [
        RelaxationDoc(
            outcome=Outcome.CONVERGED if row < len(structures) else Outcome.ERROR,
            gene=gene.to_text(),
            gene_id=gene.gene_id,
            formula_pretty=gene.formula,
            space_group_number_before=gene.space_group_number,
            structure_index=row if row < len(structures) else None,
        )
        for row, gene in enumerate(genes)
    ]
    settings = RelaxationSettings(
        relaxer="none",
        engine="none",
        n_trials=1,
        seed=0,
        fmax=0.1,
        max_stress_gpa=0.1,
        max_steps=1,
        symprec=0.01,
    )
    return RelaxationBatchDoc(
        energy_scale="none",
        settings=settings,
        n_converged=len(structures),
        results=results,
        blob=pack_structures(structures),
    )


def test_relaxed_structures_are_taken_from_their_document(by_graph, by_formula):
    structures = [
        ReducedStructure.from_structure(salt()),
        ReducedStructure.from_structure(salt(4.8, ("K", "F"))),
        ReducedStructure.from_structure(salt(5.1, ("K", "F"))),  # of the same gene
    ]
    batch = relaxed_batch(structures)
    document = run(batch, by_graph)
    assert document.refused == {"no_cell": 1}
    assert_same_numbers(
        document, ask_directly(by_graph, crystals_from_structures(structures))
    )
    assert run(batch, by_formula).n_predicted == 4  # which needs no structure


@pytest.mark.parametrize("kind", ["by_graph", "by_formula", "tiny_model"])
def test_a_dataset_is_taken_from_its_file(kind, request, tmp_path, monkeypatch):
    monkeypatch.setattr("wyckflow.makers.predict.CHUNK_GENES", 7)
    file = request.getfixturevalue(kind)
    dataset = make_salts_with_cells().select(np.arange(20))
    dataset.save(tmp_path / "rows.npz")
    document = run(str(tmp_path / "rows.npz"), file)
    assert len(document.chunks) == 3
    assert document.column("rows").tolist() == list(range(20))
    if kind != "tiny_model":
        assert_same_numbers(
            document, ask_directly(file, crystals_from_dataset(dataset))
        )


def test_a_generator_takes_structures_by_their_genes(tiny_model):
    gene = ReducedStructure.from_structure(salt()).gene
    one, other = run([salt()], tiny_model), run([gene], tiny_model)
    assert one.genes() == other.genes() == [gene]
    assert one.column("band_gap") == other.column("band_gap")
    assert one.predicted_from == "the gene alone"


def test_a_model_that_predicts_no_properties_is_refused(folder):
    from wyckflow.ml.checkpoint import Checkpoint, CheckpointInfo, save_checkpoint

    path = folder / "other.npz"
    info = CheckpointInfo(kind="ranker", config={}, seed=0)
    save_checkpoint(path, Checkpoint(info, {}))
    with pytest.raises(CheckpointError, match="predicts no properties"):
        run(GENES, path)


def test_a_forward_model_generates_nothing(by_formula):
    with pytest.raises(CheckpointError, match="generates nothing"):
        GenerateMaker.make.original(GenerateMaker(n_genes=1), by_formula)


def test_no_tolerance_is_refused():
    with pytest.raises(ValueError, match="positive"):
        PredictMaker(symprec=0)


@pytest.mark.slow
def test_fifty_thousand_genes_in_one_job(folder):
    """Packed as a generating job hands them on."""
    file = train_tiny_forward(folder / "by-gene.npz", "gene")
    numbers, codes = pack_genes(make_salts_with_cells().genes)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(numbers), 50_000)

    class Genes:
        def iter_chunks(self):
            yield {"space_groups": numbers[rows], "codes": codes[rows]}

    document = run(Genes(), file)
    assert document.n_predicted == 50_000
    assert len(document.chunks) == 5
    once = ask_directly(file, crystals_from_dataset(make_salts_with_cells()))
    np.testing.assert_allclose(
        document.column("band_gap"), once["band_gap"][rows], rtol=1e-3, atol=1e-4
    )


def test_a_file_that_was_written_again_is_read_again(folder, by_formula, by_graph):
    from shutil import copyfile

    path = folder / "newest.npz"
    found = []
    for source in (by_formula, by_graph):
        copyfile(source, path)
        found.append(run([salt()], path).model_id)
    assert found == [
        run([salt()], source).model_id for source in (by_formula, by_graph)
    ]


@pytest.mark.parametrize(
    "source",
    [
        salt(),
        ReducedStructure.from_structure(salt()),
        WyckoffGene.from_text(GENES[0]),
        {"salt": salt()},
        None,
        5,
    ],
    ids=["structure", "reduced structure", "gene", "mapping", "nothing", "number"],
)
def test_what_is_no_list_of_crystals_is_one_sentence(by_formula, source):
    with pytest.raises(TypeError, match="put crystals into a list"):
        run(source, by_formula)
