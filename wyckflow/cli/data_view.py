"""What ``wyckflow data`` prints: tables of imports and datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from wyckflow.cli.console import out, plain_table, say
from wyckflow.crystal.dataset.describe import describe_dataset

if TYPE_CHECKING:
    from wyckflow.crystal.dataset.describe import DatasetSummary
    from wyckflow.crystal.dataset.importing import ImportResult
    from wyckflow.crystal.dataset.table import Dataset

_MOST_SHOWN = 12


def show_import(result: ImportResult) -> None:
    """Print what an import read, refused, left out and wrote."""
    dataset, metadata = result.dataset, result.dataset.metadata
    table = plain_table("", "rows")
    table.add_row("read", f"{metadata.n_records:,}")
    if result.n_resumed:
        table.add_row("  of them done by an earlier run", f"{result.n_resumed:,}")
    for reason, count in describe_dataset(dataset).refused.items():
        table.add_row(f"refused: {reason.replace('_', ' ')}", f"{count:,}")
    table.add_row("left out: same gene as another", f"{metadata.n_duplicates:,}")
    table.add_row("[bold]in the dataset[/bold]", f"[bold]{len(dataset):,}[/bold]")
    out.print(table)
    out.print(
        f"{escape(str(result.path))}: dataset [bold]{dataset.dataset_id}[/bold], "
        f"properties: {', '.join(dataset.properties) or 'none'}"
    )
    if metadata.refused:
        say(f"which were refused: wyckflow data describe {result.path} --refused")
    if result.unused_columns:
        say(
            f"columns not taken: {', '.join(result.unused_columns)} (--keep NAME takes "
            "one)"
        )


def show_origin(dataset: Dataset) -> None:
    """Print where a dataset came from and how it was made."""
    metadata = dataset.metadata
    table = plain_table("dataset", dataset.dataset_id)
    table.columns[1].justify = "left"
    for source in metadata.sources:
        records = f"{source.n_records:,} rows, sha256 {source.sha256[:12]}"
        table.add_row("from", f"{escape(source.name)} ({records})")
    angle = metadata.angle_tolerance
    angles = "" if angle is None else f", {angle} degrees"
    table.add_row(
        "symmetry", f"{metadata.engine}, symprec {metadata.symprec} A{angles}"
    )
    table.add_row("licence", escape(metadata.licence or "not stated"))
    table.add_row("energy scale", escape(metadata.energy_scale or "not stated"))
    made_by = (f"{name} {number}" for name, number in metadata.packages.items())
    table.add_row("made by", escape(", ".join(made_by)))
    if metadata.split is not None:
        table.add_row(
            "split", f"by {metadata.split.by}, {metadata.split.n_groups:,} groups"
        )
    out.print(table, "")


def show_summary(summary: DatasetSummary) -> None:
    """Print what is in a dataset."""
    table = plain_table("", "rows")
    table.add_row("all", f"{summary.n_rows:,}")
    for part, count in summary.parts.items():
        table.add_row(part, f"{count:,}")
    for reason, count in summary.refused.items():
        table.add_row(f"refused: {reason.replace('_', ' ')}", f"{count:,}")
    table.add_section()
    table.add_row("different genes", f"{summary.n_genes:,}")
    table.add_row("different formulas", f"{summary.n_formulas:,}")
    table.add_row("different prototypes", f"{summary.n_prototypes:,}")
    out.print(table, "")
    for name, counts in (
        ("space groups", summary.space_groups),
        ("crystal systems", summary.crystal_systems),
        ("elements", summary.elements),
        ("number of elements", summary.n_elements),
        ("atoms in the primitive cell", summary.n_atoms),
    ):
        out.print(f"[bold]{name}[/bold]  {_shares(counts, summary.n_rows)}")
    if summary.properties:
        headings = ("property", "known", "least", "median", "mean", "most", "unit")
        table = plain_table(*headings)
        table.columns[0].no_wrap = True
        for known in summary.properties:
            least, _, median, _, most = known.quantiles
            numbers = [f"{x:.3g}" for x in (least, median, known.mean, most)]
            table.add_row(known.name, f"{known.n_known:,}", *numbers, known.unit)
        out.print("", table, sep="\n")


def _shares(counts: dict[int, int] | dict[str, int], n_rows: int) -> str:
    """Return the most frequent values with their shares."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    shown = [f"{value} {n / n_rows:.1%}" for value, n in ranked[:_MOST_SHOWN]]
    hidden = len(ranked) - len(shown)
    return ", ".join(shown) + (f", {hidden} others" if hidden else "")


def show_refused(dataset: Dataset) -> None:
    """Print every row that was refused, and why."""
    table = plain_table("source", "row", "name", "reason", "what was found")
    for column in table.columns[2:]:
        column.justify = "left"
    for row in dataset.metadata.refused:
        table.add_row(
            escape(dataset.metadata.sources[row.source].name),
            str(row.record),
            escape(row.label),
            row.reason.value,
            escape(row.message),
        )
    out.print("", table, sep="\n")
