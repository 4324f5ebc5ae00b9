"""``wyckflow dft``: what VASP would be asked, and whether this machine could."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.markup import escape

from wyckflow.cli.console import out, plain_table, say
from wyckflow.cli.options import CampaignOption, JsonOption, ProjectOption
from wyckflow.errors import ConfigurationError, StructureError, nearest_name
from wyckflow.settings import WyckflowSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymatgen.core.structure import Structure

    from wyckflow.schemas.dft import PreflightDoc
    from wyckflow.store.gate.progress import CrystalProgress

app = typer.Typer(
    no_args_is_help=True,
    help="Density functional theory with VASP: check a machine, look at inputs, see "
    "how far crystals are.",
)

FileArgument = Annotated[
    Path,
    typer.Argument(help="A crystal: CIF, POSCAR or pymatgen JSON.", show_default=False),
]
SymprecOption = Annotated[
    float, typer.Option(help="Tolerance of the space group in A.", min=1e-6, max=0.5)
]
_SYMPREC: Final = 1e-3
_MOST: Final = 100_000
_POTCAR: Final = "POTCAR.spec"


@app.command(no_args_is_help=True)
def preflight(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A crystal: CIF, POSCAR or pymatgen JSON.", show_default=False
        ),
    ] = None,
    campaign: CampaignOption = None,
    here: Annotated[
        bool,
        typer.Option(
            "--here/--elsewhere",
            help="Whether VASP will run on this machine: look for it, and for room.",
        ),
    ] = True,
    command: Annotated[
        str | None,
        typer.Option(
            help="Command that runs VASP. Default: the setting vasp_command.",
            show_default=False,
        ),
    ] = None,
    symprec: SymprecOption = _SYMPREC,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Say everything that would stop VASP on a crystal, and how large each step is.

    Or, with --campaign, what would stop it on any candidate of a campaign.

    Looks for VASP itself, the POTCARs of every element, settings of atomate2 that would
    change the inputs unseen, and room on the disk. All problems come in one list; the
    exit code is 1 if there is any.

    Example: wyckflow dft preflight POSCAR

    Example: wyckflow dft preflight --campaign oxides
    """
    from wyckflow.makers.vasp_preflight import VaspPreflightMaker

    chosen = command or WyckflowSettings.load().vasp_command
    if file is None:
        _preflight_campaign(campaign, chosen if here else None, project)
        return
    structure = read_structure(file)
    document = VaspPreflightMaker(symprec=symprec).inspect(
        structure,
        command=chosen if here else None,
        folder=Path.cwd() if here else None,
    )
    if as_json:
        out.print_json(document.model_dump_json(exclude={"provenance"}))
    else:
        _show(document)
    if not document.is_ready:
        raise typer.Exit(1)


@app.command(no_args_is_help=True)
def inputs(
    file: FileArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the inputs.")
    ] = Path("dft-inputs"),
    step: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this step, such as 'vasp static'; can be repeated.",
            show_default=False,
        ),
    ] = None,
    symprec: SymprecOption = _SYMPREC,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace inputs that are there.")
    ] = False,
) -> None:
    """Write the inputs of every VASP step of a crystal, to read or to run by hand.

    Each step starts from the crystal as it is, in SeeK-path's primitive cell; in a
    campaign it starts from the result of the step before. POTCARs are named in
    POTCAR.spec, one per line, not written.

    Example: wyckflow dft inputs POSCAR -o inputs
    """
    from wyckflow.makers.vasp_preflight import published_input_sets
    from wyckflow.vasp.path import find_primitive_structure
    from wyckflow.vasp.preflight import write_inputs

    sets = _choose(published_input_sets(), step)
    primitive = find_primitive_structure(read_structure(file), symprec=symprec)
    folders = {name: output / name.replace(" ", "-") for name in sets}
    _refuse_existing(folders.values(), overwrite=overwrite)
    table = plain_table("step", "k-points", "cut-off", "smearing", "spin")
    for name, input_set in sets.items():
        made = write_inputs(primitive, input_set)
        folders[name].mkdir(parents=True, exist_ok=True)
        for part, content in made.items():
            (folders[name] / part).write_text(str(content), encoding="utf-8")
        table.add_row(name, *_describe(made))
    out.print(table)
    say(f"{len(sets)} steps in {output}, each with INCAR, KPOINTS, POSCAR, {_POTCAR}")


@app.command()
def status(
    campaign: CampaignOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Say how far the crystals are that were let through to VASP.

    Example: wyckflow dft status --campaign oxides
    """
    from wyckflow.store.candidates.builder import build_candidates, list_campaigns
    from wyckflow.store.gate.progress import read_dft_progress
    from wyckflow.store.project import load_project

    database = load_project(project).database()
    for name in [campaign] if campaign else list_campaigns(database):
        build_candidates(database, campaign=name)
    found = read_dft_progress(database, campaign)
    if as_json:
        out.print_json(json.dumps([_as_row(item) for item in found]))
        return
    if not found:
        out.print("No crystal was let through: 'wyckflow approve' shows what waits.")
        return
    table = plain_table("formula", "id", "campaign", "opened by", "jobs", "state", "as")
    for item in found:
        approval = item.approval
        table.add_row(
            approval.formula_pretty,
            approval.gene_id,
            escape(approval.campaign),
            escape(approval.approved_by or approval.opened_by),
            f"{item.n_done}/{item.n_jobs}",
            escape(item.state),
            "SIMULATED" if item.is_simulated else (item.mark or "-").replace("_", " "),
        )
    out.print(table)


def _as_row(item: CrystalProgress) -> dict[str, Any]:
    """Return where a crystal stands, for programs."""
    known = {"structure", "request", "provenance"}
    return {
        **item.approval.model_dump(mode="json", exclude=known),
        "n_jobs": item.n_jobs,
        "n_done": item.n_done,
        "state": item.state,
        "dft_mark": item.mark,
        "is_simulated": item.is_simulated,
    }


def read_structure(file: Path) -> Structure:
    """Read one crystal from a file.

    Parameters
    ----------
    file
        CIF, POSCAR or pymatgen JSON.

    Raises
    ------
    StructureError
        If it is not there, or no crystal.
    """
    import warnings

    from pymatgen.core.structure import Structure

    if not file.is_file():
        raise StructureError(f"There is no file {file}; give a CIF or POSCAR.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rounding in a CIF; symmetry is found anew
            text = file.read_text(encoding="utf-8")
            for form in _forms(file):
                try:
                    read: Structure = Structure.from_str(text, fmt=form)
                except (ValueError, KeyError, IndexError, TypeError) as error:
                    last = error
                else:
                    return read
    except (OSError, UnicodeDecodeError) as error:
        raise StructureError(f"{file} cannot be read ({error}).") from error
    raise StructureError(
        f"{file} is no crystal that can be read ({last}); give a CIF, a POSCAR or "
        "pymatgen JSON."
    ) from last


def _forms(file: Path) -> tuple[Any, ...]:
    """Return in which forms to read a file, the likely first."""
    by_ending = {".cif": ("cif",), ".json": ("json",)}
    return by_ending.get(file.suffix.lower(), ("poscar", "cif", "json"))


def _preflight_campaign(
    campaign: str | None, command: str | None, project: Path | None
) -> None:
    """Print what would stop VASP on the elements of a campaign's relaxed candidates."""
    from wyckflow.makers.vasp_preflight import inspect_elements
    from wyckflow.store.candidates.query import find_candidates
    from wyckflow.store.project import load_project

    if campaign is None:
        raise ConfigurationError("Name a file with a crystal, or give --campaign.")
    where = {"structure": {"$ne": None}}
    found = find_candidates(
        load_project(project).database(), campaign=campaign, where=where, limit=_MOST
    )
    elements = sorted({symbol for item in found for symbol in item.elements})
    if not elements:
        raise ConfigurationError(
            f"Campaign {campaign!r} has no relaxed candidate; 'wyckflow build' joins "
            "what its jobs found."
        )
    checked = inspect_elements(
        elements, command=command, folder=Path.cwd() if command else None
    )
    potcars = ", ".join(sorted(checked.potcars))
    out.print(
        f"{len(elements)} elements in {len(found):,} crystals; POTCARs: {potcars}"
    )
    _show_findings(checked.warnings, checked.problems)
    if checked.problems:
        raise typer.Exit(1)


def _choose(sets: dict[str, Any], steps: list[str] | None) -> dict[str, Any]:
    """Return the steps that were asked for."""
    for name in steps or []:
        if name not in sets:
            raise ConfigurationError(
                f"{name!r} is no VASP step.{nearest_name(name, sets)} Steps: "
                f"{', '.join(sets)}."
            )
    return {name: sets[name] for name in steps or sets}


def _refuse_existing(folders: Any, *, overwrite: bool) -> None:
    """See that nothing is lost."""
    there = [folder for folder in folders if (folder / "INCAR").exists()]
    if there and not overwrite:
        raise ConfigurationError(
            f"{there[0]} has inputs already; choose another folder or give --overwrite."
        )


def _describe(made: dict[str, Any]) -> tuple[str, str, str, str]:
    """Return k-points, cut-off, smearing and spin of a step in words."""
    from wyckflow.vasp.audit import describe_kpoints

    incar = made["INCAR"]
    cutoff = f"{incar['ENCUT']:g} eV" if "ENCUT" in incar else "of the POTCARs"
    is_sharp = incar["ISMEAR"] < 0
    smearing = "tetrahedra" if is_sharp else f"{incar.get('SIGMA', 0.2):g} eV"
    spin = "yes" if incar.get("ISPIN") == 2 else "as decided"  # noqa: PLR2004
    return describe_kpoints(made["KPOINTS"]), cutoff, smearing, spin


def _show(document: PreflightDoc) -> None:
    """Print what was found."""
    table = plain_table("step", "k-points", "mesh", "plane waves", "wave functions")
    for cost in document.costs:
        table.add_row(
            cost.step,
            f"{cost.n_kpoints:,}",
            "x".join(map(str, cost.mesh)) if cost.mesh else "path",
            "" if cost.n_plane_waves is None else f"{cost.n_plane_waves:,}",
            "" if cost.wave_function_gb is None else f"{cost.wave_function_gb:.2f} GB",
        )
    structure = document.structure
    out.print(
        f"{structure.reduced_formula}, space group {document.space_group_number}, "
        f"{len(structure)} atoms in the primitive cell; POTCARs: "
        f"{', '.join(document.potcars)}"
    )
    out.print(table)
    _show_findings(document.warnings, document.problems)


def _show_findings(warnings: Sequence[str], problems: Sequence[str]) -> None:
    """Print what may surprise, and what would stop VASP, all of it."""
    for text in warnings:
        out.print(f"[yellow]warning:[/yellow] {escape(text)}", soft_wrap=True)
    for number, text in enumerate(problems, 1):
        out.print(f"[red]{number}.[/red] {escape(text)}", soft_wrap=True)
    if problems:
        out.print(f"[red]{len(problems)} problems[/red]")
    else:
        out.print("[green]ready[/green]")
