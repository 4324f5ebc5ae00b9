"""Q1 to Q5, P8 and P9: what the generator makes, foresees, and costs.

The model is the file that ``WYCKFLOW_GENERATOR`` names, or the bundled one; figures on
real crystals need ``WYCKFLOW_DATA``. Nothing here chooses anything; the test rows are
looked at after the training only.
"""

from __future__ import annotations

import os
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from _bench import Record, make_record, run_script
from _generator_rows import TEST, TRAIN, load_data, read_back

from wyckflow.crystal.keys import canonical_keys
from wyckflow.ml.codec.sites import tensorise_codes
from wyckflow.ml.codec.wycryst import encode_wycryst, fits_wycryst
from wyckflow.ml.model_file import bundled_model_path
from wyckflow.ml.mpvae.generator import MultiPropertyVAE
from wyckflow.ml.mpvae.wycryst import LossWeights, WycrystNetwork, wycryst_loss
from wyckflow.ml.training.config import PredictorConfig, TargetProperty, TrainingConfig
from wyckflow.screening.metrics.evaluate import EvaluationOptions, evaluate_set
from wyckflow.screening.metrics.gene_set import GeneSet
from wyckflow.screening.metrics.judged import judge_genes
from wyckflow.screening.neutrality.judge import are_neutral

if TYPE_CHECKING:
    from wyckflow.ml.generator import GeneBatch

SEED = 0
N_SAMPLES = 10_000
PACKAGES = ("numpy", "torch")
ENERGY, GAP = "formation_energy_per_atom", "band_gap"
LEVEL = 0.85  # new genes are then the rule, and the group of the seed, too
WINDOW_ENERGY, WINDOW_GAP, LEAST_GROUP = -0.5, (0.5, 2.0), 143

# What WyFormer reached with four times the data, by the names of our metrics.
PUBLISHED = {
    "ks_sites": 0.052,
    "ks_elements": 0.029,
    "ks_degrees_of_freedom": 0.056,
    "chi2_space_groups": 0.063,
    "chi2_elements": 0.019,
}


@cache
def model() -> MultiPropertyVAE:
    """Load the model that is judged."""
    torch.set_num_threads(1)
    named = os.environ.get("WYCKFLOW_GENERATOR")
    return MultiPropertyVAE.load(Path(named) if named else bundled_model_path())


def has_data() -> bool:
    """Say so where figures are left out for want of data."""
    if os.environ.get("WYCKFLOW_DATA"):
        return True
    print("left out: needs WYCKFLOW_DATA, the folder of the public data")
    return False


def figure(
    target: str, value: float, unit: str, peer: tuple[str, float], n: int
) -> Record:
    """Write a record, and print it."""
    record = make_record(target, value, unit, peer, n=n, seed=SEED, packages=PACKAGES)
    print(f"{target}: {unit} {value:.4g}; {peer[0]}: {peer[1]:.4g} (n = {n})")
    return record


def sample_quality(quick: bool) -> list[Record]:
    """Q1 and Q2: unconditional sampling, as drawn, nothing screened."""
    if not has_data():
        return []
    n = 1000 if quick else N_SAMPLES
    batch = model().sample(n, seed=SEED)
    keys = canonical_keys(batch.space_group_numbers, batch.codes)
    _, first = np.unique(keys, return_index=True)
    is_new = ~model().memory.is_known(keys[first])
    rows = np.sort(first[is_new])
    wanted = len(rows) / len(batch)
    neutral = neutral_share(batch, rows)
    records = [
        # A ratio takes a number above zero.
        figure(
            "Q1",
            max(1 - len(batch) / n, 1e-9),
            "share that is no gene",
            ("WyFormer", 0.03),
            n,
        ),
        figure("Q1", 1 - wanted, "share known or repeated", ("WyFormer", 0.11), n),
        figure("Q1", 1 - neutral, "share not neutral", ("WyFormer", 0.2075), len(rows)),
    ]
    test = load_data(TEST)
    genes = batch.space_group_numbers[rows], batch.codes[rows]
    equal = min(len(rows), len(test))
    options = EvaluationOptions(n=equal, n_resamples=20 if quick else 100, seed=SEED)
    document = evaluate_set(genes, test, options=options)
    real = evaluate_set(load_data(TRAIN), test, options=options)
    of_real = {metric.name: metric.value for metric in real.metrics}
    for metric in document.metrics:
        if metric.name in PUBLISHED:
            peer = ("WyFormer, four times the data", PUBLISHED[metric.name])
            records.append(figure("Q2", metric.value, metric.name, peer, equal))
            print(f"    the real crystals it learned from: {of_real[metric.name]:.4g}")
    share = float((batch.space_group_numbers[rows] == 1).mean())
    print(f"Q2: P1 {100 * share:.2f} %; test rows 1.11 %, WyFormer 1.1 %")
    return records


def neutral_share(batch: GeneBatch, rows: np.ndarray) -> float:
    """Return the share of charge-neutral genes."""
    own = GeneSet.of((batch.space_group_numbers[rows], batch.codes[rows]))
    return float(are_neutral(own.table.compositions).mean())


def reconstruction(quick: bool) -> list[Record]:
    """Q3: test genes encoded and decoded at level 0, the likeliest choice each time."""
    if not has_data():
        return []
    numbers, codes = load_data(TEST).codes
    n = 500 if quick else len(numbers)
    group, share = read_back(model(), numbers[:n], codes[:n], SEED)
    print(f"Q3: space group right {100 * group:.1f} %")
    return [
        figure("Q3", 1 - share, "share not read back", ("original, same data", 0.42), n)
    ]


def property_errors(quick: bool) -> list[Record]:
    """Q4: errors on test rows, by the ensemble and by the heads of the latent space."""
    if not has_data():
        return []
    test = load_data(TEST)
    n = 500 if quick else len(test)
    sites = tensorise_codes(*(part[:n] for part in test.codes))
    energy, gap = (test.properties[name][:n] for name in (ENERGY, GAP))
    records = []
    for title, with_heads in (("ensemble", False), ("latent heads", True)):
        found = model().predict_sites(sites, with_heads=with_heads)
        has_gap = gap > 0
        pairs = (
            (np.abs(found[ENERGY] - energy), f"{title}: E_f error in eV/atom", 0.121),
            (np.abs(found[GAP] - gap)[has_gap], f"{title}: E_g error in eV", 0.594),
        )
        for error, unit, peer in pairs:
            spread = error.std() / np.sqrt(len(error))
            print(f"Q4: +- {spread:.4f}")
            peers = ("original, same data", peer)
            records.append(figure("Q4", float(error.mean()), unit, peers, len(error)))
    return records


def target_hits(quick: bool) -> list[Record]:
    """Q5: genes around seeds in a window, judged by a model that saw other data."""
    if not has_data():
        return []
    judge = train_judge(quick=quick)
    memory = model().memory
    in_window = (
        (memory.properties[:, 0] < WINDOW_ENERGY)
        & (memory.properties[:, 1] > WINDOW_GAP[0])
        & (memory.properties[:, 1] < WINDOW_GAP[1])
        & (memory.space_groups >= LEAST_GROUP)
    )
    n = 500 if quick else 4000
    points = memory.latents[in_window]
    chosen = np.random.default_rng(SEED).integers(len(points), size=n)
    free = model().sample(n, seed=SEED)
    near = model().sample_around(points[chosen], level=LEVEL, seed=SEED)
    shares = []
    for title, batch in (("unconditional", free), ("around seeds", near)):
        hits = hit_flags(judge, batch)
        shares.append(max(hits.mean(), 0.5 / max(len(hits), 1)))
        spread = np.sqrt(shares[-1] * (1 - shares[-1]) / len(hits))
        print(
            f"Q5: {title} {100 * shares[-1]:.2f} +- {100 * spread:.2f} % of "
            f"{len(hits)} new genes in the window, by the judge"
        )
    factor = shares[1] / shares[0]
    print(f"Q5: {factor:.1f}x enrichment; target 5x")
    return [figure("Q5", 1 / factor, "inverse enrichment", ("unconditional", 1.0), n)]


def train_judge(*, quick: bool) -> MultiPropertyVAE:
    """Train a predictor on WBM, which the model has never seen."""
    options = PredictorConfig(
        n_members=1,
        properties=(
            TargetProperty(name=ENERGY),
            TargetProperty(name=GAP, is_censored_at_zero=True),
        ),
        helpers=(),
    )
    loop = options.loop.model_copy(update={"n_epochs": 2 if quick else 12})
    judge = MultiPropertyVAE(
        TrainingConfig(predictor=options.model_copy(update={"loop": loop}))
    )
    data = load_data("wbm_train")
    return judge.fit_predictor([data.select(np.arange(1500))] if quick else [data])


def hit_flags(judge: MultiPropertyVAE, batch: GeneBatch) -> np.ndarray:
    """Return which new, different genes the judge puts into the window."""
    keys = canonical_keys(batch.space_group_numbers, batch.codes)
    _, first = np.unique(keys, return_index=True)
    first = first[~model().memory.is_known(keys[first])]
    numbers, codes = batch.space_group_numbers[first], batch.codes[first]
    found = judge.predict_codes(numbers, codes)
    return (
        (found[ENERGY] < WINDOW_ENERGY)
        & (found[GAP] > WINDOW_GAP[0])
        & (found[GAP] < WINDOW_GAP[1])
        & (numbers >= LEAST_GROUP)
    )


def decoding_speed(quick: bool) -> list[Record]:
    """P8: decode around seeds, see that genes are valid and new, test neutrality."""
    n = 2048 if quick else 20_480
    latents = model().memory.latents
    points = latents[np.random.default_rng(SEED).integers(len(latents), size=n)]
    model().sample_around(points[:256], level=0.7, seed=1)
    records = []
    for title, level in (("around seeds", 0.7), ("from noise", 1.0)):
        start = time.process_time()
        valid = passing = 0
        known = points if level < 1 else None
        for batch in model().iter_samples(n, seed=2, latents=known, level=level):
            judged = judge_genes(
                GeneSet.of((batch.space_group_numbers, batch.codes)), known=None
            )
            valid += len(batch)
            passing += int(are_neutral(judged.genes.table.compositions).sum())
        seconds = time.process_time() - start
        print(f"P8: {title} {valid / seconds:.0f} valid genes per CPU s")
        print(f"    {100 * passing / valid:.1f} % neutral")
        peer = ("original with its charge test", 1e6 / 14.8)
        unit = f"us per valid gene, {title}"
        records.append(figure("P8", 1e6 * seconds / valid, unit, peer, n))
    return records


def training_throughput(quick: bool) -> list[Record]:
    """P9: training samples per CPU second at 10 M parameters and batches of 512."""
    torch.set_num_threads(1)
    network = WycrystNetwork(n_properties=2)
    sites = some_sites(512)
    arrays = encode_wycryst(sites)
    crystal, group = torch.tensor(arrays.crystal), torch.tensor(arrays.one_hot)
    target = torch.rand(len(crystal), 2)
    optimiser = torch.optim.RMSprop(network.parameters(), 2e-4, alpha=0.9, eps=1e-7)
    n_steps = 3 if quick else 10
    for step in range(n_steps + 1):
        if step == 1:
            start = time.process_time()
        loss = wycryst_loss(network, crystal, group, target, LossWeights())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    seconds = (time.process_time() - start) / (n_steps * len(crystal))
    print(f"P9: {1 / seconds:.0f} training samples per CPU s at 10 M parameters")
    peer = ("original in TensorFlow, as measured elsewhere", 1e6 / 1318)
    return [figure("P9", 1e6 * seconds, "us per sample", peer, n_steps * 512)]


def some_sites(n: int):  # noqa: ANN201 - SiteTensors
    """Return genes that the published representation holds."""
    if os.environ.get("WYCKFLOW_DATA"):
        sites = tensorise_codes(*load_data(TRAIN).codes)
    else:
        batch = model().sample(2 * n, seed=SEED)
        sites = tensorise_codes(batch.space_group_numbers, batch.codes)
    return sites.take(np.flatnonzero(fits_wycryst(sites))[:n])


if __name__ == "__main__":
    sys.exit(
        run_script(
            __doc__.splitlines()[0],
            sample_quality,
            reconstruction,
            property_errors,
            target_hits,
            decoding_speed,
            training_throughput,
        )
    )
