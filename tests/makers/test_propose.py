"""The job that proposes genes, and what it refuses before it begins."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from wyckflow.crystal import WyckoffGene
from wyckflow.errors import GeneError, ModelError, ReferenceDataError, TargetError
from wyckflow.makers.propose import ProposeMaker, judge_neutrality, read_question
from wyckflow.ml.mpvae.config import NetworkConfig
from wyckflow.ml.mpvae.generator import MultiPropertyVAE
from wyckflow.ml.training.config import GeneratorConfig, LoopConfig, TrainingConfig
from wyckflow.schemas.structure_prediction import GeneSource, ProposalDoc

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny_model import make_salts  # of tests

QUICK = {"n_decoded": 60, "max_atoms": 4, "max_assignments": 20, "n_shortlist": 50}


def propose(model, formula="NaCl", group=None, **options):
    maker = ProposeMaker(**{**QUICK, "budget": 20, **options})
    return ProposeMaker.make.original(maker, formula, group, model)


@pytest.fixture(scope="module")
def document(tiny_model):
    return propose(tiny_model)


def test_what_is_chosen_keeps_the_budget_and_the_formula(document):
    assert isinstance(document, ProposalDoc)
    assert document.n_relaxations == sum(row.n_trials for row in document.chosen) <= 20
    genes = [WyckoffGene.from_text(text) for text in document.genes]
    assert genes
    assert {gene.formula for gene in genes} == {"NaCl"}
    assert [row.gene for row in document.chosen] == document.genes
    assert [row.gene_id for row in document.chosen] == [g.gene_id for g in genes]
    ranks = [row.predicted_rank for row in document.chosen]
    assert ranks == sorted(ranks)


def test_counts_add_up(document):
    n_both = document.n_in_both
    n_genes = document.n_generated + document.n_enumerated - n_both
    assert document.n_genes >= n_genes - document.n_enumerated + n_both
    assert document.n_genes <= document.n_generated + document.n_enumerated
    assert document.n_assignments > document.n_enumerated > 0
    n_made = document.n_decoded - sum(document.failures.values())
    assert n_made == document.n_generated > 0
    assert document.neutrality == "pass"
    assert document.model_name == "tiny"


def test_a_document_survives_json(document):
    assert ProposalDoc.model_validate_json(document.model_dump_json()) == document


def test_each_source_can_be_left_out(tiny_model):
    listed = propose(tiny_model, with_generator=False)
    assert {row.source for row in listed.chosen} == {GeneSource.ENUMERATED}
    assert listed.n_decoded == 0
    made = propose(tiny_model, with_enumeration=False)
    assert made.n_assignments == 0
    assert {row.source for row in made.chosen} == {GeneSource.GENERATED}
    with pytest.raises(ValueError, match="No source"):
        ProposeMaker(with_generator=False, with_enumeration=False)


def test_an_element_that_the_model_never_saw_leaves_the_enumeration(tiny_model):
    found = propose(tiny_model, "CsBr")
    assert "never seen" in found.problem
    assert found.n_generated == 0
    assert found.chosen
    assert found.chosen[0].predicted_formation_energy is None
    with pytest.raises(ModelError, match="never seen"):
        propose(tiny_model, "CsBr", with_enumeration=False)


def test_in_a_space_group_all_genes_have_it(tiny_model):
    found = propose(tiny_model, group=225)
    assert {WyckoffGene.from_text(t).space_group_number for t in found.genes} == {225}


def test_a_question_keeps_the_formula_as_it_was_written():
    assert read_question("CuInS2").formula_pretty == "CuInS2"
    assert read_question("Ca2Ti2O6").formula_pretty == "CaTiO3"
    assert read_question("CaTiO3").composition == {"Ca": 1, "Ti": 1, "O": 3}


def test_a_formula_that_cannot_be_neutral_is_judged_and_not_refused(tiny_model):
    assert judge_neutrality({"Na": 1, "Cl": 1}) == "pass"
    assert propose(tiny_model, "Na2Cl").neutrality == "fail"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("Cx2",), ReferenceDataError, "no chemical formula"),
        (("Ca0.5TiO3",), TargetError, "whole numbers"),
        (("PoO2",), TargetError, "not trained on Po"),
        (("Ca3Al2Si3O12X",), ReferenceDataError, "no chemical formula"),
        (("CaTiO3", 231), GeneError, "does not exist"),
        (("CaTiO3", 230), TargetError, "from 8 formula units, 40 atoms"),
        (("Ca3Al2Si3O12Na2",), TargetError, "has 22 atoms"),
    ],
    ids=str,
)
def test_a_question_without_an_answer_is_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        read_question(*arguments)


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget": 0},
        {"seed": -1},
        {"max_atoms": 0},
        {"levels": (2.0,)},
        {"n_trials": 0},
    ],
    ids=str,
)
def test_impossible_options_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ProposeMaker(**wrong)


def test_a_budget_that_pays_for_no_gene_is_refused():
    with pytest.raises(TargetError, match="4 relaxations does not pay for one gene"):
        ProposeMaker(budget=4, n_trials=5)


def test_a_model_that_predicts_no_energies_leaves_the_enumeration():
    config = TrainingConfig(
        generator=GeneratorConfig(
            network=NetworkConfig(
                latent=8, width=16, n_heads=2, n_encoder_layers=1, n_decoder_layers=1
            ),
            loop=LoopConfig(n_epochs=1, batch_size=64),
            properties=[{"name": "band_gap"}],
        ),
        predictor=None,
    )
    model = MultiPropertyVAE(config).fit([make_salts()])
    question = read_question("NaCl", max_atoms=4)
    document, _ = ProposeMaker(**QUICK, budget=10).propose(question, "gaps", model)
    assert "predicts band_gap, and genes are ranked by" in document.problem
    assert document.n_generated == 0
    assert document.chosen
    with pytest.raises(ModelError, match="formation_energy_per_atom"):
        ProposeMaker(**QUICK, with_enumeration=False).propose(question, "gaps", model)
