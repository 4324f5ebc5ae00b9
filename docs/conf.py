"""Sphinx builds the documentation from this: offline, and a warning is an error.

Two directives keep tables in step with the code: ``model-fields`` lists the fields of
a pydantic model, ``command-reference`` the commands with their options. A third draws
the architecture, see ``_ext/architecture_picture.py``.
"""

from __future__ import annotations

import inspect
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import typer
from docutils.parsers.rst import directives
from pydantic import SecretStr
from pydantic_core import PydanticUndefined
from sphinx.util.docutils import SphinxDirective

from wyckflow import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docutils.nodes import Node
    from pydantic.fields import FieldInfo
    from sphinx.application import Sphinx

project = "wyckflow"
author = "The wyckflow developers"
copyright = author  # noqa: A001 (the name that Sphinx reads)
release = version = __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "architecture_picture",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_ivar = True  # fields of dataclasses are not described twice
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types stand in the signatures of the source
default_role = "code"

html_theme = "furo"
html_title = f"wyckflow {__version__}"
html_static_path = ["_static"]
html_show_sourcelink = False


class ModelFields(SphinxDirective):
    """A table of the fields of a pydantic model: name, type, default, meaning."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Callable[[str], Any]]] = {
        "prefix": directives.unchanged,
        "own": directives.flag,
    }

    def run(self) -> list[Node]:
        """Return the table."""
        module, _, name = self.arguments[0].rpartition(".")
        model = getattr(import_module(module), name)
        hidden: set[str] = set()
        if "own" in self.options:
            for parent in model.__mro__[1:]:
                hidden |= set(getattr(parent, "model_fields", {}))
        fields = {k: v for k, v in model.model_fields.items() if k not in hidden}
        prefix = self.options.get("prefix", "")
        head = ["Name", *(["Variable"] if prefix else []), "Type", "Default", "Meaning"]
        rows = [
            [
                code(name),
                *([code(f"{prefix}{name.upper()}")] if prefix else []),
                code(type_of(field)),
                code(default_of(field)),
                text(field.description or ""),
            ]
            for name, field in fields.items()
        ]
        return self.parse_text_to_nodes(table(head, rows))


class CommandReference(SphinxDirective):
    """Every command of ``wyckflow`` with what its ``--help`` says."""

    def run(self) -> list[Node]:
        """Return one part per command."""
        from wyckflow.cli.main import app

        parts = list(describe_command("wyckflow", typer.main.get_command(app)))
        return self.parse_text_to_nodes("\n\n".join(parts))


def describe_command(name: str, command: Any) -> Iterator[str]:
    """Yield Markdown for a command and those below it."""
    if commands := getattr(command, "commands", None):
        for word, child in commands.items():
            yield from describe_command(f"{name} {word}", child)
        return
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    words = " ".join([name, *(p.name.upper() for p in arguments)])
    yield f"**`{words}`**"
    yield inspect.cleandoc(command.help or "").replace("_", r"\_").replace("*", r"\*")
    names = {p: p.name.upper() for p in arguments}
    rows = [
        [code(names.get(p) or ", ".join(p.opts)), text(p.help)]
        for p in command.params
        if p.name != "help"
    ]
    if rows:
        yield table(["Option", "Meaning"], rows)


def type_of(field: FieldInfo) -> str:
    """Return the type of a field as one writes it, without modules."""
    annotation = field.annotation
    shown = annotation.__name__ if inspect.isclass(annotation) else str(annotation)
    return re.sub(r"\b(?:[a-z_]\w*\.)+", "", shown)


def default_of(field: FieldInfo) -> str:
    """Return the default of a field as one writes it."""
    if field.is_required():
        return "required"
    default = field.default
    if default is PydanticUndefined:
        return "made anew"
    return "" if default is None or isinstance(default, SecretStr) else str(default)


def code(words: str) -> str:
    """Return words in a fixed font, or nothing."""
    return f"`{words}`".replace("|", r"\|") if words else ""


def text(words: str) -> str:
    """Return words as they are, with nothing that Markdown would read into them."""
    for sign in "\\|*_<>$":
        words = words.replace(sign, f"\\{sign}")
    return " ".join(words.split())


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directives."""
    app.add_directive("model-fields", ModelFields)
    app.add_directive("command-reference", CommandReference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
