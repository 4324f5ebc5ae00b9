"""``wyckflow phonon``: do the lattices of these crystals hold? Without a database."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

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

from wyckflow.cli.console import err, out, plain_table, say
from wyckflow.errors import ConfigurationError
from wyckflow.relax.backends import QuotientBackend
from wyckflow.relax.bulk import BulkOptions, relax_entries
from wyckflow.relax.contract import RelaxOptions
from wyckflow.relax.intake import open_intake
from wyckflow.relax.phonon.options import PhononOptions
from wyckflow.relax.phonon.pack import make_document
from wyckflow.relax.phonon.stability import Crystal, compute_phonons
from wyckflow.relax.potential import DEFAULT_WEIGHTS, load_potential
from wyckflow.report.phonon_bands import plot_phonons
from wyckflow.schemas.base import Provenance
from wyckflow.schemas.phonon import LatticeStability, PhononSettings
from wyckflow.schemas.relaxation import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wyckflow.relax.intake import Entry, Intake
    from wyckflow.relax.phonon.analysis import CrystalPhonons
    from wyckflow.relax.potential import Potential
    from wyckflow.schemas.phonon import PhononBatchDoc, PhononDoc

RESULTS: Final = "phonons.csv"
DOCUMENT: Final = "phonons.json"
_PLOTS: Final = "bands"
_DEFAULTS: Final = PhononOptions()
_FMAX: Final = 0.005
_MOST_SHOWN: Final = 30
_COLUMNS: Final = (
    "name",
    "formula_pretty",
    "verdict",
    "reason",
    "min_frequency_thz",
    "min_frequency_q",
    "min_interpolated_thz",
    "is_dip_near_gamma",
    "max_frequency_thz",
    "n_imaginary",
    "nsites_primitive",
    "n_atoms_supercell",
    "min_image_distance",
    "n_displacements",
    "max_force",
    "max_stress_gpa",
    "cpu_s",
    "gene",
)
_STYLES: Final = {
    LatticeStability.STABLE: "green",
    LatticeStability.BORDERLINE: "yellow",
    LatticeStability.UNSTABLE: "red",
    LatticeStability.CANNOT_JUDGE: "dim",
}


def phonon(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="CIF, POSCAR, pymatgen JSON, folders of them, or CSV with a column "
            "'cif'.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the results.")
    ] = Path("phonons"),
    as_is: Annotated[
        bool,
        typer.Option(
            "--as-is", help="Do not relax first; what is no minimum is not judged."
        ),
    ] = False,
    min_length: Annotated[
        float, typer.Option(help="Distance of images in the supercell in A.", min=3)
    ] = _DEFAULTS.min_length,
    max_atoms: Annotated[
        int, typer.Option(help="Atoms of the largest supercell.", min=1)
    ] = _DEFAULTS.max_atoms,
    displacement: Annotated[
        float, typer.Option(help="Of one atom at a time in A.", min=0.001, max=0.3)
    ] = _DEFAULTS.displacement,
    reject: Annotated[
        float,
        typer.Option(help="Unstable if a mode is below minus this, in THz.", min=0.1),
    ] = _DEFAULTS.reject_thz,
    symprec: Annotated[
        float, typer.Option(help="Tolerance of the space group in A.", min=1e-8)
    ] = 0.01,
    weights: Annotated[str, typer.Option(help="Of CHGNet.")] = DEFAULT_WEIGHTS,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results of an earlier run.")
    ] = False,
) -> None:
    """Judge whether the lattices of crystals hold, by the phonons of CHGNet.

    Each crystal is relaxed under its symmetry. Then atoms of a supercell are
    displaced, one at a time, and phonopy turns the forces into frequencies, in THz.
    A mode along which the energy falls has an imaginary frequency, written as a
    negative number.

    CHGNet makes phonons too soft, so a crystal is called unstable only if a mode is
    clearly imaginary; what is a little soft is borderline.

    FOLDER gets phonons.csv (one row per crystal), bands/NAME.png (bands and density
    of states) and phonons.json (everything, with the soft modes).

    Example: wyckflow phonon POSCAR my-cifs/ -o phonons
    """
    options = PhononOptions(
        min_length=min_length,
        max_atoms=max_atoms,
        displacement=displacement,
        reject_thz=reject,
    )
    intake = open_intake(files)
    _prepare(output, overwrite=overwrite)
    potential = load_potential(weights, device=device)
    entries = intake.entries(symprec=symprec)
    crystals = (
        (_take_as_is(entry) for entry in entries)
        if as_is
        else _relax(entries, potential)
    )
    results = _run(intake, crystals, potential, options)
    document = make_document(
        results,
        _settings(options),
        Provenance.collect(model=potential.identity, device=potential.device),
        energy_scale=potential.energy_scale,
    )
    n_plots = _write(document, results, output)
    _show(document, output, n_plots)
    if document.n_cannot_judge == len(document.results):
        raise typer.Exit(1)


def _prepare(folder: Path, *, overwrite: bool) -> None:
    """See that results can be written."""
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"{folder} is a file; name a folder for the results.")
    if (folder / RESULTS).exists() and not overwrite:
        raise ConfigurationError(
            f"{folder / RESULTS} exists already; choose another folder or give "
            "--overwrite."
        )
    (folder / _PLOTS).mkdir(parents=True, exist_ok=True)


def _settings(options: PhononOptions) -> PhononSettings:
    names = PhononSettings.model_fields
    return PhononSettings(**{name: getattr(options, name) for name in names})


def _take_as_is(entry: Entry) -> Crystal:
    """Take a crystal without relaxing it."""
    if entry.structure is not None:
        return Crystal.of(entry.name, entry.structure)
    formula = entry.gene.formula if entry.gene else "?"
    reason = entry.refusal or "a gene has no coordinates; relax it first"
    return Crystal(entry.name, formula, entry.gene, None, reason)


def _relax(entries: Iterator[Entry], potential: Potential) -> Iterator[Crystal]:
    """Bring crystals to their minima."""
    options = BulkOptions(relax=RelaxOptions(fmax=_FMAX, max_stress_gpa=0.05))
    for end in relax_entries(entries, QuotientBackend(potential), options):
        entry, best = end.entry, end.best
        formula = entry.gene.formula if entry.gene else "?"
        if best is None:
            yield Crystal(entry.name, formula, entry.gene, None, entry.refusal)
            continue
        is_minimum = best.state.outcome is Outcome.CONVERGED
        reason = f"its relaxation ended {best.state.outcome}: {best.state.reason}"
        structure = best.structure if is_minimum else None
        yield Crystal(entry.name, formula, entry.gene, structure, reason)


def _run(
    intake: Intake,
    crystals: Iterator[Crystal],
    potential: Potential,
    options: PhononOptions,
) -> list[CrystalPhonons]:
    """Judge crystals, with a bar."""
    with Progress(
        TextColumn("phonons"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    ) as progress:
        bar = progress.add_task("crystals", total=len(intake))
        return list(
            compute_phonons(
                crystals,
                potential,
                options,
                report=lambda n_done: progress.update(bar, completed=n_done),
            )
        )


def _write(
    document: PhononBatchDoc, results: list[CrystalPhonons], folder: Path
) -> int:
    """Write table, document and plots; return how many plots."""
    with (folder / RESULTS).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, _COLUMNS)
        writer.writeheader()
        for item in document.results:
            writer.writerow({name: _cell(getattr(item, name)) for name in _COLUMNS})
    text = document.model_dump_json()
    (folder / DOCUMENT).write_text(text, encoding="utf-8")
    drawn = [one for one in results if one.spectrum is not None]
    for one in drawn:
        if one.spectrum is not None:
            item = one.document
            name = re.sub(r"[^\w.+-]", "_", item.name)
            plot_phonons(
                item,
                one.spectrum,
                document.settings,
                folder / _PLOTS / f"{name}.png",
                title=_title(item, document.energy_scale),
            )
    return len(drawn)


def _title(item: PhononDoc, energy_scale: str) -> str:
    """Name a crystal and its verdict."""
    formula = item.formula_pretty
    name = item.name if item.name == formula else f"{item.name} ({formula})"
    return f"{name}: {item.verdict.replace('_', ' ')} by {energy_scale}"


def _cell(value: Any) -> Any:
    """Return a value as it stands in the table."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, list):
        return " ".join(f"{part:.4f}" for part in value)
    return value


def _show(document: PhononBatchDoc, folder: Path, n_plots: int) -> None:
    """Print the verdicts, and where everything is."""
    table = plain_table("crystal", "formula", "lattice", "lowest", "highest", "atoms")
    for item in document.results[:_MOST_SHOWN]:
        style = _STYLES[item.verdict]
        table.add_row(
            escape(item.name),
            item.formula_pretty,
            f"[{style}]{item.verdict.replace('_', ' ')}[/{style}]",
            _frequency(item.min_frequency_thz),
            _frequency(item.max_frequency_thz),
            str(item.n_atoms_supercell or ""),
        )
    out.print(table)
    out.print(
        "[dim]frequencies in THz, imaginary ones negative; CHGNet's phonons are too "
        "soft[/dim]"
    )
    for item in document.results[:_MOST_SHOWN]:
        if item.reason:
            out.print(f"{escape(item.name)}: {escape(item.reason)}", soft_wrap=True)
    out.print(
        f"{len(document.results):,} crystals: {document.n_stable} stable, "
        f"{document.n_borderline} borderline, {document.n_unstable} unstable, "
        f"{document.n_cannot_judge} not judged"
    )
    say(
        f"{folder / RESULTS}, {folder / DOCUMENT} and {n_plots} plots in "
        f"{folder / _PLOTS}"
    )


def _frequency(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
