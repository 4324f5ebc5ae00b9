"""Tell which Wyckoff position an affine subspace belongs to, in exact integers."""

from __future__ import annotations

import itertools
from functools import cache
from math import gcd
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.tables import TRANSLATION_DENOMINATOR

if TYPE_CHECKING:
    from numpy.typing import NDArray

Vector = tuple[int, int, int]
# A subspace modulo lattice vectors: integer normals that span every lattice vector's
# projection, and the offset along them in 24ths of a cell edge, modulo 1.
Subspace = tuple[tuple[Vector, ...], tuple[int, ...]]

_LARGEST_NORMAL: Final = 3


class PositionFinder:
    """Finds the Wyckoff position of a point, line or plane of a space group.

    The fixed points of a site-symmetry group form a point, line, plane or all of
    space; two positions never share one, so the subspace names the position.

    Parameters
    ----------
    operations
        All operations of the group, (n, 3, 4) integers with translations in 24ths.
    representatives
        First point of each position, (p, 3, 4).
    """

    def __init__(
        self, operations: NDArray[np.int64], representatives: NDArray[np.int64]
    ) -> None:
        self._representatives = representatives
        self._indices: dict[Subspace, int] = {}
        for index, representative in enumerate(representatives):
            for operation in operations:
                subspace = describe_subspace(apply_operator(operation, representative))
                self._indices[subspace] = index

    def permutation(self, operator: NDArray[np.int64]) -> tuple[int, ...]:
        """Return the position that each position is carried to."""
        return tuple(
            self._indices[describe_subspace(apply_operator(operator, representative))]
            for representative in self._representatives
        )


def apply_operator(
    operator: NDArray[np.int64], block: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Compose two 3 x 4 blocks: first ``block``, then ``operator``; not reduced."""
    image: NDArray[np.int64] = operator[:, :3] @ block
    image[:, 3] += operator[:, 3]
    return image


def describe_subspace(block: NDArray[np.int64]) -> Subspace:
    """Describe the set of points ``block[:, :3] @ u + block[:, 3] / 24`` uniquely."""
    directions = {
        _primitive(column) for column in block[:, :3].T.tolist() if any(column)
    }
    normals = _normals(frozenset(directions))
    offset = tuple(
        sum(n * t for n, t in zip(normal, block[:, 3].tolist(), strict=True))
        % TRANSLATION_DENOMINATOR
        for normal in normals
    )
    return normals, offset


def _primitive(vector: list[int]) -> Vector:
    """Shorten an integer vector and make its first non-zero entry positive."""
    divisor = gcd(*vector)
    sign = next(1 if entry > 0 else -1 for entry in vector if entry)
    x, y, z = (sign * entry // divisor for entry in vector)
    return x, y, z


@cache
def _normals(directions: frozenset[Vector]) -> tuple[Vector, ...]:
    """Return a basis of the integer vectors that are normal to all directions."""
    span = np.linalg.matrix_rank(np.array(sorted(directions))) if directions else 0
    if span == 0:
        return (1, 0, 0), (0, 1, 0), (0, 0, 1)
    if span == 3:  # noqa: PLR2004 - all of space
        return ()
    if span == 2:  # noqa: PLR2004 - a plane
        first, second = next(
            pair
            for pair in itertools.combinations(sorted(directions), 2)
            if any(_cross(*pair))
        )
        return (_primitive(list(_cross(first, second))),)
    (direction,) = directions
    return _line_normals(direction)


def _line_normals(direction: Vector) -> tuple[Vector, Vector]:
    """Return the first two small vectors that span the lattice normal to a line."""
    entries = range(-_LARGEST_NORMAL, _LARGEST_NORMAL + 1)
    normal = [
        (x, y, z)
        for x, y, z in itertools.product(entries, repeat=3)
        if x * direction[0] + y * direction[1] + z * direction[2] == 0
    ]
    return next(
        (first, second)
        for first, second in itertools.combinations(normal, 2)
        if any(cross := _cross(first, second))
        and direction in (cross, tuple(-entry for entry in cross))
    )


def _cross(a: Vector, b: Vector) -> Vector:
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )
