"""Derive ``splittings.npz`` anew: ``python -m wyckflow.screening.novelty._generate``.

PyXtal lists the maximal subgroups of every space group with the change of axes and
origin. Each is checked operation by operation against our own tables, and what becomes
of the Wyckoff positions is worked out from points, not taken over.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal._generate.letters import describe_subspace
from wyckflow.crystal.tables import (
    N_SPACE_GROUPS,
    TRANSLATION_DENOMINATOR,
    NormalizerKind,
    load_space_group,
)
from wyckflow.screening.novelty.splittings import FILE_NAME, Splitting, write_splittings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wyckflow.crystal.tables import SpaceGroup, WyckoffPosition

MAX_INDEX: Final = 4
"""Subgroups of higher index belong to cells that no generator makes."""

_TOLERANCE: Final = 1e-5
_SEED: Final = 7


def main() -> None:
    """Write the table beside this module."""
    path = Path(__file__).parent / "data" / FILE_NAME
    write_splittings(path, list(derive_splittings()))


def derive_splittings() -> Iterator[Splitting]:
    """Yield every different splitting, by space group, subgroup and index."""
    seen: set[tuple[int, int, bytes]] = set()
    for number, subgroup, index, transformation in listed_subgroups():
        counts = split_positions(
            load_space_group(number), load_space_group(subgroup), transformation
        )
        if counts is None:
            continue
        counts = _canonical(counts, subgroup)
        name = (number, subgroup, counts.tobytes())
        if name not in seen:
            seen.add(name)
            yield Splitting(number, subgroup, index, counts)


def listed_subgroups() -> Iterator[tuple[int, int, int, NDArray[np.float64]]]:
    """Yield space group, subgroup, index, and the subgroup's axes and origin.

    The transformation (3, 4) holds the subgroup's cell vectors as columns in the axes
    of the group, then its origin.
    """
    lists: list[dict[str, Any]] = [
        json.loads(files("pyxtal").joinpath("database", name).read_text())
        for name in ("t_subgroup.json", "k_subgroup.json")
    ]
    for number in range(1, N_SPACE_GROUPS + 1):
        for listed in lists:
            found = listed[str(number)]
            for subgroup, index, matrix in zip(
                found["subgroup"], found["index"], found["transformation"], strict=True
            ):
                if index <= MAX_INDEX:
                    yield number, subgroup, index, np.array(matrix["data"], float)


def split_positions(
    group: SpaceGroup, subgroup: SpaceGroup, transformation: NDArray[np.float64]
) -> NDArray[np.uint8] | None:
    """Count the orbits of the subgroup that every orbit of the group falls into.

    Returns
    -------
    numpy.ndarray | None
        (positions of the group, positions of the subgroup), or None where the
        transformation does not lead to a subgroup.
    """
    axes, origin = transformation[:, :3], transformation[:, 3]
    if not _is_subgroup(group, subgroup, axes, origin):
        return None
    inverse = np.asarray(np.linalg.inv(axes), np.float64)
    shifts = _lattice_points(axes, inverse)
    finders = _subspaces(subgroup.number)
    rng = np.random.default_rng(_SEED)
    multiplicities = np.array([p.multiplicity for p in subgroup.positions])
    rows = []
    for position in group.positions:
        inside = (_points(position, rng) - origin) @ inverse.T
        expanded = _distinct((inside[:, None] + shifts).reshape(-1, 3))
        row = np.bincount(
            _find_positions(finders, expanded), minlength=len(subgroup.positions)
        )
        if (row % multiplicities).any():
            return None
        rows.append(row // multiplicities)
    return np.array(rows, np.uint8)


def _is_subgroup(
    group: SpaceGroup,
    subgroup: SpaceGroup,
    axes: NDArray[np.float64],
    origin: NDArray[np.float64],
) -> bool:
    """Tell whether every operation of the subgroup, in these axes, is the group's."""
    inverse = np.linalg.inv(axes)
    own = {
        (*rotation.ravel().tolist(), *translation.tolist())
        for rotation, translation in zip(
            group.rotations, group.translations, strict=True
        )
    }
    rotations = axes @ subgroup.rotations @ inverse
    translations = subgroup.translations / TRANSLATION_DENOMINATOR @ axes.T
    translations += origin - rotations @ origin
    # Its lattice vectors are translations of the group, too.
    rotations = np.concatenate([rotations, np.broadcast_to(np.eye(3), (3, 3, 3))])
    translations = np.concatenate([translations, axes.T])
    scaled = translations * TRANSLATION_DENOMINATOR
    whole = np.rint(rotations), np.rint(scaled)
    if max(abs(whole[0] - rotations).max(), abs(whole[1] - scaled).max()) > _TOLERANCE:
        return False
    images = np.concatenate(
        [whole[0].reshape(-1, 9), whole[1] % TRANSLATION_DENOMINATOR], axis=1
    )
    return all(tuple(row) in own for row in images.astype(int).tolist())


def _lattice_points(
    axes: NDArray[np.float64], inverse: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the lattice vectors of the group's cell inside the subgroup's cell."""
    reach = int(np.ceil(np.abs(axes).sum(axis=1).max())) + 1
    vectors = np.array(list(product(range(-reach, reach + 1), repeat=3)), float)
    return _distinct(vectors @ inverse.T)


def _distinct(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out points that differ by a lattice vector from one before."""
    inside = points % 1
    inside[inside > 1 - _TOLERANCE] = 0
    _, first = np.unique(np.round(inside, 4), axis=0, return_index=True)
    return inside[first]


def _points(position: WyckoffPosition, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return an orbit at coordinates that nothing but the position prescribes."""
    free = rng.random(3)
    points: NDArray[np.float64] = position.rotations @ free
    return points + position.translations / TRANSLATION_DENOMINATOR


@cache
def _subspaces(number: int) -> list[tuple[int, NDArray[np.float64], NDArray[Any]]]:
    """Return position, normals and offsets of every point, line and plane of a group.

    Those with the fewest free coordinates come first.
    """
    positions = load_space_group(number).positions
    order = sorted(
        range(len(positions)), key=lambda index: positions[index].degrees_of_freedom
    )
    found = []
    for index in order:
        position = positions[index]
        blocks = np.concatenate(
            [position.rotations, position.translations[:, :, None]], axis=2
        )
        for block in blocks:
            normals, offsets = describe_subspace(block)
            shifts = np.array(offsets, float) / TRANSLATION_DENOMINATOR
            found.append((index, np.array(normals, float).reshape(-1, 3), shifts))
    return found


def _find_positions(
    subspaces: list[tuple[int, NDArray[np.float64], NDArray[Any]]],
    points: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Return the most special position that each point lies on."""
    found = np.full(len(points), -1)
    for index, normals, offsets in subspaces:
        left = np.flatnonzero(found < 0)
        if not len(left):
            break
        distances = points[left] @ normals.T - offsets
        is_on = (abs(distances - np.rint(distances)) < _TOLERANCE).all(axis=1)
        found[left[is_on]] = index
    return found


def _canonical(counts: NDArray[np.uint8], subgroup: int) -> NDArray[np.uint8]:
    """Choose one of the descriptions of the subgroup."""
    normalizer = load_space_group(subgroup).normalizer(NormalizerKind.AFFINE)
    images = (counts[:, row] for row in normalizer.distinct_permutations)
    return min((np.ascontiguousarray(i) for i in images), key=lambda i: i.tobytes())


if __name__ == "__main__":
    main()
