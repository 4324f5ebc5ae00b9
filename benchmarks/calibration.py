"""What a distance to the hull by CHGNet is worth, against published full hulls.

    WYCKFLOW_DATA=FOLDER python benchmarks/calibration.py [--quick] [--work FOLDER]
        [--plots FOLDER] [--fit] [--json FILE]

``make hull-reference`` fills the work folder with the energies of the test parts;
without them only the rows of the bundled reference are looked at, each without itself.
"""

from __future__ import annotations

import argparse
import json
import os
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from _bench import Record, make_record
from _calibration_pairs import (
    SCALE,
    Group,
    full_hull_energies,
    generated_group,
    join,
    known_groups,
)
from _hull_bundle import TEST, read_rows

from wyckflow.thermo import calibration as calibrations
from wyckflow.thermo.bundled import (
    HULL_POINT_SOURCE,
    find_exact_entries,
    load_bundled_reference,
)
from wyckflow.thermo.calibration import (
    BUNDLED_CALIBRATION,
    ON_HULL,
    THRESHOLDS,
    Population,
    StabilityCalibration,
    count_compounds,
    fit_calibration,
    load_bundled_calibration,
)
from wyckflow.thermo.hull import Hull
from wyckflow.thermo.hull.completeness import measure_completeness
from wyckflow.thermo.hull_bounds import bound_energies_above_hull

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SEED = 0
N_FOLDS = 10
N_QUICK = 200
BINS_OF_COMPOUNDS = ((0, 0), (1, 2), (3, 5), (6, 10), (11, 20), (21, 10_000))
CLEARLY_BELOW = 0.02  # eV/atom
SUN_CUT = 0.08  # eV/atom, of the published stability figures
APPLIES_TO = (
    "Inorganic crystals relaxed by CHGNet 0.3.0 and judged by the bundled reference. "
    "'known': phases that were made in a laboratory (MPTS-52), each judged without "
    "itself; most are stable, so the figures are too high for anything else. "
    "'generated': the same curves, moved down to fit 52 crystals that a generative "
    "model made up and DFT judged; so few that the intervals are wide."
)


def main() -> int:
    """Print what was asked for; return an exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two bounds of fewer rows")
    parser.add_argument("--work", type=Path, default=Path("hull-reference"))
    parser.add_argument("--plots", type=Path, help="write the plots here")
    parser.add_argument("--fit", action="store_true", help="write the packaged one")
    parser.add_argument("--json", type=Path, help="write records here")
    options = parser.parse_args()
    if "WYCKFLOW_DATA" not in os.environ:
        print("skipped: WYCKFLOW_DATA names no folder with the data")
        if options.json:
            options.json.write_text("[]")
        return 0
    data = Path(os.environ["WYCKFLOW_DATA"])
    records = report_bounds(data, quick=options.quick)
    report_full_hull(data)
    groups = known_groups(data, options.work)
    generated = None
    if (options.work / "dft_relaxed_dev.npz").exists():
        generated = generated_group(data, options.work)
    report_distances([*groups.values(), *([generated] if generated else [])])
    if generated is not None:
        fitted = [groups[k] for k in ("mpts52_train", "mpts52_test") if k in groups]
        pairs = join(*fitted, generated)
        predicted, base = predict_out_of_fold(pairs)
        records += report_folds(pairs, predicted, base)
        if options.fit:
            fit(pairs)
    bundled = load_bundled_calibration()
    report_held_out(bundled, groups)
    report_flattery(data, bundled, generated)
    if options.plots and generated is not None:
        from _calibration_plots import draw_all

        draw_all(options.plots, bundled, groups, generated, (pairs, predicted))
    if options.json:
        options.json.write_text(json.dumps(records, indent=1))
    return 0


# --- the DFT scale --------------------------------------------------------------------


def report_bounds(data: Path, *, quick: bool) -> list[Record]:
    """Say how close the bound by formation energies is, also with hull points."""
    print("\nDFT scale: bound on the energy above hull of rows that are not bundled")
    reference = load_bundled_reference("mp2020-gga-u")
    hulls = {
        "phases": Hull(reference.take(reference.sources != HULL_POINT_SOURCE)),
        "phases and hull points": Hull(reference),
    }
    own = set(reference.ids.tolist())
    errors: dict[str, float] = {}
    n_rows: dict[str, int] = {}
    for part in TEST:
        rows = [r for r in read_rows(part.file(data)) if r.material_id not in own]
        n_rows[part.stem] = len(rows)
        truth = np.array([row.energy_above_hull for row in rows])
        for name, hull in hulls.items():
            answer = hull.energies_above_hull(
                [row.composition for row in rows],
                [row.formation_energy_per_atom for row in rows],
                scale="mp2020-gga-u",
                kind="formation",
            )
            ok = answer.can_judge
            bound = np.maximum(answer.energies_above_hull[ok], 0.0)
            line = describe_bound(bound, truth[ok])
            errors[f"{part.stem} {name}"] = float(np.abs(bound - truth[ok]).mean())
            print(f"  {part.stem:20s} {name:23s} n {ok.sum():5d}  {line}")
    report_brackets(data, own, N_QUICK if quick else None)
    return [
        make_record(
            "hull-points",
            1000 * errors["mp20_biternary_test phases and hull points"],
            "meV/atom",
            ("phases alone", 1000 * errors["mp20_biternary_test phases"]),
            n=n_rows["mp20_biternary_test"],
            seed=SEED,
            packages=["numpy", "scipy"],
        )
    ]


def report_brackets(data: Path, own: set[str], n_rows: int | None) -> None:
    """Say between which values the distance to the full hull is known to lie."""
    reference = load_bundled_reference("mp2020-gga-u")
    exact = find_exact_entries(reference)
    for part in TEST:
        rows = [r for r in read_rows(part.file(data)) if r.material_id not in own]
        rows = rows[:n_rows]
        truth = np.array([row.energy_above_hull for row in rows])
        found = bound_energies_above_hull(
            reference,
            exact,
            [row.composition for row in rows],
            [row.formation_energy_per_atom for row in rows],
            scale="mp2020-gga-u",
        )
        wrong = (found.upper < truth - ON_HULL).sum()
        sure = np.mean(found.upper <= THRESHOLDS[-1])
        print(
            f"  {part.stem:20s} upper bound for {np.isfinite(found.upper).mean():.2f}, "
            f"{int(wrong)} of them too low; surely within 0.1 eV/atom: {sure:.2f}, "
            f"and so are {np.mean(truth <= THRESHOLDS[-1]):.2f}"
        )


def describe_bound(bound: NDArray[np.float64], truth: NDArray[np.float64]) -> str:
    """Return error and hits of a lower bound in words."""
    said, is_on = bound <= ON_HULL, truth <= ON_HULL
    both = (said & is_on).sum()
    return (
        f"MAE {1000 * np.abs(bound - truth).mean():5.1f} meV/atom, "
        f"exact {np.mean(np.abs(bound - truth) <= ON_HULL):.3f}, "
        f"too high {int((bound > truth + ON_HULL).sum())}, "
        f"on hull: precision {both / max(said.sum(), 1):.3f} "
        f"recall {both / max(is_on.sum(), 1):.3f}"
    )


# --- CHGNet's scale -------------------------------------------------------------------


def report_full_hull(data: Path) -> None:
    """Hold our CHGNet hull against the full DFT hull at published compositions."""
    print("\nour hull by CHGNet minus the full hull by DFT, eV/atom")
    reference = load_bundled_reference(SCALE)
    hull = Hull(reference)
    rows = full_hull_energies(data)
    for name in dict.fromkeys(row[0] for row in rows):
        mine = [row for row in rows if row[0] == name]
        energies = np.array([row[2] for row in mine])
        answer = hull.energies_above_hull(
            [row[1] for row in mine], energies, scale=SCALE
        )
        gaps = energies - answer.energies_above_hull - [row[3] for row in mine]
        counts = np.array(
            [count_compounds(measure_completeness(reference, row[1])) for row in mine]
        )
        has_ytterbium = np.array(["Yb" in row[1] for row in mine])
        print(
            f"  {name}: n {len(mine)}, below by over 20 meV/atom: with Yb "
            f"{int((gaps[has_ytterbium] < -CLEARLY_BELOW).sum())}, others "
            f"{int((gaps[~has_ytterbium] < -CLEARLY_BELOW).sum())}"
        )
        for low, high in BINS_OF_COMPOUNDS:
            here = (counts >= low) & (counts <= high)
            if here.any():
                part = gaps[here]
                print(
                    f"    {low:3d} to {high:5d} compounds: n {here.sum():3d} median "
                    f"{np.median(part):6.3f} mean {part.mean():6.3f} spread "
                    f"{part.std():.3f}"
                )


def report_distances(groups: Sequence[Group]) -> None:
    """Say how often a distance of ours is a lower bound, and how wrong."""
    print("\ndistance by CHGNet to our hull against that by DFT to the full hull")
    for group in groups:
        ours = np.maximum(group.pairs.distances, 0.0)
        truth = group.pairs.true_distances
        above = group.pairs.distances > 0
        gap = (ours - truth)[above]
        print(
            f"  {group.name:22s} n {len(ours):5d}  "
            f"bias {1000 * (ours - truth).mean():6.1f} "
            f"MAE {1000 * np.abs(ours - truth).mean():5.1f} meV/atom; lower than DFT's "
            f"or equal: {np.mean(ours <= truth + ON_HULL):.2f}; where above 0 "
            f"(n {above.sum()}): bias {1000 * gap.mean():.1f} meV/atom"
        )


def report_folds(
    group: Group, predicted: NDArray[np.float64], base: NDArray[np.float64]
) -> list[Record]:
    """Judge each tenth of the chemical systems by the fit without it."""
    print(f"\ncross-validation, {N_FOLDS} folds by chemical system: Brier score")
    kinds = {Population.KNOWN: ~group.pairs.is_generated}
    kinds[Population.GENERATED] = group.pairs.is_generated
    scores = {}
    for kind, here in kinds.items():
        for column, threshold in enumerate(THRESHOLDS):
            labels = group.pairs.labels(threshold)[here]
            ours = np.mean((predicted[here, column] - labels) ** 2)
            plain = np.mean((base[here, column] - labels) ** 2)
            scores[kind, threshold] = (float(ours), float(plain))
            print(
                f"  {kind:10s} within {threshold:.2f} eV/atom: n {here.sum():5d} rate "
                f"{labels.mean():.3f}  Brier {ours:.4f}, base rate {plain:.4f}"
            )
    ours, plain = scores[Population.KNOWN, 0.1]
    return [
        make_record(
            "calibration",
            ours,
            "Brier score",
            ("base rate", plain),
            n=len(group.pairs),
            seed=SEED,
            packages=["numpy", "scipy", "chgnet"],
        )
    ]


def predict_out_of_fold(
    group: Group,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return probabilities of rows by fits without their chemical systems."""
    generator = np.random.default_rng(SEED)
    systems, inverse = np.unique(group.systems, return_inverse=True)
    folds = generator.integers(0, N_FOLDS, len(systems))[inverse]
    found = np.full((len(group.pairs), len(THRESHOLDS)), np.nan)
    base = found.copy()
    for fold in range(N_FOLDS):
        inside, outside = folds == fold, folds != fold
        kept = group.pairs.take(outside)
        made = fit_calibration(
            kept,
            name="fold",
            scale=SCALE,
            reference_version="",
            applies_to="",
            n_draws=1,
        )
        for kind in Population:
            is_generated = kind is Population.GENERATED
            here = inside & (group.pairs.is_generated == is_generated)
            features = calibrations.make_features(
                group.pairs.distances[here],
                group.pairs.n_compounds[here],
                group.pairs.is_generated[here],
            )
            found[here] = calibrations.logistic(features @ made.coefficients.T)
            same = kept.is_generated == is_generated
            base[here] = [kept.labels(t)[same].mean() for t in THRESHOLDS]
    return found, base


def fit(group: Group) -> None:
    """Write the calibration that comes with the package."""
    made = fit_calibration(
        group.pairs,
        name="CHGNet 0.3.0 to the DFT hull",
        scale=SCALE,
        reference_version=load_bundled_reference(SCALE).version,
        applies_to=APPLIES_TO,
        seed=SEED,
    )
    folder = Path(calibrations.__file__).parent / "data"
    made.save(folder / BUNDLED_CALIBRATION)
    load_bundled_calibration.cache_clear()
    print(f"\nwrote {made.identity}: {dict(made.n_pairs)}")


def report_held_out(bundled: StabilityCalibration, groups: dict[str, Group]) -> None:
    """Judge rows that no fit has seen; MP-20 has none above 0.08 eV/atom."""
    print(
        "\nrows that the fit has not seen; the reference has not seen those of the test"
    )
    for name in ("mp20_biternary_test", "mp20_biternary_train"):
        if name not in groups:
            continue
        pairs = groups[name].pairs
        found = bundled.probabilities(
            pairs.distances, pairs.n_compounds.tolist(), population=Population.KNOWN
        )
        for column, threshold in enumerate(THRESHOLDS[:2]):
            labels, told = pairs.labels(threshold), found[:, column]
            brier = np.nanmean((told - labels) ** 2)
            plain = np.mean((labels.mean() - labels) ** 2)
            print(
                f"  {name} within {threshold:.2f}: n {len(labels)} rate "
                f"{labels.mean():.3f} told {np.nanmean(told):.3f} Brier {brier:.4f}, "
                f"base rate {plain:.4f}"
            )
            for low, high, n, mean, rate in reliability(told, labels):
                print(
                    f"      told {low:.1f} to {high:.1f}: n {n:5d} told {mean:.3f} "
                    f"true {rate:.3f}"
                )


def reliability(
    told: NDArray[np.float64], labels: NDArray[np.bool_], n_bins: int = 5
) -> list[tuple[float, float, int, float, float]]:
    """Return bins of told probabilities with what came true."""
    edges = np.linspace(0, 1, n_bins + 1)
    rows = []
    for low, high in pairwise(edges):
        here = (told >= low) & ((told < high) | (high == 1))
        if here.any():
            mean, rate = float(told[here].mean()), float(labels[here].mean())
            rows.append((float(low), float(high), int(here.sum()), mean, rate))
    return rows


def report_flattery(
    data: Path, bundled: StabilityCalibration, generated: Group | None
) -> None:
    """Say how many crystals look stable by CHGNet, and how many are."""
    print(f"\nshare within {SUN_CUT} eV/atom of the hull")
    table = pd.read_csv(data / "peers/wycryst_mp20_biternary_chgnet_ehull.csv.gz")
    published = float(np.mean(table.corrected_chgnet_ehull <= SUN_CUT))
    print(f"  WyCryst's genes, CHGNet energies, full hull (published): {published:.3f}")
    if generated is None:
        return
    pairs = generated.pairs
    ours = float(np.mean(pairs.distances <= SUN_CUT))
    true = float(np.mean(pairs.true_distances <= SUN_CUT))
    print(
        f"  52 generated crystals, CHGNet and our hull: {ours:.3f}; DFT and the full "
        f"hull: {true:.3f}; flattered {ours / true:.1f} times"
    )
    told = bundled.probabilities(pairs.distances, pairs.n_compounds.tolist())
    for column, threshold in enumerate(THRESHOLDS):
        print(
            f"    within {threshold:.2f}: CHGNet says "
            f"{np.mean(pairs.distances <= threshold):.3f}, calibrated "
            f"{np.nanmean(told[:, column]):.3f}, DFT "
            f"{pairs.labels(threshold).mean():.3f} (fitted on these)"
        )


if __name__ == "__main__":
    raise SystemExit(main())
