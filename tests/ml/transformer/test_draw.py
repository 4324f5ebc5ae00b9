"""Genes for a target from a transformer: in an order of genes, and in jobs."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.keys import canonical_keys, unpack_genes
from wyckflow.errors import GeneError, ModelError, TargetError
from wyckflow.makers.generate import GenerateMaker
from wyckflow.makers.train_generator import TrainGeneratorMaker
from wyckflow.ml.model_file import describe_model
from wyckflow.ml.mpvae.limits import DecodingLimits
from wyckflow.ml.sampling.draw import Draw
from wyckflow.ml.sampling.options import DrawOptions, Method
from wyckflow.ml.training.config import LoopConfig, PredictorConfig
from wyckflow.ml.transformer.config import TransformerTrainingConfig
from wyckflow.ml.transformer.generator import WyckoffTransformer
from wyckflow.schemas.target import Target

GAP = "band_gap"
WIDE = Target(properties={GAP: {"min": 3.0}})


@pytest.fixture(scope="module")
def document(small_transformer):
    """The model as the registry keeps it."""
    content = small_transformer.to_checkpoint().to_bytes()
    return describe_model(content, name="small")


def draw(model, target=None, *, n=40, **options):
    options = DrawOptions(max_tries=200, **options)
    order = Draw(model, n, target or Target(), options, seed=1)
    return order, list(order)


@pytest.mark.parametrize(
    ("target", "method"),
    [(Target(), Method.PRIOR), (WIDE, Method.CONDITIONAL)],
    ids=["no target", "a range"],
)
def test_genes_are_new_come_once_and_the_method_follows_the_target(
    small_transformer, target, method
):
    order, batches = draw(small_transformer, target)
    assert order.method is method
    keys = np.concatenate(
        [canonical_keys(b.space_group_numbers, b.codes) for b in batches]
    )
    assert len(set(keys.tolist())) == len(keys) == order.n_kept == 40
    assert not small_transformer.memory.is_known(keys).any()
    for batch in batches:
        genes = unpack_genes(batch.space_group_numbers, batch.codes)
        assert len(genes) == len(batch)
        if method is Method.CONDITIONAL:
            assert (batch.predictions[GAP] >= 3.0).all()
            assert (small_transformer.memory.properties[batch.starts, 1] >= 3.0).all()
        else:
            assert (batch.starts == -1).all()
    starts = small_transformer.memory.properties[:, 1] >= 3.0
    assert order.n_starts == (starts.sum() if method is Method.CONDITIONAL else None)


def test_symmetry_and_elements_bind_it(small_transformer):
    target = Target(
        space_groups="221-225", elements_all="O", n_elements={"max": 3}, **WIDE_ONLY
    )
    _, batches = draw(small_transformer, target, n=15)
    for batch in batches:
        for gene in unpack_genes(batch.space_group_numbers, batch.codes):
            assert 221 <= gene.space_group_number <= 225
            assert "O" in gene.elements
            assert len(gene.elements) <= 3


WIDE_ONLY = {"properties": {GAP: {"min": 1.0}}}


@pytest.mark.parametrize("method", ["posterior", "local", "guided"])
def test_methods_that_need_a_latent_space_are_refused(small_transformer, method):
    with pytest.raises(ModelError, match=rf"transformer has no method '{method}'"):
        draw(small_transformer, method=method)


def test_an_autoencoder_cannot_be_told(tiny_autoencoder):
    with pytest.raises(ModelError, match=r"autoencoder has no method 'conditional'"):
        draw(tiny_autoencoder, method="conditional")


def test_a_target_that_no_known_crystal_meets_is_refused(small_transformer):
    with pytest.raises(TargetError, match=r"band_gap.*nearest"):
        draw(small_transformer, Target(properties={GAP: {"min": 50}}))


def test_guidance_that_cannot_be_meant_is_refused():
    with pytest.raises(ValueError, match="guidance"):
        DrawOptions(guidance=-1.0)


def test_the_job_takes_the_kind_from_the_file_and_says_who_predicted(document):
    maker = GenerateMaker(target=WIDE, n_genes=20, guidance=0.5, max_tries=200)
    made = GenerateMaker.make.original(maker, document)
    assert made.n_genes == 20
    assert made.method == "conditional"
    assert made.guidance == 0.5
    assert made.predicted_by == "ensemble of 2 networks"
    assert (made.column(GAP) >= 3.0).all()
    assert made.model_id == document.model_id
    assert document.kind == "transformer"
    again = GenerateMaker.make.original(maker, document)
    assert again.genes() == made.genes()


def test_the_training_job_makes_a_transformer(salt_dataset):
    network = {"width": 16, "n_layers": 1, "n_heads": 2, "part_width": 8}
    options = {
        "model": "transformer",
        "generator": {"network": network, "loop": {"n_epochs": 1, "batch_size": 64}},
        "predictor": None,
    }
    maker = TrainGeneratorMaker(model_name="salty", options=options)
    from wyckflow.ml.kinds import new_generator

    model = new_generator(maker._config())
    test = {"held out": salt_dataset.select(np.arange(10))}
    made = maker.train(model, [salt_dataset], test)
    assert made.kind == made.model.kind == "transformer"
    assert made.n_train + made.n_validation == len(salt_dataset)
    (figure,) = made.test_figures
    assert figure.quantity.endswith("in nats")
    assert figure.n == 10
    assert figure.value > 0
    assert {metric.name.split()[0] for metric in made.epochs[0].metrics} == {
        "transformer"
    }
    drawn = GenerateMaker.make.original(GenerateMaker(n_genes=4), made.model)
    assert drawn.properties == []
    assert drawn.predicted_by == "nothing"
    with pytest.raises(ModelError, match="predicts nothing"):
        GenerateMaker(target=WIDE, n_genes=4).check(made.model)


def test_groups_without_cells_so_small_are_left_out_or_refused(small_transformer):
    # Rock salt has eight atoms, the perovskites of group 221 have five.
    small = Target(nsites={"max": 5}, n_elements={"min": 3}, **WIDE_ONLY)
    order, batches = draw(small_transformer, small, n=5)
    assert {int(g) for b in batches for g in b.space_group_numbers} == {221}
    assert order.n_starts < len(small_transformer.memory)
    smaller = Target(nsites={"max": 1}, n_elements={"min": 2}, **WIDE_ONLY)
    with pytest.raises(TargetError, match=r"least 2|so small"):
        draw(small_transformer, smaller, n=5)
    limits = DecodingLimits(max_atoms=5, min_elements=3)
    with pytest.raises(GeneError, match=r"\[225\]"):
        list(
            small_transformer.iter_samples(
                2, seed=0, limits=limits, space_groups=[225, 221]
            )
        )


def test_without_a_range_each_gene_names_the_crystal_of_its_space_group(
    small_transformer,
):
    target = Target(space_groups="221-225")
    order, batches = draw(small_transformer, target, n=30, method="conditional")
    starts = np.concatenate([batch.starts for batch in batches])
    numbers = np.concatenate([batch.space_group_numbers for batch in batches])
    assert len(np.unique(starts)) > 5
    assert (small_transformer.memory.space_groups[starts] == numbers).all()
    assert order.n_starts >= len(np.unique(starts))


def test_a_range_by_which_nothing_can_be_judged_says_so(salt_dataset, make_options):
    """A transformer can be asked for more than its ensemble predicts."""
    loop = LoopConfig(n_epochs=1, batch_size=64)
    energy = "formation_energy_per_atom"
    predictor = PredictorConfig(
        n_members=1,
        width=16,
        n_layers=1,
        n_heads=2,
        loop=loop,
        properties=[{"name": energy}],
    )
    config = TransformerTrainingConfig(
        generator=make_options(loop=loop), predictor=predictor
    )
    model = WyckoffTransformer(config).fit([salt_dataset])
    with pytest.raises(ModelError, match=rf"'{GAP}', which.*asked for.*{energy}"):
        draw(model, WIDE)
    assert len(model.sample(3, {GAP: 3.0}, seed=0)) == 3


@pytest.mark.parametrize("model", ["small_transformer", "tiny_autoencoder"])
def test_no_room_in_any_space_group_is_said_before_a_try(model, request):
    target = Target(space_groups="62", nsites={"max": 2})
    with pytest.raises(TargetError, match="No cell of at most 2 atoms"):
        Draw(request.getfixturevalue(model), 5, target)
