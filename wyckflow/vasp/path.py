"""SeeK-path's primitive cell and band path, in the basis of the cell at hand.

pymatgen's own path by the same conventions gives coordinates of SeeK-path's primitive
cell for whatever cell it is given, which is silently wrong for any other.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from wyckflow.errors import StructureError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymatgen.core.structure import Structure


def find_primitive_structure(structure: Structure, *, symprec: float) -> Structure:
    """Return SeeK-path's primitive cell of a crystal, without site properties.

    Relaxed in any other cell, its bands would be folded.

    Parameters
    ----------
    structure
        Ordered, any cell.
    symprec
        Tolerance in A at which its symmetry is found.

    Raises
    ------
    StructureError
        If it is disordered, or SeeK-path cannot describe it.
    """
    import seekpath
    from pymatgen.core.structure import Structure as PymatgenStructure

    found = _ask(seekpath.get_path, structure, symprec)
    return PymatgenStructure(
        found["primitive_lattice"],
        found["primitive_types"],
        found["primitive_positions"],
        to_unit_cell=True,
    ).get_sorted_structure()


def find_line_points(
    structure: Structure, *, symprec: float
) -> tuple[list[tuple[float, float, float]], list[str]]:
    """Return begin and end of each segment of the path, and their names.

    Parameters
    ----------
    structure
        Any cell.
    symprec
        Tolerance in A at which its symmetry is found.

    Raises
    ------
    StructureError
        As :func:`find_primitive_structure`.
    """
    import seekpath

    found = _ask(seekpath.get_path_orig_cell, structure, symprec)
    points: list[tuple[float, float, float]] = []
    labels: list[str] = []
    for segment in found["path"]:
        for name in segment:
            x, y, z = found["point_coords"][name]
            points.append((float(x), float(y), float(z)))
            labels.append(name)
    return points, labels


def _ask(
    question: Callable[..., dict[str, Any]], structure: Structure, symprec: float
) -> dict[str, Any]:
    """Ask SeeK-path about a structure."""
    import seekpath

    if not structure.is_ordered:
        raise StructureError(
            f"{structure.composition.reduced_formula} came with sites that are "
            "partly occupied; VASP needs one element per site."
        )
    cell = (structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers)
    with warnings.catch_warnings():
        # Cells on the border between two shapes of the zone; either path is good.
        warnings.simplefilter("ignore", seekpath.hpkot.EdgeCaseWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return question(cell, symprec=symprec)
        except (ValueError, TypeError, seekpath.hpkot.SymmetryDetectionError) as error:
            raise StructureError(
                f"SeeK-path finds no path for {structure.composition.reduced_formula} "
                f"at a tolerance of {symprec} A ({error}); check that no two atoms "
                "coincide, or give another symprec."
            ) from error
