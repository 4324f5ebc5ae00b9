"""Derive the normalizers of the space groups from their operations, in exact integers.

An operator ``(W, w)`` normalises a group if ``(W, w) g (W, w)^-1`` is an operation of
the group for every operation ``g``. The linear parts ``W`` that can occur are few and
known for each crystal system; the translations are searched on the grid of 24ths,
which holds all of them, since 24 is a multiple of every order that occurs.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal._generate.letters import PositionFinder
from wyckflow.crystal.tables import (
    TRANSLATION_DENOMINATOR,
    CrystalSystem,
    crystal_system_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from numpy.typing import NDArray

    Integers: TypeAlias = NDArray[np.int64]

_GRID: Final = TRANSLATION_DENOMINATOR
_IDENTITY: Final = np.eye(3, dtype=np.int64)
_LAST_ANORTHIC: Final = 15


def derive_normalizer(
    number: int, operations: Integers, representatives: Integers
) -> tuple[Integers, int]:
    """Return the operators of the affine normalizer, the Euclidean ones first.

    Parameters
    ----------
    number
        Space group, 1 to 230.
    operations
        All its operations, (n, 3, 4) with translations in 24ths.
    representatives
        First point of each Wyckoff position, (p, 3, 4).

    Returns
    -------
    tuple
        Operators (k, 3, 4), and how many of them are Euclidean. One operator for each
        coset of the group; in triclinic and monoclinic groups, whose affine cosets
        are infinitely many, the affine operators beyond the Euclidean ones are one
        for each further permutation of the positions.
    """
    system = crystal_system_of(number)
    group = _Group(operations)
    euclidean = group.cosets(_euclidean_candidates(system))
    if number <= _LAST_ANORTHIC:
        find = PositionFinder(operations, representatives)
        seen = {find.permutation(operator) for operator in euclidean}
        further = []
        for operator in group.normalizing(_oblique_candidates(system)):
            permutation = find.permutation(operator)
            if permutation not in seen:
                seen.add(permutation)
                further.append(operator)
    elif system is CrystalSystem.ORTHORHOMBIC:
        further = group.cosets(_signed_permutations(), known=euclidean)
    else:
        further = []
    return np.stack([*euclidean, *further]), len(euclidean)


class _Group:
    """The operations of a space group, ready to be conjugated."""

    def __init__(self, operations: Integers) -> None:
        self._operations = operations
        self._translation_of: dict[bytes, Integers] = {}
        for operation in operations:
            rotation = operation[:, :3].tobytes()
            self._translation_of.setdefault(rotation, operation[:, 3])
        rotations = operations[:, :, :3]
        self._is_centring = np.zeros((_GRID,) * 3, bool)
        pure = operations[(rotations == _IDENTITY).all(axis=(1, 2)), :, 3]
        self._is_centring[tuple(pure.T)] = True
        self._centrings = pure
        # An axis that no operation turns: shifts along it are continuous.
        fixed = (rotations == _IDENTITY).all(axis=0)
        self.polar = fixed.all(axis=0) & fixed.all(axis=1)
        axis = [np.arange(1 if polar else _GRID) for polar in self.polar]
        self._grid = np.stack(np.meshgrid(*axis, indexing="ij"), axis=-1).reshape(-1, 3)
        self._generators = self._find_generators()

    def cosets(
        self, linear_parts: list[Integers], known: list[Integers] | None = None
    ) -> list[Integers]:
        """Return the simplest operator of every coset that is not ``known``."""
        done: set[bytes] = set()
        for operator in known or ():
            done |= self._coset(operator)
        representatives = []
        for operator in sorted(self.normalizing(linear_parts), key=_complexity):
            if operator.tobytes() not in done:
                done |= self._coset(operator)
                representatives.append(operator)
        return representatives

    def normalizing(self, linear_parts: list[Integers]) -> Iterator[Integers]:
        """Yield every operator of the normalizer with one of these linear parts."""
        for linear_part in linear_parts:
            for translation in self._translations(linear_part):
                yield np.column_stack([linear_part, translation])

    def _translations(self, linear_part: Integers) -> Integers:
        """Return the grid points that complete a linear part to a normalizing one."""
        if not self._are_centrings(self._centrings @ linear_part.T).all():
            return self._grid[:0]
        inverse = np.rint(np.linalg.inv(linear_part)).astype(np.int64)
        grid = self._grid
        for generator in self._generators:
            image = linear_part @ generator[:, :3] @ inverse
            target = self._translation_of.get(image.tobytes())
            if target is None:
                return self._grid[:0]
            moved = linear_part @ generator[:, 3] + grid - grid @ image.T
            grid = grid[self._are_centrings(moved - target)]
        return grid

    def _are_centrings(self, vectors: Integers) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self._is_centring[tuple((vectors % _GRID).T)]
        return found

    def _coset(self, operator: Integers) -> set[bytes]:
        """Return all products with operations, shifts along polar axes taken out."""
        products = operator[:, :3] @ self._operations
        products[:, :, 3] = (products[:, :, 3] + operator[:, 3]) % _GRID
        products[:, self.polar, 3] = 0
        return {product.tobytes() for product in products}

    def _find_generators(self) -> list[Integers]:
        """Pick operations whose rotations generate all rotations."""
        generators: list[Integers] = []
        reached = {_IDENTITY.tobytes()}
        for operation in self._operations:
            if operation[:, :3].tobytes() not in reached:
                generators.append(operation)
                reached = set(_generate([g[:, :3] for g in generators]))
        return generators


def _generate(matrices: list[Integers]) -> dict[bytes, Integers]:
    """Return the finite matrix group that some matrices generate."""
    reached = {_IDENTITY.tobytes(): _IDENTITY}
    frontier = [_IDENTITY]
    while frontier:
        last = frontier.pop()
        for matrix in matrices:
            product = matrix @ last
            if product.tobytes() not in reached:
                reached[product.tobytes()] = product
                frontier.append(product)
    return reached


def _euclidean_candidates(system: CrystalSystem) -> list[Integers]:
    """List the linear parts that keep every metric of a crystal system."""
    if system is CrystalSystem.TRICLINIC:
        return [_IDENTITY, -_IDENTITY]
    if system in (CrystalSystem.TRIGONAL, CrystalSystem.HEXAGONAL):
        sixfold = np.array([[1, -1, 0], [1, 0, 0], [0, 0, 1]])
        twofold = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]])
        return list(_generate([sixfold, twofold, -_IDENTITY]).values())
    diagonal = [w for w in _signed_permutations() if np.abs(w.diagonal()).all()]
    if system is CrystalSystem.MONOCLINIC:
        return [w for w in diagonal if w[0, 0] == w[2, 2]]
    if system is CrystalSystem.ORTHORHOMBIC:
        return diagonal
    if system is CrystalSystem.TETRAGONAL:
        return [w for w in _signed_permutations() if w[2, 2]]
    return _signed_permutations()


def _oblique_candidates(system: CrystalSystem) -> list[Integers]:
    """List changes of axes that have every effect on positions, simplest first.

    Triclinic positions lie at multiples of one half, so that matrices congruent
    modulo 2 act alike. In monoclinic groups, with translations of one half and
    positions at one quarter, products of matrices with entries up to 2 reach all.
    """
    if system is CrystalSystem.TRICLINIC:
        blocks = np.array(list(itertools.product((-1, 0, 1), repeat=9)), np.int64)
        matrices = blocks.reshape(-1, 3, 3)
    else:
        plane = np.array(list(itertools.product(range(-2, 3), repeat=4)), np.int64)
        matrices = np.zeros((2, len(plane), 3, 3), np.int64)
        matrices[:, :, [[0], [2]], [0, 2]] = plane.reshape(-1, 2, 2)
        matrices[:, :, 1, 1] = [[1], [-1]]
        matrices = matrices.reshape(-1, 3, 3)
    determinants = np.rint(np.linalg.det(matrices))
    unimodular = sorted(matrices[np.abs(determinants) == 1], key=_matrix_complexity)
    if system is CrystalSystem.TRICLINIC:
        classes = {(matrix % 2).tobytes(): matrix for matrix in reversed(unimodular)}
        return sorted(classes.values(), key=_matrix_complexity)
    return unimodular


def _signed_permutations() -> list[Integers]:
    """Return the 48 matrices that permute and invert the axes."""
    return [
        np.array(signs)[:, None] * _IDENTITY[list(order)]
        for order in itertools.permutations(range(3))
        for signs in itertools.product((1, -1), repeat=3)
    ]


def _matrix_complexity(matrix: Integers) -> tuple[object, ...]:
    """Rank matrices: the identity, the inversion, then small, proper, near identity."""
    return (
        not (matrix == _IDENTITY).all(),
        not (matrix == -_IDENTITY).all(),
        int(np.abs(matrix).sum()),
        np.linalg.det(matrix) < 0,
        -int(np.trace(matrix)),
        tuple((-matrix).ravel().tolist()),
    )


def _complexity(operator: Integers) -> tuple[object, ...]:
    """Rank operators: simple linear parts, then short translations."""
    translation = operator[:, 3]
    return (
        *_matrix_complexity(operator[:, :3])[:-1],
        int(np.minimum(translation, _GRID - translation).sum()),
        int(np.count_nonzero(translation)),
        tuple(translation.tolist()),
        tuple((-operator[:, :3]).ravel().tolist()),
    )
