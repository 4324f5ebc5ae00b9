"""One entry of a reference set, and the words that say what its energy is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date as Date  # noqa: N812 - 'date' names a field here
from enum import StrEnum
from typing import TYPE_CHECKING

from wyckflow.errors import ReferenceDataError
from wyckflow.thermo.scale import EnergyScale, refuse_correction

if TYPE_CHECKING:
    from collections.abc import Mapping


class EnergyKind(StrEnum):
    """What the energies of a set are measured from."""

    TOTAL = "total"
    """Energies of a method, eV/atom; a hull needs the elements among the entries."""
    FORMATION = "formation"
    """Relative to the elements, eV/atom; the elements are zero by definition."""


class EnergyOrigin(StrEnum):
    """How the energy of an entry came about."""

    RELAXED = "relaxed"
    """The structure was relaxed by the method that gave the energy."""
    EVALUATED = "evaluated"
    """The method gave the energy of a structure that another one had relaxed."""


@dataclass(frozen=True, slots=True)
class ReferenceEntry:
    """One known phase.

    Attributes
    ----------
    composition
        Atoms by chemical symbol.
    energy_per_atom
        eV/atom, on the scale of the set.
    id
        What its source calls it.
    source
        Where it is from, such as the name of a dataset.
    date
        When the energy was computed or taken over, as ``2026-01-31``; may be empty.
    origin
        How the energy came about.
    correction
        Must be zero: wyckflow adds no correction to any energy.
    """

    composition: Mapping[str, float]
    energy_per_atom: float
    id: str
    source: str = ""
    date: str = ""
    origin: EnergyOrigin = EnergyOrigin.RELAXED
    correction: float = 0.0


def check_entry(entry: ReferenceEntry, scale: EnergyScale) -> None:
    """Refuse a correction, an empty id, and a date that is none.

    Parameters
    ----------
    entry
        What came.
    scale
        Scale that it is said to be on.

    Raises
    ------
    ReferenceDataError
        Naming the entry.
    """
    if entry.correction:
        refuse_correction(scale, entry.correction)
    if not entry.id:
        raise ReferenceDataError(
            f"An entry of {dict(entry.composition)} has no id; give what its source "
            "calls it, such as 'mp-149'."
        )
    if entry.date:
        try:
            Date.fromisoformat(entry.date)
        except ValueError as error:
            raise ReferenceDataError(
                f"The date {entry.date!r} of entry {entry.id!r} is not of the form "
                "2026-01-31."
            ) from error
