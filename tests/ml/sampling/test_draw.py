"""Genes drawn for a target: they meet it, are new, and what is left out is counted."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.keys import canonical_keys, unpack_genes
from wyckflow.errors import ModelError, TargetError
from wyckflow.ml.sampling.draw import Draw
from wyckflow.ml.sampling.guidance import guide_latents
from wyckflow.ml.sampling.options import DrawOptions, Method
from wyckflow.schemas.target import Target

N = 60


def drawn(model, target=None, *, n=N, seed=0, **options):
    """Draw, and return the order with its batches."""
    order = Draw(model, n, target or Target(), DrawOptions(**options), seed=seed)
    return order, list(order)


def genes_of(batches):
    return [
        gene
        for batch in batches
        for gene in unpack_genes(batch.space_group_numbers, batch.codes)
    ]


@pytest.mark.parametrize("method", ["prior", "posterior", "local", "guided"])
def test_every_method_gives_genes_that_exist_each_once_and_new(small_model, method):
    gap = float(np.median(small_model.memory.properties[:, 1]))
    target = Target(properties={"band_gap": {"min": gap - 1, "max": gap + 1}})
    order, batches = drawn(small_model, target, method=method)
    genes = genes_of(batches)  # reading them back checks letters and fixed sites
    assert len(genes) == order.n_kept == N
    keys = np.concatenate(
        [canonical_keys(b.space_group_numbers, b.codes) for b in batches]
    )
    assert len(set(keys.tolist())) == N
    assert not small_model.memory.is_known(keys).any()
    assert order.n_decoded >= N + sum(order.failures.values())


def test_the_conditions_on_symmetry_elements_and_size_always_hold(small_model):
    target = Target(
        crystal_systems=["cubic"],
        elements_all="O",
        elements_none="Zr",
        n_elements={"max": 3},
        nsites={"max": 40},
    )
    _, batches = drawn(small_model, target, method="prior", max_tries=200)
    for gene in genes_of(batches):
        assert gene.crystal_system == "cubic"
        assert "O" in gene.elements
        assert "Zr" not in gene.elements
        assert len(gene.elements) <= 3
        assert gene.n_sites <= 40


def test_predictions_outside_the_target_are_left_out_and_counted(small_model):
    low, high = np.quantile(small_model.memory.properties[:, 0], [0.3, 0.6])
    window = {"min": float(low), "max": float(high)}
    target = Target(properties={"formation_energy_per_atom": window})
    order, batches = drawn(small_model, target, method="posterior", max_tries=500)
    for batch in batches:
        found = batch.predictions["formation_energy_per_atom"]
        assert ((found >= low) & (found <= high)).all()
    assert order.failures["outside_target: formation_energy_per_atom"] > 0
    kept, batches = drawn(small_model, target, method="posterior", keep_outside=True)
    assert not all(batch.is_in_target.all() for batch in batches)
    assert kept.n_in_target == sum(int(b.is_in_target.sum()) for b in batches)


def test_starts_lie_within_the_target(small_model):
    high = float(np.quantile(small_model.memory.properties[:, 1], 0.5))
    target = Target(properties={"band_gap": {"max": high}})
    order, batches = drawn(small_model, target, method="local", tolerance=0.0)
    starts = np.concatenate([batch.starts for batch in batches])
    assert (small_model.memory.properties[starts, 1] <= high).all()
    assert order.n_starts == int((small_model.memory.properties[:, 1] <= high).sum())


def test_the_seed_decides(small_model):
    first, second = (genes_of(drawn(small_model, seed=7)[1]) for _ in range(2))
    assert first == second
    assert genes_of(drawn(small_model, seed=8)[1]) != first


def test_auto_is_local_with_a_range_and_prior_without(small_model):
    assert drawn(small_model, n=1)[0].method is Method.PRIOR
    target = Target(properties={"band_gap": {"min": 0}})
    assert drawn(small_model, target, n=1)[0].method is Method.LOCAL


def test_known_and_repeated_genes_are_counted_or_kept(small_model):
    # Without noise each start comes back, if the model reads it right.
    order, _ = drawn(small_model, method="posterior", level=0.0, max_tries=3)
    assert order.failures["known_gene"] + order.failures["repeated_gene"] > 0
    order, _ = drawn(
        small_model, method="posterior", level=0.0, keep_known=True, keep_repeats=True
    )
    assert order.n_kept == N
    assert not order.failures


def test_tries_end_also_when_nothing_is_found(small_model):
    target = Target(
        nsites={"min": 90, "max": 91}, elements_only="Li", n_elements={"max": 1}
    )
    order, batches = drawn(small_model, target, n=5, method="prior", max_tries=4)
    assert order.n_decoded <= 5 * 4
    assert len(genes_of(batches)) < 5


def test_guidance_moves_points_towards_the_target_by_the_heads(small_model):
    import torch

    starts = small_model.memory.latents[:40].astype(np.float32)
    values = small_model.predict_latents(torch.as_tensor(starts))[0][:, 1].detach()
    wanted = float(values.max()) + 1
    target = Target(properties={"band_gap": {"min": wanted}})
    moved = guide_latents(small_model, target, starts)
    after = small_model.predict_latents(torch.as_tensor(moved))[0][:, 1].detach()
    assert float(after.mean()) > float(values.mean())


def test_a_target_beyond_all_starts_says_which_condition_and_the_nearest(small_model):
    target = Target(properties={"band_gap": {"min": 99}})
    with pytest.raises(TargetError, match=r"band_gap \(at least 99\).*the nearest has"):
        Draw(small_model, 1, target)


def test_a_property_that_the_model_does_not_predict_is_refused(small_model):
    with pytest.raises(ModelError, match="Did you mean 'band_gap'"):
        Draw(small_model, 1, Target(properties={"bandgap": {"min": 1}}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"level": 2},
        {"temperature": 0},
        {"temperature": float("inf")},
        {"tolerance": -1},
        {"tolerance": float("nan")},
        {"guidance": float("nan")},
        {"guidance": float("inf")},
        {"method": "x"},
    ],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DrawOptions(**wrong)
