"""Entries of the Materials Project, with a user's own key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from wyckflow.errors import ConfigurationError, ReferenceDataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymatgen.entries.computed_entries import ComputedEntry

THERMO_TYPE: Final = "GGA_GGA+U"
"""Named in every question: other kinds, such as r2SCAN, are on other energy scales."""


@dataclass(frozen=True)
class FetchedEntries:
    """What the Materials Project answered.

    Attributes
    ----------
    entries
        Each once, with its parameters.
    database_version
        Of the Materials Project.
    """

    entries: tuple[ComputedEntry, ...]
    database_version: str


def fetch_entries(systems: Sequence[str]) -> FetchedEntries:
    """Ask for all entries of chemical systems, those of their subsystems included.

    The key is that of the user, in the variable MP_API_KEY.

    Parameters
    ----------
    systems
        Such as ``Ca-Ti-O``.

    Raises
    ------
    ConfigurationError
        If mp-api is not installed, or there is no key.
    ReferenceDataError
        If the Materials Project does not answer, or knows nothing.
    """
    try:
        from mp_api.client import MPRester
    except ImportError as error:
        raise ConfigurationError(
            "Entries of the Materials Project are fetched by mp-api, which is not "
            "installed: pip install 'wyckflow[mp]'."
        ) from error
    found: dict[str, Any] = {}
    try:
        with MPRester() as rester:
            for system in systems:
                for entry in rester.get_entries_in_chemsys(
                    system, additional_criteria={"thermo_types": [THERMO_TYPE]}
                ):
                    found[str(entry.entry_id)] = entry
            version = str(rester.get_database_version())
    except Exception as error:  # its errors are of many kinds, one for each way to fail
        if "key" in str(error).lower():
            raise ConfigurationError(
                "The Materials Project wants a key: copy yours from "
                "https://materialsproject.org/dashboard into the environment variable "
                f"MP_API_KEY ({error})."
            ) from error
        raise ReferenceDataError(
            f"The Materials Project did not answer about {', '.join(systems)} "
            f"({type(error).__name__}: {error}); try again where there is internet."
        ) from error
    if not found:
        raise ReferenceDataError(
            f"The Materials Project has no {THERMO_TYPE} entry in {', '.join(systems)}."
        )
    return FetchedEntries(tuple(found.values()), version)
