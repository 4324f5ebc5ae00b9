"""``wyckflow generate``: genes for a target, without a database."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from pydantic import ValidationError
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from wyckflow.cli.console import err, out, plain_table, say
from wyckflow.cli.options import JsonOption
from wyckflow.errors import ModelError, TargetError
from wyckflow.makers.generate import GenerateMaker
from wyckflow.makers.models import load_generator
from wyckflow.ml.sampling.options import DEFAULT_GUIDANCE, DEFAULT_LEVEL, Method
from wyckflow.schemas.target import PAPER_TARGET, Target
from wyckflow.settings import WyckflowSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wyckflow.ml.kinds import AnyGenerator
    from wyckflow.schemas.generation import GenerationDoc

_MOST_SHOWN = 15
_ADVICE = {
    Method.POSTERIOR: "raise --level, ",
    Method.LOCAL: "raise --level, ",
    Method.GUIDED: "raise --level, ",
    Method.CONDITIONAL: "change --guidance, ",
}
"""What else gives more genes, by method."""
_UNITS = {"band_gap": "eV", "formation_energy_per_atom": "eV/atom"}


def generate(
    n_genes: Annotated[
        int, typer.Option("--number", "-n", help="Genes wanted.", min=1)
    ] = 1000,
    target_file: Annotated[
        Path | None,
        typer.Option(
            "--target",
            "-t",
            metavar="FILE",
            help="YAML with the target. The options below add to it.",
            show_default=False,
        ),
    ] = None,
    window: Annotated[
        list[str] | None,
        typer.Option(
            "--property",
            "-p",
            metavar="NAME=LOW:HIGH",
            help="Range of a property, such as band_gap=0.5:2 or "
            "formation_energy_per_atom=:-0.5. Give it once per property.",
            show_default=False,
        ),
    ] = None,
    space_groups: Annotated[
        str, typer.Option(metavar="LIST", help="Such as '62, 143-230'.")
    ] = "",
    elements_all: Annotated[
        str, typer.Option(metavar="LIST", help="With all of these, such as Ba,Ti.")
    ] = "",
    elements_any: Annotated[
        str, typer.Option(metavar="LIST", help="With at least one of these.")
    ] = "",
    elements_none: Annotated[
        str, typer.Option(metavar="LIST", help="Without these, such as Pb,Cd,Tl.")
    ] = "",
    elements_only: Annotated[
        str, typer.Option(metavar="LIST", help="Of these alone, such as Ba-Ti-O.")
    ] = "",
    paper: Annotated[
        bool, typer.Option("--paper", help="The target of the WyCryst+ paper.")
    ] = False,
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="'bundled', 'bundled-transformer', or a file."
        ),
    ] = "bundled",
    method: Annotated[
        Method,
        typer.Option(
            help="prior: from noise; posterior: around known crystals; local: around "
            "those within the target; guided: along gradients towards it; conditional: "
            "told to a transformer."
        ),
    ] = Method.AUTO,
    level: Annotated[
        float,
        typer.Option(
            help="Noise on a start: 0 repeats it, 1 forgets it.", min=0, max=1
        ),
    ] = DEFAULT_LEVEL,
    guidance: Annotated[
        float,
        typer.Option(
            help="How far a transformer goes beyond what it is told; 0 not at all.",
            min=0,
            max=1000,
        ),
    ] = DEFAULT_GUIDANCE,
    temperature: Annotated[
        float, typer.Option(help="Of the decoder; less is bolder.", min=0.01, max=1000)
    ] = 1.0,
    max_atoms: Annotated[
        int, typer.Option(help="Most atoms in the conventional cell.", min=1)
    ] = 100,
    seed: Annotated[int, typer.Option(help="Of everything random.", min=0)] = 0,
    keep_known: Annotated[
        bool, typer.Option("--keep-known", help="Keep genes the model has learned.")
    ] = False,
    keep_outside: Annotated[
        bool,
        typer.Option("--keep-outside", help="Keep genes predicted outside the target."),
    ] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="CSV for the genes.")
    ] = Path("genes.csv"),
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Figure of the predicted properties, beside those of the crystals "
            "that the model learned from.",
            show_default=False,
        ),
    ] = None,
    latent_map: Annotated[
        Path | None,
        typer.Option(
            help="Figure of the model's latent space by property and crystal system.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Propose crystals: space group and Wyckoff letters per element, no coordinates.

    Every gene exists, by construction. Beside each stand the formation energy
    and band gap that the model expects, with their uncertainty: estimates from
    the gene alone, to be followed by screening and relaxation.

    Example: wyckflow generate --paper -n 2000 -o genes.csv --plot genes.png

    Example: wyckflow generate -p band_gap=1:2 --elements-only Ba-Sr-Ti-Zr-O-S

    Then: wyckflow screen genes.csv --screen published
    """
    target = _read_target(
        target_file,
        window or [],
        paper=paper,
        space_groups=space_groups,
        elements_all=elements_all,
        elements_any=elements_any,
        elements_none=elements_none,
        elements_only=elements_only,
    )
    maker = GenerateMaker(
        target=target,
        n_genes=n_genes,
        seed=seed,
        method=method.value,
        level=level,
        guidance=guidance,
        temperature=temperature,
        max_atoms=max_atoms,
        keep_known=keep_known,
        keep_outside=keep_outside,
    )
    here = WyckflowSettings.load()
    name, generator = load_generator(model, here.device, here.threads)
    if plot is not None:
        _check_plot(generator, name)
    if latent_map is not None:
        _check_map(generator, name)
    document = _draw(maker, name, generator)
    _write(document, output)
    if as_json:
        out.print_json(document.model_dump_json(exclude={"chunks"}))
    else:
        _show(document)
        say(f"{document.n_genes:,} genes in {output}")
    if plot is not None:
        _plot(document, generator, plot)
        say(f"properties in {plot}")
    if latent_map is not None:
        _map(generator, name, latent_map)
        say(f"latent space in {latent_map}")
    if document.n_genes < n_genes:
        err.print(
            f"[yellow]Only {document.n_genes:,} of {n_genes:,} genes came within "
            f"{document.n_decoded:,} tries:[/yellow] widen the target, "
            f"{_ADVICE.get(Method(document.method), '')}or --keep-known."
        )


def _read_target(
    path: Path | None, windows: list[str], *, paper: bool, **conditions: str
) -> Target:
    """Put the target of the file and of the options together."""
    content: dict[str, Any] = PAPER_TARGET.model_dump() if paper else {}
    if path is not None:
        try:
            content |= yaml.safe_load(path.read_text()) or {}
        except (OSError, yaml.YAMLError, TypeError, ValueError) as error:
            raise TargetError(f"{str(path)!r} is no target: {error}.") from error
    content |= {name: value for name, value in conditions.items() if value}
    given = content.get("properties") or {}
    if not isinstance(given, dict):
        raise TargetError(
            f"The properties of {str(path)!r} are {given!r}; write a range under each "
            "name, such as 'band_gap: {min: 0.5, max: 2}'."
        )
    asked: dict[str, dict[str, float]] = {}
    for name, ends in map(_read_window, windows):
        if name in asked:
            raise TargetError(
                f"Two ranges of {name!r} came; give --property once per property."
            )
        asked[name] = ends
    try:
        return Target.model_validate({**content, "properties": {**given, **asked}})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "The target"
        raise TargetError(
            f"{place} of the target is {first['input']!r}, which cannot be: "
            f"{first['msg']}. See the page 'Generating' for how a target is written."
        ) from None


def _read_window(text: str) -> tuple[str, dict[str, float]]:
    """Read one range, such as ``band_gap=0.5:2``."""
    name, equals, ends = text.partition("=")
    low, colon, high = ends.partition(":")
    try:
        pairs = (("min", low.strip()), ("max", high.strip()))
        window = {side: float(end) for side, end in pairs if end}
    except ValueError:
        window = {}
    if not (name and equals and colon and window):
        raise TargetError(
            f"{text!r} is no range of a property; write NAME=LOW:HIGH, one of which "
            "may be left out, such as band_gap=0.5:2 or band_gap=1:."
        )
    return name.strip(), window


def _draw(maker: GenerateMaker, name: str, generator: AnyGenerator) -> GenerationDoc:
    """Generate, with a bar."""
    with Progress(
        TextColumn("generating"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} genes"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    ) as progress:
        bar = progress.add_task("genes", total=maker.n_genes)
        return maker.draw(
            name, generator, report=lambda n: progress.update(bar, completed=n)
        )


def _rows(document: GenerationDoc) -> Iterator[dict[str, Any]]:
    """Yield one row per gene."""
    columns = {"log_probability": document.column("log_probabilities")}
    for name in document.properties:
        columns[name] = document.column(name)
        columns[f"{name}_deviation"] = document.column(f"{name}_deviation")
    for place, gene in enumerate(document.genes()):
        numbers = {name: f"{values[place]:.4f}" for name, values in columns.items()}
        yield {
            "gene_id": gene.gene_id,
            "gene": gene.to_text(),
            "formula": gene.formula,
            "space_group": gene.space_group_number,
            "nsites": gene.n_sites,
            **numbers,
        }


def _write(document: GenerationDoc, path: Path) -> None:
    """Write the genes as CSV."""
    rows = list(_rows(document))
    names = list(rows[0]) if rows else ["gene_id", "gene"]
    try:
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise TargetError(f"{str(path)!r} cannot be written: {error}.") from error


def _show(document: GenerationDoc) -> None:
    """Print the first genes, and what became of the others."""
    names = document.properties
    heads = [f"{name.replace('_per_atom', '').replace('_', ' ')}" for name in names]
    table = plain_table("formula", "space group", "atoms", *heads, "gene")
    for row in list(_rows(document))[:_MOST_SHOWN]:
        numbers = [
            f"{float(row[name]):.2f} ± {float(row[f'{name}_deviation']):.2f}"
            for name in names
        ]
        group, atoms = str(row["space_group"]), str(row["nsites"])
        table.add_row(row["formula"], group, atoms, *numbers, escape(row["gene"]))
    out.print(table)
    units = ", ".join(f"{name} in {_UNITS[name]}" for name in names if name in _UNITS)
    out.print(f"[dim]expected by the model {document.model_name}: {units}[/dim]")
    starts = f" from {document.n_starts:,} starts" if document.n_starts else ""
    out.print(
        f"{document.n_genes:,} genes of {document.n_decoded:,} decoded{starts} "
        f"({document.method})"
    )
    for reason, count in sorted(document.failures.items(), key=lambda item: -item[1]):
        out.print(f"  {count:,} left out: {reason.replace('_', ' ')}")


def _plot(document: GenerationDoc, generator: AnyGenerator, path: Path) -> None:
    """Draw the predicted properties beside those of known crystals."""
    from wyckflow.ml.kinds import remembered_names
    from wyckflow.report.latent import plot_densities

    remembered = remembered_names(generator)
    columns = dict(zip(remembered, generator.memory.properties.T, strict=True))
    names = [name for name in document.properties if name in columns]
    known = {name: columns[name] for name in names}
    sets = {"crystals it learned from": known}
    if document.n_genes:
        sets["generated"] = {name: document.column(name) for name in names}
    plot_densities(
        path,
        sets,
        windows=document.target.properties,
        title=f"{document.n_genes:,} genes ({document.method}), as predicted",
    )


def _check_plot(generator: AnyGenerator, name: str) -> None:
    """Refuse a figure without a property, before genes are waited for."""
    from wyckflow.ml.kinds import remembered_names

    if not set(generator.property_names) & set(remembered_names(generator)):
        raise ModelError(
            f"The model {name} predicts no property that it knows of the crystals it "
            "learned from, so that there is nothing to draw; leave --plot out."
        )


def _check_map(generator: AnyGenerator, name: str) -> None:
    """Refuse to draw what a model does not have, before genes are waited for."""
    from wyckflow.ml.mpvae.generator import MultiPropertyVAE

    if not isinstance(generator, MultiPropertyVAE):
        raise ModelError(
            f"The model {name} is a transformer and has no latent space to draw; leave "
            "--latent-map out, or take another model."
        )


def _map(generator: AnyGenerator, name: str, path: Path) -> None:
    """Draw the latent space."""
    from wyckflow.crystal.tables import crystal_system_of
    from wyckflow.report.latent import plot_latent_map

    memory = generator.memory
    plot_latent_map(
        path,
        memory.latents.astype("f4"),
        properties=dict(
            zip(generator.property_names, memory.properties.T, strict=True)
        ),
        crystal_systems=[crystal_system_of(int(n)) for n in memory.space_groups],
        title=f"latent space of the model {name}: {len(memory):,} known crystals, "
        "coloured by what it predicts of them",
    )
