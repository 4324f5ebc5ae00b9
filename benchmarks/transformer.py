"""The transformer beside the bundled autoencoder: the same rows, limits and judges.

Both learned from ``mp20_biternary_train``; ``WYCKFLOW_DATA`` names the folder of the
data, and ``WYCKFLOW_TRANSFORMER`` the file of another transformer than the bundled one.

``--ablation`` measures something else, and needs the folder alone: what shuffled sites
and equivalent descriptions are worth, on small networks trained here for a moment.

Nothing here is relaxed: "predicted stable" is the bundled ensemble's formation energy
against the bundled reference, for the genes of both models alike; ``ranking.py`` says
how little that is worth.
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
from _generator_rows import TEST, load_data
from _transformer_ablation import ablation
from generator import LEAST_GROUP, WINDOW_ENERGY, WINDOW_GAP, hit_flags

from wyckflow.crystal.keys import canonical_keys, unpack_genes
from wyckflow.makers._ranking import load_predicted_hull, measure_distances
from wyckflow.ml.codec.sites import tensorise_codes
from wyckflow.ml.model_file import BUNDLED_TRANSFORMER, bundled_model_path
from wyckflow.ml.mpvae.generator import MultiPropertyVAE
from wyckflow.ml.mpvae.limits import DecodingLimits
from wyckflow.ml.sampling.draw import Draw
from wyckflow.ml.sampling.options import DrawOptions
from wyckflow.ml.training.config import PredictorConfig, TrainingConfig
from wyckflow.ml.transformer.generator import WyckoffTransformer
from wyckflow.ml.transformer.likelihood import measure_order
from wyckflow.schemas.target import PAPER_TARGET
from wyckflow.screening.metrics.evaluate import EvaluationOptions, evaluate_set
from wyckflow.screening.metrics.gene_set import GeneSet
from wyckflow.screening.neutrality.judge import are_neutral

if TYPE_CHECKING:
    from wyckflow.ml.generator import GeneBatch
    from wyckflow.ml.kinds import AnyGenerator

SEED = 0
N_SAMPLES, N_QUICK = 4_000, 400
N_LIKELY = 600
N_ORDER = 400
N_WINDOW = 600
STABLE = 0.08
GUIDANCE = (0.0, 1.0, 2.0)
PACKAGES = ("numpy", "torch")
PUBLISHED_DIVERGENCE = 2.0


@cache
def models() -> dict[str, AnyGenerator]:
    """Load both; nothing if the transformer or the data are not named."""
    torch.set_num_threads(1)
    if not os.environ.get("WYCKFLOW_DATA"):
        print("left out: needs WYCKFLOW_DATA, the folder of the public data")
        return {}
    named = os.environ.get("WYCKFLOW_TRANSFORMER")
    file = Path(named) if named else bundled_model_path(BUNDLED_TRANSFORMER)
    bundled = MultiPropertyVAE.load(bundled_model_path())
    transformer = WyckoffTransformer.load(file)
    if transformer.predictor is None:
        transformer.adopt_predictor(bundled)
    return {"transformer": transformer, "autoencoder": bundled}


def figure(value: float, unit: str, peer: float, n: int) -> Record:
    """Write a record of the transformer beside the autoencoder; less is better."""
    print(f"  {unit:52s} transformer {value:8.4g}   autoencoder {peer:8.4g}   n {n:,}")
    own, other = max(value, 1e-9), ("the bundled autoencoder", max(peer, 1e-9))
    return make_record(
        "transformer", own, unit, other, n=n, seed=SEED, packages=PACKAGES
    )


def sample_quality(quick: bool) -> list[Record]:
    """Q1 and Q2: unconditional sampling, as drawn."""
    columns = {
        name: describe(model, N_QUICK if quick else N_SAMPLES, quick=quick)
        for name, model in models().items()
    }
    if not columns:
        return []
    n = N_QUICK if quick else N_SAMPLES
    own, other = columns["transformer"], columns["autoencoder"]
    return [figure(own[unit], unit, other[unit], n) for unit in own]


def describe(model: AnyGenerator, n: int, *, quick: bool) -> dict[str, float]:
    """Return figures of samples of one model, of which less is better."""
    start = time.process_time()
    batch = model.sample(n, seed=SEED)
    seconds = time.process_time() - start
    keys = canonical_keys(batch.space_group_numbers, batch.codes)
    _, first = np.unique(keys, return_index=True)
    rows = np.sort(first[~model.memory.is_known(keys[first])])
    genes = batch.space_group_numbers[rows], batch.codes[rows]
    neutral = are_neutral(GeneSet.of(genes).table.compositions)
    stable = predicted_stable(batch, rows)
    figures = {
        "share that is no gene": 1 - len(batch) / n,
        "share known or repeated": 1 - len(rows) / len(batch),
        "share of new ones not neutral": 1 - float(neutral.mean()),
        "share of new ones not predicted stable": 1 - float(stable.mean()),
        "share not new, or not predicted stable": 1 - float(stable.sum()) / n,
        "CPU us per sample": 1e6 * seconds / n,
    }
    test = load_data(TEST)
    equal = min(len(rows), len(test), 3000)
    options = EvaluationOptions(n=equal, n_resamples=20 if quick else 50, seed=SEED)
    document = evaluate_set(genes, test, options=options)
    for metric in document.metrics:
        if metric.name.startswith(("ks_", "chi2_")):
            figures[metric.name] = metric.value
    share = abs((genes[0] == 1).mean() - (test.codes[0] == 1).mean())
    figures["P1, share too many or too few"] = float(share)
    return figures


def predicted_stable(batch: GeneBatch, rows: np.ndarray) -> np.ndarray:
    """Return which genes the bundled ensemble puts near the bundled hull."""
    judge = models()["autoencoder"]
    numbers, codes = batch.space_group_numbers[rows], batch.codes[rows]
    found = judge.predict_sites(tensorise_codes(numbers, codes), n_descriptions=1)
    energies = found["formation_energy_per_atom"]
    genes = unpack_genes(numbers, codes)
    return measure_distances(genes, energies, load_predicted_hull()) <= STABLE


def surprise(quick: bool) -> list[Record]:
    """How unlikely test genes are to each model, as they are written, in any order."""
    found = models()
    if not found:
        return []
    genes = load_data(TEST).genes[: 200 if quick else N_LIKELY]
    nats = [-float(model.log_probability(genes).mean()) for model in found.values()]
    return [figure(nats[0], "nats per test gene", nats[1], len(genes))]


def order_of_sites(quick: bool) -> list[Record]:
    """How far the transformer minds the order of the sites, as in its appendix D."""
    found = models()
    if not found:
        return []
    model = found["transformer"]
    n = 100 if quick else N_ORDER
    batch = model.sample(n, seed=SEED)
    sites = tensorise_codes(batch.space_group_numbers, batch.codes)
    spread = measure_order(model.network, sites, n_orders=5 if quick else 20)
    print(
        f"  divergence over orders {spread.divergence:.3f} +- {spread.error:.3f} nats "
        f"of an entropy of {spread.entropy:.2f}; spread over orders "
        f"{spread.spread_over_orders:.2f}, over genes {spread.spread_over_genes:.2f}; "
        f"published, on all of MP-20: {PUBLISHED_DIVERGENCE} of 19.0"
    )
    return [
        make_record(
            "transformer",
            max(spread.divergence, 1e-9),
            "divergence over orders of sites in nats",
            ("WyckoffTransformer, all of MP-20", PUBLISHED_DIVERGENCE),
            n=n,
            seed=SEED,
            packages=PACKAGES,
        )
    ]


def window_hits(quick: bool) -> list[Record]:
    """Q5: share of new genes in the paper's window, by a judge that saw other data."""
    found = models()
    if not found:
        return []
    judge = train_judge(n_epochs=1 if quick else 4)
    n = 200 if quick else N_WINDOW
    limits = DecodingLimits(space_groups=frozenset(range(LEAST_GROUP, 231)))
    print(f"  window: gap {WINDOW_GAP} eV, energy below {WINDOW_ENERGY} eV/atom")
    shares = {}
    for name, model in found.items():
        free = hit_flags(judge, model.sample(n, seed=SEED, limits=limits))
        shares[name, "free, right groups"] = free
        for guidance in GUIDANCE if name == "transformer" else (None,):
            options = DrawOptions(keep_outside=True, guidance=guidance or 0.0)
            order = Draw(model, n, PAPER_TARGET, options, seed=SEED)
            drawn = [hit_flags(judge, batch) for batch in order]
            words = order.method.value
            words += "" if guidance is None else f", guidance {guidance:g}"
            shares[name, words] = np.concatenate(drawn)
    for (name, words), hits in shares.items():
        share = hits.mean()
        error = np.sqrt(share * (1 - share) / max(len(hits), 1))
        found_share = f"{100 * share:.1f} +- {100 * error:.1f} %"
        print(f"  {name}, {words}: {found_share} of {len(hits)} in the window")
    best = max(v.mean() for (m, _), v in shares.items() if m == "transformer")
    other = max(v.mean() for (m, _), v in shares.items() if m == "autoencoder")
    return [figure(1 - best, "share of new genes outside the window", 1 - other, n)]


def train_judge(*, n_epochs: int) -> MultiPropertyVAE:
    """Train a predictor on WBM alone, which neither model has seen."""
    options = PredictorConfig(n_members=1, helpers=())
    loop = options.loop.model_copy(update={"n_epochs": n_epochs})
    options = options.model_copy(update={"loop": loop})
    judge = MultiPropertyVAE(TrainingConfig(predictor=options))
    return judge.fit_predictor([load_data("wbm_train")])


if __name__ == "__main__":
    parts = [sample_quality, surprise, order_of_sites, window_hits]
    if "--ablation" in sys.argv:
        sys.argv.remove("--ablation")
        parts = [ablation]
    sys.exit(run_script(__doc__.splitlines()[0], *parts))
