"""The classifiers that come with wyckflow, found by name."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wyckflow.errors import ModelError, nearest_name
from wyckflow.ml.classifiers.files import load_with_card

if TYPE_CHECKING:
    from wyckflow.ml.classifiers.model import Classifier

BUNDLED_CLASSIFIERS: Final = ("synthesizability", "metal")
"""Names of the classifiers that come with wyckflow."""

FILE_NAMES: Final = {name: f"classifier-{name}.npz" for name in BUNDLED_CLASSIFIERS}


def load_bundled_classifier(name: str) -> Classifier:
    """Return a classifier that comes with wyckflow; a second call returns the same.

    Parameters
    ----------
    name
        ``synthesizability`` or ``metal``.

    Raises
    ------
    ModelError
        If there is none of this name, or this installation lacks it.
    """
    if name not in BUNDLED_CLASSIFIERS:
        raise ModelError(
            f"No classifier {name!r} comes with wyckflow."
            f"{nearest_name(str(name), BUNDLED_CLASSIFIERS)} There are "
            f"{' and '.join(BUNDLED_CLASSIFIERS)}; others are files, see "
            "'wyckflow classifier train'."
        )
    return _load(name)


def bundled_folder() -> Path:
    """Return the folder of the models that come with wyckflow."""
    return Path(str(files("wyckflow.ml") / "models"))


def open_classifier(name_or_path: str | Path) -> Classifier:
    """Return a bundled classifier by its name, or one of a file.

    Parameters
    ----------
    name_or_path
        ``synthesizability``, ``metal``, or a file.

    Raises
    ------
    ModelError
        If it is neither.
    """
    path = Path(name_or_path)
    if not path.exists():
        return load_bundled_classifier(str(name_or_path))
    return load_with_card(path)


@lru_cache(maxsize=len(BUNDLED_CLASSIFIERS))
def _load(name: str) -> Classifier:
    path = bundled_folder() / FILE_NAMES[name]
    if not path.exists():
        raise ModelError(
            f"This installation of wyckflow has no bundled classifier {name!r}: "
            "install it again, or make it with 'make classifiers'."
        )
    return load_with_card(path)
