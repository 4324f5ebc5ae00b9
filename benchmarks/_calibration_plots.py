"""The figures of the calibration, for the report and the documents."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from wyckflow.thermo.calibration import THRESHOLDS, Population

if TYPE_CHECKING:
    from pathlib import Path

    from _calibration_pairs import Group
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from wyckflow.thermo.calibration import StabilityCalibration

BLUE, ORANGE, GREEN, RED, INK = "#4c78a8", "#f2a03d", "#54a24b", "#e45756", "#3b4252"
COLOURS = (RED, ORANGE, GREEN)
KNOWN_NAMES = ("mpts52_train", "mpts52_test")
FEWEST = 5


def draw_all(
    folder: Path,
    calibration: StabilityCalibration,
    groups: dict[str, Group],
    generated: Group,
    out_of_fold: tuple[Group, NDArray[np.float64]],
) -> None:
    """Write all figures."""
    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    draw_bound(folder / "hull-bound.png", groups["mpts52_train"], generated)
    draw_curves(folder / "hull-probability.png", calibration)
    held_out = groups.get("mp20_biternary_test")
    draw_reliability(
        folder / "hull-reliability.png", calibration, out_of_fold, held_out
    )


def draw_bound(path: Path, known: Group, generated: Group) -> None:
    """Draw our distance against that of DFT."""
    figure, axes = plt.subplots(1, 2, figsize=(8.6, 4.0), layout="constrained")
    for ax, group, title in zip(
        axes,
        (known, generated),
        ("phases made in a laboratory", "crystals that a model made up"),
        strict=True,
    ):
        ours = 1000 * group.pairs.distances
        true = 1000 * group.pairs.true_distances
        dots = {"s": 6, "alpha": 0.25} if len(ours) > 1000 else {"s": 22, "alpha": 0.8}  # noqa: PLR2004 (looks only)
        ax.axhspan(-25, 50, color=GREEN, alpha=0.12, lw=0)
        ax.scatter(ours, true, color=BLUE, lw=0, **dots)
        ax.plot([0, 600], [0, 600], color=INK, lw=1)
        ax.annotate("equal", (520, 525), color=INK, rotation=45, fontsize=8)
        ax.axvline(0, color=INK, lw=0.6, ls=":")
        inside = (ours > -400) & (ours < 600) & (true < 600)  # noqa: PLR2004 (axes)
        ax.set(
            xlim=(-400, 600),
            ylim=(-25, 600),
            title=f"{title}\n{inside.sum():,} of {len(ours):,} are in this window",
            xlabel="CHGNet, to the bundled hull (meV/atom)",
        )
        ax.title.set_fontsize(9)
    axes[0].set_ylabel("DFT, to the full hull (meV/atom)")
    axes[1].annotate(
        "within 50 meV/atom", (590, 18), color=GREEN, fontsize=8, ha="right"
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_curves(path: Path, calibration: StabilityCalibration) -> None:
    """Draw the probabilities with their intervals."""
    figure, axes = plt.subplots(
        1, 2, figsize=(8.6, 3.7), sharey=True, layout="constrained"
    )
    distances = np.linspace(-0.15, 0.25, 401)
    titles = {
        Population.GENERATED: "made up by a model (the default)",
        Population.KNOWN: "known phases",
    }
    for ax, (kind, title) in zip(axes, titles.items(), strict=True):
        counts = [5] * len(distances)
        told = calibration.probabilities(distances, counts, population=kind)
        ends = calibration.intervals(distances, counts, population=kind)
        for column, threshold in enumerate(THRESHOLDS):
            colour = COLOURS[column]
            low, high = ends[:, column, 0], ends[:, column, 1]
            ax.fill_between(1000 * distances, low, high, color=colour, alpha=0.15, lw=0)
            words = f"within {1000 * threshold:.0f}" if threshold else "on the hull"
            ax.plot(1000 * distances, told[:, column], color=colour, label=words)
        ax.axvline(0, color=INK, lw=0.6, ls=":")
        n_pairs = calibration.n_pairs[kind]
        ax.set(
            title=f"{title}: {n_pairs:,} pairs",
            xlabel="CHGNet, to the bundled hull (meV/atom)",
            ylim=(0, 1),
            xlim=(-150, 250),
        )
        ax.title.set_fontsize(9)
    axes[0].set_ylabel("probability by DFT")
    axes[1].legend(frameon=False, title="of the full hull (meV/atom)", fontsize=8)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_reliability(
    path: Path,
    calibration: StabilityCalibration,
    out_of_fold: tuple[Group, NDArray[np.float64]],
    held_out: Group | None,
) -> None:
    """Draw what came true against what was told."""
    group, told = out_of_fold
    is_generated = group.pairs.is_generated
    figure, axes = plt.subplots(
        1, 3, figsize=(10.5, 3.8), sharey=True, layout="constrained"
    )
    for column, (ax, threshold) in enumerate(zip(axes, THRESHOLDS, strict=True)):
        labels = group.pairs.labels(threshold)
        for here, name, colour, n_bins in (
            (~is_generated, "known, not fitted (folds)", BLUE, 10),
            (is_generated, "generated, not fitted (folds)", RED, 4),
        ):
            draw_bins(
                ax,
                told[here, column],
                labels[here],
                name=name,
                colour=colour,
                n_bins=n_bins,
            )
        if held_out is not None and threshold < THRESHOLDS[-1]:
            pairs = held_out.pairs
            found = calibration.probabilities(
                pairs.distances, pairs.n_compounds.tolist(), population="known"
            )
            ok = np.isfinite(found[:, column])
            name = "MP-20 test, never seen"
            draw_bins(
                ax,
                found[ok, column],
                pairs.labels(threshold)[ok],
                name=name,
                colour=ORANGE,
                n_bins=10,
            )
        ax.plot([0, 1], [0, 1], color=INK, lw=0.8)
        words = (
            f"within {1000 * threshold:.0f} meV/atom" if threshold else "on the hull"
        )
        ax.set(title=words, xlabel="told", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes[0].set_ylabel("came true by DFT")
    axes[0].legend(frameon=False, fontsize=7, loc="upper left")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_bins(
    ax: Axes,
    told: NDArray[np.float64],
    labels: NDArray[np.bool_],
    *,
    name: str,
    colour: str,
    n_bins: int,
) -> None:
    """Draw bins of equal width, or of equal size where there are few crystals."""
    if n_bins < 10:  # noqa: PLR2004 (few crystals)
        edges = np.quantile(told, np.linspace(0, 1, n_bins + 1))
        edges[-1] += 1e-9
    else:
        edges = np.linspace(0, 1 + 1e-9, n_bins + 1)
    points = []
    for low, high in pairwise(edges):
        here = (told >= low) & (told < high)
        n = int(here.sum())
        if n >= FEWEST:
            rate = labels[here].mean()
            # Wilson's interval of one standard deviation: fits rates of 0 and 1, too.
            centre = (rate + 0.5 / n) / (1 + 1 / n)
            half = np.sqrt(rate * (1 - rate) / n + 0.25 / n**2) / (1 + 1 / n)
            points.append((told[here].mean(), rate, centre - half, centre + half))
    x, rate, low, high = np.array(points).T
    bars = np.maximum([rate - low, high - rate], 0)
    ax.errorbar(x, rate, yerr=bars, fmt="o", ms=4, lw=1, color=colour, label=name)
