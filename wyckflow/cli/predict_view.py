"""What ``wyckflow predict`` prints: first rows, whose they are, what was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape

from wyckflow.cli.console import out, plain_table, say
from wyckflow.crystal.dataset.column import PROPERTY_BY_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from wyckflow.makers._predictors import PropertyPredictor

_MOST_SHOWN = 15
_MOST_LISTED = 3
_SHOWN_DIGITS = 12
_SMALL = 0.005


class Summary:
    """Counts of all rows, and the first of them.

    Attributes
    ----------
    n_predicted, n_refused
        Rows with a prediction, and without.
    rows, refusals
        The first of both, or all if they are to be kept.
    """

    def __init__(self) -> None:
        self.n_predicted = 0
        self.n_refused = 0
        self.rows: list[dict[str, Any]] = []
        self.refusals: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any], *, keep: bool) -> None:
        """Count a row, and keep it if it is among the first or wanted.

        Parameters
        ----------
        row
            With its refusal, empty for a prediction.
        keep
            Whether all rows are wanted.
        """
        if row["refusal"]:
            self.n_refused += 1
            if keep or len(self.refusals) < _MOST_LISTED:
                self.refusals.append(row)
            return
        self.n_predicted += 1
        if keep or len(self.rows) < _MOST_SHOWN:
            self.rows.append(row)


def describe(
    predictor: PropertyPredictor, summary: Summary, output: Path | None
) -> dict[str, Any]:
    """Return what ``--json`` prints; with an output, without the rows.

    Parameters
    ----------
    predictor
        The model.
    summary
        Of all rows.
    output
        Table that has the rows.
    """
    found: dict[str, Any] = {
        "model": predictor.name,
        "model_id": predictor.identity,
        "predicted_by": predictor.predicted_by,
        "predicted_from": predictor.predicted_from,
        "scale": predictor.scale,
        "units": {name: _unit(name) for name in predictor.properties},
        "n_predicted": summary.n_predicted,
        "n_refused": summary.n_refused,
    }
    if output is None:
        return found | {"predictions": summary.rows, "refusals": summary.refusals}
    return found | {"output": str(output)}


def show(predictor: PropertyPredictor, summary: Summary, output: Path | None) -> None:
    """Print the first rows, whose predictions they are, and what was refused.

    Parameters
    ----------
    predictor
        The model.
    summary
        Of all rows.
    output
        Table that has the rows.
    """
    names = predictor.properties
    if summary.rows and output is None:
        heads = [name.replace("_per_atom", "").replace("_", " ") for name in names]
        table = plain_table("name", "formula", *heads, "gene")
        for row in summary.rows:
            numbers = [_write(row[n], row[f"{n}_deviation"]) for n in names]
            table.add_row(
                escape(row["name"]), row["formula"], *numbers, escape(row["gene"])
            )
        out.print(table)
        if (left := summary.n_predicted - len(summary.rows)) > 0:
            say(f"and {left:,} more; --output FILE.csv takes all of them")
    if summary.n_predicted:
        units = ", ".join(f"{name} in {_unit(name)}" for name in names if _unit(name))
        text = (
            f"expected by the model {predictor.name} "
            f"({predictor.identity[:_SHOWN_DIGITS]}, {predictor.predicted_by}) from "
            f"{predictor.predicted_from}, ± the uncertainty that it expects; {units}; "
            f"scale: {predictor.scale}"
        )
        out.print(f"[dim]{escape(text)}[/dim]")
    for row in summary.refusals:
        say(f"{row['source']} refused: {row['refusal']}")
    if summary.n_refused > len(summary.refusals):
        say(f"and {summary.n_refused - len(summary.refusals):,} more refused")
    if output is not None:
        counts = f"{summary.n_predicted:,} predictions in {output}"
        say(f"{counts}, {summary.n_refused:,} refused")


def _unit(name: str) -> str:
    """Return the unit of a property, nothing for one that we do not know."""
    column = PROPERTY_BY_NAME.get(name)
    return column.unit if column is not None else ""


def _write(value: float, deviation: float) -> str:
    """Write a prediction with digits that say something."""
    digits = ".2f" if max(abs(value), deviation) >= _SMALL else ".2e"
    return f"{value:{digits}} ± {deviation:{digits}}"
