"""How campaigns are shown: funnel, budget, the best candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.markup import escape

from wyckflow.cli.console import duration, out, plain_table
from wyckflow.resources import GLUE_JOB, Category
from wyckflow.store.campaign.costs import PIPELINE
from wyckflow.store.campaign.estimate import warn_of_budget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from wyckflow.schemas.campaign import (
        Budget,
        CampaignDoc,
        CampaignSpec,
        StageEstimate,
    )
    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.schemas.screening import FunnelStep
    from wyckflow.store.campaign.progress import Usage

_REASONS_SHOWN: Final = 2
_FUNNEL_WIDTH: Final = 60
"""What the funnel takes without its last column."""

_SHOWN_DIGITS: Final = 8
_S_PER_HOUR: Final = 3600
_FEW_S: Final = 10


def show_request(campaign: CampaignDoc) -> None:
    """Print what was asked for, and the rounds.

    Parameters
    ----------
    campaign
        Which.
    """
    spec = campaign.spec
    out.print(say_state(campaign))
    conditions = spec.target.conditions() or {"target": "anything"}
    for name, words in conditions.items():
        out.print(f"  {name.replace('_', ' ')}: {escape(words)}")
    screen = spec.screen if isinstance(spec.screen, str) else "of its own"
    out.print(f"  screen: {escape(screen)}; seed: {spec.seed}\n")
    table = plain_table("round", "genes", "model", "id", "submitted (UTC)")
    for item in campaign.rounds:
        table.add_row(
            str(item.number),
            f"{item.n_genes:,}",
            escape(item.model_name),
            item.model_id[:_SHOWN_DIGITS],
            f"{item.submitted_at:%Y-%m-%d %H:%M}",
        )
    out.print(table)


def say_state(campaign: CampaignDoc) -> str:
    """Return name, state and number of rounds in a line.

    Parameters
    ----------
    campaign
        Which.
    """
    n_rounds = len(campaign.rounds)
    rounds = "1 round" if n_rounds == 1 else f"{n_rounds} rounds"
    reason = f" ({escape(campaign.reason)})" if campaign.reason else ""
    return (
        f"[bold]{escape(campaign.name)}[/bold]  {campaign.state}{reason}  "
        f"[dim]{rounds}[/dim]"
    )


def render_funnel(funnel: Sequence[FunnelStep], *, is_short: bool = False) -> Table:
    """Return a line per stage, with the most frequent reasons of what it stopped.

    Parameters
    ----------
    funnel
        Steps in their order.
    is_short
        Whether a stage must not take more than one line.
    """
    table = plain_table("stage", "in", "passed", "failed", "cannot judge", "mostly")
    table.columns[-1].justify = "left"
    room = max(out.width - _FUNNEL_WIDTH, 1)
    for step in funnel:
        most = step.reasons[:_REASONS_SHOWN]
        mostly = [f"{item.reason} ({item.n_genes:,})" for item in most]
        table.add_row(
            step.filter.replace("_", " "),
            f"{step.n_in:,}",
            f"{step.n_pass:,}",
            f"{step.n_fail:,}" if step.n_fail else "-",
            f"{step.n_cannot_judge:,}" if step.n_cannot_judge else "-",
            escape(shorten("; ".join(mostly), room) if is_short else "; ".join(mostly)),
        )
    return table


def render_budget(budget: Budget, usage: Usage) -> Table:
    """Return what was used beside what is allowed.

    Parameters
    ----------
    budget
        What is allowed.
    usage
        What the finished jobs took.
    """
    table = plain_table("budget", "used", "allowed")
    rows: list[tuple[str, str, float | None]] = [
        ("relaxations planned", f"{usage.n_planned:,}", budget.relaxations),
        ("cpu hours", f"{usage.cpu_hours:.3f}", budget.cpu_hours),
        ("gpu hours", f"{usage.gpu_hours:.3f}", budget.gpu_hours),
    ]
    for name, used, allowed in rows:
        table.add_row(name, used, "no limit" if allowed is None else f"{allowed:,g}")
    if budget.vasp_jobs or usage.n_vasp_jobs:
        by_rule = f"{budget.vasp_jobs:,} by rule"
        table.add_row("vasp jobs approved", f"{usage.n_vasp_jobs:,}", by_rule)
        hours = sum(i.hours for i in usage.jobs.values() if i.category == Category.VASP)
        table.add_row("vasp hours", f"{hours:.3f}", "no limit")
    return table


def render_estimate(estimate: Sequence[StageEstimate]) -> Table:
    """Return what a round will take, stage by stage.

    Parameters
    ----------
    estimate
        Of the round.
    """
    table = plain_table("stage", "worker", "about", "time", "measured on")
    for item in estimate:
        basis = f"{item.n_measured:,} here" if item.n_measured else "other machines"
        table.add_row(
            item.job,
            item.category,
            f"{item.n_items:,}",
            _time(item.hours),
            basis if item.hours is not None else "-",
        )
    return table


def show_estimate(spec: CampaignSpec, estimate: Sequence[StageEstimate]) -> None:
    """Print what a round will take, and which limits it will meet.

    Parameters
    ----------
    spec
        What was asked for.
    estimate
        Of the round; nothing is printed if it is empty.
    """
    if not estimate:
        return
    out.print("\nWhat it will take, estimated:\n")
    out.print(render_estimate(estimate))
    for warning in warn_of_budget(spec, estimate):
        out.print(f"[yellow]→[/yellow] {escape(warning)}")
    out.print()


def render_costs(campaign: CampaignDoc, usage: Usage) -> Table:
    """Return what was expected of all rounds beside what finished jobs took.

    Parameters
    ----------
    campaign
        With the estimates of its rounds.
    usage
        What finished jobs took.
    """
    table = plain_table(
        "cost", "worker", "jobs", "items", "estimated", "time", "estimated"
    )
    expected: dict[str, list[StageEstimate]] = {}
    for item in (one for done in campaign.rounds for one in done.estimate):
        expected.setdefault(item.job, []).append(item)
    for job in dict.fromkeys([*PIPELINE, *expected, *usage.jobs]):
        known, done = expected.get(job, []), usage.jobs.get(job)
        if not known and (done is None or job == GLUE_JOB):
            continue
        hours = [item.hours for item in known if item.hours is not None]
        is_timed = done is not None and (done.seconds > 0 or job in PIPELINE)
        table.add_row(
            job,
            done.category if done else known[0].category,
            f"{done.n_jobs:,}" if done else "-",
            f"{done.n_seen:,}" if done else "-",
            f"{sum(item.n_items for item in known):,}" if known else "-",
            _time(done.hours if done and is_timed else None),
            _time(sum(hours) if hours else None),
        )
    return table


def say_rest(usage: Usage) -> None:
    """Print how many relaxations are to come, and how long they will take.

    Parameters
    ----------
    usage
        What the finished jobs took.
    """
    left = usage.n_planned - usage.n_relaxed
    if left > 0:
        minutes = usage.rest_hours * 60
        out.print(
            f"{left:,} relaxations to come: about {minutes:.1f} min of one core "
            "(an estimate, right within a factor of about two; phonons not counted)"
        )


def render_candidates(found: Sequence[CandidateDoc]) -> Table:
    """Return a line per candidate: energies, how sure the hull is, the lattice.

    Parameters
    ----------
    found
        In their order.
    """
    table = plain_table(
        *("crystal", "gene", "eV/atom", "above\nhull", "P50", "phases", "lattice, THz")
    )
    for column in table.columns:
        column.no_wrap = column.header != "gene"
    for place in (1, -2, -1):
        table.columns[place].justify = "left"
    for item in found:
        table.add_row(
            item.formula_pretty,
            item.gene,
            number(item.energy_per_atom),
            number(item.energy_above_hull),
            number(item.probability_within_50_mev, digits=2),
            _completeness(item),
            _lattice(item),
        )
    return table


def say_scale(found: Sequence[CandidateDoc]) -> None:
    """Print what the numbers of a table of candidates mean.

    Parameters
    ----------
    found
        What the table holds.
    """
    scales = sorted({item.energy_scale for item in found if item.energy_scale})
    if scales:
        out.print(
            f"\nEnergies in eV/atom on the scale {', '.join(scales)}: those of a "
            "network, not of DFT. 'phases' is what the reference knows of the chemical "
            "system, and how many of its subsystems have no compound there: where "
            "phases are missing, the distance to the hull is a lower bound, and one "
            "far below zero says so rather than that a crystal is stable. P50: "
            "probability of lying within 0.05 eV/atom of the DFT hull, calibrated on "
            "known crystals."
        )


def shorten(text: str, width: int) -> str:
    """Return a text that is cut where it does not fit.

    Parameters
    ----------
    text
        What to show.
    width
        Letters that fit.
    """
    return text if len(text) <= width else f"{text[: max(width - 1, 0)]}…"


def number(value: float | None, *, digits: int = 3) -> str:
    """Return a number, or a dash.

    Parameters
    ----------
    value
        What to show.
    digits
        After the point.
    """
    return "-" if value is None else f"{value:.{digits}f}"


def _time(hours: float | None) -> str:
    """Return a time as a person says it, or a dash."""
    if hours is None:
        return "-"
    seconds = hours * _S_PER_HOUR
    return f"{seconds:.1f} s" if seconds < _FEW_S else duration(seconds)


def _completeness(item: CandidateDoc) -> str:
    """Say how much the hull knows of a chemical system."""
    known: Any = item.hull_completeness
    if known is None:
        return "-"
    if known.missing_elements:
        return f"cannot judge: no {', '.join(known.missing_elements)}"
    if not known.n_empty_subsystems:
        return str(known.n_entries)
    return f"{known.n_entries} ({known.n_empty_subsystems}/{known.n_subsystems} empty)"


def _lattice(item: CandidateDoc) -> str:
    """Say what the phonons found, with the lowest frequency."""
    if item.lattice_stability is None:
        return "not asked"
    word = item.lattice_stability.replace("_", " ")
    lowest = item.min_phonon_frequency_thz
    return word if lowest is None else f"{word} {lowest:+.1f}"
