"""``wyckflow masses``: gap, valleys and masses from VASP runs. Without a database."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from wyckflow.cli.console import err, out, plain_table, say
from wyckflow.electronic.analyse import (
    ElectronicOptions,
    analyse_bands,
    explain_refusal,
)
from wyckflow.electronic.hessian import N_ACROSS, RADIUS, dense_points
from wyckflow.electronic.vasprun import load_bands
from wyckflow.errors import BandsError, ConfigurationError
from wyckflow.report.bands_plot import plot_bands
from wyckflow.schemas.electronic import BandKind, FitQuality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wyckflow.electronic.bands import Bands
    from wyckflow.schemas.electronic import CarrierSummary, ElectronicDoc, Valley

TABLE: Final = "masses.csv"
DOCUMENT: Final = "masses.json"
_PLOTS: Final = "bands"
_DENSE: Final = "dense"
_DEFAULTS: Final = ElectronicOptions()
_COLUMNS: Final = (
    "name",
    "formula_pretty",
    "space_group_number",
    "kind",
    "band_gap",
    "is_gap_direct",
    "carrier",
    "spin",
    "label",
    "kpoint",
    "energy_from_edge",
    "n_k",
    "n_b",
    "spin_degeneracy",
    "direction",
    "band",
    "mass",
    "alpha",
    "polynomial_mass",
    "mass_error",
    "residual_mev",
    "n_points",
    "quality",
    "reason",
)


def masses(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="vasprun.xml (or .gz) of runs along a path or on a mesh, or their "
            "folders.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder for tables and plots.", show_default=False
        ),
    ] = None,
    dense: Annotated[
        list[Path] | None,
        typer.Option(
            help="Runs on dense meshes around pockets of the one crystal.",
            show_default=False,
        ),
    ] = None,
    valley_window: Annotated[
        float,
        typer.Option(help="Pockets this near to the edge count, in eV.", min=0.001),
    ] = _DEFAULTS.valley_window,
    fit_window: Annotated[
        float, typer.Option(help="Largest energy that is fitted, in eV.", min=0.001)
    ] = _DEFAULTS.fit_window,
    degeneracy: Annotated[
        float,
        typer.Option(help="Bands this near to each other are one, in eV.", min=1e-6),
    ] = _DEFAULTS.degeneracy,
    temperature: Annotated[
        float, typer.Option(help="Weights pockets above the edge, in K.", min=1)
    ] = _DEFAULTS.temperature,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results of an earlier run.")
    ] = False,
) -> None:
    """Read gap, valleys and effective masses out of VASP runs.

    Every extremum near a band edge is found, counted over the whole zone by symmetry,
    and fitted along every direction of the path by two forms that know nothing of each
    other. What the fits leave open is the error; where they fail there is a reason
    instead of a number.

    Masses are those of carriers in units of the free electron's, positive for holes
    too. N is pockets x bands, with the electrons per band in parentheses.

    With --output the folder gets masses.csv (one row per fit), masses.json
    (everything), bands/NAME.png, and dense/: KPOINTS for the pockets whose mass tensor
    the path does not determine. Run them like the bands, then give them to --dense.

    Example: wyckflow masses runs/GaAs/vasprun.xml runs/PbTe -o masses
    """
    options = ElectronicOptions(
        valley_window=valley_window,
        fit_window=fit_window,
        degeneracy=degeneracy,
        temperature=temperature,
    )
    if dense and len(files) > 1:
        raise ConfigurationError(
            f"--dense belongs to one crystal, but {len(files)} files came; call the "
            "command once per crystal."
        )
    if output is not None:
        _prepare(output, overwrite=overwrite)
    around = [load_bands(one) for one in dense or []]
    found = _run(files, options, around)
    documents = [document for document, _ in found]
    _show(documents)
    if output is not None:
        _write(found, output)
    if all(one.kind is BandKind.CANNOT_JUDGE for one in documents):
        raise typer.Exit(1)


def _prepare(folder: Path, *, overwrite: bool) -> None:
    """See that results can be written."""
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"{folder} is a file; name a folder for the results.")
    if (folder / TABLE).exists() and not overwrite:
        raise ConfigurationError(
            f"{folder / TABLE} exists already; choose another folder or give "
            "--overwrite."
        )
    (folder / _PLOTS).mkdir(parents=True, exist_ok=True)


def _run(
    files: list[Path], options: ElectronicOptions, dense: Sequence[Bands]
) -> list[tuple[ElectronicDoc, Bands | None]]:
    """Read one run after the other, with a bar; one that cannot be read is a row."""
    found: list[tuple[ElectronicDoc, Bands | None]] = []
    with Progress(
        TextColumn("bands"),
        BarColumn(),
        MofNCompleteColumn(),
        console=err,
        transient=True,
    ) as progress:
        for file in progress.track(files):
            name = _name(file, files)
            try:
                bands = load_bands(file)
            except BandsError as error:
                found.append((explain_refusal(str(error), options, name=name), None))
                continue
            document = analyse_bands(bands, options, dense=dense, name=name)
            found.append((document, bands))
    return found


def _name(file: Path, files: list[Path]) -> str:
    """Name a run after its folder, or its file if all are in one."""
    if not file.exists():
        return str(file)
    folder = file if file.is_dir() else file.resolve().parent
    names = [one.resolve() if one.is_dir() else one.resolve().parent for one in files]
    is_alone = names.count(folder.resolve()) == 1
    return folder.resolve().name if is_alone and folder.is_dir() else file.name


def _show(documents: list[ElectronicDoc]) -> None:
    """Print one row per crystal, as the paper's Table 3, then reasons."""
    table = plain_table(
        "run", "formula", "group", "gap", "", "m_h", "N_v", "m_e", "N_v"
    )
    for one in documents:
        gap = "" if one.band_gap is None else f"{one.band_gap:.3f}"
        table.add_row(
            escape(one.name),
            one.formula_pretty or "",
            str(one.space_group_number or ""),
            gap,
            _kind(one),
            *_carrier_cells(one.holes),
            *_carrier_cells(one.electrons),
        )
    out.print(table)
    out.print(
        "[dim]gap in eV; masses of the free electron, conductivity mass, or with ~ the "
        "mean over the path; N_v = pockets x bands (spins)[/dim]"
    )
    for one in documents:
        reasons = [one.reason, *one.notes]
        reasons += [
            f"{carrier.carrier}s: {carrier.reason}"
            for carrier in (one.holes, one.electrons)
            if carrier.reason and one.kind is BandKind.SEMICONDUCTOR
        ]
        for reason in filter(None, reasons):
            out.print(f"{escape(one.name)}: {escape(reason)}", soft_wrap=True)


def _kind(document: ElectronicDoc) -> str:
    """Say whether the gap is direct, or why there is none."""
    if document.kind is not BandKind.SEMICONDUCTOR:
        return document.kind.replace("_", " ")
    kinds = {True: "direct", False: "indirect", None: ""}
    return kinds[document.is_gap_direct]


def _carrier_cells(carrier: CarrierSummary) -> tuple[str, str]:
    """Return mass and valleys as they stand in the table."""
    mass = "-"
    if carrier.conductivity_mass is not None:
        mass = f"{carrier.conductivity_mass:.3f}"
        if carrier.quality is not FitQuality.GOOD:
            mass += "?"
    elif carrier.band_mass is not None:
        mass = f"~{carrier.band_mass:.3f}"
    valleys = "-"
    if carrier.n_k is not None:
        valleys = f"{carrier.n_k}x{carrier.n_b} ({carrier.spin_degeneracy})"
    label = "" if carrier.label.startswith("(") else carrier.label
    return mass, f"{valleys} {label}".strip()


def _write(found: list[tuple[ElectronicDoc, Bands | None]], folder: Path) -> None:
    """Write table, documents, plots and meshes."""
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, _COLUMNS)
        writer.writeheader()
        for document, _ in found:
            writer.writerows(_rows(document))
    documents = [json.loads(document.model_dump_json()) for document, _ in found]
    (folder / DOCUMENT).write_text(json.dumps(documents, indent=1), encoding="utf-8")
    n_plots = n_meshes = 0
    for document, bands in found:
        if bands is None:
            continue
        name = re.sub(r"[^\w.+-]", "_", document.name)
        if document.n_lines:
            plot_bands(bands, document, folder / _PLOTS / f"{name}.png")
            n_plots += 1
        n_meshes += _write_meshes(document, bands, folder / _DENSE, name)
    say(
        f"{folder / TABLE}, {folder / DOCUMENT}, {n_plots} plots in {folder / _PLOTS}"
        + (f", {n_meshes} KPOINTS in {folder / _DENSE}" if n_meshes else "")
    )


def _rows(document: ElectronicDoc) -> list[dict[str, object]]:
    """Return one row per fit; at least one per pocket, and one per crystal."""
    crystal = {name: getattr(document, name) for name in _COLUMNS[:6]}
    rows: list[dict[str, object]] = []
    for valley in document.valleys:
        pocket = {
            **crystal,
            **{name: getattr(valley, name) for name in _COLUMNS[6:14]},
            "kpoint": " ".join(f"{value:.5f}" for value in valley.kpoint),
        }
        fits = [
            {name: getattr(fit, name) for name in _COLUMNS[14:]} for fit in valley.lines
        ]
        whole = {"quality": valley.quality, "reason": valley.reason}
        rows += [{**pocket, **fit} for fit in fits or [whole]]
    return rows or [{**crystal, "reason": document.reason}]


def _write_meshes(
    document: ElectronicDoc, bands: Bands, folder: Path, name: str
) -> int:
    """Write a KPOINTS for each pocket whose tensor is not determined."""
    open_ones = [
        one for one in document.valleys if one.dos_mass is None and one.n_b == 1
    ]
    for number, valley in enumerate(open_ones, start=1):
        folder.mkdir(parents=True, exist_ok=True)
        text = _kpoints_text(valley, bands)
        (folder / f"KPOINTS-{name}-{number}").write_text(text, encoding="utf-8")
    return len(open_ones)


def _kpoints_text(valley: Valley, bands: Bands) -> str:
    """Return the KPOINTS of a dense mesh around a pocket."""
    points = dense_points(bands.reciprocal, bands.kpoints[0] * 0 + valley.kpoint)
    head = (
        f"{N_ACROSS}^3 points within {RADIUS} 1/A of the {valley.carrier} pocket "
        f"{valley.label}"
    )
    rows = [" ".join(f"{value:16.12f}" for value in point) + " 1" for point in points]
    return "\n".join([head, str(len(points)), "Reciprocal", *rows]) + "\n"
