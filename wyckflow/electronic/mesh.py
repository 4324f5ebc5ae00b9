"""Uniform meshes: the irreducible wave vectors of a run unfolded to the whole zone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.electronic.bands import SAME_K, Bands
from wyckflow.electronic.hessian import MassTensor, fit_tensor
from wyckflow.electronic.valleys import sign_of
from wyckflow.schemas.electronic import FitQuality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.electronic.point_group import PointGroup
    from wyckflow.electronic.valleys import Pocket

    Floats = NDArray[np.float64]

_MOST_ALONG_AXIS: Final = 200
_REACH: Final = 2
"""A tensor is fitted to points this many steps from the extremum."""


@dataclass(frozen=True, eq=False, slots=True)
class Mesh:
    """Bands on all points of a regular mesh through the centre of the zone.

    Attributes
    ----------
    bands
        Their wave vectors are in the order of `numpy.ndindex`.
    counts
        Points along each reciprocal vector.
    """

    bands: Bands
    counts: tuple[int, int, int]


def unfold_mesh(bands: Bands, group: PointGroup) -> Mesh | None:
    """Return the whole mesh that the wave vectors of a run are the irreducible part of.

    None if they are none, such as those of a path.

    Parameters
    ----------
    bands
        As calculated.
    group
        Their symmetry.
    """
    images = np.einsum("ki,nij->knj", bands.kpoints, group.rotations) % 1.0
    images[images > 1 - SAME_K] = 0.0
    counts = tuple(_count_along(images[..., axis]) for axis in range(3))
    # One line through the zone would be a mesh along one axis.
    is_line = sum(count > 1 for count in counts) < 2  # noqa: PLR2004
    if is_line or 0 in counts or int(np.prod(counts)) < len(bands.kpoints):
        return None
    scaled = images * np.array(counts)
    places = np.rint(scaled).astype(np.int64)
    if np.abs(scaled - places).max() > SAME_K * max(counts):
        return None
    flat = np.ravel_multi_index(
        tuple(np.moveaxis(places % np.array(counts), -1, 0)), counts
    )
    source = np.full(int(np.prod(counts)), -1)
    for index in range(len(bands.kpoints)):
        source[flat[index]] = index
    if (source < 0).any():
        return None
    whole = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1)
    return Mesh(
        replace(
            bands,
            kpoints=whole.reshape(-1, 3) / np.array(counts),
            energies=bands.energies[:, :, source],
            labels=(),
        ),
        (counts[0], counts[1], counts[2]),
    )


def _count_along(values: Floats) -> int:
    """Return how many even steps an axis has; zero if they are not even."""
    distinct = np.unique(np.round(values.ravel(), 6))
    n = len(distinct)
    if n > _MOST_ALONG_AXIS:
        return 0
    return n if np.abs(distinct - np.arange(n) / n).max() < 1e-5 else 0  # noqa: PLR2004


def tensor_on_mesh(mesh: Mesh, pocket: Pocket, *, window: float) -> MassTensor:
    """Fit the mass tensor of a pocket to the points of a mesh around it.

    Parameters
    ----------
    mesh
        The whole zone.
    pocket
        One found there.
    window
        Largest energy that is fitted, in eV.
    """
    if len(pocket.bands) > 1:
        return MassTensor(
            FitQuality.CANNOT_FIT, "bands meet here and are warped: no tensor"
        )
    steps = np.stack(
        np.meshgrid(*[np.arange(-_REACH, _REACH + 1)] * 3, indexing="ij"), axis=-1
    ).reshape(-1, 3)
    at = np.rint(mesh.bands.kpoints[pocket.index] * np.array(mesh.counts))
    places = (at + steps).astype(np.int64) % np.array(mesh.counts)
    flat = np.ravel_multi_index(tuple(places.T), mesh.counts)
    energies = sign_of(pocket.carrier) * (
        mesh.bands.energies[pocket.spin, pocket.bands[0], flat] - pocket.energy
    )
    points = (steps / np.array(mesh.counts)) @ mesh.bands.reciprocal
    near = energies <= window
    if near.sum() < len(steps) // 5:
        return MassTensor(
            FitQuality.CANNOT_FIT,
            f"only {int(near.sum())} points of the mesh within {window:g} eV of the "
            "pocket: the mesh is too coarse",
        )
    return fit_tensor(points[near], energies[near])


def tensor_from_dense(
    dense: Bands, pocket: Pocket, center: Floats, *, edge_index: int
) -> MassTensor:
    """Fit the mass tensor to a run on a dense mesh around a pocket.

    Parameters
    ----------
    dense
        Bands at the points that `hessian.dense_points` returned.
    pocket
        Where they lie.
    center
        Wave vector of the pocket, or the copy of it that they lie around, fractional.
    edge_index
        Index of its band in the dense run.
    """
    points = (dense.kpoints - center) @ dense.reciprocal
    energies = (
        sign_of(pocket.carrier)
        * dense.energies[min(pocket.spin, dense.n_spins - 1), edge_index]
    )
    return fit_tensor(points, energies - energies.min())
