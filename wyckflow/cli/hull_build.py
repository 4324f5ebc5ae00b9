"""``wyckflow hull build``: structures to a reference set on the scale of CHGNet."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from wyckflow.cli.console import duration, err, out, say
from wyckflow.errors import ConfigurationError, ReferenceDataError
from wyckflow.makers._journal import Journal
from wyckflow.makers._phase_sources import open_phase_source
from wyckflow.makers._phases import (
    PhaseOptions,
    collect_phases,
    describe_origin,
    describe_work,
    element_entries,
)
from wyckflow.relax.backends import load_backend
from wyckflow.relax.contract import RelaxOptions
from wyckflow.relax.potential import DEFAULT_WEIGHTS
from wyckflow.schemas.reference import ReferenceInput, ReferenceSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wyckflow.makers._phase_sources import PhaseSource
    from wyckflow.makers._phases import Phase
    from wyckflow.relax.backends import Backend
    from wyckflow.relax.intake import Entry
    from wyckflow.thermo.reference import ReferenceSet

_DEFAULTS = RelaxOptions()
_SPEED_WINDOW_S = 300
_MOST_SHOWN = 10
_INTERRUPTED = 130


def build(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Known phases: datasets of 'wyckflow data import', tables with a "
            "column 'cif', CIF, POSCAR, pymatgen JSON, or folders of them.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The reference set.", show_default=False),
    ],
    evaluate: Annotated[
        bool,
        typer.Option(
            "--evaluate/--relax",
            help="Take structures as they are: a tenth of the cost, and energies a few "
            "meV/atom too high.",
        ),
    ] = False,
    max_freedom: Annotated[
        int | None,
        typer.Option(
            help="Relax only structures with at most so many free parameters, of cell "
            "and coordinates; evaluate the others. Large crystals without symmetry "
            "take most of the time.",
            min=0,
            show_default="no limit",
        ),
    ] = None,
    elements: Annotated[
        bool,
        typer.Option(
            "--elements/--no-elements",
            help="Add the packaged structures of all elements. A hull needs them.",
        ),
    ] = True,
    name: Annotated[
        str | None,
        typer.Option(help="Of the set.", show_default="that of the file"),
    ] = None,
    fmax: Annotated[
        float, typer.Option(help="Largest force at the end in eV/A.", min=1e-4)
    ] = _DEFAULTS.fmax,
    max_steps: Annotated[
        int, typer.Option(help="Steps after which a relaxation is stopped.", min=1)
    ] = _DEFAULTS.max_steps,
    symprec: Annotated[
        float, typer.Option(help="Tolerance of the symmetry in A.", min=1e-8)
    ] = _DEFAULTS.symprec,
    weights: Annotated[str, typer.Option(help="Of CHGNet.")] = DEFAULT_WEIGHTS,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a set of this name.")
    ] = False,
) -> None:
    """Compute the energies by which others are judged.

    Known phases are relaxed with CHGNet under their symmetry, and the packaged
    structures of the 89 elements that it knows beside them. The set holds
    compositions, energies and ids, no structures. The more of the known phases
    it has, the less its hull flatters: from a partial set you get a lower bound
    of the distance to the hull.

    A run that was stopped goes on where it was when given again; until it is
    done, what it has lies in FILE.partial.

    Example: wyckflow hull build mp20.csv.gz -o mp20-chgnet.npz

    Example: wyckflow hull build big/ --evaluate -o quick.npz
    """
    if output.exists() and not overwrite:
        raise ConfigurationError(
            f"{output} exists already; choose another name or give --overwrite."
        )
    options = PhaseOptions(
        RelaxOptions(
            fmax=fmax,
            max_stress_gpa=fmax * _DEFAULTS.max_stress_gpa / _DEFAULTS.fmax,
            max_steps=max_steps,
            symprec=symprec,
        ),
        evaluate_only=evaluate,
        max_freedom=max_freedom,
    )
    sources = [open_phase_source(file) for file in files]
    backend = load_backend(weights=weights, device=device)
    settings = _describe(options, with_elements=elements)
    inputs = [
        ReferenceInput(name=item.name, sha256=item.sha256, n_rows=item.n_rows)
        for item in sources
    ]
    journal = Journal(
        output.with_name(f"{output.name}.partial"),
        describe_work(settings, inputs, backend.identity),
    )
    starts = element_entries() if elements else []
    begin = time.monotonic()
    phases = _compute(sources, starts, journal, backend, options)
    reference = collect_phases(
        phases,
        name=name or output.stem,
        scale=backend.energy_scale,
        date=datetime.now(UTC).date().isoformat(),
        provenance=describe_origin(settings, inputs, backend.identity),
    )
    if not len(reference):
        raise ReferenceDataError(
            f"None of {len(phases)} structures gave an energy; see {journal.path} for "
            "the reasons."
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    reference.save(output)
    journal.remove()
    _show(phases, reference, output, time.monotonic() - begin)


def _describe(options: PhaseOptions, *, with_elements: bool) -> ReferenceSettings:
    """Return what decides the energies."""
    return ReferenceSettings(
        evaluate_only=options.evaluate_only,
        max_freedom=options.max_freedom,
        fmax=options.relaxation.fmax,
        max_stress_gpa=options.relaxation.max_stress_gpa,
        max_steps=options.relaxation.max_steps,
        symprec=options.relaxation.symprec,
        with_elements=with_elements,
    )


def _compute(
    sources: list[PhaseSource],
    starts: list[Entry],
    journal: Journal,
    backend: Backend,
    options: PhaseOptions,
) -> list[Phase]:
    """Compute what is not there yet, with a bar; say how to go on if stopped."""
    streams = [item.entries(symprec=options.relaxation.symprec) for item in sources]
    entries: Iterable[Entry] = chain(starts, *streams)
    total = len(starts) + sum(item.n_rows for item in sources)
    if n_done := len(journal.load()):
        say(f"{n_done:,} of {total:,} structures are in {journal.path} already")
    with Progress(
        TextColumn("evaluating" if options.evaluate_only else "relaxing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        speed_estimate_period=_SPEED_WINDOW_S,
    ) as progress:
        bar = progress.add_task("phases", total=total, completed=n_done)
        try:
            return list(
                journal.run(
                    entries,
                    backend,
                    options,
                    lambda n: progress.update(bar, completed=n),
                )
            )
        except KeyboardInterrupt:
            progress.stop()
            say(f"stopped; the same command goes on from {journal.path}")
            raise typer.Exit(_INTERRUPTED) from None


def _show(
    phases: list[Phase], reference: ReferenceSet, output: Path, seconds: float
) -> None:
    """Say what came of it, and what gave no energy."""
    failed = [phase for phase in phases if phase.energy_per_atom is None]
    for phase in failed[:_MOST_SHOWN]:
        what = f"[yellow]{escape(phase.id)}: {phase.outcome}[/yellow]"
        out.print(f"{what}: {escape(phase.reason)}", soft_wrap=True)
    if len(failed) > _MOST_SHOWN:
        out.print(f"... and {len(failed) - _MOST_SHOWN:,} more without an energy")
    counts = Counter(phase.outcome for phase in phases)
    words = ", ".join(f"{n:,} {name}" for name, n in counts.most_common())
    out.print(f"{len(phases):,} structures: {words.replace('_', ' ')}")
    out.print(
        f"[bold]{len(reference):,} entries[/bold] in "
        f"{len(reference.compositions.systems):,} chemical systems, scale "
        f"{escape(str(reference.scale))}, version {reference.version}",
        soft_wrap=True,
    )
    if not reference.elements:
        say("no element is in it: nothing can be judged by this set alone")
    say(f"{output}, {duration(seconds)}")
