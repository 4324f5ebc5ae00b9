"""What symmetry does with wave vectors: stars, little groups, allowed mass tensors."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from wyckflow.electronic.bands import SAME_K

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from wyckflow.electronic.bands import Bands

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_NULL: Final = 1e-6


@dataclass(frozen=True, eq=False, slots=True)
class PointGroup:
    """Operations under which the energies of a crystal repeat in reciprocal space.

    Attributes
    ----------
    rotations
        Acting on fractional wave vectors written as rows from the right; the inversion
        that time reversal adds is among them.
    reciprocal
        Rows are the reciprocal vectors in 1/A.
    space_group_number
        Of the crystal; None if unknown.
    n_translations
        Lattice points in the cell; above one, bands are folded.
    notes
        What is uncertain, in words.
    """

    rotations: Integers
    reciprocal: Floats
    space_group_number: int | None = None
    n_translations: int = 1
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, bands: Bands, symprec: float = 1e-3) -> Self:
        """Find the operations for bands.

        With known moments only those count that keep them. Without spin-orbit coupling
        the energies of each spin are even in k; with it, unless there are moments.

        Parameters
        ----------
        bands
            With their cell and atoms.
        symprec
            Tolerance in A.
        """
        if bands.atoms is None:
            note = "no atoms came with the bands, so valleys are not multiplied"
            return cls(
                _with_inversion(np.eye(3, dtype=np.int64)[None]),
                bands.reciprocal,
                notes=(note,),
            )
        notes = []
        numbers = bands.atoms.numbers
        moments = bands.atoms.moments
        is_magnetic = moments is not None and bool(np.abs(moments).max() > 0.05)  # noqa: PLR2004
        if bands.n_spins > 1 and moments is None:
            notes.append(
                "spin-polarised bands came without moments; valleys are counted as if "
                "the moments had the symmetry of the atoms"
            )
        if is_magnetic and moments is not None:
            kinds = np.round(moments, 1)
            pairs = np.stack([numbers.astype(np.float64), kinds], axis=1)
            numbers = np.unique(pairs, axis=0, return_inverse=True)[1].ravel() + 1
        found = _find_rotations(bands, numbers, symprec)
        if found is None:
            note = "spglib finds no symmetry, so valleys are not multiplied"
            return cls(
                _with_inversion(np.eye(3, dtype=np.int64)[None]),
                bands.reciprocal,
                notes=(*notes, note),
            )
        rotations, n_translations, number = found
        if n_translations > 1:
            notes.append(
                f"the cell holds {n_translations} lattice points, so bands are folded "
                "and pockets of different wave vectors may coincide"
            )
        if bands.is_noncollinear and is_magnetic:
            notes.append(
                "with spin-orbit coupling and moments only translations are trusted; "
                "valleys are not multiplied"
            )
            rotations = np.eye(3, dtype=np.int64)[None]
        else:
            rotations = _with_inversion(rotations)
        return cls(rotations, bands.reciprocal, number, n_translations, tuple(notes))

    @property
    def cartesian(self) -> Floats:
        """The operations on Cartesian wave vectors written as rows, from the right."""
        return np.asarray(
            np.linalg.inv(self.reciprocal) @ self.rotations @ self.reciprocal
        )

    def star(self, k: ArrayLike) -> Floats:
        """Return all wave vectors that symmetry makes of one, in [0, 1).

        Parameters
        ----------
        k
            Fractional.
        """
        images = np.asarray(k, dtype=np.float64) @ self.rotations
        found: list[Floats] = []
        for image in images:
            if not any(_is_lattice_vector(image - one) for one in found):
                found.append(image)
        wrapped = np.array(found) % 1.0
        wrapped[wrapped > 1 - SAME_K] = 0.0
        return wrapped

    def is_same(self, first: ArrayLike, second: ArrayLike) -> bool:
        """Return whether two wave vectors are copies of each other.

        Parameters
        ----------
        first, second
            Fractional.
        """
        images = np.asarray(first, dtype=np.float64) @ self.rotations
        return bool(_is_lattice_vector(images - np.asarray(second)).any())

    def same_as(self, k: ArrayLike, others: Floats) -> NDArray[np.bool_]:
        """Return which wave vectors are copies of one.

        Parameters
        ----------
        k
            Fractional.
        others
            Fractional, shape (points, 3).
        """
        images = np.asarray(k, dtype=np.float64) @ self.rotations
        apart = images[:, None, :] - others[None]
        return np.asarray(_is_lattice_vector(apart).any(axis=0))

    def little(self, k: ArrayLike) -> Integers:
        """Return which operations leave a wave vector where it is.

        Parameters
        ----------
        k
            Fractional.
        """
        at = np.asarray(k, dtype=np.float64)
        return np.flatnonzero(_is_lattice_vector(at @ self.rotations - at))

    def little_group_symbol(self, k: ArrayLike) -> str:
        """Return the point group of a wave vector, such as ``-3m``.

        Parameters
        ----------
        k
            Fractional.
        """
        import spglib

        chosen = self.rotations[self.little(k)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            found = spglib.get_pointgroup(np.array(chosen, dtype=np.int32))
        return str(found[0]).strip() if found else "1"

    def reverses(self, k: ArrayLike, direction: Floats) -> bool:
        """Return whether energies are even along a line through a wave vector.

        Parameters
        ----------
        k
            Fractional.
        direction
            Of the line, Cartesian.
        """
        images = direction @ self.cartesian[self.little(k)]
        size = np.linalg.norm(direction)
        return bool((np.linalg.norm(images + direction, axis=1) < _NULL * size).any())

    def is_pinned(self, k: ArrayLike) -> bool:
        """Return whether symmetry makes the slope vanish at a wave vector.

        Parameters
        ----------
        k
            Fractional.
        """
        mean = self.cartesian[self.little(k)].mean(axis=0)
        return bool(np.abs(mean).max() < _NULL)

    def bring(self, start: ArrayLike, end: ArrayLike, direction: Floats) -> Floats:
        """Turn a direction at a wave vector with it into one of its copies.

        Parameters
        ----------
        start, end
            Fractional, copies of each other.
        direction
            At the start, Cartesian.
        """
        images = np.asarray(start, dtype=np.float64) @ self.rotations
        reaches = np.flatnonzero(_is_lattice_vector(images - np.asarray(end)))
        if len(reaches) == 0:
            return direction
        return np.asarray(direction @ self.cartesian[reaches[0]])

    def is_parallel(self, k: ArrayLike, first: Floats, second: Floats) -> bool:
        """Return whether two directions from a wave vector are copies of each other.

        Parameters
        ----------
        k
            Fractional.
        first, second
            Unit vectors, Cartesian.
        """
        images = first @ self.cartesian[self.little(k)]
        return bool((np.linalg.norm(images - second, axis=1) < 1e-4).any())  # noqa: PLR2004

    def tensor_basis(self, k: ArrayLike) -> Floats:
        """Return the symmetric tensors that the little group of a wave vector allows.

        Parameters
        ----------
        k
            Fractional.

        Returns
        -------
        ndarray
            Orthonormal, shape (number, 3, 3): one for a cubic point, two on an axis.
        """
        operations = self.cartesian[self.little(k)]
        units = [
            np.eye(3)[[i]].T @ np.eye(3)[[j]] for i in range(3) for j in range(i, 3)
        ]
        symmetric = [(one + one.T) / 2 for one in units]
        means = [
            np.einsum("nji,jk,nkl->il", operations, one, operations) / len(operations)
            for one in symmetric
        ]
        _, sizes, rows = np.linalg.svd(np.array(means).reshape(6, 9))
        return np.asarray(rows[: int((sizes > 1e-6).sum())].reshape(-1, 3, 3))  # noqa: PLR2004


def _find_rotations(
    bands: Bands, numbers: Integers, symprec: float
) -> tuple[Integers, int, int] | None:
    """Return rotations of reciprocal space, lattice points per cell, space group."""
    import spglib

    if bands.atoms is None:
        return None
    cell = (bands.lattice, bands.atoms.coordinates, numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            dataset = spglib.get_symmetry_dataset(cell, symprec=symprec)
        except Exception:  # noqa: BLE001 - spglib's own errors have changed names
            return None
    if dataset is None:
        return None
    rotations = np.array(dataset.rotations, dtype=np.int64)
    n_translations = int(
        (rotations == np.eye(3, dtype=np.int64)).all(axis=(1, 2)).sum()
    )
    # x' = W x leaves energies alone if k' = k W, wave vectors being rows.
    return np.unique(rotations, axis=0), n_translations, int(dataset.number)


def _with_inversion(rotations: Integers) -> Integers:
    return np.unique(np.concatenate([rotations, -rotations]), axis=0)


def _is_lattice_vector(difference: Floats) -> NDArray[np.bool_]:
    return np.asarray(np.abs(difference - np.rint(difference)).max(axis=-1) < SAME_K)
