"""Stored outputs that are read field by field, without their document class."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from wyckflow.schemas.base import WyckflowDoc

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION_FIELDS: Final = ("@module", "@class", "schema_version")
"""What of an output must be asked for, so that its version can be checked."""


def check_output_version(output: Mapping[str, Any]) -> None:
    """Refuse the output of a job whose layout would be misread.

    Parameters
    ----------
    output
        With the fields that `VERSION_FIELDS` names, as far as it has them.

    Raises
    ------
    DocumentError
        With the remedy.
    """
    module, name = str(output.get("@module", "")), str(output.get("@class", ""))
    if not module.startswith("wyckflow.schemas."):
        return
    document = getattr(import_module(module), name, None)
    if "schema_version" not in output or not isinstance(document, type):
        return
    if issubclass(document, WyckflowDoc):
        document.check_version(output["schema_version"])
