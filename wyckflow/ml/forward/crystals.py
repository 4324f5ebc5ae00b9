"""Crystals as the forward models read them, and the same crystals described otherwise.

A crystal has as many equivalent descriptions as the normalizer of its space group has
cosets. `move` goes from one to another: letters, coordinates and cell follow the *same*
operator, so that what comes out is the same crystal, or its mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from wyckflow.crystal._geometry import ROUNDING
from wyckflow.crystal.keys import LETTER_BITS, pack_genes
from wyckflow.ml.codec.arrangement import FORMULA_RANK
from wyckflow.ml.codec.sites import SiteTensors, tensorise_codes
from wyckflow.ml.codec.tables import load_position_tables
from wyckflow.ml.forward.moves import N_LETTERS, Maps, load_moves, load_stabilisers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.crystal.reduced import ReducedStructure

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

ALL_DESCRIPTIONS: Final = 96
"""Counted on this far, every description of every crystal comes equally often."""

_GRID: Final = 100_000
"""Coordinates that agree to this many parts of a cell edge are the same."""


@dataclass(frozen=True, eq=False, slots=True)
class Crystals:
    """``n`` crystals with ``m`` orbits in all, crystal after crystal.

    Attributes
    ----------
    space_group_numbers
        (n,), 1 to 230.
    offsets
        Where the orbits of each crystal begin, and where the last ones end (n + 1,).
    atomic_numbers
        (m,).
    letter_indices
        (m,), 0 for ``a`` to 26 for ``A``.
    coordinates
        The point of each orbit on the first point of its Wyckoff position (m, 3);
        not-a-number for genes alone.
    lattices
        Vectors of the conventional cells in rows, in A (n, 3, 3); None for genes alone.
    """

    space_group_numbers: Ints
    offsets: Ints
    atomic_numbers: Ints
    letter_indices: Ints
    coordinates: Floats
    lattices: Floats | None

    def __len__(self) -> int:
        """Return the number of crystals."""
        return len(self.space_group_numbers)

    @property
    def has_cells(self) -> bool:
        """Whether cells and coordinates are known."""
        return self.lattices is not None

    @property
    def n_sites(self) -> Ints:
        """Orbits of each crystal (n,)."""
        return np.diff(self.offsets)

    @property
    def crystal_indices(self) -> Ints:
        """The crystal of each orbit (m,)."""
        return np.repeat(np.arange(len(self)), self.n_sites)

    @property
    def multiplicities(self) -> Ints:
        """Atoms of each orbit in the conventional cell (m,)."""
        groups = self.space_group_numbers[self.crystal_indices]
        table = load_position_tables().multiplicity
        return table[groups, self.letter_indices].astype(np.int64)

    @property
    def sites(self) -> SiteTensors:
        """The genes as padded arrays."""
        counts = self.n_sites
        codes = np.zeros((len(self), int(counts.max(initial=0))), np.int64)
        filled = np.arange(codes.shape[1]) < counts[:, None]
        codes[filled] = (self.atomic_numbers << LETTER_BITS) + self.letter_indices
        return tensorise_codes(self.space_group_numbers, codes)

    def take(self, rows: ArrayLike) -> Self:
        """Return some of the crystals, in the order asked for."""
        wanted = np.asarray(rows)
        chosen = np.arange(len(self))[wanted if wanted.size else wanted.astype(int)]
        counts = self.n_sites[chosen]
        offsets = _offsets(counts)
        shifts = np.repeat(self.offsets[chosen] - offsets[:-1], counts)
        sites = np.arange(offsets[-1]) + shifts
        return replace(
            self,
            space_group_numbers=self.space_group_numbers[chosen],
            offsets=offsets,
            atomic_numbers=self.atomic_numbers[sites],
            letter_indices=self.letter_indices[sites],
            coordinates=self.coordinates[sites],
            lattices=None if self.lattices is None else self.lattices[chosen],
        )

    def without_cells(self) -> Crystals:
        """Return the genes alone."""
        unknown = np.full_like(self.coordinates, np.nan)
        return replace(self, coordinates=unknown, lattices=None)


def crystals_from_dataset(dataset: Dataset) -> Crystals:
    """Take the crystals of a dataset.

    Parameters
    ----------
    dataset
        Any; its cells and coordinates are in the standard setting already.
    """
    arrays = dataset.arrays
    crystals = Crystals(
        space_group_numbers=arrays.space_group_numbers.astype(np.int64),
        offsets=arrays.site_offsets,
        atomic_numbers=arrays.atomic_numbers.astype(np.int64),
        letter_indices=arrays.letter_indices.astype(np.int64),
        coordinates=np.asarray(arrays.coordinates, np.float64),
        lattices=np.asarray(arrays.lattices, np.float64),
    )
    return _settled(crystals)


def crystals_from_structures(structures: Sequence[ReducedStructure]) -> Crystals:
    """Take crystals in the standard setting.

    Parameters
    ----------
    structures
        As `wyckflow.crystal.reduced` keeps them.
    """
    crystals = crystals_from_genes([structure.gene for structure in structures])
    points = [
        structure.expand()[0][structure.orbit_table.first_atoms]
        for structure in structures
    ]
    lattices = [structure.lattice for structure in structures]
    known = replace(
        crystals,
        coordinates=np.concatenate([np.zeros((0, 3)), *points]),
        lattices=np.array(lattices, np.float64).reshape(-1, 3, 3),
    )
    return _settled(known)


def crystals_from_genes(genes: Sequence[WyckoffGene]) -> Crystals:
    """Take genes alone, without cells.

    Parameters
    ----------
    genes
        Any number of genes.
    """
    numbers, codes = pack_genes(genes)
    return crystals_from_codes(numbers, codes)


def crystals_from_codes(space_group_numbers: ArrayLike, codes: ArrayLike) -> Crystals:
    """Take packed genes alone, without cells.

    Parameters
    ----------
    space_group_numbers, codes
        As `wyckflow.crystal.keys.pack_genes` writes them.
    """
    sites = tensorise_codes(space_group_numbers, codes)
    mask = sites.mask
    crystals = Crystals(
        space_group_numbers=sites.space_group,
        offsets=_offsets(mask.sum(axis=1)),
        atomic_numbers=sites.atomic_number[mask],
        letter_indices=sites.letter[mask],
        coordinates=np.full((int(mask.sum()), 3), np.nan),
        lattices=None,
    )
    return _settled(crystals)


def join_crystals(parts: Sequence[Crystals]) -> Crystals:
    """Put crystals one after another; cells are kept where all have them.

    Parameters
    ----------
    parts
        At least one.
    """
    cells = [part.lattices for part in parts if part.lattices is not None]
    whole = len(cells) == len(parts)
    parts = parts if whole else [part.without_cells() for part in parts]
    names = {item.name for item in fields(Crystals)} - {"offsets", "lattices"}
    joined = {n: np.concatenate([getattr(part, n) for part in parts]) for n in names}
    return Crystals(
        **joined,
        offsets=_offsets(np.concatenate([part.n_sites for part in parts])),
        lattices=np.concatenate(cells) if whole else None,
    )


# --- descriptions -----------------------------------------------------------------


def count_cosets(crystals: Crystals) -> Ints:
    """Return how many equivalent descriptions each crystal has (n,)."""
    return load_moves().counts[crystals.space_group_numbers]


def random_cosets(crystals: Crystals, rng: np.random.Generator) -> Ints:
    """Draw a description for each crystal, all with equal weights.

    Parameters
    ----------
    crystals
        Any.
    rng
        Decides.
    """
    draws = rng.random(len(crystals)) * count_cosets(crystals)
    return draws.astype(np.int64)


def move(crystals: Crystals, coset: Ints) -> Crystals:
    """Describe each crystal in another of its equivalent ways.

    Parameters
    ----------
    crystals
        With cells, or genes alone.
    coset
        Which operator of the normalizer to take for each (n,), 0 for none; see
        `count_cosets`.

    Returns
    -------
    Crystals
        The same crystals, mirrored where the operator is improper: letters, points and
        cells were carried by the same operator, the points lie again on the first
        points of their new positions, and the sites are in the order of a gene.
    """
    return _settled(carry(crystals, coset))


def carry(crystals: Crystals, coset: Ints) -> Crystals:
    """Do the same as `move`, but leave the sites in their order.

    Parameters
    ----------
    crystals, coset
        As in `move`.
    """
    tables = load_moves()
    wrong = (coset < 0) | (coset >= count_cosets(crystals))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"Coset {coset[row]} came for the crystal in row {row}; its space group "
            f"has those from 0 to {count_cosets(crystals)[row] - 1}."
        )
    operator = tables.starts[crystals.space_group_numbers] + coset
    of_sites = operator[crystals.crystal_indices]
    key = of_sites * N_LETTERS + crystals.letter_indices
    return replace(
        crystals,
        letter_indices=tables.letters[of_sites, crystals.letter_indices],
        coordinates=tables.maps.apply(key, crystals.coordinates),
        lattices=_move_lattices(crystals.lattices, tables.rotations[operator]),
    )


def _move_lattices(lattices: Floats | None, rotations: Floats) -> Floats | None:
    """Return the cells in the new axes; those that stay as they are stay exactly so."""
    if lattices is None or not len(lattices):
        return lattices
    metric = lattices @ lattices.transpose(0, 2, 1)
    inverse = np.linalg.inv(rotations)
    new = inverse.transpose(0, 2, 1) @ metric @ inverse
    size = np.abs(metric).max(axis=(1, 2), keepdims=True)
    changed = (np.abs(new - metric) > ROUNDING * 1e4 * size).any(axis=(1, 2))
    cells = np.linalg.cholesky(np.where(changed[:, None, None], new, metric))
    cells[np.abs(cells) < ROUNDING * 1e3 * np.sqrt(size)] = 0.0
    return np.where(changed[:, None, None], cells, lattices)


def _settled(crystals: Crystals) -> Crystals:
    """Choose the point of each orbit, and put the sites in the order of a gene."""
    crystal = crystals.crystal_indices
    groups = crystals.space_group_numbers[crystal]
    points, rank = crystals.coordinates, np.zeros(len(crystal), np.int64)
    if crystals.has_cells:
        key = groups * N_LETTERS + crystals.letter_indices
        points, rank = _choose_points(load_stabilisers(), key, points)
    order = np.lexsort(
        (rank, crystals.letter_indices, FORMULA_RANK[crystals.atomic_numbers], crystal)
    )
    return replace(
        crystals,
        atomic_numbers=crystals.atomic_numbers[order],
        letter_indices=crystals.letter_indices[order],
        coordinates=points[order],
    )


def _choose_points(maps: Maps, key: Ints, points: Floats) -> tuple[Floats, Ints]:
    """Return the smallest of the points that can stand for an orbit, and its place.

    Which of them came is an accident of how the crystal was entered, and of which
    operation of the group was taken to bring a moved point back.
    """
    counts = maps.counts[key]
    offsets = _offsets(counts)
    which = np.arange(offsets[-1]) + np.repeat(maps.starts[key] - offsets[:-1], counts)
    images = maps.apply(which, np.repeat(points, counts, axis=0)) % 1.0
    on_grid = np.rint(images * _GRID).astype(np.int64) % _GRID
    places = (on_grid[:, 0] * _GRID + on_grid[:, 1]) * _GRID + on_grid[:, 2]
    if not len(places):
        return points, key
    least = np.minimum.reduceat(places, offsets[:-1])
    order = np.lexsort((places, np.repeat(np.arange(len(key)), counts)))
    chosen = images[order[offsets[:-1]]]
    chosen[chosen > 1 - 0.5 / _GRID] -= 1.0
    return chosen, least


def _offsets(counts: Ints) -> Ints:
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets
