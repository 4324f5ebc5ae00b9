"""``wyckflow hull layer``: what a campaign found competes from now on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from wyckflow.cli.console import out, plain_table, say
from wyckflow.cli.options import ProjectOption
from wyckflow.errors import ReferenceDataError
from wyckflow.settings import WyckflowSettings
from wyckflow.store.candidates.builder import build_candidates
from wyckflow.store.project import load_project
from wyckflow.store.references import ReferenceLedger
from wyckflow.store.rerank import find_stable_candidates, insert_phases
from wyckflow.thermo.composition import Compositions
from wyckflow.thermo.source import BUNDLED, is_version, load_reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wyckflow.thermo.entry import ReferenceEntry
    from wyckflow.thermo.reference import ReferenceSet

_MOST_SHOWN = 30


def layer(
    campaign: Annotated[
        str, typer.Argument(help="Whose stable crystals.", show_default=False)
    ],
    base: Annotated[
        str,
        typer.Option(
            help="Known phases below the layer: 'bundled', 'bundled:SCALE', a version "
            "or a file. With another base than before, all candidates are judged "
            "again.",
            show_default="that of the layer, or bundled for a new one",
        ),
    ] = "",
    limit: Annotated[
        float,
        typer.Option(help="Largest energy above the hull that enters, in eV/atom."),
    ] = 0.0,
    write: Annotated[
        bool,
        typer.Option("--write", help="Do it; without this it only says what it would."),
    ] = False,
    project: ProjectOption = None,
) -> None:
    """Let the stable crystals of a campaign compete with its others.

    Shows what would enter the campaign's layer. Look at it: an energy that is
    far too low spoils every verdict around it. With --write they enter, and the
    candidates that this concerns are judged again.

    Example: wyckflow hull layer my-first

    Example: wyckflow hull layer my-first --write
    """
    home = load_project(project)
    database = home.database()
    build_candidates(database, campaign=campaign)
    with ReferenceLedger(database) as ledger:
        known = _find_base(ledger, campaign, base, WyckflowSettings.load(project))
        phases = find_stable_candidates(
            ledger, campaign, scale=known.scale, limit=limit
        )
        _show(phases, known)
        if not write:
            say("nothing was written; give --write to let them compete")
            return
        ledger.start_layer(campaign, known)
        report = insert_phases(ledger, campaign, phases, scale=known.scale)
        # A new base concerns candidates that no new phase touches.
        n_others = build_candidates(database, campaign=campaign).n_ranked_again
    say(f"{report.n_new} new phases; hull {report.hull_version}")
    say(f"{report.n_ranked_again + n_others} candidates judged again")


def _find_base(
    ledger: ReferenceLedger, campaign: str, base: str, settings: WyckflowSettings
) -> ReferenceSet:
    """Return the set below a campaign's layer, as asked for or as it is."""
    states = ledger.states(campaign)
    if not base and states:
        scales = {state.scale for state in states}
        if len(scales) > 1:
            raise ReferenceDataError(
                f"{campaign!r} has layers on the scales {', '.join(sorted(scales))}; "
                "say which with --base."
            )
        return ledger.load(states[-1].base_version)
    source = base or BUNDLED
    if is_version(source) and ledger.find_set(source) is not None:
        return ledger.load(source)
    return load_reference(source, folder=settings.references_folder())


def _show(phases: Sequence[ReferenceEntry], known: ReferenceSet) -> None:
    """Print what would compete."""
    out.print(
        f"{len(phases)} stable crystals over {escape(known.name)} "
        f"({len(known):,} phases, {known.scale})"
    )
    if not phases:
        return
    compositions = Compositions.from_counts(item.composition for item in phases)
    table = plain_table("crystal", "gene id", "eV/atom")
    for place, item in enumerate(phases[:_MOST_SHOWN]):
        formula = compositions.formula_of(place)
        table.add_row(formula, escape(item.id), f"{item.energy_per_atom:.3f}")
    out.print(table)
    if len(phases) > _MOST_SHOWN:
        out.print(f"and {len(phases) - _MOST_SHOWN} more")
