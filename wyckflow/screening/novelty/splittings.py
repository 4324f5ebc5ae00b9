"""What becomes of Wyckoff positions when symmetry is lost: one orbit to several.

A crystal whose atoms order, or shift, keeps only a subgroup of its space group, and
each orbit falls into orbits of that subgroup. The table holds the maximal subgroups of
all space groups up to a fourfold loss of symmetry; longer ways are made of its steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.tables import load_space_group

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FILE_NAME: Final = "splittings.npz"


@dataclass(frozen=True, eq=False, slots=True)
class Splitting:
    """How the orbits of a space group fall apart in one of its maximal subgroups.

    Attributes
    ----------
    space_group_number, subgroup_number
        Both 1 to 230.
    index
        How many times the group is as large as the subgroup.
    counts
        (positions of the group, positions of the subgroup): an orbit on position ``i``
        becomes ``counts[i, j]`` orbits on position ``j``.
    """

    space_group_number: int
    subgroup_number: int
    index: int
    counts: NDArray[np.uint8]

    @property
    def cell_factor(self) -> int:
        """How many times as many atoms the subgroup's conventional cell has."""
        group = load_space_group(self.space_group_number)
        subgroup = load_space_group(self.subgroup_number)
        multiplicities = np.array([p.multiplicity for p in subgroup.positions])
        return int(self.counts[0] @ multiplicities) // group.positions[0].multiplicity


def write_splittings(path: Path, splittings: Sequence[Splitting]) -> None:
    """Write the table; the same splittings give the same arrays.

    Parameters
    ----------
    path
        What to write or replace.
    splittings
        All of them, by space group.
    """
    np.savez_compressed(
        path,
        allow_pickle=False,
        space_group_number=np.array([s.space_group_number for s in splittings]),
        subgroup_number=np.array([s.subgroup_number for s in splittings]),
        index=np.array([s.index for s in splittings]),
        counts=np.concatenate([s.counts.ravel() for s in splittings]),
    )


def load_splittings(space_group_number: int) -> tuple[Splitting, ...]:
    """Return the splittings into the maximal subgroups of a space group.

    Parameters
    ----------
    space_group_number
        1 to 230.
    """
    return _read_table().get(space_group_number, ())


@lru_cache(maxsize=1)
def _read_table() -> dict[int, tuple[Splitting, ...]]:
    """Read the packaged file once."""
    path = files("wyckflow.screening.novelty").joinpath("data", FILE_NAME)
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    table: dict[int, list[Splitting]] = {}
    start = 0
    for number, subgroup, index in zip(
        arrays["space_group_number"].tolist(),
        arrays["subgroup_number"].tolist(),
        arrays["index"].tolist(),
        strict=True,
    ):
        shape = _n_positions(number), _n_positions(subgroup)
        end = start + shape[0] * shape[1]
        counts = arrays["counts"][start:end].reshape(shape)
        counts.flags.writeable = False
        table.setdefault(number, []).append(Splitting(number, subgroup, index, counts))
        start = end
    return {number: tuple(splittings) for number, splittings in table.items()}


@cache
def _n_positions(number: int) -> int:
    return len(load_space_group(number).positions)
