"""The whole transformer: it learns, samples, is asked for properties, and is kept."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from wyckflow.crystal.equivalence import equivalent_genes
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import canonical_keys
from wyckflow.errors import CheckpointError, GeneError, ModelError, TrainingError
from wyckflow.ml.checkpoint import Checkpoint, CheckpointInfo
from wyckflow.ml.codec.sites import tensorise_codes, tensorise_genes
from wyckflow.ml.generator import join_batches
from wyckflow.ml.kinds import name_predictor, new_generator, open_generator
from wyckflow.ml.mpvae.limits import DecodingLimits
from wyckflow.ml.training.config import LoopConfig, parse_training_config
from wyckflow.ml.transformer.batches import score_groups
from wyckflow.ml.transformer.config import TransformerTrainingConfig
from wyckflow.ml.transformer.generator import SAMPLE_BATCH, WyckoffTransformer
from wyckflow.ml.transformer.likelihood import (
    count_descriptions,
    log_orders,
    measure_order,
    score_in_order,
)

ENERGY, GAP = "formation_energy_per_atom", "band_gap"


def test_it_learns_a_tiny_set_by_heart(make_dataset, make_options):
    """Sixteen rock salts: guessing the elements would find one in hundreds."""
    halides = [(m, x) for m in ("Na", "K", "Rb", "Cs") for x in ("F", "Cl", "Br", "I")]
    genes = [WyckoffGene.from_text(f"225 {m}:a {x}:b") for m, x in halides] * 3
    data = make_dataset(genes, {})
    loop = LoopConfig(
        n_epochs=45, batch_size=16, learning_rate=1e-2, n_warmup_steps=5, patience=99
    )
    options = make_options(loop=loop, conditions=(), validation_share=0.2)
    config = TransformerTrainingConfig(generator=options, predictor=None)
    model = WyckoffTransformer(config).fit([data])
    batch = model.sample(200, seed=0, limits=DecodingLimits(space_groups={225}))
    keys = canonical_keys(batch.space_group_numbers, batch.codes)
    assert model.memory.is_known(keys).mean() > 0.6
    assert model.property_names == ()
    assert model.predict(genes[:2]).mean.shape == (2, 0)


def test_training_makes_known_genes_likelier_than_strange_ones(
    small_transformer, salt_dataset
):
    strange = [WyckoffGene.from_text("14 Zr:e4 N:a,b,c,d")] * 2
    known = small_transformer.log_probability(salt_dataset.genes[:40])
    odd = small_transformer.log_probability(strange)
    assert known.mean() > odd.mean() + 5


def test_the_probability_of_a_gene_is_the_sum_over_the_orders_of_its_sites(
    small_transformer,
):
    gene = WyckoffGene.from_text("221 Ca:a Ti:b O:c")
    sites = tensorise_genes([gene])
    orders = [np.array([order]) for order in permutations(range(3))]
    own = [score_in_order(small_transformer.network, sites, o)[0] for o in orders]
    shares = np.bincount(small_transformer.memory.space_groups, minlength=231) + 0.2
    expected = np.log(np.exp(own).sum()) + np.log(shares[221] / shares[1:].sum())
    found = small_transformer.log_probability([gene], n_orders=6)
    assert found[0] == pytest.approx(expected, abs=1e-4)
    estimate = small_transformer.log_probability([gene], n_orders=5, seed=1)
    assert estimate[0] != found[0]
    assert estimate[0] == pytest.approx(found[0], abs=1.0)


def test_alike_sites_and_equivalent_descriptions_are_counted_once():
    texts = ["62 Ca:c O:c2", "225 Na:a Cl:b", "221 Ca:a Ti:b O:c", "2 Na:a"]
    genes = [WyckoffGene.from_text(text) for text in texts]
    sites = tensorise_genes(genes)
    assert np.exp(log_orders(sites)) == pytest.approx([3, 2, 6, 1])
    expected = [len(equivalent_genes(gene, kind="augmentation")) for gene in genes]
    assert count_descriptions(sites).tolist() == expected


def test_all_descriptions_together_are_likelier_than_one(small_transformer):
    genes = [WyckoffGene.from_text("225 Na:a Cl:b")]
    one = small_transformer.log_probability(genes)[0]
    other = small_transformer.log_probability([WyckoffGene.from_text("225 Na:b Cl:a")])
    both = np.logaddexp(one, other[0])
    found = small_transformer.log_probability(
        genes, n_orders=60, any_description=True, seed=2
    )
    assert found[0] == pytest.approx(both, abs=0.3)
    assert found[0] > one


def test_the_order_of_the_sites_matters_little_and_is_measured(small_transformer):
    batch = small_transformer.sample(200, seed=3)
    sites = tensorise_codes(batch.space_group_numbers, batch.codes)
    spread = measure_order(small_transformer.network, sites, n_orders=6)
    assert spread.n_genes == 200
    assert -4 * spread.error < spread.divergence < 0.3 * spread.entropy
    # One site has one order.
    single = tensorise_genes([WyckoffGene.from_text("225 Na:a")] * 3)
    alone = measure_order(small_transformer.network, single, n_orders=2)
    assert alone.divergence == pytest.approx(0, abs=1e-6)
    assert alone.spread_over_orders == pytest.approx(0, abs=1e-6)


def test_a_seed_repeats_and_batches_make_the_same_genes(small_transformer):
    n = SAMPLE_BATCH + 30
    first = small_transformer.sample(n, seed=5)
    parts = list(small_transformer.iter_samples(n, seed=5))
    assert [len(part) for part in parts] == [SAMPLE_BATCH, 30]
    assert join_batches(parts).genes == first.genes
    assert small_transformer.sample(30, seed=6).genes != first.genes[:30]
    assert (first.seed_index == -1).all()


def test_space_groups_come_as_in_the_data_or_as_asked(small_transformer, salt_dataset):
    batch = small_transformer.sample(1000, seed=0)
    groups, counts = np.unique(salt_dataset.codes[0], return_counts=True)
    for group, count in zip(groups, counts, strict=True):
        share = (batch.space_group_numbers == group).mean()
        assert share == pytest.approx(count / counts.sum(), abs=0.12)
    asked = np.array([62, 225, 62])
    (some,) = small_transformer.iter_samples(3, seed=0, space_groups=asked)
    assert (some.space_group_numbers == asked).all()


def test_asking_for_a_property_moves_it_and_guidance_moves_it_further(
    small_transformer,
):
    """Salts with Zr have no gap; all others have one."""

    def share_without_gap(gap, guidance):
        batch = small_transformer.sample(300, {GAP: gap}, seed=1, guidance=guidance)
        return np.mean(["Zr" in gene.elements for gene in batch.genes])

    free = small_transformer.sample(300, seed=1).genes
    unasked = np.mean(["Zr" in gene.elements for gene in free])
    assert share_without_gap(0.0, 0.0) > unasked + 0.2
    assert share_without_gap(3.2, 0.0) < unasked - 0.1
    assert share_without_gap(0.0, 2.0) > share_without_gap(0.0, 0.0)


def test_a_property_that_it_cannot_be_asked_for_is_refused(small_transformer):
    with pytest.raises(ModelError, match=r"'bulk_modulus'.*band_gap"):
        small_transformer.sample(1, {"bulk_modulus": 1.0}, seed=0)


def test_the_file_gives_the_same_model_bit_by_bit(small_transformer, tmp_path):
    path = tmp_path / "model.npz"
    identity = small_transformer.save(path)
    loaded = WyckoffTransformer.load(path)
    assert loaded.save(tmp_path / "again.npz") == identity
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    third = WyckoffTransformer.load((tmp_path / "again.npz").read_bytes())
    drawn = [m.sample(60, seed=1).genes for m in (small_transformer, loaded, third)]
    assert drawn[0] == drawn[1] == drawn[2]
    genes = small_transformer.sample(10, seed=9).genes
    assert (loaded.log_probability(genes) == third.log_probability(genes)).all()
    np.testing.assert_array_equal(loaded.predict(genes).mean, third.predict(genes).mean)
    assert loaded.condition_names == (ENERGY, GAP)
    assert name_predictor(loaded) == "ensemble of 2 networks"


def test_a_file_of_another_kind_is_refused(small_transformer, tmp_path):
    from wyckflow.ml.mpvae.generator import MultiPropertyVAE

    path = tmp_path / "model.npz"
    small_transformer.save(path)
    with pytest.raises(CheckpointError, match=r"'transformer'.*'mpvae'"):
        MultiPropertyVAE.load(path)
    other = Checkpoint(CheckpointInfo(kind="classifier", config={}, seed=0), {})
    with pytest.raises(CheckpointError, match=r"'classifier'.*generates nothing"):
        open_generator(other)


def test_an_ensemble_can_be_taken_from_another_model(
    salt_dataset, make_options, tiny_autoencoder
):
    loop = LoopConfig(n_epochs=1, batch_size=32)
    config = TransformerTrainingConfig(
        generator=make_options(loop=loop), predictor=None
    )
    model = WyckoffTransformer(config).fit([salt_dataset])
    donor = tiny_autoencoder
    model.adopt_predictor(donor)
    genes = salt_dataset.genes[:9]
    np.testing.assert_allclose(model.predict(genes).mean, donor.predict(genes).mean)
    loaded = WyckoffTransformer.load(model.to_checkpoint())
    assert donor.to_checkpoint().identity in name_predictor(loaded)
    assert loaded.property_names == donor.property_names


def test_what_was_not_trained_cannot_be_kept():
    with pytest.raises(TrainingError, match="not trained"):
        WyckoffTransformer().to_checkpoint()


def test_an_interrupted_training_ends_the_same(salt_dataset, tmp_path, make_options):
    loop = LoopConfig(n_epochs=4, batch_size=32, epochs_per_validation=2)
    config = TransformerTrainingConfig(
        generator=make_options(loop=loop), predictor=None
    )

    def break_off(step):
        if step.figures is not None:
            raise KeyboardInterrupt

    whole = WyckoffTransformer(config).fit([salt_dataset])
    with pytest.raises(KeyboardInterrupt):
        WyckoffTransformer(config).fit(
            [salt_dataset], folder=tmp_path, report=break_off
        )
    again = WyckoffTransformer(config).fit([salt_dataset], folder=tmp_path)
    assert again.to_checkpoint().identity == whole.to_checkpoint().identity


def test_options_say_which_kind_they_are_of():
    options = parse_training_config({"model": "transformer"}, "These options")
    assert isinstance(options, TransformerTrainingConfig)
    assert isinstance(new_generator(options), WyckoffTransformer)
    with pytest.raises(TrainingError, match=r"'transfomer'.*transformer"):
        parse_training_config({"model": "transfomer"}, "These options")
    with pytest.raises(TrainingError, match=r"generator\.latent"):
        parse_training_config(
            {"model": "transformer", "generator": {"latent": 3}}, "These options"
        )
    with pytest.raises(TrainingError, match=r"multiple of n_heads"):
        parse_training_config(
            {"model": "transformer", "generator": {"network": {"width": 9}}}, "These"
        )


def test_a_condition_that_was_named_must_be_there(salt_dataset, make_options):
    options = make_options(conditions=("bulk_modulus",))
    config = TransformerTrainingConfig(generator=options, predictor=None)
    with pytest.raises(TrainingError, match="bulk_modulus"):
        WyckoffTransformer(config).fit([salt_dataset])


def test_more_sites_than_a_float_has_orders_for_are_scored(small_transformer):
    """171 factorial is no float; a multinomial by its logarithms is the reference."""
    from scipy.special import gammaln

    gene = WyckoffGene.from_pairs(1, [("Na", "a")] * 120 + [("Cl", "a")] * 80)
    expected = gammaln(201) - gammaln(121) - gammaln(81)
    assert log_orders(tensorise_genes([gene]))[0] == pytest.approx(expected)
    assert np.isfinite(small_transformer.log_probability([gene], n_orders=1)).all()


def test_genes_come_as_often_as_is_said_of_them(small_transformer):
    """Rock salts and fluorites, in any order of their sites, among many samples."""
    n, metals, others = 6000, ("Li", "Na", "K", "Mg", "Ca", "Sr"), ("O", "F", "Cl")
    genes = [
        WyckoffGene.from_text(f"225 {metal}:a {other}:{letter}")
        for metal in metals
        for other in others
        for letter in "bc"
    ]
    group = score_groups(small_transformer.memory.space_group_scores, np.array([225]))
    share = np.exp(small_transformer.log_probability(genes) - group).sum()
    asked = np.full(n, 225)
    batches = small_transformer.iter_samples(n, seed=0, space_groups=asked)
    wanted = set(genes)
    drawn = [gene in wanted for gene in join_batches(list(batches)).genes]
    assert 0.02 < share < 0.98
    error = np.sqrt(share * (1 - share) / n)
    assert np.mean(drawn) == pytest.approx(share, abs=4 * error)


@pytest.mark.parametrize("temperature", [1e6, 1e12, np.inf])
def test_no_temperature_lets_in_what_is_forbidden(small_transformer, temperature):
    limits = DecodingLimits(max_atoms=12, max_sites=3, max_elements=2)
    batch = small_transformer.sample(60, seed=0, limits=limits, temperature=temperature)
    for gene in batch.genes:  # making them has checked letters and fixed points
        assert gene.n_sites <= 12
        assert gene.n_orbits <= 3
        assert len(gene.elements) <= 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": 0}, "0 genes were asked for"),
        ({"temperature": -1.0}, "temperature=-1.0 must be"),
        ({"temperature": np.nan}, "temperature=nan must be"),
        ({"guidance": np.inf}, "guidance=inf must be"),
        ({"target": {GAP: np.inf}}, "infinite value"),
        ({"target": {GAP: 1e300}}, "infinite value"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(small_transformer, options, words):
    with pytest.raises(ModelError, match=words):
        small_transformer.sample(**{"n": 3, "seed": 0, **options})


def test_no_orders_to_average_over_are_refused(small_transformer):
    gene = WyckoffGene.from_text("225 Na:a Cl:b")
    with pytest.raises(ModelError, match="n_orders=0"):
        small_transformer.log_probability([gene], n_orders=0)


@pytest.mark.parametrize("number", [-5, 0, 231])
def test_space_groups_that_do_not_exist_are_refused(small_transformer, number):
    with pytest.raises(GeneError, match=rf"{number}.*from 1 to 230"):
        list(small_transformer.iter_samples(1, seed=0, space_groups=[number]))


def test_heads_and_an_ensemble_of_other_properties_are_refused(salt_dataset):
    """Else the heads' names would stand over what the ensemble predicts."""
    names = [{"name": ENERGY}, {"name": GAP}]
    options = {
        "generator": {"properties": names},
        "predictor": {"properties": names[::-1]},
    }
    model = new_generator(parse_training_config(options, "These"))
    with pytest.raises(TrainingError, match=r"'generator'.*same order"):
        model.fit([salt_dataset])
