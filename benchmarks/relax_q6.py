"""Q6: the best energy of a gene against CrySPR's published one.

    WYCKFLOW_DATA=FOLDER python benchmarks/relax_q6.py [--quick] [--genes N]
        [--json FILE] [--plot FILE]

The genes are those of ``peers/cryspr_relaxed_dev.csv.gz``, which CrySPR built and
relaxed with the same network. Ours get 2, 8, 12 or 20 random starts by their free
coordinates, all starts of all genes in one call of the relaxer, and the best is kept.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from _bench import Record, make_record

from wyckflow.crystal.build.trials import build_trials
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.relax.batched import relax_structures
from wyckflow.relax.contract import RelaxOptions
from wyckflow.relax.potential import load_potential
from wyckflow.relax.race import RaceOptions
from wyckflow.schemas.relaxation import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.relax.contract import Relaxed

SEED = 0
N_QUICK = 12
AS_GOOD, LOWER, HIGHER = 1.0, -5.0, 50.0  # meV/atom
COLOURS = {2: "#4c78a8", 8: "#54a24b", 12: "#f2a03d", 20: "#e45756"}
INK = "#3b4252"


@dataclass(frozen=True)
class Case:
    """One gene, with what the peer found."""

    gene: WyckoffGene
    energy: float

    @property
    def n_trials(self) -> int:
        """Starts that it gets."""
        return RaceOptions().n_trials_of(self.gene)


@dataclass(frozen=True)
class Comparison:
    """One gene, and how far ours is above the peer's in meV/atom; None without any."""

    case: Case
    difference: float | None


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{N_QUICK} genes")
    parser.add_argument("--genes", type=int, metavar="N", help="N genes, drawn once")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write records here")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the comparison")
    options = parser.parse_args()
    cases = load_cases(N_QUICK if options.quick else options.genes)
    records = []
    if cases:
        compared = measure(cases)
        records.append(summarise(compared))
        if options.plot:
            draw(compared, options.plot)
    else:
        print("no data: set WYCKFLOW_DATA to the folder that has 'peers'")
    if options.json:
        options.json.write_text(json.dumps(records, indent=1))


def load_cases(n_genes: int | None) -> list[Case]:
    """Return the peer's genes and energies, or some of them, always the same."""
    path = Path(os.environ.get("WYCKFLOW_DATA", "")) / "peers/cryspr_relaxed_dev.csv.gz"
    if not path.exists():
        return []
    csv.field_size_limit(10_000_000)
    with gzip.open(path, "rt") as stream:
        cases = [
            Case(
                WyckoffGene.from_pyxtal(
                    int(row["group"]),
                    *(json.loads(row[key]) for key in ("species", "numIons", "sites")),
                ),
                float(row["chgnet_energy_per_atom"]),
            )
            for row in csv.DictReader(stream)
        ]
    if n_genes is None or n_genes >= len(cases):
        return cases
    chosen = np.random.default_rng(SEED).permutation(len(cases))[:n_genes]
    return [cases[place] for place in sorted(chosen)]


def measure(cases: Sequence[Case]) -> list[Comparison]:
    """Relax all starts of all genes; print what it cost."""
    potential = load_potential(device=os.environ.get("WYCKFLOW_DEVICE", "auto"))
    clock = time.process_time()
    owners: list[int] = []
    starts: list[ReducedStructure] = []
    for place, case in enumerate(cases):
        for trial in build_trials(case.gene, case.n_trials, seed=SEED):
            if trial.structure is not None:
                owners.append(place)
                starts.append(trial.structure)
    building = time.process_time() - clock
    n_asked = sum(case.n_trials for case in cases)
    print(f"{len(cases)} genes, {n_asked / len(cases):.1f} trials each")
    print(potential.identity)
    print(f"built {len(starts)} of {n_asked}: {building:.1f} CPU s", flush=True)

    clock, wall = time.process_time(), time.perf_counter()
    ends = relax_structures(starts, potential, RelaxOptions())
    relaxing, wall = time.process_time() - clock, time.perf_counter() - wall
    outcomes = [end.state.outcome for end in ends]
    counts = {o.value: outcomes.count(o) for o in Outcome if o in outcomes}
    per_gene = (building + relaxing) / len(cases)
    print(f"relaxed: {relaxing:.1f} CPU s ({wall:.1f} s), {counts}")
    print(f"{per_gene:.2f} CPU s/gene, {relaxing / len(starts):.3f} CPU s/trial")
    return compare(cases, owners, ends)


def compare(
    cases: Sequence[Case], owners: Sequence[int], ends: Sequence[Relaxed]
) -> list[Comparison]:
    """Hold the lowest converged energy of every gene against the peer's."""
    energies: dict[int, list[float]] = defaultdict(list)
    for owner, end in zip(owners, ends, strict=True):
        energy = end.state.energy_per_atom
        if end.state.outcome is Outcome.CONVERGED and energy is not None:
            energies[owner].append(energy)
    return [
        Comparison(
            case, (min(energies[p]) - case.energy) * 1e3 if energies[p] else None
        )
        for p, case in enumerate(cases)
    ]


def summarise(compared: Sequence[Comparison]) -> Record:
    """Print the shares, and return the figure of the target."""
    for n_trials in (*COLOURS, None):
        group = [c for c in compared if n_trials in {None, c.case.n_trials}]
        if not group:
            continue
        found = np.array(
            [np.inf if c.difference is None else c.difference for c in group]
        )
        name = "all genes" if n_trials is None else f"{n_trials:2d} trials"
        print(
            f"{name}: {len(group):3d} genes, "
            f"at or below CrySPR + 1 meV {np.mean(found <= AS_GOOD):4.0%}, "
            f"lower by > 5 meV {np.mean(found < LOWER):4.0%}, "
            f"higher by > 50 meV {np.mean(found > HIGHER):4.0%}"
        )
    for item in sorted(compared, key=lambda c: -(c.difference or 0)):
        if item.difference is None or item.difference > AS_GOOD:
            shown = "none" if item.difference is None else f"{item.difference:+.1f} meV"
            print(f"  {item.case.gene}: {shown}")
    record = make_record(
        "Q6",
        float(np.mean(found <= AS_GOOD)),
        "of genes at or below CrySPR + 1 meV/atom",
        ("CrySPR, published", 1.0),
        n=len(compared),
        seed=SEED,
        packages=("chgnet", "torch", "numpy", "spglib"),
    )
    return record | {"ratio": None}  # a share, not a time


# --- the figure -----------------------------------------------------------------------


def draw(compared: Sequence[Comparison], path: Path) -> None:
    """Draw every gene's difference: by its freedom, and in order."""
    from matplotlib.figure import Figure

    known = [c for c in compared if c.difference is not None]
    style = {"left": True, "bottom": True, "top": False, "right": False}
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK, **style)
        axes.axhspan(-AS_GOOD, AS_GOOD, color="#d8dee9", zorder=0)
        axes.set_yscale("symlog", linthresh=1, linscale=0.6)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:+.0f}".lstrip("+"))
    draw_by_freedom(left, known)
    draw_in_order(right, known)
    figure.savefig(path, dpi=160)
    print(f"drawn: {path}")


def draw_by_freedom(axes: Axes, known: Sequence[Comparison]) -> None:
    """Draw a point per gene over its free coordinates."""
    rng = np.random.default_rng(SEED)
    for n_trials, colour in COLOURS.items():
        group = [c for c in known if c.case.n_trials == n_trials]
        freedom = [c.case.gene.positional_degrees_of_freedom for c in group]
        axes.scatter(
            np.array(freedom) + rng.uniform(-0.25, 0.25, len(group)),
            [c.difference for c in group],
            s=22,
            color=colour,
            alpha=0.75,
            linewidths=0,
            label=f"{n_trials} starts ({len(group)} genes)",
        )
    axes.set_xlabel("free coordinates of the gene")
    axes.set_ylabel("best energy, wyckflow less CrySPR (meV/atom)")
    axes.legend(frameon=False, loc="upper right", fontsize=9)


def draw_in_order(axes: Axes, known: Sequence[Comparison]) -> None:
    """Draw the differences from lowest to highest, with the shares."""
    ordered = sorted(known, key=lambda c: c.difference or 0)
    values = np.array([c.difference for c in ordered], dtype=float)
    shares = (np.arange(len(values)) + 0.5) / len(values) * 100
    axes.plot(shares, values, color=INK, linewidth=1.8)
    axes.set_xlabel("genes (%), ordered")
    axes.set_xlim(0, 100)
    texts = (
        (np.mean(values < LOWER), "lower by more than 5 meV/atom"),
        (np.mean(values <= AS_GOOD), "at or below + 1 meV/atom"),
        (np.mean(values > HIGHER), "higher by more than 50 meV/atom"),
    )
    lines = "\n".join(f"{share:.0%}  {text}" for share, text in texts)
    axes.text(0.97, 0.06, lines, transform=axes.transAxes, ha="right", fontsize=9)
    axes.set_title(f"{len(values)} genes", loc="left", fontsize=10, color=INK)


if __name__ == "__main__":
    main()
