"""How the card and the training of a classifier look in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from wyckflow.cli.console import out, plain_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wyckflow.ml.classifiers.training import Epoch
    from wyckflow.schemas.classifier import ClassifierCard
    from wyckflow.schemas.training import Figure

_MATCHED = "matched in size and kind"
_WHOLE = ("all", _MATCHED)


def show_card(card: ClassifierCard) -> None:
    """Print a card: meaning, figures, kinds of compound, assumptions, limits."""
    out.print(f"[bold]{escape(card.name)}[/bold] classifier {card.identity[:12]}")
    out.print(escape(card.meaning))
    whole = [figure for figure in card.figures if figure.subset in _WHOLE]
    if whole:
        table = plain_table("figure", "rows", "", "value", "95 % interval", "n")
        for figure in whole:
            table.add_row(
                figure.quantity,
                escape(figure.rows),
                "matched" if figure.subset == _MATCHED else "",
                _number(figure.value),
                _interval(figure),
                f"{figure.n:,}",
            )
        out.print(table)
    else:
        out.print("[yellow]It was measured on no test rows.[/yellow]")
    _show_subsets(card)
    for title, lines in (("assumed", card.assumptions), ("limits", card.limits)):
        for line in lines:
            out.print(f"[dim]{title}:[/dim] {escape(line)}")
    for use in card.datasets:
        out.print(
            f"[dim]data:[/dim] {escape(use.name)} {use.dataset_id}, {use.use}, "
            f"{use.n_rows:,} rows"
        )


def show_course(history: Sequence[Epoch]) -> None:
    """Print the first, the middle and the last epoch."""
    table = plain_table("epoch", "loss", "AUC on calibration rows")
    for place in sorted({0, len(history) // 2, len(history) - 1}):
        epoch = history[place]
        table.add_row(
            str(epoch.epoch), f"{epoch.train_loss:.3f}", f"{epoch.held_out_auc:.3f}"
        )
    out.print(table)


def _show_subsets(card: ClassifierCard) -> None:
    """Print the shares of each kind of compound, one column per set of rows."""
    columns = list(
        dict.fromkeys(
            (figure.quantity, figure.rows)
            for figure in card.figures
            if figure.subset not in _WHOLE
        )
    )
    subsets = dict.fromkeys(
        figure.subset for figure in card.figures if figure.subset not in _WHOLE
    )
    if not columns:
        return
    table = plain_table("kind", *(f"{quantity}\n{rows}" for quantity, rows in columns))
    for subset in subsets:
        found = {
            (figure.quantity, figure.rows): figure
            for figure in card.figures
            if figure.subset == subset
        }
        table.add_row(subset, *(_with_n(found.get(column)) for column in columns))
    out.print(table)


def _with_n(figure: Figure | None) -> str:
    return "" if figure is None else f"{_number(figure.value)} ({figure.n:,})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return ""
    return f"{figure.low:.3f} to {figure.high:.3f}"
