"""Measure what the packaged screens drop of known crystals, and write it beside them.

    python benchmarks/_measure_screen_costs.py DATASET.npz HELD_OUT.npz --name MP-20

Both are made by `wyckflow data import --keep-duplicates`, with band gaps and energies
above the hull. Screens that ask a bundled classifier are measured on HELD_OUT, which no
classifier was trained on: on rows that it was trained on, the metal score drops 3 % of
the stable semiconductors instead of 14 %. The packaged figures are those of the 7,140
binaries and ternaries of MP-20's validation split, and of half of its test split. A
classifier that is not installed is said to be not measured. The result is
``wyckflow/screening/presets/costs.json``; run this again when a preset, a rule or a
bundled classifier changes.
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import wyckflow.screening.presets
from wyckflow.crystal.dataset import load_dataset
from wyckflow.errors import ModelError
from wyckflow.makers.evidence import CLASSIFIERS
from wyckflow.screening.cost import KnownGroup, cost_of
from wyckflow.screening.evidence import NO_EVIDENCE, Evidence
from wyckflow.screening.presets import COSTS_FILE, PRESETS, load_preset

if TYPE_CHECKING:
    from wyckflow.crystal.dataset import Dataset

WORDS = {
    KnownGroup.ALL: "known crystals",
    KnownGroup.STABLE_SEMICONDUCTORS: "stable semiconductors",
}


def main() -> None:
    """Measure every preset on every group of crystals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("held_out", type=Path)
    parser.add_argument("--name", default="", help="what to call the crystals")
    options = parser.parse_args()
    dataset, held_out = load_dataset(options.dataset), load_dataset(options.held_out)
    evidence = score(held_out)
    presets = {}
    for preset in PRESETS:
        screen = load_preset(preset)
        is_scored = any(name in CLASSIFIERS for name in screen.needs)
        held = ", held out from the classifiers" if is_scored else ""
        costs = [
            cost_of(
                screen,
                held_out if is_scored else dataset,
                group=group,
                evidence=evidence if is_scored else NO_EVIDENCE,
                reference=f"{words} of {options.name or 'the dataset'}{held}",
            )
            for group, words in WORDS.items()
        ]
        presets[preset] = [cost.model_dump() for cost in costs]
        for cost in costs:
            print(f"{preset}: {cost}")
    content = {
        "measured": {
            "dataset": describe(dataset),
            "held_out": describe(held_out),
            "stable": "band_gap > 0 eV and energy_above_hull <= 0.1 eV/atom",
            "smact": version("smact"),
            "wyckflow": version("wyckflow"),
        },
        "presets": json.loads(
            json.dumps(presets), parse_float=lambda text: round(float(text), 4)
        ),
    }
    path = Path(wyckflow.screening.presets.__file__).parent / COSTS_FILE
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def describe(dataset: Dataset) -> dict[str, str | int]:
    """Say which rows these are."""
    files = ", ".join(source.name for source in dataset.metadata.sources)
    return {
        "dataset_id": dataset.dataset_id,
        "files": files,
        "n_crystals": len(dataset),
    }


def score(dataset: Dataset) -> Evidence:
    """Return the scores of the classifiers that are installed."""
    from wyckflow.ml.classifiers.bundled import load_bundled_classifier

    values = {}
    for name in CLASSIFIERS:
        try:
            classifier = load_bundled_classifier(name)
        except ModelError as error:
            print(f"{name}: {error}")
            continue
        values[name] = np.asarray(classifier.score(dataset.genes), np.float64)
    return Evidence(values)


if __name__ == "__main__":
    main()
