"""What ``wyckflow screen`` prints: the funnel, and what a screen costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from wyckflow.cli.console import out, plain_table, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wyckflow.schemas.screening import FilterCost, FunnelStep, ScreenCost
    from wyckflow.screening.screen import Screening


def show_funnel(
    screening: Screening, origins: Mapping[str, str], costs: Sequence[ScreenCost]
) -> None:
    """Print one line per filter, and what is left.

    Parameters
    ----------
    screening
        What was found.
    origins
        Where the evidence came from, by name.
    costs
        What the screen drops of known crystals, where measured.
    """
    known = {item.filter: item for item in costs[-1].filters} if costs else {}
    heads = ["filter", "came", "failed", "not judged", "passed"]
    table = plain_table(
        *heads, *(["drops of known"] if known else []), "mostly because"
    )
    table.columns[-1].justify = "left"
    for step in screening.funnel:
        cells = [
            escape(step.filter.replace("_", " ")),
            f"{step.n_in:,}",
            f"{step.n_fail:,}",
            f"[yellow]{step.n_cannot_judge:,}[/yellow]" if step.n_cannot_judge else "0",
            f"{step.n_pass:,}",
        ]
        if known:
            cells.append(_word_share(known.get(step.filter)))
        table.add_row(*cells, escape(_main_reason(step)))
    out.print(table)
    n_genes, n_passed = len(screening.table), len(screening.passed)
    share = f" ({n_passed / n_genes:.1%})" if n_genes else ""
    out.print(f"[bold]{n_passed:,} of {n_genes:,} genes pass[/bold]{share}")
    for name, origin in origins.items():
        out.print(f"[dim]{escape(name)}: {escape(origin)}[/dim]")
    for cost in costs:
        say(str(cost))


def show_cost(cost: ScreenCost) -> None:
    """Print what each filter drops of known crystals.

    Parameters
    ----------
    cost
        What was measured.
    """
    table = plain_table("filter", "alone", "not judged", "in order", "")
    for item in cost.filters:
        table.add_row(
            escape(item.filter.replace("_", " ")),
            _word_share(item),
            "-" if item.share_unjudged is None else f"{item.share_unjudged:.1%}",
            "-" if item.share_in_order is None else f"{item.share_in_order:.1%}",
            escape(item.remark),
        )
    out.print(table)
    sentence = str(cost)
    out.print(f"[bold]{escape(sentence[0].upper() + sentence[1:])}.[/bold]")


def _word_share(cost: FilterCost | None) -> str:
    """Return what a filter alone drops."""
    if cost is None or cost.share_alone is None:
        return "-"
    return f"{cost.share_alone:.1%}"


def _main_reason(step: FunnelStep) -> str:
    """Return the most frequent reason, with its count."""
    if not step.reasons:
        return ""
    return f"{step.reasons[0].reason} ({step.reasons[0].n_genes:,})"
