"""CIF texts to arrays: a fast path for the layout that pymatgen writes.

The large public sets hold their structures as CIF texts in space group P1 that pymatgen
wrote. Those are read directly, about fifty times faster than by a general parser; every
other CIF goes to pymatgen, which also judges what is disordered.
"""

from __future__ import annotations

import math
import re
import warnings
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.cell import Cell, Refusal, RefusalReason, cell_from_structure
from wyckflow.crystal.elements import ATOMIC_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_CELL: Final = re.compile(
    r"_cell_length_a\s+(\S+)\n"
    r"_cell_length_b\s+(\S+)\n"
    r"_cell_length_c\s+(\S+)\n"
    r"_cell_angle_alpha\s+(\S+)\n"
    r"_cell_angle_beta\s+(\S+)\n"
    r"_cell_angle_gamma\s+(\S+)\n"
)
_ONE_OPERATION: Final = "xyz\n  1  'x, y, z'\nloop_\n"
_SITE_TAGS: Final = (
    "loop_\n"
    " _atom_site_type_symbol\n"
    " _atom_site_label\n"
    " _atom_site_symmetry_multiplicity\n"
    " _atom_site_fract_x\n"
    " _atom_site_fract_y\n"
    " _atom_site_fract_z\n"
    " _atom_site_occupancy\n"
)
_N_SITE_TAGS: Final = 7
_FULL: Final = frozenset({"1", "1.0"})


def parse_cif(text: str) -> Cell | Refusal:
    """Read one structure from the text of a CIF.

    Parameters
    ----------
    text
        The whole file. It must describe exactly one structure.

    Returns
    -------
    Cell | Refusal
        The atoms of the cell that the file describes (not reduced, not standardised),
        or why there are none.
    """
    cell = parse_p1_dump(text)
    return cell if cell is not None else _parse_any(text)


def parse_p1_dump(text: str) -> Cell | None:
    """Read a CIF in the layout that pymatgen writes for space group P1.

    Parameters
    ----------
    text
        The whole file.

    Returns
    -------
    Cell | None
        None if the text has any other layout, or a site that is not fully occupied by
        one element: then it takes a parser that knows the whole format.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    head, tags, body = text.partition(_SITE_TAGS)
    parameters = _CELL.search(head)
    if not tags or parameters is None or _ONE_OPERATION not in head + tags:
        return None
    tokens = body.split()
    symbols = tokens[::_N_SITE_TAGS]
    if len(tokens) % _N_SITE_TAGS or not _FULL.issuperset(tokens[6::_N_SITE_TAGS]):
        return None
    try:
        values = list(map(float, parameters.groups()))
        lattice = lattice_from_parameters(values[:3], values[3:])
        coordinates = [list(map(float, tokens[k::_N_SITE_TAGS])) for k in (3, 4, 5)]
        atomic_numbers = [_atomic_number(symbol) for symbol in symbols]
    except (KeyError, ValueError):
        return None
    return Cell(
        lattice=lattice,
        coordinates=np.array(coordinates).T.copy(),
        atomic_numbers=np.array(atomic_numbers, dtype=np.int64),
    )


def lattice_from_parameters(
    lengths: Sequence[float], angles: Sequence[float]
) -> NDArray[np.float64]:
    """Place a cell as pymatgen does: c along z, a in the x-z plane.

    Parameters
    ----------
    lengths
        a, b and c in A.
    angles
        alpha, beta and gamma in degrees.

    Returns
    -------
    ndarray
        Cell vectors in rows, in A.

    Raises
    ------
    ValueError
        If no cell has these angles.
    """
    a, b, c = lengths
    alpha, beta, gamma = (math.radians(angle) for angle in angles)
    sines = math.sin(alpha) * math.sin(beta)
    if sines <= 0:
        raise ValueError(f"No cell has the angles {angles} degrees; give 0 to 180.")
    cosine = (math.cos(alpha) * math.cos(beta) - math.cos(gamma)) / sines
    gamma_star = math.acos(min(1.0, max(-1.0, cosine)))
    return np.array(
        [
            [a * math.sin(beta), 0.0, a * math.cos(beta)],
            [
                -b * math.sin(alpha) * math.cos(gamma_star),
                b * math.sin(alpha) * math.sin(gamma_star),
                b * math.cos(alpha),
            ],
            [0.0, 0.0, c],
        ]
    )


def _atomic_number(symbol: str) -> int:
    """Read ``Fe`` or ``Fe3+``.

    Raises
    ------
    KeyError
        If it is neither.
    """
    number = ATOMIC_NUMBERS.get(symbol)
    return (
        number if number is not None else ATOMIC_NUMBERS[symbol.rstrip("+-0123456789.")]
    )


def _parse_any(text: str) -> Cell | Refusal:
    """Read any CIF with pymatgen."""
    from pymatgen.io.cif import CifParser

    with warnings.catch_warnings():
        # What pymatgen corrected by itself (rounded coordinates, missing tags) shows
        # in the structure; what it could not correct is raised.
        warnings.simplefilter("ignore")
        try:
            parser = CifParser.from_str(text)
            structures = parser.parse_structures(primitive=False, on_error="raise")
        except Exception as error:  # noqa: BLE001 - the parser raises what it likes
            return Refusal(
                RefusalReason.UNREADABLE, f"no readable CIF: {first_line(error)}"
            )
    if len(structures) != 1:
        return Refusal(
            RefusalReason.UNREADABLE,
            f"the CIF describes {len(structures)} structures, not one",
        )
    return cell_from_structure(structures[0])


def first_line(error: Exception) -> str:
    """Return the first line of an error, kept short.

    Parameters
    ----------
    error
        As a parser raised it.
    """
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
