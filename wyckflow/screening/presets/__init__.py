"""Screens from files: those that come with the package, and a user's own."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from wyckflow.errors import ScreenError, nearest_name
from wyckflow.schemas.screening import ScreenCost
from wyckflow.screening.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Mapping

PRESETS: Final = ("default", "published", "sustainable")
"""Names of the screens that come with the package."""

COSTS_FILE: Final = "costs.json"


def load_screen(source: str | Path | Screen | Mapping[str, Any]) -> Screen:
    """Return a screen, whatever form it comes in.

    Parameters
    ----------
    source
        Name of a preset, path of a YAML file, a dictionary, or a screen.

    Raises
    ------
    ScreenError
        If there is no such preset or file, or it cannot be read.
    """
    if isinstance(source, Screen):
        return source
    if not isinstance(source, str | Path):
        return Screen.from_dict(source)
    if str(source) in PRESETS:
        return load_preset(str(source))
    path = Path(source)
    if path.suffix not in {".yaml", ".yml"}:
        raise ScreenError(
            f"There is no screen {str(source)!r}; give {', '.join(PRESETS)} or a file "
            f"that ends in .yaml.{nearest_name(str(source), PRESETS)}"
        )
    try:
        return parse_screen(path.read_text(encoding="utf-8"), name=path.stem)
    except (OSError, UnicodeDecodeError) as error:
        raise ScreenError(f"Cannot read the screen {str(path)!r}: {error}.") from error


def load_preset(name: str) -> Screen:
    """Return a screen that comes with the package.

    Parameters
    ----------
    name
        One of `PRESETS`.

    Raises
    ------
    ScreenError
        If there is none of this name.
    """
    if name not in PRESETS:
        raise ScreenError(
            f"There is no preset {name!r}; there are {', '.join(PRESETS)}."
            f"{nearest_name(name, PRESETS)}"
        )
    return _read_preset(name)


def parse_screen(text: str, *, name: str = "unnamed") -> Screen:
    """Read a screen as YAML.

    Parameters
    ----------
    text
        The content of a file.
    name
        What to call it if it does not say.

    Raises
    ------
    ScreenError
        If it is no YAML, or no screen.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ScreenError(f"The screen {name!r} is no YAML: {error}.") from error
    if not isinstance(content, dict):
        raise ScreenError(
            f"The screen {name!r} holds {type(content).__name__}; expected 'filters:' "
            "and a list below it, as 'wyckflow screen --screen default --show' prints "
            "one."
        )
    return Screen.from_dict({"name": name} | content)


def write_screen(screen: Screen) -> str:
    """Write a screen as YAML that `parse_screen` reads.

    Parameters
    ----------
    screen
        Any screen.
    """
    content = {name: value for name, value in screen.definition.items() if value}
    content["filters"] = [
        item["filter"] if set(item) == {"filter"} else item
        for item in content["filters"]
    ]
    return yaml.safe_dump(content, sort_keys=False, width=88)


def load_costs(screen: Screen) -> list[ScreenCost]:
    """Return what a preset was measured to cost, or nothing for any other screen.

    Parameters
    ----------
    screen
        A screen; one that bears the name of a preset but differs was not measured.
    """
    is_preset = screen.name in PRESETS and screen == load_preset(screen.name)
    return list(_read_costs().get(screen.name, ())) if is_preset else []


@lru_cache(maxsize=8)
def _read_preset(name: str) -> Screen:
    folder = files("wyckflow.screening").joinpath("presets")
    return parse_screen(folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _read_costs() -> dict[str, list[ScreenCost]]:
    """Read the measured costs by name of the preset."""
    import json

    path = files("wyckflow.screening").joinpath("presets", COSTS_FILE)
    content = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: [ScreenCost.model_validate(item) for item in costs]
        for name, costs in content["presets"].items()
    }
