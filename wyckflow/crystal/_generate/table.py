"""Derive the packaged tables: ``python -m wyckflow.crystal._generate.table``.

Operations come from spglib; letters, representatives and site symmetries come from
pyxtal; the normalizers are derived from the operations alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckflow.crystal._generate.letters import PositionFinder
from wyckflow.crystal._generate.normalizers import derive_normalizer
from wyckflow.crystal._packed import FILE_NAME, PackedGroup, write_groups
from wyckflow.crystal.tables import (
    N_SPACE_GROUPS,
    TRANSLATION_DENOMINATOR,
    WYCKOFF_LETTERS,
)
from wyckflow.errors import GeneError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_TOLERANCE = 1e-6


def generate_group(number: int) -> PackedGroup:
    """Derive everything that the file holds about one space group.

    Parameters
    ----------
    number
        1 to 230.
    """
    from pyxtal.symmetry import Group

    group = Group(number)
    operations, symbol = _read_spglib(int(group.hall_number))
    positions = list(reversed(group.Wyckoff_positions))
    letters = "".join(position.letter for position in positions)
    if letters != WYCKOFF_LETTERS[: len(positions)]:
        raise GeneError(
            f"pyxtal lists the Wyckoff letters {letters!r} for space group {number}; "
            "expected them without a gap from 'a' on. Use pyxtal 1.1.5."
        )
    representatives = np.stack(
        [_exact_block(position.ops[0].affine_matrix) for position in positions]
    )
    for position in positions:
        position.get_site_symmetry()

    normalizer, n_euclidean = derive_normalizer(number, operations, representatives)
    find = PositionFinder(operations, representatives)
    permutations = [find.permutation(operator) for operator in normalizer]
    return PackedGroup(
        hall_number=int(group.hall_number),
        symbol=symbol,
        operations=operations.astype(np.int8),
        representatives=representatives.astype(np.int8),
        site_symmetries=tuple(position.site_symm for position in positions),
        normalizer=normalizer.astype(np.int8),
        permutations=np.array(permutations, np.uint8),
        n_euclidean=n_euclidean,
    )


def generate_file(path: Path, numbers: Iterable[int] | None = None) -> None:
    """Derive all space groups and write the file (about a minute of one core)."""
    numbers = range(1, N_SPACE_GROUPS + 1) if numbers is None else numbers
    write_groups(path, [generate_group(number) for number in numbers])


def _read_spglib(hall_number: int) -> tuple[NDArray[np.int64], str]:
    """Fetch the operations (n, 3, 4) and the symbol of a setting."""
    import spglib

    database = spglib.get_symmetry_from_database(hall_number)
    kind = spglib.get_spacegroup_type(hall_number)
    if database is None or kind is None:
        raise GeneError(f"spglib does not know Hall number {hall_number}; give 1-530.")
    blocks = np.concatenate(
        [database["rotations"], database["translations"][:, :, None]], axis=2
    )
    operations = np.stack([_exact_block(block) for block in blocks])
    return operations, str(kind.international_short)


def _exact_block(affine_matrix: Any) -> NDArray[np.int64]:
    """Turn a float operator into integers, the translation in 24ths modulo 1."""
    block = np.array(affine_matrix, float)[:3]
    block[:, 3] *= TRANSLATION_DENOMINATOR
    exact: NDArray[np.int64] = np.rint(block).astype(np.int64)
    if np.abs(block - exact).max() > _TOLERANCE:
        raise GeneError(f"Operator {block.tolist()} is not exact in 24ths.")
    exact[:, 3] %= TRANSLATION_DENOMINATOR
    return exact


def main() -> None:
    """Write the packaged file anew, or another one to compare it with."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    packaged = Path(__file__).parents[1] / "data" / FILE_NAME
    parser.add_argument("--output", type=Path, default=packaged)
    generate_file(parser.parse_args().output)
