"""``wyckflow train``: a generator, or a model of properties, of one's own."""

from __future__ import annotations

import os
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from wyckflow.cli.console import err, out, plain_table, say
from wyckflow.cli.options import ProjectOption
from wyckflow.crystal.dataset.table import load_dataset
from wyckflow.errors import ConfigurationError, TrainingError
from wyckflow.makers._training import load_unseen
from wyckflow.makers.train_forward import TrainForwardMaker
from wyckflow.makers.train_generator import TrainGeneratorMaker
from wyckflow.ml.forward.config import ForwardConfig
from wyckflow.ml.training.config import TrainingConfig, load_training_config
from wyckflow.settings import WyckflowSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.progress import TaskID

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.ml.training.loop import Progress as Step
    from wyckflow.ml.transformer.config import AnyTrainingConfig
    from wyckflow.schemas.training import TrainingDoc


def train(
    datasets: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Datasets made by 'wyckflow data import'. Rows of the first one judge "
            "when to stop.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            help="YAML with options that differ from the defaults.",
            show_default=False,
        ),
    ] = None,
    test: Annotated[
        list[Path] | None,
        typer.Option(
            help="A dataset to measure on at the end. Give it once per file.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for the model.")
    ] = Path("generator.npz"),
    seed: Annotated[
        int | None,
        typer.Option(
            help="Of everything random.", min=0, show_default="that of CONFIG"
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="auto, cpu, cuda or cuda:N.", show_default="that of the settings"
        ),
    ] = None,
    register: Annotated[
        bool,
        typer.Option("--register", help="Also put it into the project's database."),
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print every option as YAML, and stop.")
    ] = False,
    project: ProjectOption = None,
) -> None:
    """Train a generator of crystals with predictors of properties, or these alone.

    States and logs go to OUTPUT.partial: the same command goes on where an
    interrupted one was, and ends with the same model.

    Example: wyckflow train mp20.npz --test mp20-test.npz -o mine.npz

    Example: wyckflow train --show > options.yaml

    With 'model: transformer' in the options it is a transformer instead of an
    autoencoder, with 'model: forward' a model that predicts and generates nothing;
    '--config FILE --show' prints what it can be told.

    Then: wyckflow generate --model mine.npz, or wyckflow predict mine.npz FILES
    """
    options: AnyTrainingConfig | ForwardConfig = (
        load_training_config(config) if config else TrainingConfig()
    )
    if seed is not None:
        options = _with_seed(options, seed)
    if show:
        typer.echo(yaml.safe_dump(_every_option(options), sort_keys=False))
        return
    if not datasets:
        raise TrainingError(
            "No dataset came; make one with 'wyckflow data import FILES -o NAME.npz' "
            "and name it: 'wyckflow train NAME.npz'."
        )
    _check_output(output, [*datasets, *(test or []), *([config] if config else [])])
    known = [load_dataset(path) for path in datasets]
    unseen = load_unseen(test or [])
    document = _run(options, known, unseen, output, device)
    output.write_bytes(document.model.to_bytes())
    _show(document)
    say(
        f"{output} ({document.model.n_bytes / 1e6:.1f} MB), id {document.model_id[:12]}"
    )
    if register:
        _register(document, project)


def _every_option(options: AnyTrainingConfig | ForwardConfig) -> dict[str, Any]:
    """Return the options in full, with the sizes of what a forward model sees."""
    content = options.model_dump(mode="json")
    if isinstance(options, ForwardConfig) and find_spec("torch") is not None:
        from wyckflow.ml.forward.model import ForwardModel

        sizes = ForwardModel(options).representation.sizes
        content["network"] = sizes.model_dump(mode="json")
    return content


def _check_output(output: Path, read: Sequence[Path]) -> None:
    """Refuse, before anything is learned, a file that could not or must not be written.

    The states of a training are gone at its end, so that it would be too late then.
    """
    if output.resolve() in [path.resolve() for path in read]:
        raise ConfigurationError(
            f"{str(output)!r} would be read and written at once; give another name "
            "with --output."
        )
    if output.is_dir():
        raise ConfigurationError(
            f"{str(output)!r} is a folder, and the model is one file; name it with "
            f"--output {output / 'model.npz'}."
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The folder of {str(output)!r} cannot be made: {error}; give another "
            "with --output."
        ) from error
    if not os.access(output if output.exists() else output.parent, os.W_OK):
        raise ConfigurationError(
            f"{str(output)!r} may not be written; give another name with --output."
        )


def _with_seed(
    options: AnyTrainingConfig | ForwardConfig, seed: int
) -> AnyTrainingConfig | ForwardConfig:
    """Return the options with another seed everywhere."""
    if isinstance(options, ForwardConfig):
        return options.model_copy(update={"seed": seed})
    generator = options.generator.model_copy(update={"seed": seed})
    predictor = options.predictor
    if predictor is not None:
        predictor = predictor.model_copy(update={"seed": seed})
    return options.model_copy(update={"generator": generator, "predictor": predictor})


def _new_training(
    options: AnyTrainingConfig | ForwardConfig, name: str, device: str
) -> Callable[..., TrainingDoc]:
    """Return what trains a model of the kind that the options ask for."""
    content = options.model_dump(mode="json")
    if isinstance(options, ForwardConfig):
        from wyckflow.ml.forward.model import ForwardModel

        of_properties = TrainForwardMaker(model_name=name, options=content)
        return partial(of_properties.train, ForwardModel(options, device=device))
    from wyckflow.ml.kinds import new_generator

    of_genes = TrainGeneratorMaker(model_name=name, options=content)
    return partial(of_genes.train, new_generator(options, device=device))


def _run(
    options: AnyTrainingConfig | ForwardConfig,
    datasets: list[Dataset],
    test: dict[str, Dataset],
    output: Path,
    device: str | None,
) -> TrainingDoc:
    """Train, with a bar per network."""
    import torch

    from wyckflow.relax.potential import resolve_device

    here = WyckflowSettings.load()
    torch.set_num_threads(here.threads)
    place = resolve_device(device or here.device)
    train_here = _new_training(options, output.stem, place)
    folder = output.with_name(f"{output.name}.partial")
    folder.mkdir(parents=True, exist_ok=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def report(step: Step) -> None:
            if step.task not in tasks:
                tasks[step.task] = bars.add_task(
                    step.task, total=step.n_steps, figures=""
                )
            bars.update(tasks[step.task], completed=step.step)
            if step.figures and "score" in step.figures:
                words = f"validation score {step.figures['score']:.4g}"
                bars.update(tasks[step.task], figures=words)

        return train_here(datasets, test, folder=folder, report=report)


def _show(document: TrainingDoc) -> None:
    """Print the figures on the test rows."""
    rows = f"{document.n_train:,} rows learned from, {document.n_validation:,} to judge"
    out.print(rows)
    if not document.test_figures:
        reason = "no test rows: name a dataset with --test to measure"
        if document.n_test:
            reason = f"none of {document.n_test:,} test rows has what was learned"
        out.print(f"[dim]{reason}[/dim]")
        return
    table = plain_table("figure", "rows", "of", "value", "n")
    for item in document.test_figures:
        value = "-" if item.value is None else f"{item.value:.4g}"
        table.add_row(
            escape(item.quantity), escape(item.rows), item.subset, value, f"{item.n:,}"
        )
    out.print(table)


def _register(document: TrainingDoc, project: Path | None) -> None:
    """Put the model into the project's database."""
    from wyckflow.store.models import register_model
    from wyckflow.store.project import load_project

    is_new = register_model(load_project(project).database(), document.model)
    say(f"{document.model.name} {'registered' if is_new else 'was registered already'}")
