"""``wyckflow hull``: known phases, and how far a crystal is above them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from wyckflow.cli.console import out, plain_table, say
from wyckflow.cli.hull_layer import layer
from wyckflow.cli.options import JsonOption, ProjectOption
from wyckflow.errors import ConfigurationError, ReferenceDataError
from wyckflow.settings import WyckflowSettings
from wyckflow.store.project import load_project
from wyckflow.store.references import ReferenceLedger
from wyckflow.thermo.bundled import BUNDLED_REFERENCES
from wyckflow.thermo.composition import Compositions, format_system, parse_system
from wyckflow.thermo.entry import EnergyKind
from wyckflow.thermo.hull import Hull
from wyckflow.thermo.hull.completeness import measure_completeness
from wyckflow.thermo.reference import ReferenceSet
from wyckflow.thermo.reference_table import parse_formula, read_reference_table
from wyckflow.thermo.source import (
    BUNDLED,
    REFERENCE_ENDING,
    is_version,
    load_reference,
    path_of_version,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wyckflow.thermo.hull import HullDistances, Product
    from wyckflow.thermo.hull.completeness import Completeness

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Known phases on one energy scale, and distances to their hull.",
)

app.command("layer", no_args_is_help=True)(layer)

ReferenceArgument = Annotated[
    str,
    typer.Argument(
        help="'bundled', 'bundled:SCALE', a version, or a file.", show_default=False
    ),
]
_MILLI = 1000.0


@app.command("list")
def list_references(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """List the reference sets of the project, and what its campaigns added.

    Example: wyckflow hull list
    """
    with ReferenceLedger(load_project(project).database()) as ledger:
        sets, states = ledger.list_sets(), ledger.states()
    if as_json:
        unsaid = {"provenance", "phases"}
        found = {
            "sets": [item.model_dump(mode="json", exclude=unsaid) for item in sets],
            "layers": [item.model_dump(mode="json", exclude=unsaid) for item in states],
        }
        out.print_json(json.dumps(found))
        return
    table = plain_table("version", "name", "scale", "energies", "phases", "elements")
    for item in sets:
        numbers = (f"{item.n_entries:,}", str(item.n_elements))
        texts = (item.version, item.name, item.scale, item.kind)
        table.add_row(*map(escape, texts), *numbers)
    out.print(table if sets else "no sets; 'wyckflow hull import FILE' adds one")
    if states:
        layers = plain_table("hull", "campaign", "scale", "state", "added", "phases")
        for state in states:
            added = "new base" if state.has_new_base else str(len(state.phases))
            layers.add_row(
                state.hull_version,
                escape(state.campaign),
                state.scale,
                str(state.number),
                added,
                f"{state.n_entries:,}",
            )
        out.print()
        out.print(layers)
    out.print(f"bundled with wyckflow: {', '.join(BUNDLED_REFERENCES)}")


@app.command(no_args_is_help=True)
def show(
    reference: ReferenceArgument,
    chemsys: Annotated[
        str | None,
        typer.Option(
            "--chemsys",
            "-s",
            help="Show the phases of this chemical system, the stable ones first, "
            "e.g. O-Sr-Ti.",
            show_default=False,
        ),
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Show what a reference set holds, or the hull of one chemical system.

    Example: wyckflow hull show bundled --chemsys O-Sr-Ti
    """
    found = find_reference(reference, project)
    if chemsys is not None:
        _show_system(found, chemsys)
        return
    table = plain_table("", found.name)
    table.columns[1].justify = "left"
    sizes = [len(system) for system in found.compositions.systems]
    n_relaxed = int(found.is_relaxed.sum())
    table.add_row("version", found.version)
    table.add_row("scale", f"{found.scale}  {found.scale.meaning}")
    table.add_row("energies", f"{found.kind.value}, eV/atom")
    table.add_row("phases", f"{len(found):,}, {n_relaxed:,} of them relaxed")
    table.add_row("elements", str(len(found.elements)))
    table.add_row("chemical systems", f"{len(sizes):,}, up to {max(sizes, default=0)}")
    for heading, text in found.provenance.items():
        table.add_row(escape(heading), escape(str(text)))
    out.print(table)


@app.command("import", no_args_is_help=True)
def import_reference(
    file: Annotated[
        Path,
        typer.Argument(
            help="A set of 'wyckflow hull build' or 'export', a CSV table with "
            "formula, id and energy_per_atom (or formation_energy_per_atom), or "
            "entries of the Materials Project (.json, .json.gz).",
            show_default=False,
        ),
    ],
    scale: Annotated[
        str | None,
        typer.Option(
            help="Energy scale of a table, e.g. mp2020-gga-u.", show_default=False
        ),
    ] = None,
    kind: Annotated[
        EnergyKind, typer.Option(help="Which energies a table holds.")
    ] = EnergyKind.TOTAL,
    name: Annotated[
        str | None, typer.Option(help="Name for a table.", show_default=False)
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Put a reference set into the project's database, under its version.

    Example: wyckflow hull import mp20-chgnet.npz

    Example: wyckflow hull import phases.csv --scale pbe-fine

    Example: wyckflow hull import Ca-Ti-O.json.gz
    """
    from wyckflow.makers._mp_entries import is_entry_file, load_mp_entries

    if file.suffix == ".npz":
        found = ReferenceSet.load(file)
    elif is_entry_file(file.name):
        found = load_mp_entries(file)
    elif scale is None:
        raise ConfigurationError(
            f"{file} does not say on which scale its energies are; give --scale, such "
            "as '--scale mp2020-gga-u'."
        )
    else:
        found = read_reference_table(file, scale=scale, kind=kind, name=name)
    with ReferenceLedger(load_project(project).database()) as ledger:
        stored = ledger.store(found)
    say(f"{stored.n_entries:,} phases, {stored.n_elements} elements, {stored.scale}")
    out.print(stored.version)


@app.command(no_args_is_help=True)
def export(
    reference: ReferenceArgument,
    file: Annotated[
        Path | None,
        typer.Argument(
            help="Where to. Default: the folder where jobs look for versions.",
            show_default=False,
        ),
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Write a set, or the hull of a campaign, to a file that jobs can read.

    Jobs do not ask the database: they find a version as a file in the folder of
    the setting 'references'.

    Example: wyckflow hull export 31ae02ea0d662486
    """
    found = find_reference(reference, project)
    target = file
    if target is None:
        folder = _folder(project)
        if folder is None:
            raise ConfigurationError(
                "There is no project here, and no setting 'references'; say where to: "
                f"wyckflow hull export {reference} FILE{REFERENCE_ENDING}"
            )
        folder.mkdir(parents=True, exist_ok=True)
        target = path_of_version(folder, found.version)
    found.save(target)
    out.print(str(target), soft_wrap=True)


@app.command(no_args_is_help=True)
def distance(
    crystals: Annotated[
        list[str],
        typer.Argument(
            metavar="FORMULA=ENERGY...",
            help="Composition and energy per atom in eV, e.g. SrTiO3=-8.40.",
            show_default=False,
        ),
    ],
    scale: Annotated[
        str,
        typer.Option(
            help="Energy scale of these energies; must be that of the reference.",
            show_default=False,
        ),
    ],
    reference: Annotated[
        str,
        typer.Option(
            "--reference", "-r", help="'bundled', 'bundled:SCALE', version or file."
        ),
    ] = BUNDLED,
    kind: Annotated[
        EnergyKind, typer.Option(help="What the energies are.")
    ] = EnergyKind.TOTAL,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how far crystals are above the hull of known phases.

    Below zero a crystal is more stable than all of them together. With a
    reference that lacks phases the distance is a lower bound.

    Example: wyckflow hull distance SrTiO3=-8.40 --scale chgnet-0.3.0
    """
    parsed = [_parse_crystal(text) for text in crystals]
    compositions = Compositions.from_counts(counts for counts, _ in parsed)
    hull = Hull(find_reference(reference, project))
    distances = hull.energies_above_hull(
        compositions, [energy for _, energy in parsed], scale=scale, kind=kind
    )
    products = hull.decompose(compositions)
    known = [measure_completeness(hull.reference, counts) for counts, _ in parsed]
    if as_json:
        rows = _as_rows(compositions, distances, products, known)
        out.print_json(json.dumps(rows))
        return
    table = plain_table("crystal", "above hull", "formation", "decomposes into")
    table.columns[3].justify = "left"
    for place in range(len(compositions)):
        formula = compositions.formula_of(place)
        if place in distances.missing_elements:
            names = ", ".join(distances.missing_elements[place])
            table.add_row(formula, "cannot judge", "", f"no energy of {names}")
            continue
        table.add_row(
            formula,
            f"{distances.energies_above_hull[place] * _MILLI:.1f} meV/atom",
            f"{distances.formation_energies[place]:.3f} eV/atom",
            _say_products(products[place]),
        )
    out.print(table)
    for item in known:
        say(_say_completeness(item))
    say(f"hull {hull.version}, {hull.reference.name}, {len(hull.reference):,} phases")


def find_reference(source: str, project: Path | None) -> ReferenceSet:
    """Return a reference that a person names, from the database as well.

    Parameters
    ----------
    source
        ``bundled``, a version, or a file.
    project
        Project folder, if given.
    """
    folder = _folder(project)
    if is_version(source):
        if folder is not None and path_of_version(folder, source).is_file():
            return load_reference(source, folder=folder)
        with ReferenceLedger(load_project(project).database()) as ledger:
            return ledger.load(source)
    return load_reference(source)


def _folder(project: Path | None) -> Path | None:
    """Return the folder of sets by version."""
    return WyckflowSettings.load(project).references_folder()


def _parse_crystal(text: str) -> tuple[dict[str, float], float]:
    """Read ``SrTiO3=-8.40``."""
    formula, separator, energy = text.partition("=")
    try:
        if not separator:
            raise ValueError("no '='")  # noqa: TRY301 - one message for both
        return parse_formula(formula), float(energy)
    except ReferenceDataError:
        raise
    except ValueError as error:
        raise ConfigurationError(
            f"{text!r} is no crystal with an energy ({error}); write formula, '=' and "
            "eV per atom, such as SrTiO3=-8.40."
        ) from error


def _show_system(found: ReferenceSet, chemsys: str) -> None:
    """Print the phases of a chemical system, and how much is known of it."""
    system = parse_system(chemsys)
    known = measure_completeness(found, chemsys)
    if known.missing_elements:
        out.print(f"cannot judge: no energy of {', '.join(known.missing_elements)}")
        return
    inside = found.select(chemsys=chemsys.split("-"))
    hull = Hull(found)
    distances = hull.energies_above_hull(
        inside.compositions, inside.energies, scale=found.scale, kind=found.kind
    )
    table = plain_table("phase", "id", "formation eV/atom", "above hull meV/atom")
    order = distances.energies_above_hull.argsort(kind="stable").tolist()
    for place in order:
        above = distances.energies_above_hull[place] * _MILLI
        table.add_row(
            inside.compositions.formula_of(place),
            escape(str(inside.ids[place])),
            f"{distances.formation_energies[place]:.3f}",
            "stable" if abs(above) < 1e-6 else f"{above:.1f}",  # noqa: PLR2004 - rounding
        )
    out.print(f"[bold]{format_system(system)}[/bold] on {found.scale}")
    out.print(table)
    say(_say_completeness(known))


def _say_products(products: Sequence[Product]) -> str:
    """Write products with their share of the atoms."""
    return " + ".join(
        f"{item.fraction:.0%} {item.formula} ({escape(item.id)})"
        if item.fraction < 1 - 1e-9
        else f"{item.formula} ({escape(item.id)})"
        for item in products
    )


def _say_completeness(known: Completeness) -> str:
    """Say how much is known of a chemical system."""
    text = f"{known.chemsys}: {known.n_entries} known phases"
    if known.n_empty_subsystems:
        text += (
            f", none in {known.n_empty_subsystems} of {known.n_subsystems} chemical "
            "systems: a lower bound"
        )
    return text


def _as_rows(
    compositions: Compositions,
    distances: HullDistances,
    products: Sequence[Sequence[Product]],
    known: Sequence[Completeness],
) -> list[dict[str, Any]]:
    """Return the answers for programs."""
    rows = []
    for place in range(len(compositions)):
        can_judge = place not in distances.missing_elements
        rows.append(
            {
                "formula": compositions.formula_of(place),
                "energy_above_hull": float(distances.energies_above_hull[place])
                if can_judge
                else None,
                "formation_energy_per_atom": float(distances.formation_energies[place])
                if can_judge
                else None,
                "decomposition": [
                    {"id": item.id, "formula": item.formula, "fraction": item.fraction}
                    for item in products[place]
                ],
                "missing_elements": list(distances.missing_elements.get(place, ())),
                "n_known_phases": known[place].n_entries,
                "n_empty_subsystems": known[place].n_empty_subsystems,
                "hull_version": distances.version,
                "scale": str(distances.scale),
            }
        )
    return rows
