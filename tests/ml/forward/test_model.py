"""Forward models: learning, predicting, keeping, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from wyckflow.crystal.elements import ATOMIC_NUMBERS
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import unpack_genes
from wyckflow.errors import CheckpointError, ModelError, TrainingError
from wyckflow.ml.checkpoint import load_checkpoint, save_checkpoint
from wyckflow.ml.forward.config import ForwardConfig, ForwardProperty
from wyckflow.ml.forward.crystals import (
    ALL_DESCRIPTIONS,
    crystals_from_dataset,
    crystals_from_genes,
    move,
    random_cosets,
)
from wyckflow.ml.forward.model import ForwardModel
from wyckflow.ml.forward.targets import gather_crystals
from wyckflow.ml.model_file import describe_model

NUMBER = ForwardProperty(name="mean_number")
SMALL = {
    "gene": {"width": 16, "n_layers": 1, "n_heads": 2},
    "gene-l": {"width": 16, "n_layers": 1, "n_heads": 2, "n_distances": 8},
    "wycryst": {"channels": (8, 8, 8), "dense": 32, "latent": 32},
    "wycryst-l": {"channels": (8, 8, 8), "dense": 32, "latent": 32},
    "ftcp": {"channels": (8, 8, 8), "dense": 32, "latent": 32, "n_reciprocal": 13},
}
LOOP = {
    "n_epochs": 14,
    "batch_size": 32,
    "learning_rate": 0.02,
    "weight_decay": 0.0,
    "averaging": 0.9,
    "n_warmup_steps": 5,
    "epochs_per_validation": 2,
    "patience": 10,
}


@pytest.fixture(scope="session")
def crystal_dataset(make_dataset, salt_dataset, make_structure):
    """Salts with cells, their mean atomic number, and its exponential."""
    genes = salt_dataset.genes
    rng = np.random.default_rng(0)
    structures = [make_structure(gene, rng) for gene in genes]
    points = [
        s.orbit_table.expand(s.parameters)[s.orbit_table.first_atoms] % 1
        for s in structures
    ]
    numbers = [
        sum(ATOMIC_NUMBERS[e] * n for e, n in gene.composition.items()) / gene.n_sites
        for gene in genes
    ]
    dataset = make_dataset(
        genes, {"mean_number": numbers, "power": np.exp(np.array(numbers) / 4)}
    )
    arrays = replace(
        dataset.arrays,
        coordinates=np.concatenate(points),
        lattices=np.array([s.lattice for s in structures]),
    )
    return replace(dataset, arrays=arrays)


def train(dataset, representation, *, n_epochs=14, **options):
    config = ForwardConfig.model_validate(
        {
            "representation": representation,
            "properties": (NUMBER,),
            "network": SMALL[representation],
            "loop": {**LOOP, "n_epochs": n_epochs},
            **options,
        }
    )
    return ForwardModel(config).fit([dataset])


@pytest.fixture(scope="module")
def plus_model(crystal_dataset):
    """A model trained on all descriptions, of two networks."""
    return train(crystal_dataset, "wycryst-l", augment=True, n_members=2)


@pytest.mark.parametrize("representation", sorted(SMALL))
def test_it_learns_what_the_elements_say(representation, crystal_dataset):
    model = train(crystal_dataset, representation)
    rows = gather_crystals([crystal_dataset], (NUMBER,), validation_share=0.1, seed=0)
    judged = rows.crystals.take(rows.validation)
    values = rows.values[rows.validation, 0]
    error = np.abs(model.predict(judged)["mean_number"] - values).mean()
    assert error == pytest.approx(model.metrics["forward_1_mae_mean_number"], rel=1e-3)
    assert error < 0.35 * values.std()


def test_the_mean_over_all_descriptions_is_the_same(plus_model, crystal_dataset):
    crystals = crystals_from_dataset(crystal_dataset).take(np.arange(0, 230, 9))
    moved = move(crystals, random_cosets(crystals, np.random.default_rng(0)))
    first = plus_model.predict(crystals, n_descriptions=ALL_DESCRIPTIONS)
    second = plus_model.predict(moved, n_descriptions=ALL_DESCRIPTIONS)
    assert first.mean == pytest.approx(second.mean, rel=1e-4)
    assert first.spread == pytest.approx(second.spread, rel=1e-2, abs=1e-4)
    one = plus_model.predict(crystals, n_descriptions=1)
    assert not np.allclose(one.mean, first.mean, rtol=1e-6)
    assert (first.spread > 0).all()
    assert (first.expected_error > 0).all()


def test_the_same_seed_gives_the_same_model(crystal_dataset):
    models = [
        train(crystal_dataset, "wycryst", n_epochs=2, augment=True, seed=seed)
        for seed in (3, 3, 4)
    ]
    identities = [model.to_checkpoint().identity for model in models]
    assert identities[0] == identities[1] != identities[2]


def test_a_killed_training_goes_on(crystal_dataset, tmp_path):
    class KilledError(Exception):
        pass

    def kill(progress):
        if progress.step == 13 and progress.task.endswith("2 of 2"):
            raise KilledError

    config = ForwardConfig(
        representation="gene",
        properties=(NUMBER,),
        network=SMALL["gene"],
        loop=ForwardConfig().loop.model_copy(
            update={"n_epochs": 6, "epochs_per_validation": 1}
        ),
        n_members=2,
    )
    with pytest.raises(KilledError):
        ForwardModel(config).fit([crystal_dataset], folder=tmp_path, report=kill)
    resumed = ForwardModel(config).fit([crystal_dataset], folder=tmp_path)
    straight = ForwardModel(config).fit([crystal_dataset])
    assert resumed.to_checkpoint().identity == straight.to_checkpoint().identity


def test_a_file_gives_the_same_predictions(plus_model, crystal_dataset, tmp_path):
    crystals = crystals_from_dataset(crystal_dataset).take(np.arange(30))
    path = tmp_path / "forward.npz"
    identity = save_checkpoint(path, plus_model.to_checkpoint())
    again = ForwardModel.load(load_checkpoint(path, kind="forward"))
    assert again.to_checkpoint().identity == identity
    before, after = plus_model.predict(crystals), again.predict(crystals)
    assert np.array_equal(before.mean, after.mean)
    assert np.array_equal(before.expected_error, after.expected_error)
    document = describe_model(path, name="salts")
    assert document.kind == "forward"
    assert document.card["config"]["representation"] == "wycryst-l"
    assert document.card["config"]["network"]["n_sites"] == 3


def test_another_kind_of_model_is_refused(plus_model):
    checkpoint = plus_model.to_checkpoint()
    info = checkpoint.info.model_copy(update={"kind": "mpvae"})
    with pytest.raises(CheckpointError, match="'mpvae'"):
        ForwardModel.load(replace(checkpoint, info=info))


def test_a_logarithm_is_learned_and_undone(crystal_dataset):
    power = ForwardProperty(name="power", is_logarithmic=True)
    model = train(crystal_dataset, "gene", properties=(power, NUMBER))
    crystals = crystals_from_dataset(crystal_dataset)
    values = crystal_dataset.properties["power"]
    found = model.predict(crystals)
    assert (found["power"] > 0).all()
    ratio = np.abs(np.log(found["power"] / values))
    assert np.median(ratio) < 0.35 * np.log(values).std()
    error = model.metrics["forward_1_mae_power"]
    assert error < 0.5 * values.std()


def test_the_scaler_sees_training_rows_only(crystal_dataset):
    power = ForwardProperty(name="power", is_logarithmic=True)
    rows = gather_crystals([crystal_dataset], (power,), validation_share=0.2, seed=1)
    scaler = rows.fit_scaler()
    known = np.log(rows.values[rows.training, 0])
    assert scaler.scaler.mean[0] == pytest.approx(known.mean())
    assert scaler.scaler.spread[0] == pytest.approx(known.std())
    scaled = scaler.scale(rows.values).astype(float)
    assert scaler.from_linear(scaler.unscale(scaled)) == pytest.approx(
        rows.values, rel=1e-5
    )


def test_formulas_are_on_one_side_and_other_datasets_only_teach(crystal_dataset):
    half = crystal_dataset.select(np.arange(0, 120))
    rest = crystal_dataset.select(np.arange(60, len(crystal_dataset)))
    rows = gather_crystals([half, rest], (NUMBER,), validation_share=0.2, seed=0)
    assert set(rows.validation) <= set(range(120))
    assert len(rows.validation) > 5
    assert np.array_equal(
        rows.crystals.take(np.arange(120)).coordinates,
        crystals_from_dataset(half).coordinates,
    )
    formulas = [gene.formula for gene in genes_of(rows.crystals)]
    judged = {formulas[row] for row in rows.validation}
    assert judged.isdisjoint(formulas[row] for row in rows.training)
    assert 120 + 100 < len(rows.crystals) < 120 + len(rest)


def genes_of(crystals):
    return unpack_genes(*crystals.sites.codes)


def test_what_a_model_never_saw_is_refused(plus_model, crystal_dataset):
    gold = crystals_from_genes([WyckoffGene.from_text("225 Au:a")])
    with pytest.raises(ModelError, match="genes without cells"):
        plus_model.predict(gold)
    model = train(crystal_dataset, "gene", n_epochs=1)
    both = crystals_from_genes(
        [WyckoffGene.from_text("225 Na:a Cl:b"), WyckoffGene.from_text("225 Au:a")]
    )
    assert model.find_unknown(both).tolist() == [False, True]
    with pytest.raises(ModelError, match="row 1 with Au"):
        model.predict(both)
    assert model.predict(both.take([0])).mean.shape == (1, 1)
    assert model.predict(both.take([])).mean.shape == (0, 1)


def test_what_does_not_fit_is_refused(crystal_dataset):
    model = train(crystal_dataset, "wycryst", n_epochs=1)
    wide = crystals_from_genes([WyckoffGene.from_text("1 Li:a Na:a K:a O:a")])
    assert model.find_unfit(wide).tolist() == [True]
    with pytest.raises(ModelError, match="n_columns=3"):
        model.predict(wide)
    with pytest.raises(TrainingError, match="n_sites=2"):
        train(
            crystal_dataset,
            "wycryst-l",
            network={**SMALL["wycryst-l"], "n_sites": 2},
            n_epochs=1,
        )


def test_bad_input_is_refused(crystal_dataset, make_dataset):
    with pytest.raises(TrainingError, match="Did you mean 'mean_number'"):
        train(crystal_dataset, "gene", properties=({"name": "mean_numbre"},))
    with pytest.raises(TrainingError, match="at least 20"):
        train(crystal_dataset.select(np.arange(12)), "gene")
    genes = crystal_dataset.genes
    zeros = make_dataset(genes, {"power": np.arange(len(genes)) / 10})
    with pytest.raises(TrainingError, match="has the value 0"):
        train(zeros, "gene", properties=({"name": "power", "is_logarithmic": True},))
    constant = make_dataset(genes, {"power": np.ones(len(genes))})
    with pytest.raises(TrainingError, match="not two different"):
        train(constant, "gene", properties=({"name": "power"},))


def test_what_a_loop_leaves_out_is_as_for_forward_models():
    part = ForwardConfig.model_validate({"loop": {"n_epochs": 80}}).loop
    assert part == ForwardConfig().loop.model_copy(update={"n_epochs": 80})


def test_options_that_do_not_fit_together_are_refused():
    with pytest.raises(ValidationError, match="Did you mean 'wycryst'"):
        ForwardConfig(representation="wycrist")
    with pytest.raises(ValidationError, match="only once"):
        ForwardConfig(properties=(NUMBER, NUMBER))
    with pytest.raises(ValidationError, match="choose one"):
        ForwardProperty(name="x", is_logarithmic=True, is_censored_at_zero=True)
    with pytest.raises(TrainingError, match="same for all descriptions"):
        ForwardModel(ForwardConfig(representation="composition", augment=True))
    with pytest.raises(ModelError, match="learned nothing"):
        ForwardModel().to_checkpoint()
    with pytest.raises(ModelError, match="learned nothing"):
        ForwardModel().predict(crystals_from_genes([]))


@pytest.mark.parametrize("name", ["mean_number_deviation", "formula"])
def test_a_property_with_the_name_of_another_column_is_refused(name, crystal_dataset):
    known = crystal_dataset.properties["mean_number"]
    dataset = with_values(crystal_dataset, **{"mean_number": known, name: known})
    with pytest.raises(TrainingError, match="another column of a table of predictions"):
        train(dataset, "gene", properties=(NUMBER, ForwardProperty(name=name)))


def test_no_description_is_refused(plus_model, crystal_dataset):
    crystals = crystals_from_dataset(crystal_dataset).take([0, 1])
    with pytest.raises(ValueError, match="at least 1"):
        plus_model.predict(crystals, n_descriptions=0)


def with_values(dataset, **properties):
    return replace(dataset, arrays=replace(dataset.arrays, properties=properties))


def test_a_property_that_no_validation_row_has_gets_no_figure(crystal_dataset):
    known = crystal_dataset.properties["mean_number"]
    rows = gather_crystals([crystal_dataset], (NUMBER,), validation_share=0.1, seed=0)
    lacking = np.where(rows.is_validation, np.nan, known)
    dataset = with_values(crystal_dataset, mean_number=known, lacking=lacking)
    both = (NUMBER, ForwardProperty(name="lacking"))
    model = train(dataset, "gene", n_epochs=2, properties=both)
    assert model.metrics["forward_1_mae_mean_number"] > 0
    assert "forward_1_mae_lacking" not in model.metrics


def test_rows_that_judge_nothing_are_refused(crystal_dataset):
    rows = gather_crystals([crystal_dataset], (NUMBER,), validation_share=0.1, seed=0)
    gaps = np.where(rows.is_validation, 0, crystal_dataset.properties["mean_number"])
    with pytest.raises(TrainingError, match="nothing would say when to stop"):
        train(
            with_values(crystal_dataset, gap=gaps),
            "gene",
            properties=(ForwardProperty(name="gap", is_censored_at_zero=True),),
        )


@pytest.mark.parametrize("representation", ["wycryst-l", "ftcp"])
def test_there_is_room_for_the_rows_of_every_network(
    representation, crystal_dataset, make_dataset, make_structure
):
    """A crystal of another dataset that only the second network learns from."""
    judges = []
    for seed in (0, 1):
        rows = gather_crystals(
            [crystal_dataset], (NUMBER,), validation_share=0.1, seed=seed
        )
        judges.append(set(np.array(crystal_dataset.formulas)[rows.is_validation]))
    formula = min(judges[0] - judges[1])
    small = crystal_dataset.genes[crystal_dataset.formulas.index(formula)]
    amounts = small.composition.items()
    large = WyckoffGene.from_pairs(
        1, [(element, "a") for element, n in amounts for _ in range(12 * int(n))]
    )
    structure = make_structure(large, np.random.default_rng(0))
    other = make_dataset([large], {"mean_number": [30.0]})
    arrays = replace(
        other.arrays,
        coordinates=structure.expand()[0][structure.orbit_table.first_atoms],
        lattices=np.array([structure.lattice]),
    )
    config = ForwardConfig.model_validate(
        {
            "representation": representation,
            "properties": (NUMBER,),
            "network": SMALL[representation],
            "loop": {**LOOP, "n_epochs": 1},
            "n_members": 2,
        }
    )
    model = ForwardModel(config)
    model.fit([crystal_dataset, replace(other, arrays=arrays)])
    assert model.representation.limits["n_sites"] == large.n_orbits
    assert not model.find_unfit(crystals_from_dataset(replace(other, arrays=arrays)))
