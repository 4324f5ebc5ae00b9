"""Make the bundled classifiers again: ``python -m wyckflow.ml.classifiers.bundling``.

It takes the folder of public data that ``WYCKFLOW_DATA`` names. No formula of a test
file is in a training row, and a share of the hypothetical crystals, told by their
formula, is kept for testing alone. What choices have seen of them stands in the notes.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wyckflow.crystal.dataset.importing import ImportOptions, import_dataset
from wyckflow.crystal.dataset.table import load_dataset
from wyckflow.crystal.encode import Engine
from wyckflow.errors import DatasetError
from wyckflow.ml.classifiers.bundled import FILE_NAMES, bundled_folder
from wyckflow.ml.classifiers.files import write_classifier
from wyckflow.ml.classifiers.labels import Task
from wyckflow.ml.classifiers.options import ClassifierOptions
from wyckflow.ml.classifiers.study import Study, plan_study, run_study

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.ml.classifiers.model import Classifier

LABELLED: Final = {
    Task.METAL: ("mp20_biternary_train", "wbm_train"),
    Task.SYNTHESIZABILITY: ("mpts52_train", "mp20_biternary_train"),
}
UNLABELLED: Final = {Task.METAL: (), Task.SYNTHESIZABILITY: ("wbm_train",)}
TEST: Final = {
    Task.METAL: ("mp20_biternary_test",),
    Task.SYNTHESIZABILITY: ("mpts52_test", "mp20_biternary_test"),
}
"""Files of the data folder, without their ending, by task."""

OPTIONS: Final = {
    Task.METAL: ClassifierOptions(n_epochs=20, first_source_weight=3.0),
    Task.SYNTHESIZABILITY: ClassifierOptions(n_epochs=40),
}
"""Options of the bundled classifiers, chosen on calibration rows."""


NOTES: Final = {
    Task.METAL: (),
    Task.SYNTHESIZABILITY: (
        (
            "The rows of MP-20, near the hull in the Materials Project, count as made; "
            "part of them was only computed, and which part these data do not say. "
            "Their share is therefore no measured recall."
        ),
        "MP-20 states no years: relatives of later test rows may be in the training.",
        (
            "Two variants of it had been seen on the test rows before the calibration "
            "on the newest year was chosen, which prefers the one with MP-20: its test "
            "figures are not fully blind."
        ),
    ),
}
"""What else limits the bundled classifiers."""


def load_data(folder: Path) -> dict[str, Dataset]:
    """Import the files of the data folder.

    Parameters
    ----------
    folder
        With all files, as ``.csv.gz``.

    Raises
    ------
    DatasetError
        If one is missing.
    """
    uses = (*LABELLED.values(), *UNLABELLED.values(), *TEST.values())
    options = ImportOptions(engine=Engine.MOYOPY, keep_duplicates=True)
    datasets = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in sorted({name for names in uses for name in names}):
            source = folder / f"{name}.csv.gz"
            if not source.exists():
                raise DatasetError(
                    f"There is no {str(source)!r}; set WYCKFLOW_DATA to the folder of "
                    "the public data."
                )
            target = Path(scratch) / f"{name}.npz"
            import_dataset([source], target, options=options)
            datasets[name] = load_dataset(target)
    return datasets


def plan_bundled(
    task: Task, data: Mapping[str, Dataset], labelled: tuple[str, ...] | None = None
) -> Study:
    """Tell the rows of a bundled classifier apart.

    Parameters
    ----------
    task
        What is learned.
    data
        As `load_data` returns them.
    labelled
        Other names than those of `LABELLED`, to compare.
    """
    names = (labelled or LABELLED[task], UNLABELLED[task], TEST[task])
    return plan_study(task, *([(name, data[name]) for name in part] for part in names))


def add_notes(classifier: Classifier) -> Classifier:
    """Write what is particular to the bundled classifiers on the card.

    Parameters
    ----------
    classifier
        With its card.
    """
    card = classifier.card
    limits = [*card.limits, *NOTES[classifier.task]]
    return classifier.with_card(card.model_copy(update={"limits": limits}))


def main() -> None:
    """Make both, and put them into the package."""
    folder = os.environ.get("WYCKFLOW_DATA")
    if not folder:
        raise DatasetError(
            "The classifiers are made from public data: set WYCKFLOW_DATA to its "
            "folder."
        )
    data = load_data(Path(folder))
    for task, options in OPTIONS.items():
        trained = run_study(plan_bundled(task, data), options)
        classifier = add_notes(trained.classifier)
        write_classifier(classifier, bundled_folder() / FILE_NAMES[task])


if __name__ == "__main__":
    main()
