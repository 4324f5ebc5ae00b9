"""``wyckflow model``: the trained models of a project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from wyckflow.cli.console import out, plain_table, say
from wyckflow.cli.options import JsonOption, ProjectOption
from wyckflow.store.models import (
    fetch_model,
    find_model,
    list_models,
    register_model,
    remove_model,
)
from wyckflow.store.project import load_project

if TYPE_CHECKING:
    from wyckflow.schemas.model import ModelDoc

_SHOWN_DIGITS = 12
_MB = 1e6

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="The trained models of a project, kept in its database by their hash.",
)

NameArgument = Annotated[
    str,
    typer.Argument(
        help="Name of a model, the first digits of its hash, or 'bundled' and "
        "'bundled-transformer' for what wyckflow brings along.",
        show_default=False,
    ),
]


@app.command("list")
def list_all(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """List the models, the newest first.

    Example: wyckflow model list
    """
    cards = list_models(load_project(project).database())
    if as_json:
        out.print_json(json.dumps([_as_dict(card) for card in cards]))
        return
    if not cards:
        out.print(
            "No model is registered here. Generation then uses the bundled one; "
            "'wyckflow train' makes your own, 'wyckflow model import FILE' takes one."
        )
        return
    table = plain_table("model", "kind", "id", "MB", "trained with", "made")
    for card in cards:
        table.add_row(
            escape(card.name),
            card.kind,
            card.model_id[:_SHOWN_DIGITS],
            f"{card.n_bytes / _MB:.1f}",
            f"wyckflow {card.provenance.wyckflow_version}",
            f"{card.provenance.created_at:%Y-%m-%d %H:%M}",
        )
    out.print(table)


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            help="A model's file; name of a registered model, or the first digits of "
            "its hash; 'bundled' or 'bundled-transformer'.",
            show_default=False,
        ),
    ],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the card of a model: data, options, figures on rows held out.

    Example: wyckflow model show my-model.npz
    """
    card = _find(name, project)
    if as_json:
        out.print_json(json.dumps(_as_dict(card)))
        return
    out.print(f"[bold]{escape(card.name)}[/bold]  {card.kind}  {card.model_id}")
    for key, value in card.card.items():
        _show_value(key, value, indent=1)


@app.command()
def export(
    name: NameArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write.", show_default="NAME.npz"),
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Write a model to a file, for another project.

    Example: wyckflow model export my-model -o my-model.npz
    """
    model = _bundled(name) or fetch_model(load_project(project).database(), name)
    path = output or Path(f"{model.name}.npz")
    path.write_bytes(model.to_bytes())
    say(f"{path} ({model.n_bytes / _MB:.1f} MB), id {model.model_id[:_SHOWN_DIGITS]}")


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A model's file.", show_default=False)],
    name: Annotated[
        str | None,
        typer.Option(help="Name it gets.", show_default="that of the file"),
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Register a model's file in the project's database.

    Example: wyckflow model import my-model.npz --name mine
    """
    from wyckflow.ml.model_file import describe_model

    model = describe_model(file, name=name or file.stem)
    is_new = register_model(load_project(project).database(), model)
    verb = "registered" if is_new else "was registered already"
    say(f"{model.name} ({model.kind}) {verb}: {model.model_id[:_SHOWN_DIGITS]}")


@app.command()
def remove(name: NameArgument, project: ProjectOption = None) -> None:
    """Remove a model and its file. Candidates keep the id of the model they are from.

    Example: wyckflow model remove my-first-try
    """
    card = remove_model(load_project(project).database(), name)
    say(f"removed {card.name}, {card.model_id[:_SHOWN_DIGITS]}")


def _find(name: str, project: Path | None) -> ModelDoc:
    """Return the card of a file, of a bundled model, or of one of the project."""
    from wyckflow.ml.model_file import describe_model

    path = Path(name)
    if path.suffix == ".npz":  # a name that is registered has no ending
        return describe_model(path, name=path.stem)
    return _bundled(name) or find_model(load_project(project).database(), name)


def _bundled(name: str) -> ModelDoc | None:
    """Return the generator that wyckflow brings along under a name, if it does."""
    from wyckflow.ml.model_file import (
        BUNDLED_MODELS,
        bundled_model_path,
        describe_model,
    )

    if name not in BUNDLED_MODELS:
        return None
    return describe_model(bundled_model_path(name), name=name)


def _as_dict(card: ModelDoc) -> dict[str, Any]:
    """Return a card for programs."""
    return card.model_dump(mode="json", exclude={"chunks"})


def _show_value(key: str, value: Any, *, indent: int) -> None:
    """Print one entry of a card, nested ones below it."""
    margin = "  " * indent
    if isinstance(value, dict) and value:
        out.print(f"{margin}[bold]{escape(key)}[/bold]")
        for inner, item in value.items():
            _show_value(inner, item, indent=indent + 1)
        return
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    out.print(f"{margin}{escape(key)}  {escape(text)}", soft_wrap=True)
