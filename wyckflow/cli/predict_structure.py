"""``wyckflow predict-structure``: from a formula to its crystals, by energy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from wyckflow.cli.console import err, out, plain_table, say
from wyckflow.cli.options import JsonOption
from wyckflow.errors import ConfigurationError
from wyckflow.makers.hull import HullMaker
from wyckflow.makers.phonon import PhononMaker
from wyckflow.makers.predict_here import PredictionSteps, predict_structure
from wyckflow.makers.propose import N_TRIALS, ProposeMaker, load_proposer, read_question
from wyckflow.makers.relax import RelaxMaker
from wyckflow.report.prediction_folder import (
    FIGURE,
    PHASES,
    STRUCTURES,
    prepare_prediction_folder,
    write_prediction_folder,
)
from wyckflow.settings import WyckflowSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wyckflow.makers.predict_here import Prediction
    from wyckflow.ml.mpvae.generator import MultiPropertyVAE
    from wyckflow.schemas.structure_prediction import (
        PhaseDoc,
        PolymorphQuestion,
        ProposalDoc,
        StructurePredictionDoc,
    )

_MOST_SHOWN = 15
_MILLI = 1000.0


def predict(
    formula: Annotated[str, typer.Argument(help="Such as CaTiO3.", show_default=False)],
    space_group: Annotated[
        int | None,
        typer.Option(
            "--space-group",
            "-s",
            help="Find the crystal in this space group (1 to 230) instead of the "
            "ground state.",
            min=1,
            max=230,
            show_default=False,
        ),
    ] = None,
    budget: Annotated[
        int, typer.Option("--budget", "-b", help="Relaxations allowed.", min=1)
    ] = 300,
    trials: Annotated[
        int, typer.Option(help="Of these, for each gene.", min=1)
    ] = N_TRIALS,
    max_atoms: Annotated[
        int, typer.Option(help="Most atoms in the primitive cell.", min=1)
    ] = 20,
    max_freedom: Annotated[
        int, typer.Option(help="Most free coordinates of an enumerated gene.", min=0)
    ] = 9,
    no_generator: Annotated[
        bool, typer.Option("--no-generator", help="Enumerate only.")
    ] = False,
    no_enumeration: Annotated[
        bool, typer.Option("--no-enumeration", help="Generate only.")
    ] = False,
    model: Annotated[
        str, typer.Option("--model", "-m", help="'bundled', or a model's file.")
    ] = "bundled",
    reference: Annotated[
        str,
        typer.Option("--reference", "-r", help="Known phases: 'bundled', or a file."),
    ] = "bundled",
    phonons: Annotated[
        int, typer.Option(help="Look at the phonons of so many best phases.", min=0)
    ] = 0,
    seed: Annotated[int, typer.Option(help="Of everything random.", min=0)] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for the results.",
            show_default="the formula, and the space group",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier prediction.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Predict the crystal structure of a composition, without a database.

    Wyckoff genes of the composition come from the generator, which looks around
    all crystals of like stoichiometry that it knows, and from an enumeration of
    Wyckoff positions. The most promising are relaxed with CHGNet until the
    budget is spent; crystals that are the same are joined, and the others
    ordered by energy.

    The folder gets phases.csv, structures/*.cif, phases.png, genes.csv (all
    that was relaxed) and metadata.json. Energies are CHGNet's: what it gets
    wrong, the order gets wrong.

    Example: wyckflow predict-structure CaTiO3

    Example: wyckflow predict-structure CaTiO3 --space-group 221 -o cubic
    """
    question = read_question(formula, space_group, max_atoms=max_atoms)
    folder = output or Path(_name_folder(question))
    prepare_prediction_folder(folder, overwrite=overwrite)
    if no_generator and no_enumeration:
        raise ConfigurationError(
            "--no-generator and --no-enumeration leave no source of genes; give one."
        )
    steps = PredictionSteps(
        propose_maker=ProposeMaker(
            budget=budget,
            n_trials=trials,
            max_atoms=max_atoms,
            max_freedom=max_freedom,
            with_generator=not no_generator,
            with_enumeration=not no_enumeration,
            seed=seed,
        ),
        relax_maker=RelaxMaker(n_trials=trials, seed=seed),
        hull_maker=HullMaker(reference=reference),
    )
    here = WyckflowSettings.load()
    name, generator = load_proposer(model, here.device, here.threads)
    found = _run(question, name, generator, steps)
    title = f"{question.formula_pretty}: {_say_task(question)}"
    write_prediction_folder(
        folder, found.proposal, found.relaxations, found.answer, title=title
    )
    _warn(found.proposal)
    verdicts = _look_at_phonons(found, phonons) if phonons else {}
    if as_json:
        answer = found.answer.model_dump(mode="json", exclude={"blob", "provenance"})
        out.print_json(json.dumps(answer | {"phonons": verdicts}))
    else:
        _say_proposal(found.proposal)
        _show(found.answer, verdicts)
        say(f"{folder / PHASES}, {folder / FIGURE} and {folder / STRUCTURES}")
    if not found.answer.phases:
        raise typer.Exit(1)


def _name_folder(question: PolymorphQuestion) -> str:
    """Return the folder of a question."""
    group = question.space_group_number
    return f"{question.formula_pretty}{'' if group is None else f'-{group}'}"


def _say_task(question: PolymorphQuestion) -> str:
    """Say what is looked for."""
    group = question.space_group_number
    return "ground state" if group is None else f"crystal in space group {group}"


def _run(
    question: PolymorphQuestion,
    name: str,
    generator: MultiPropertyVAE,
    steps: PredictionSteps,
) -> Prediction:
    """Predict, with a bar."""
    with Progress(
        TextColumn("{task.description:11}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    ) as progress:
        tasks: dict[str, int] = {}

        def report(what: str, share: float) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=1.0)
            progress.update(tasks[what], completed=share)  # type: ignore[arg-type] # rich's TaskID is an int

        return predict_structure(question, name, generator, steps=steps, report=report)


def _warn(proposal: ProposalDoc) -> None:
    """Say what makes the answer doubtful."""
    formula = proposal.question.formula_pretty
    if proposal.neutrality == "fail":
        err.print(
            f"[yellow]{formula} has no oxidation states whose charges add up to "
            "zero:[/yellow] its crystals may not exist, or be metals."
        )
    if proposal.problem:
        err.print(f"[yellow]Nothing was generated:[/yellow] {escape(proposal.problem)}")


def _say_proposal(proposal: ProposalDoc) -> None:
    """Say what was proposed."""
    if proposal.n_decoded:
        out.print(
            f"{proposal.n_generated:,} genes generated around {proposal.n_starts:,} "
            f"known crystals, {proposal.n_decoded:,} decoded"
        )
    if proposal.n_assignments:
        left = proposal.n_assignments_left_out
        rest = f"; {left:,} ways with more orbits left out" if left else ""
        out.print(
            f"{proposal.n_enumerated:,} genes enumerated of "
            f"{proposal.n_assignments:,} ways to fill Wyckoff positions, up to "
            f"{proposal.max_atoms} atoms, {proposal.max_freedom} free coordinates and "
            f"{proposal.max_orbits} orbits{rest}"
        )
    out.print(
        f"{len(proposal.chosen)} of {proposal.n_genes:,} genes relaxed, "
        f"{proposal.n_relaxations} relaxations of {proposal.budget}, ranked by "
        f"{proposal.ranked_by}"
    )


def _show(answer: StructurePredictionDoc, verdicts: Mapping[str, str]) -> None:
    """Print the phases."""
    outcomes = ", ".join(
        f"{n} {name.replace('_', ' ')}" for name, n in answer.outcomes.items()
    )
    if not answer.phases:
        out.print(f"[red]No crystal converged[/red]: {outcomes or 'no gene'}.")
        return
    more = ["phonons"] if verdicts else []
    table = plain_table(
        "",
        "space group",
        "above best",
        "above hull",
        "predicted",
        "a, b, c",
        "angles",
        *more,
        "gene",
    )
    for phase in answer.phases[:_MOST_SHOWN]:
        table.add_row(*_cells(phase), *_word(verdicts, phase), escape(phase.gene))
    out.print(table)
    best = answer.phases[0]
    out.print(
        f"[dim]meV/atom, A and degrees of the conventional cell; energies on the scale "
        f"{escape(answer.energy_scale)}, the best {best.energy_per_atom:.4f} eV/atom; "
        "predicted: the place of its gene before anything was relaxed[/dim]"
    )
    out.print(f"{len(answer.phases)} different crystals ({outcomes} genes)")
    wanted = answer.question.space_group_number
    if wanted is not None:
        own = [phase for phase in answer.phases if phase.is_in_wanted_group]
        if own:
            say(f"The best one in space group {wanted} is number {own[0].rank}.")
        else:
            say(f"None has space group {wanted} after relaxation; raise the budget.")
    if answer.n_known_phases is not None:
        text = f"The hull has {answer.n_known_phases} known phases of these elements"
        if answer.n_empty_subsystems:
            text += (
                f", and none in {answer.n_empty_subsystems} of their chemical systems: "
                "distances to it are lower bounds"
            )
        say(f"{text}.")


def _cells(phase: PhaseDoc) -> list[str]:
    """Return the columns of a phase."""
    lengths = " ".join(f"{value:.3f}" for value in phase.lattice_lengths)
    angles = " ".join(f"{value:.4g}" for value in phase.lattice_angles)
    hull = phase.energy_above_hull
    group = f"{phase.space_group_symbol} ({phase.space_group_number})"
    if not phase.is_in_wanted_group:
        group = f"[dim]{group}[/dim]"
    return [
        str(phase.rank),
        group,
        f"{_MILLI * phase.energy_above_best:.1f}",
        "?" if hull is None else f"{_MILLI * hull:.1f}",
        str(phase.predicted_rank or ""),
        lengths,
        angles,
    ]


def _word(verdicts: Mapping[str, str], phase: PhaseDoc) -> list[str]:
    """Return what the phonons say, where they were asked."""
    return [verdicts.get(phase.relaxed_gene_id, "")] if verdicts else []


def _look_at_phonons(found: Prediction, n_best: int) -> dict[str, str]:
    """Return the verdict on the lattices of the best phases."""
    chosen = [
        (phase, structure)
        for phase, structure in zip(
            found.answer.phases, found.answer.structures(), strict=True
        )
        if phase.is_in_wanted_group
    ][:n_best]
    with err.status("phonons"):
        make = PhononMaker.make.original  # type: ignore[attr-defined] # jobflow's decorator keeps it there
        document = make(PhononMaker(), [structure for _, structure in chosen])
    return {
        phase.relaxed_gene_id: item.verdict.value.replace("_", " ")
        for (phase, _), item in zip(chosen, document.results, strict=True)
    }
