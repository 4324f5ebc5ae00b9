"""Q10: known polymorphs found again by models that never saw them; hit rates.

    python benchmarks/leave_one_out.py [--budget 300] [--compounds 20]
        [--hit-budget 1000] [--only known|hits] [--work FOLDER] [--figure FILE]
        [--json FILE] [--quick]

Two models are asked. The strict one was trained without any row of the formulas of all
targets; the bundled one without any row of their genes, equivalent ones included. The
hit rates are those of test compounds whose formulas the bundled model never saw. The
work folder keeps what is done, so that a run that was stopped goes on.

Energies are CHGNet's (chgnet-0.3.0), lattice parameters at 0 K and without zero-point
motion; experiments are at their own temperatures.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from _bench import Record, make_record
from _structure_cases import TARGETS, Target, bundled_model, held_out, strict_model
from rich.console import Console
from rich.table import Table

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import unpack_genes
from wyckflow.makers.predict_here import Prediction, PredictionSteps, predict_structure
from wyckflow.makers.propose import N_TRIALS, ProposeMaker, read_question
from wyckflow.makers.relax import RelaxMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wyckflow.ml.mpvae.generator import MultiPropertyVAE

PACKAGES = ("chgnet", "numpy", "torch")
SEED = 0
DRAWN_WITH = 10
TOPS = (1, 5, 20)

# Ground states at low temperature, by experiment.
NATURE = {
    "CaTiO3": "62 Ca:c Ti:b O:c,d",
    "BaTiO3": "160 Ba:a Ti:a O:b",
    "SrTiO3": "140 Sr:b Ti:c O:a,h",
    "CsPbI3": "62 Cs:c Pb:c I:c3",
    "CuInS2": "122 In:b Cu:a S:d",
}
# Genes and trials of the first WyCryst paper, which looked for one polymorph each.
PUBLISHED = {"CaTiO3": (37, 132), "BaTiO3": (26, 126)}

out = Console(width=150, highlight=False, emoji=False)
Case = dict[str, Any]


def main() -> int:
    """Run what was asked for; return an exit code."""
    options = _parse()
    torch.set_num_threads(1)
    kept = _Kept(options.work)
    records = []
    if options.only != "hits":
        records += rediscover(kept, options)
    if options.only != "known":
        records += measure_hits(kept, options)
    if options.json:
        options.json.write_text(json.dumps(records, indent=1))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=int, default=300, help="relaxations a formula")
    parser.add_argument("--group-budget", type=int, default=100, help="in one group")
    parser.add_argument("--compounds", type=int, default=20, help="held-out compounds")
    parser.add_argument("--hit-budget", type=int, default=1000, help="relaxations each")
    parser.add_argument("--only", choices=("known", "hits"), help="one of the two")
    parser.add_argument("--work", type=Path, help="keep what is done here")
    parser.add_argument("--figure", type=Path, help="draw the hit rates here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write records here")
    parser.add_argument("--quick", action="store_true", help="a small sample")
    options = parser.parse_args()
    if options.work is None:
        options.work = Path(tempfile.mkdtemp(prefix="wyckflow-leave-one-out-"))
    if options.quick:
        options.budget = options.group_budget = options.hit_budget = 20
        options.compounds = 1
    options.work.mkdir(parents=True, exist_ok=True)
    return options


class _Kept:
    """Results that need not be computed again, a file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str, compute: Callable[[], Case]) -> Case:
        """Return a result, computed if it is not there."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            start = time.process_time()
            case = compute()
            case["cpu_s"] = time.process_time() - start
            draft = path.with_suffix(".draft")
            draft.write_text(json.dumps(case, indent=1))
            draft.replace(path)
        return json.loads(path.read_text())


# --- known polymorphs -----------------------------------------------------------------


def rediscover(kept: _Kept, options: argparse.Namespace) -> list[Record]:
    """Look for every target, in its space group and as a ground state."""
    targets = TARGETS[:1] if options.quick else TARGETS
    models: list[tuple[str, MultiPropertyVAE]] = [("bundled", bundled_model())]
    if not options.quick and os.environ.get("WYCKFLOW_DATA"):
        strict, n_rows = strict_model()
        out.print(f"strict model: {n_rows} rows, no row of any target's formula")
        models.insert(0, ("strict", strict))
    records = []
    for variant, model in models:
        found = [
            kept.get(
                f"{variant}-{target.formula}-{target.wyckoff_gene.space_group_number}",
                lambda target=target, model=model: look_in_group(
                    target, model, options.group_budget
                ),
            )
            for target in targets
        ]
        _show_in_group(variant, found)
        n_found = sum(case["rank_by_energy"] is not None for case in found)
        peer = ("WyCryst, polymorphs left out one by one", float(len(found)))
        unit = f"targets found in their space group, {variant} model (more is better)"
        records.append(_record(n_found, unit, peer, len(found)))
    variant, model = models[0]
    formulas = dict.fromkeys(target.formula for target in targets)
    states = [
        kept.get(
            f"{variant}-{formula}-{options.budget}",
            lambda formula=formula: look_for_ground_state(
                formula, model, options.budget
            ),
        )
        for formula in formulas
    ]
    _show_ground_states(variant, states)
    n_first = sum(state["is_nature_first"] for state in states)
    peer = ("compounds asked for", float(len(states)))
    unit = f"lowest phase is nature's ground state, {variant} model (more is better)"
    records.append(_record(n_first, unit, peer, len(states)))
    return records


def look_in_group(target: Target, model: MultiPropertyVAE, budget: int) -> Case:
    """Ask for the crystal of a formula in a space group."""
    gene = target.wyckoff_gene
    found = _predict(target.formula, model, budget, gene.space_group_number)
    case = _find(found, gene)
    return case | {"target": target.name, "measured": target.measured}


def look_for_ground_state(formula: str, model: MultiPropertyVAE, budget: int) -> Case:
    """Ask for the ground state; then relax what nature and the targets have."""
    found = _predict(formula, model, budget)
    own = [WyckoffGene.from_text(NATURE[formula])]
    own += [target.wyckoff_gene for target in TARGETS if target.formula == formula]
    alone = RelaxMaker.make.original(RelaxMaker(seed=SEED), [g.to_text() for g in own])
    energies = [result.energy_per_atom for result in alone.results]
    best = found.answer.phases[0]
    return {
        "formula": formula,
        "n_generated": found.proposal.n_generated,
        "n_enumerated": found.proposal.n_enumerated,
        "n_genes": len(found.proposal.chosen),
        "n_relaxations": found.proposal.n_relaxations,
        "n_phases": len(found.answer.phases),
        "best": {
            "gene": best.gene,
            "symbol": f"{best.space_group_symbol} ({best.space_group_number})",
            "energy": best.energy_per_atom,
        },
        "is_nature_first": best.gene_id == own[0].gene_id
        or own[0].gene_id in _ids(best.relaxed_genes),
        "references": [
            _find(found, gene) | {"gene": gene.to_text(), "energy_alone": energy}
            for gene, energy in zip(own, energies, strict=True)
        ],
        "phases": [
            [p.space_group_number, p.gene, p.energy_per_atom, p.predicted_rank]
            for p in found.answer.phases
        ],
    }


def _predict(
    formula: str,
    model: MultiPropertyVAE,
    budget: int,
    group: int | None = None,
    *,
    with_generator: bool = True,
) -> Prediction:
    """Predict with the options of the command."""
    steps = PredictionSteps(
        propose_maker=ProposeMaker(
            budget=budget, seed=SEED, with_generator=with_generator
        ),
        relax_maker=RelaxMaker(n_trials=N_TRIALS, seed=SEED),
    )
    question = read_question(formula, group)
    return predict_structure(question, "benchmark", model, steps=steps)


def _find(found: Prediction, gene: WyckoffGene) -> Case:
    """Say whether and where a gene came, and what its crystal became."""
    ranking, rank = found.ranking, found.ranking.rank_of(gene)
    written = None
    if rank is not None:
        row = slice(rank - 1, rank)
        numbers, codes = ranking.space_group_numbers[row], ranking.codes[row]
        (written,) = unpack_genes(numbers, codes)
    phase = next(
        (
            item
            for item in found.answer.phases
            if gene.gene_id in {item.gene_id, *_ids(item.relaxed_genes)}
        ),
        None,
    )
    best = found.answer.phases[0] if found.answer.phases else None
    return {
        "predicted_rank": rank,
        "n_ranked": ranking.n_genes,
        "n_generated": found.proposal.n_generated,
        "is_generated": bool(rank and ranking.is_generated[rank - 1]),
        "written_as": written and written.to_text(),
        "n_genes": len(found.proposal.chosen),
        "n_relaxations": found.proposal.n_relaxations,
        "rank_by_energy": phase.rank if phase else None,
        "n_phases": len(found.answer.phases),
        "energy": phase.energy_per_atom if phase else None,
        "best_energy": best.energy_per_atom if best else None,
        "best_gene": best.gene if best else None,
        "space_group_after": phase.space_group_number if phase else None,
        "lattice": _lattice(phase.lattice_lengths) if phase else None,
    }


def _ids(texts: Iterable[str]) -> set[str]:
    return {WyckoffGene.from_text(text).gene_id for text in texts}


def _lattice(lengths: tuple[float, ...]) -> dict[str, float]:
    """Return lattice parameters by name, rhombohedral ones for hexagonal axes."""
    a, b, c = lengths
    edge = np.sqrt(a * a / 3 + c * c / 9)
    angle = np.degrees(2 * np.arcsin(min(a / (2 * edge), 1.0)))
    rhombohedral = {"a_rhombohedral": float(edge), "alpha_rhombohedral": float(angle)}
    return {"a": a, "b": b, "c": c} | rhombohedral


def _show_in_group(variant: str, cases: list[Case]) -> None:
    """Print what was found in the space groups asked for."""
    table = Table(title=f"{variant} model, space group given", box=None)
    for name in ("target", "generated as", "predicted", "relaxed", "by energy"):
        table.add_column(name)
    table.add_column("lattice: CHGNet / experiment")
    for case in cases:
        lattice = case["lattice"] or {}
        pairs = [
            f"{name} {lattice[name]:.3f} / {value:.2f}"
            for name, value in case["measured"].items()
            if name in lattice
        ]
        table.add_row(
            case["target"],
            (case["written_as"] or "-") + ("" if case["is_generated"] else " (enum.)"),
            f"{case['predicted_rank']} of {case['n_ranked']}",
            f"{case['n_genes']} genes, {case['n_relaxations']} trials",
            f"{case['rank_by_energy']} of {case['n_phases']}",
            ", ".join(pairs),
        )
    out.print(table)


def _show_ground_states(variant: str, states: list[Case]) -> None:
    """Print the lowest phases, and where nature's are."""
    table = Table(title=f"{variant} model, ground state in any group", box=None)
    for name in ("formula", "genes, trials", "lowest", "eV/atom"):
        table.add_column(name)
    for name in ("gene", "predicted", "by energy", "above the lowest, meV/atom"):
        table.add_column(name)
    for state in states:
        seen = set()
        for item in state["references"]:
            if item["gene"] in seen:
                continue
            first = not seen
            seen.add(item["gene"])
            alone = item["energy_alone"]
            above = "-" if alone is None else alone - state["best"]["energy"]
            table.add_row(
                state["formula"] if first else "",
                f"{state['n_genes']}, {state['n_relaxations']}" if first else "",
                state["best"]["symbol"] if first else "",
                f"{state['best']['energy']:.4f}" if first else "",
                item["gene"] + (" (nature's)" if first else ""),
                str(item["predicted_rank"]),
                str(item["rank_by_energy"]),
                above if isinstance(above, str) else f"{1000 * above:+.1f}",
            )
        if published := PUBLISHED.get(state["formula"]):
            out.print(
                f"{state['formula']}: WyCryst took {published[0]} genes and "
                f"{published[1]} trials"
            )
    out.print(table)


# --- held-out compounds ---------------------------------------------------------------


def measure_hits(kept: _Kept, options: argparse.Namespace) -> list[Record]:
    """Count test compounds whose crystal is among the lowest phases."""
    if not os.environ.get("WYCKFLOW_DATA"):
        out.print("left out: needs WYCKFLOW_DATA, the folder of the public data")
        return []
    genes = held_out(options.compounds, seed=DRAWN_WITH)
    model = bundled_model()
    rates: dict[str, list[float]] = {}
    for name, with_generator in (("generator", True), ("enumeration", False)):
        cases = [
            kept.get(
                f"{name}-{gene.formula}-{options.hit_budget}",
                lambda gene=gene, with_generator=with_generator: look_for_test_crystal(
                    gene, model, options.hit_budget, with_generator=with_generator
                ),
            )
            for gene in genes
        ]
        for case in cases:
            out.print(
                f"{name}: {case['gene']}: predicted {case['predicted_rank']}, by "
                f"energy {case['rank_by_energy']} of {case['n_phases']}"
            )
        ranks = [case["rank_by_energy"] or np.inf for case in cases]
        rates[name] = [float(np.mean(np.array(ranks) <= top)) for top in TOPS]
        shares = ", ".join(
            f"top {top} {100 * rate:.0f} %"
            for top, rate in zip(TOPS, rates[name], strict=True)
        )
        out.print(f"{name}: {shares} of {len(genes)} at {options.hit_budget} trials")
    if options.figure:
        draw_hits(options.figure, rates, len(genes), options.hit_budget)
    least = 0.5 / len(genes)  # none of n is taken for half a compound, for the ratio
    found = max(rates["generator"][-1], least)
    peer = ("enumeration alone", max(rates["enumeration"][-1], least))
    unit = (
        f"hit rate in the top {TOPS[-1]} at {options.hit_budget} trials (more is "
        f"better; none counts as {least:.3g})"
    )
    return [_record(found, unit, peer, len(genes))]


def look_for_test_crystal(
    gene: WyckoffGene, model: MultiPropertyVAE, budget: int, *, with_generator: bool
) -> Case:
    """Ask for the ground state of a test compound, and look for its crystal."""
    found = _predict(gene.formula, model, budget, with_generator=with_generator)
    return _find(found, gene) | {"gene": gene.to_text()}


def draw_hits(
    path: Path, rates: dict[str, list[float]], n_compounds: int, budget: int
) -> None:
    """Draw the hit rates beside each other, with 68 % intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    looks = {"generator": "#4c78a8", "enumeration": "#f2a03d"}
    words = {
        "generator": "generator and enumeration",
        "enumeration": "enumeration alone",
    }
    for number, (name, shares) in enumerate(rates.items()):
        places = np.arange(len(shares)) + 0.38 * (number - 0.5)
        values = 100 * np.array(shares)
        # Wilson's interval, which knows that no hit of eight is not impossible.
        share = np.array(shares)
        middle = (share + 0.5 / n_compounds) / (1 + 1 / n_compounds)
        spread = np.sqrt(share * (1 - share) / n_compounds + 0.25 / n_compounds**2)
        spread = 100 * spread / (1 + 1 / n_compounds)
        low, high = 100 * middle - spread, 100 * middle + spread
        axes.bar(places, values, 0.36, color=looks[name], label=words[name])
        axes.vlines(places, low, high, color="#3b4252", lw=1)
    axes.set_xticks(range(len(TOPS)), [f"top {top}" for top in TOPS])
    axes.set_ylim(0, 105)
    axes.set_ylabel(f"crystal found, % of {n_compounds} compounds")
    axes.set_title(f"held-out compounds, {budget} relaxations each", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def _record(value: float, unit: str, peer: tuple[str, float], n: int) -> Record:
    """Write a record; its ratio is turned round, since more is better here."""
    record = make_record(
        "Q10", max(value, 1e-9), unit, peer, n=n, seed=SEED, packages=PACKAGES
    )
    return record | {"ratio": value / peer[1]}


if __name__ == "__main__":
    sys.exit(main())
