"""Classifiers: speed of scoring, and what the scores are worth on rows held out.

Without WYCKFLOW_DATA only speed is measured, and the figures of the cards are printed.
With it, scikit-learn's gradient boosting learns metals from the same rows and features,
and synthesizability is held against CHGNet's hull distances of generated genes.
"""

from __future__ import annotations

import ast
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from _bench import Record, make_record, run_script

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.ml.classifiers.bundled import BUNDLED_CLASSIFIERS, load_bundled_classifier
from wyckflow.ml.classifiers.metrics import area_under_curve, estimate_area

if TYPE_CHECKING:
    from wyckflow.schemas.training import Figure

STABLE = 0.08
TEMPLATES = (
    "221 {}:a {}:b O:c",
    "225 {}:a {}:b",
    "62 {}:c {}:a O:c,d",
    "14 {}:e {}:e2",
)
SYMBOLS = ("Li", "Na", "K", "Mg", "Ca", "Sr", "Ti", "Zr", "Fe", "Ni", "Al", "Si", "S")


def print_cards(_quick: bool) -> list[Record]:
    """Print the figures of the cards on all rows."""
    for name in BUNDLED_CLASSIFIERS:
        card = load_bundled_classifier(name).card
        print(f"\n{name} {card.identity[:12]}")
        for figure in card.figures:
            if figure.subset in {"all", "matched in size and kind"}:
                print(_line(figure))
    return []


def time_scoring(quick: bool) -> list[Record]:
    """Score genes that were made by substitution; CPU seconds, one thread."""
    genes = [
        WyckoffGene.from_text(template.format(a, b))
        for template in TEMPLATES
        for a in SYMBOLS
        for b in SYMBOLS
        if a != b
    ]
    genes *= 10 if quick else 60
    for name in BUNDLED_CLASSIFIERS:
        classifier = load_bundled_classifier(name)
        classifier.score(genes[:100])
        start = time.process_time()
        classifier.score(genes)
        taken = time.process_time() - start
        print(f"{name}: {len(genes) / taken:,.0f} genes per CPU s ({len(genes):,})")
    return []


def compare_boosting(quick: bool) -> list[Record]:
    """Hold the metal classifier against gradient boosting on the same features."""
    folder = os.environ.get("WYCKFLOW_DATA")
    if folder is None or quick:
        print("gradient boosting: left out (needs WYCKFLOW_DATA and a full run)")
        return []
    from sklearn.ensemble import HistGradientBoostingClassifier

    from wyckflow.ml.classifiers.bundling import load_data, plan_bundled
    from wyckflow.ml.classifiers.features import describe_sites
    from wyckflow.ml.classifiers.labels import Task

    classifier = load_bundled_classifier("metal")
    study = plan_bundled(Task.METAL, load_data(Path(folder)))
    (test,) = study.test.values()
    features = [
        describe_sites(rows.sites, classifier.elements) for rows in (study.train, test)
    ]
    peer = HistGradientBoostingClassifier(random_state=0)
    peer.fit(features[0], study.train.is_positive)
    theirs = 1 - area_under_curve(
        peer.predict_proba(features[1])[:, 1], test.is_positive
    )
    ours = 1 - area_under_curve(classifier.score_sites(test.sites)[0], test.is_positive)
    print(f"metals, 1 - AUC: ours {ours:.4f}, gradient boosting {theirs:.4f}")
    record = make_record(
        "metal classifier",
        ours,
        "1 - AUC",
        ("sklearn HistGradientBoosting, same features", theirs),
        n=len(test),
        seed=0,
        packages=("scikit-learn", "torch"),
    )
    return [record]


def compare_hull(_quick: bool) -> list[Record]:
    """Ask whether scores go with hull distances of generated genes; no target."""
    folder = os.environ.get("WYCKFLOW_DATA")
    if folder is None:
        print("hull distances: left out (needs WYCKFLOW_DATA)")
        return []
    genes, distances = read_generated(Path(folder) / "peers")
    for name in BUNDLED_CLASSIFIERS:
        scores = load_bundled_classifier(name).score(genes)
        judged = ~np.isnan(scores)
        area = estimate_area(scores[judged], distances[judged] < STABLE)
        print(
            f"{name}: AUC for a CHGNet hull distance below {STABLE} eV/atom "
            f"{area.value:.3f} ({area.low:.3f} to {area.high:.3f}), {area.n} genes of "
            "the original WyCryst"
        )
    return []


def read_generated(folder: Path) -> tuple[list[WyckoffGene], np.ndarray]:
    """Read generated genes whose formula names one gene and one hull distance."""
    import pandas as pd
    from pymatgen.core import Composition

    made = pd.read_csv(folder / "wycryst_novel_mp20_biternary.csv.gz")
    judged = pd.read_csv(folder / "wycryst_mp20_biternary_chgnet_ehull.csv.gz")
    made["key"] = [Composition(f).reduced_formula for f in made.reconstructed_formula]
    judged["key"] = [Composition(f).reduced_formula for f in judged.formula]
    judged = judged.dropna(subset="corrected_chgnet_ehull")
    both = made.drop_duplicates("key", keep=False).merge(
        judged.drop_duplicates("key", keep=False), on="key"
    )
    genes = [
        WyckoffGene.from_published(int(number), ast.literal_eval(letters))
        for number, letters in zip(
            both.reconstructed_sg, both.reconstructed_wyckoff, strict=True
        )
    ]
    return genes, both.corrected_chgnet_ehull.to_numpy(float)


def _line(figure: Figure) -> str:
    """Return a figure as one line."""
    value = "-" if figure.value is None else f"{figure.value:.3f}"
    interval = "" if figure.low is None else f"[{figure.low:.3f}, {figure.high:.3f}]"
    return (
        f"  {figure.quantity:34s} {value:>7s} {interval:16s} n={figure.n:<5d} "
        f"{figure.rows} ({figure.subset})"
    )


if __name__ == "__main__":
    summary = (__doc__ or "").splitlines()[0]
    parts = (print_cards, time_scoring, compare_boosting, compare_hull)
    sys.exit(run_script(summary, *parts))
