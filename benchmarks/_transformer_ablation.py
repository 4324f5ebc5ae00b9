"""What shuffled sites and equivalent descriptions are worth to the transformer.

Small networks, trained for a moment on the same rows for the same number of steps, with
and without either: these are no figures of a model that anyone would use. Trained
networks are kept in the temporary folder, so that a run that was stopped goes on.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from _bench import Record, make_record
from _generator_rows import TRAIN, load_data
from scipy.special import logsumexp

from wyckflow.crystal.keys import canonical_keys
from wyckflow.crystal.tables import NormalizerKind
from wyckflow.ml.codec.sites import tensorise_codes
from wyckflow.ml.codec.tables import load_permutations
from wyckflow.ml.training.config import LoopConfig
from wyckflow.ml.training.rows import gather_rows
from wyckflow.ml.transformer.config import (
    TransformerConfig,
    TransformerNetworkConfig,
    TransformerTrainingConfig,
)
from wyckflow.ml.transformer.generator import WyckoffTransformer
from wyckflow.ml.transformer.likelihood import measure_order, score_in_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.ml.codec.sites import SiteTensors

SEEDS = (0, 1, 2)
WAYS = {
    "both": (True, True),
    "one order": (False, True),
    "one description": (True, False),
    "neither": (False, False),
}
N_EPOCHS = 5
N_JUDGED, N_SAMPLES, N_ORDERED = 200, 800, 200
MOST_SITES, MOST_WRITINGS = 4, 48
UNITS = {
    "not new": "share of samples known or repeated",
    "nats": "nats per validation gene, all orders and descriptions added up",
    "order": "divergence over orders in nats",
    "description": "spread over descriptions in nats",
}


def ablation(quick: bool) -> list[Record]:
    """Train in four ways, judge, print means over seeds, and return records."""
    torch.set_num_threads(1)
    data = load_data(TRAIN)
    if quick:
        data = data.select(np.arange(600))
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for seed in SEEDS[:1] if quick else SEEDS:
        for way in WAYS:
            model, kept = train(data, way, seed, n_epochs=1 if quick else N_EPOCHS)
            if kept.exists():
                figures = json.loads(kept.read_text())
            else:
                figures = judge(model, data, 100 if quick else N_SAMPLES)
                kept.write_text(json.dumps(figures))
            found[way].append(figures)
            words = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
            print(f"  {way}, seed {seed}: {words}", flush=True)
    means = {}
    for way, rows in found.items():
        table = np.array([list(row.values()) for row in rows])
        means[way] = dict(zip(rows[0], table.mean(axis=0).tolist(), strict=True))
        error = table.std(axis=0, ddof=1 if len(rows) > 1 else 0) / np.sqrt(len(rows))
        words = ", ".join(
            f"{name} {mean:.3f} +- {own:.3f}"
            for (name, mean), own in zip(means[way].items(), error, strict=True)
        )
        print(f"{way}: {words}")
    return [
        make_record(
            "transformer",
            max(means["both"][name], 1e-9),
            f"{unit}; small trainings",
            (f"the same, {way}", max(means[way][name], 1e-9)),
            n=len(found[way]),
            seed=SEEDS[0],
            packages=("numpy", "torch"),
        )
        for way in list(WAYS)[1:]
        for name, unit in UNITS.items()
    ]


def train(
    data: Dataset, way: str, seed: int, *, n_epochs: int
) -> tuple[WyckoffTransformer, Path]:
    """Return a trained network, and where its figures are kept."""
    shuffle, augment = WAYS[way]
    options = TransformerConfig(
        network=TransformerNetworkConfig(
            width=48, n_layers=2, n_heads=4, part_width=24, head_width=96, dropout=0.0
        ),
        loop=LoopConfig(
            n_epochs=n_epochs,
            batch_size=64,
            learning_rate=3e-3,
            n_warmup_steps=50,
            averaging=0.99,
            epochs_per_validation=1,
        ),
        conditions=(),
        n_prefixes=1,
        seed=seed,
        shuffle=shuffle,
        augment=augment,
    )
    config = TransformerTrainingConfig(generator=options, predictor=None)
    name = hashlib.sha256(f"{data.dataset_id} {config.model_dump_json()}".encode())
    kept = Path(tempfile.gettempdir()) / f"wyckflow-ablation-{name.hexdigest()[:12]}"
    if not (kept / "model.npz").exists():
        start = time.process_time()
        model = WyckoffTransformer(config).fit([data], folder=kept)
        print(
            f"  {way}, seed {seed}: trained in {time.process_time() - start:.0f} CPU s"
        )
        model.save(kept / "model.npz")
    # As stored, in half precision, whether it was just trained or not.
    return WyckoffTransformer.load(kept / "model.npz"), kept / "figures.json"


def judge(model: WyckoffTransformer, data: Dataset, n: int) -> dict[str, float]:
    """Return figures of one network on genes that it has not learned from."""
    options = model.config.generator
    rows = gather_rows(
        [data], (), validation_share=options.validation_share, seed=options.seed
    )
    sites = rows.sites.take(rows.validation)
    short = np.flatnonzero(sites.mask.sum(axis=1) <= MOST_SITES)[:N_JUDGED]
    sums, spreads = score_all_writings(model, sites.take(short).trimmed())
    batch = model.sample(n, seed=0)
    keys = canonical_keys(batch.space_group_numbers, batch.codes)
    _, first = np.unique(keys, return_index=True)
    n_new = (~model.memory.is_known(keys[first])).sum()
    written = tensorise_codes(batch.space_group_numbers, batch.codes)
    order = measure_order(model.network, written.take(np.arange(min(n, N_ORDERED))))
    return {
        "valid": len(batch) / n,
        "not new": 1 - float(n_new) / n,
        "nats": -float(sums.mean()),
        "order": order.divergence,
        "description": float(np.mean(spreads)),
        "judged": float(len(sums)),
    }


def score_all_writings(
    model: WyckoffTransformer, sites: SiteTensors
) -> tuple[NDArray[np.float64], list[float]]:
    """Add up the probabilities of all ways to write a gene, given its space group.

    Exact, for any way of training: no order and no description is preferred. Genes with
    too many ways are left out.

    Returns
    -------
    tuple
        Logarithms of the sums, and for each gene with several descriptions the standard
        deviation of the logarithms of theirs.
    """
    owners, letters, orders, names = [], [], [], []
    for row in range(len(sites)):
        own = list_writings(sites, row)
        if len(own) > MOST_WRITINGS:
            continue
        for letter, order, name in own:
            owners.append(row)
            letters.append(letter)
            orders.append(order)
            names.append(name)
    all_sites = sites.take(owners).with_letters(np.array(letters))
    scores = score_in_order(model.network, all_sites, np.array(orders))
    owner, name = np.array(owners), np.array(names)
    sums, spreads = [], []
    for row in np.unique(owner):
        mine = owner == row
        sums.append(logsumexp(scores[mine]))
        by_name = [
            logsumexp(scores[mine & (name == each)]) for each in np.unique(name[mine])
        ]
        if len(by_name) > 1:
            spreads.append(float(np.std(by_name)))
    return np.array(sums), spreads


def list_writings(
    sites: SiteTensors, row: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64], int]]:
    """Return letters, order and number of the description of all ways to write one."""
    counts, images = load_permutations(NormalizerKind.AUGMENTATION)
    number, mask = int(sites.space_group[row]), sites.mask[row]
    n, width = int(mask.sum()), len(mask)
    found, seen = [], set()
    described: dict[tuple[int, ...], int] = {}
    for image in images[number, : counts[number]]:
        letter = np.where(mask, image[sites.letter[row]], 0).astype(np.int64)
        codes = (sites.atomic_number[row] * 32 + letter)[:n]
        name = described.setdefault(tuple(sorted(codes.tolist())), len(described))
        for order in permutations(range(n)):
            writing = tuple(codes[list(order)].tolist())
            if writing not in seen:
                seen.add(writing)
                whole = np.array([*order, *range(n, width)])
                found.append((letter, whole, name))
    return found
