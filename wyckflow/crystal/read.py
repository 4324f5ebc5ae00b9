"""The text of one structure to arrays: CIF, POSCAR or pymatgen JSON."""

from __future__ import annotations

import json
import warnings
from typing import Any

from wyckflow.crystal.cell import (
    Cell,
    Refusal,
    RefusalReason,
    atomic_number_of_site,
    cell_from_structure,
    make_cell,
)
from wyckflow.crystal.cif import first_line, parse_cif
from wyckflow.crystal.elements import ATOMIC_NUMBERS


def parse_structure(text: str) -> Cell | Refusal:
    """Read one structure from its text, whichever format it has.

    Parameters
    ----------
    text
        A CIF, a POSCAR with chemical symbols, or the JSON of a pymatgen structure or
        of an entry that holds one.

    Returns
    -------
    Cell | Refusal
        The atoms of the cell, or why there are none.
    """
    start = text.lstrip()
    if not start:
        return Refusal(RefusalReason.MISSING_STRUCTURE, "the structure is empty")
    if start.startswith("{"):
        return _parse_json(start)
    if "_cell_length_a" in text or start.startswith("data_"):
        return parse_cif(text)
    return _parse_poscar(text)


def cell_from_dict(document: dict[str, Any]) -> Cell | Refusal:
    """Take the arrays out of a pymatgen structure in its JSON form.

    Parameters
    ----------
    document
        What ``Structure.as_dict()`` returns.
    """
    try:
        lattice = document["lattice"]["matrix"]
        sites = [(site["abc"], site["species"]) for site in document["sites"]]
    except (KeyError, TypeError, IndexError):
        return Refusal(
            RefusalReason.UNREADABLE,
            "the JSON lacks lattice.matrix or sites with abc and species",
        )
    atomic_numbers = []
    for _, species in sites:
        occupancies = {
            ATOMIC_NUMBERS.get(_element(one), 0): float(one.get("occu", 1))
            for one in species
        }
        number = atomic_number_of_site(occupancies, n_species=len(species))
        if isinstance(number, Refusal):
            return number
        atomic_numbers.append(number)
    try:
        return make_cell(lattice, [abc for abc, _ in sites], atomic_numbers)
    except ValueError as error:
        return Refusal(RefusalReason.UNREADABLE, first_line(error))


def _element(species: dict[str, Any]) -> str:
    """Return the symbol of a species; heavy hydrogen is hydrogen."""
    symbol = str(species.get("element", ""))
    return "H" if symbol in {"D", "T"} else symbol


def _parse_json(text: str) -> Cell | Refusal:
    try:
        document = json.loads(text)
    except ValueError as error:
        return Refusal(RefusalReason.UNREADABLE, f"no readable JSON: {error}")
    inner = document.get("structure", document)
    if not isinstance(inner, dict):
        return Refusal(RefusalReason.UNREADABLE, "the JSON holds no structure")
    return cell_from_dict(inner)


def _parse_poscar(text: str) -> Cell | Refusal:
    from pymatgen.io.vasp.inputs import BadPoscarWarning, Poscar

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Without symbols pymatgen would name the elements H, He, Li ... itself.
        warnings.simplefilter("error", BadPoscarWarning)
        try:
            structure = Poscar.from_str(text).structure
        except BadPoscarWarning:
            return Refusal(
                RefusalReason.UNREADABLE, "the POSCAR does not name its elements"
            )
        except Exception as error:  # noqa: BLE001 - the parser raises what it likes
            return Refusal(
                RefusalReason.UNREADABLE,
                f"neither CIF, POSCAR nor JSON: {first_line(error)}",
            )
    return cell_from_structure(structure)
