"""What the commands print with: one console for results, one for errors."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Print one sentence of progress, its commands and paths unbroken."""
    out.print(f"[dim]·[/dim] {escape(text)}", soft_wrap=True)


def complain(text: str) -> None:
    """Print one error, with its remedy, to the error stream."""
    err.print(f"[bold red]error:[/bold red] {escape(text)}", soft_wrap=True)


def plain_table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table in the house's look; the first column is the name."""
    table = Table(title=title, box=None, header_style="bold", pad_edge=False)
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right")
    return table


def duration(seconds: float | None) -> str:
    """Return seconds as a person says them, such as ``4 min`` or ``2 h 05 min``."""
    if seconds is None:
        return "unknown"
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest:02d} min" if hours else f"{minutes} min"
