"""What the columns of a data file mean: names, units, and what cannot be.

Every source has its own word for the energy above the hull. Here each property has one
name and one unit, the words by which it is recognised, and a range outside of which a
number is not that property in that unit.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wyckflow.errors import DatasetError, nearest_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

STRUCTURE: Final = "structure"
MATERIAL_ID: Final = "material_id"


@dataclass(frozen=True, slots=True)
class PropertyColumn:
    """A property that wyckflow knows.

    Attributes
    ----------
    name
        Our name for it.
    unit
        Its unit, as text.
    lowest, highest
        Numbers outside are not this property in this unit.
    aliases
        Words for it in data files, in lower case.
    hint
        What a number outside of the range usually is.
    """

    name: str
    unit: str
    lowest: float
    highest: float
    aliases: tuple[str, ...]
    hint: str


PROPERTIES: Final = (
    PropertyColumn(
        name="formation_energy_per_atom",
        unit="eV/atom",
        lowest=-10,
        highest=10,
        aliases=("formation_energy", "e_form", "e_form_per_atom", "form_energy"),
        hint="in kJ/mol (divide by 96.485), of the whole cell, or a total energy",
    ),
    PropertyColumn(
        name="energy_above_hull",
        unit="eV/atom",
        lowest=-5,
        highest=10,
        aliases=("e_above_hull", "ehull", "e_hull", "hull_distance"),
        hint="in meV/atom (divide by 1000), or an energy of another kind",
    ),
    PropertyColumn(
        name="energy_per_atom",
        unit="eV/atom",
        lowest=-30,
        highest=20,
        aliases=("total_energy_per_atom",),
        hint="of the whole cell (divide by its atoms), or in Ry or Ha",
    ),
    PropertyColumn(
        name="band_gap",
        unit="eV",
        lowest=-0.01,
        highest=30,
        aliases=("bandgap", "gap", "e_gap", "band_gap_pbe", "gap_pbe"),
        hint="in meV (divide by 1000)",
    ),
    PropertyColumn(
        name="bulk_modulus_gpa",
        unit="GPa",
        lowest=-100,
        highest=1500,
        aliases=("bulk_modulus", "k_vrh", "ael_bulk_modulus_vrh"),
        hint="in kbar (divide by 10) or log10(GPa)",
    ),
    PropertyColumn(
        name="shear_modulus_gpa",
        unit="GPa",
        lowest=-500,
        highest=1500,
        aliases=("shear_modulus", "g_vrh", "ael_shear_modulus_vrh"),
        hint="in kbar (divide by 10) or log10(GPa)",
    ),
    PropertyColumn(
        name="debye_temperature",
        unit="K",
        lowest=0,
        highest=5000,
        aliases=("ael_debye_temperature", "agl_debye"),
        hint="in another unit than K",
    ),
    PropertyColumn(
        name="thermal_conductivity_w_per_m_k",
        unit="W/m/K",
        lowest=0,
        highest=10000,
        aliases=("thermal_conductivity", "agl_thermal_conductivity_300k"),
        hint="in another unit than W/m/K",
    ),
    PropertyColumn(
        name="thermal_expansion_per_k",
        unit="1/K",
        lowest=-0.001,
        highest=0.01,
        aliases=("thermal_expansion", "agl_thermal_expansion_300k"),
        hint="in 1e-6/K (multiply by 1e-6)",
    ),
    PropertyColumn(
        name="year",
        unit="",
        lowest=1600,
        highest=2200,
        aliases=("publication_year", "year_of_report"),
        hint="no year",
    ),
)
"""The properties that are taken without being asked for."""

PROPERTY_BY_NAME: Final = {column.name: column for column in PROPERTIES}

_OTHER_ALIASES: Final = {
    STRUCTURE: ("cif", "cif_text", "poscar"),
    MATERIAL_ID: ("mp_id", "mpid", "entry_id", "task_id", "id", "auid"),
}

# Columns that say what the structure says itself.
_DERIVED: Final = frozenset(
    {
        "chemsys",
        "composition",
        "composition_reduced",
        "elements",
        "formula",
        "formula_pretty",
        "nelements",
        "nsites",
        "pretty_formula",
        "reduced_formula",
        "space_group_number",
        "spacegroup",
        "spacegroup_number",
        "volume",
    }
)

_NOT_A_NUMBER: Final = frozenset({"", "nan", "na", "n/a", "none", "null", "-"})
_TRUTH: Final = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Which columns of a file are read, and as what.

    Attributes
    ----------
    columns
        Their names by ours, structure and label among them.
    unused
        Columns that nobody asked for.
    """

    columns: Mapping[str, str]
    unused: tuple[str, ...]

    @property
    def properties(self) -> dict[str, str]:
        """The columns apart from structure and label."""
        others = (STRUCTURE, MATERIAL_ID)
        return {ours: name for ours, name in self.columns.items() if ours not in others}


def map_columns(
    names: Collection[str],
    *,
    source: str,
    chosen: Mapping[str, str] | None = None,
    kept: Iterable[str] = (),
) -> ColumnMap:
    """Find out what the columns of a file are.

    Parameters
    ----------
    names
        The columns of the file.
    source
        Name of the file, for messages.
    chosen
        Columns that were named by hand: theirs by ours. An empty name of theirs leaves
        ours out. Those that the file does not have are passed over.
    kept
        Further columns to take under their own name.

    Raises
    ------
    DatasetError
        If two columns have the same meaning.
    """
    chosen = dict(chosen or {})
    columns = {ours: theirs for ours, theirs in chosen.items() if theirs in names}
    columns |= {clean_name(name): name for name in kept if name in names}
    taken = set(columns.values())
    for name in sorted(names, key=_rank):
        ours = _OURS_BY_ALIAS.get(name.strip().lower())
        if ours is None or ours in chosen or name in taken:
            continue
        if ours in columns and ours in _OTHER_ALIASES:
            continue
        if ours in columns:
            raise DatasetError(
                f"{source} has two columns for {ours}, {columns[ours]!r} and {name!r}: "
                f"choose one, e.g. --column {ours}={name}."
            )
        columns[ours] = name
    taken = set(columns.values()) | set(chosen.values())
    unused = [name for name in names if name not in taken and name not in _DERIVED]
    return ColumnMap(columns=columns, unused=tuple(unused))


def check_chosen_columns(
    chosen: Mapping[str, str], kept: Iterable[str], known: Collection[str]
) -> None:
    """Refuse columns named by hand that no file has.

    Parameters
    ----------
    chosen
        Theirs by ours.
    kept
        Columns to take under their own name.
    known
        The columns of all files.

    Raises
    ------
    DatasetError
        If a name of theirs is in no file, or one of ours is no name.
    """
    for ours in chosen:
        if clean_name(ours) != ours:
            raise DatasetError(
                f"{ours!r} cannot name a column of a dataset; write it in lower case "
                f"with underscores, such as {clean_name(ours) or 'band_gap'!r}."
            )
    for theirs in [*chosen.values(), *kept]:
        if theirs and theirs not in known:
            raise DatasetError(
                f"No file has a column {theirs!r}; there are "
                f"{', '.join(map(repr, known)) or 'none'}.{nearest_name(theirs, known)}"
            )


def clean_name(name: str) -> str:
    """Write a column name in lower case with underscores.

    Parameters
    ----------
    name
        Any name.
    """
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def read_number(value: object) -> float | None:
    """Read a cell of a table as a number; what is absent is not-a-number.

    Parameters
    ----------
    value
        Text, number, boolean or None.

    Returns
    -------
    float | None
        None if it is a text that says something else.
    """
    if value is None:
        return math.nan
    if isinstance(value, (int, float)):
        return float(value)
    text = str(value).strip().lower()
    if text in _NOT_A_NUMBER:
        return math.nan
    if text in _TRUTH:
        return _TRUTH[text]
    try:
        return float(text)
    except ValueError:
        return None


def implausible(name: str, value: float) -> str | None:
    """Say what is wrong with the value of a property, if anything is.

    Parameters
    ----------
    name
        Our name of the property; those that wyckflow does not know can be anything.
    value
        In the unit of the property; not-a-number where it is absent.
    """
    column = PROPERTY_BY_NAME.get(name)
    if column is None or math.isnan(value) or column.lowest <= value <= column.highest:
        return None
    return (
        f"{name} of {value:.6g} is outside {column.lowest:g} to {column.highest:g} "
        f"{column.unit}".rstrip()
    )


def _rank(name: str) -> int:
    """Order the words for structure and label: the first of them is taken."""
    for aliases in _OTHER_ALIASES.values():
        if name in aliases:
            return aliases.index(name) + 1
    return 0


def _index_aliases() -> dict[str, str]:
    by_alias: dict[str, str] = {}
    for ours, aliases in _OTHER_ALIASES.items():
        by_alias |= dict.fromkeys((ours, *aliases), ours)
    for column in PROPERTIES:
        by_alias[column.name] = column.name
        by_alias |= dict.fromkeys(column.aliases, column.name)
    return by_alias


_OURS_BY_ALIAS: Final = _index_aliases()
