"""The published array of WyCryst, one column per element, and its encoder.

The array has the 224 rows of `wyckflow.ml.codec.wycryst` and as many columns as the
crystals have elements, three as published. The letter ``A`` of group 47, which has no
row there, is counted in the row that is always zero.

This is the forward half: convolutions, the dense layer and the branch of the space
group up to the latent mean, and a head on it. There is no decoder, so that nothing but
the properties shapes the latent space; the head has no sigmoid and also says how far it
may be off. The option ``preset: published`` gives the published sizes; the default ones
are smaller.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from pydantic import Field

from wyckflow.ml.codec.arrangement import FORMULA_RANK
from wyckflow.ml.codec.wycryst import (
    N_COLUMNS,
    N_COUNTED_LETTERS,
    N_ELEMENTS,
    N_ROWS,
    ROWS,
    binary_features,
)
from wyckflow.ml.forward.convolution import ConvolutionNetwork, ConvolutionSizes
from wyckflow.ml.forward.crystals import move, random_cosets

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from wyckflow.ml.forward.crystals import Crystals


class WycrystSizes(ConvolutionSizes):
    """Sizes of array and network."""

    n_columns: int | None = Field(
        default=None,
        ge=N_COLUMNS,
        description="Most elements of a crystal; by default what the training rows "
        "need, and three at least.",
    )


class ArrayRepresentation(ABC):
    """What the representations of one column per element have in common.

    Parameters
    ----------
    sizes
        Of array and network.
    """

    name = "array"
    needs_cells = False
    can_augment = True
    reads_group = True

    def __init__(self, sizes: Any) -> None:
        self.sizes = sizes

    @property
    def n_columns(self) -> int:
        """Columns of the array."""
        return self.limits["n_columns"]

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Rows and channels that the network reads."""

    def needed(self, crystals: Crystals) -> dict[str, NDArray[np.int64]]:
        """Return by option how much of it each crystal needs, (n,) each."""
        return {"n_columns": count_elements(crystals)}

    @property
    def limits(self) -> dict[str, int]:
        """How much there is room for, by option."""
        least = {"n_columns": N_COLUMNS, "n_sites": 1}
        return {
            name: getattr(self.sizes, name) or least[name]
            for name in least
            if hasattr(self.sizes, name)
        }

    def fitted(self, crystals: Crystals) -> Self:
        """Return the same, with room for these crystals where its options leave it."""
        least = self.limits
        room = {
            name: max(int(needed.max(initial=1)), least[name])
            for name, needed in self.needed(crystals).items()
            if getattr(self.sizes, name) is None
        }
        return type(self)(self.sizes.model_copy(update=room))

    def holds(self, crystals: Crystals) -> NDArray[np.bool_]:
        """Return which crystals fit (n,)."""
        fits = np.ones(len(crystals), np.bool_)
        for name, needed in self.needed(crystals).items():
            fits &= needed <= self.limits[name]
        heavy = crystals.crystal_indices[crystals.atomic_numbers > N_ELEMENTS]
        fits[heavy] = False
        return fits

    def prepare(self, crystals: Crystals) -> Crystals:
        """Return the crystals: arrays are made batch by batch."""
        return crystals

    def batch(
        self,
        prepared: Crystals,
        rows: NDArray[np.int64],
        rng: np.random.Generator | None,
    ) -> tuple[Tensor, Tensor]:
        """Return arrays and space-group numbers of some crystals.

        Parameters
        ----------
        prepared
            The crystals.
        rows
            Which of them.
        rng
            Draws a description of each, if it came.
        """
        crystals = prepared.take(rows)
        if rng is not None:
            crystals = move(crystals, random_cosets(crystals, rng))
        group = torch.from_numpy(crystals.space_group_numbers)
        return torch.from_numpy(self.encode(crystals)), group

    @abstractmethod
    def encode(self, crystals: Crystals) -> NDArray[np.float32]:
        """Write crystals as arrays (n, rows, channels)."""

    def network(self, n_outputs: int) -> nn.Module:
        """Return a network with fresh weights."""
        n_rows, n_channels = self.shape
        return ConvolutionNetwork(
            self.sizes,
            n_channels=n_channels,
            n_rows=n_rows,
            n_outputs=n_outputs,
            reads_group=self.reads_group,
        )

    def to(self, batch: tuple[Tensor, Tensor], device: str) -> tuple[Tensor, Tensor]:
        """Return a batch on another device."""
        return batch[0].to(device), batch[1].to(device)


class WycrystRepresentation(ArrayRepresentation):
    """The published array and the space group."""

    name = "wycryst"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the array."""
        return N_ROWS, self.n_columns

    def encode(self, crystals: Crystals) -> NDArray[np.float32]:
        """Write crystals as arrays (n, 224, columns)."""
        return encode_columns(crystals, self.n_columns)


def columns_of(crystals: Crystals) -> NDArray[np.int64]:
    """Return the column of every orbit: the place of its element in the formula.

    Parameters
    ----------
    crystals
        With their orbits in the order of a gene.
    """
    crystal = crystals.crystal_indices
    rank = FORMULA_RANK[crystals.atomic_numbers]
    is_next = np.zeros(len(rank), np.int64)
    is_next[1:] = (rank[1:] != rank[:-1]) & (crystal[1:] == crystal[:-1])
    total = np.cumsum(is_next)
    return total - total[crystals.offsets[:-1]][crystal]


def count_elements(crystals: Crystals) -> NDArray[np.int64]:
    """Return the number of elements of each crystal (n,)."""
    counts = np.zeros(len(crystals), np.int64)
    np.maximum.at(counts, crystals.crystal_indices, columns_of(crystals) + 1)
    return counts


def encode_columns(crystals: Crystals, n_columns: int) -> NDArray[np.float32]:
    """Write crystals as arrays of the published rows.

    Parameters
    ----------
    crystals
        Of at most so many elements.
    n_columns
        Columns.
    """
    at, row = columns_of(crystals), crystals.crystal_indices
    array = np.zeros((len(crystals), N_ROWS, n_columns), np.float32)
    number, letter = crystals.atomic_numbers, crystals.letter_indices
    array[row, number - 1, at] = 1
    n_atoms, fraction = ROWS["n_atoms"].start, ROWS["fraction"].start
    np.add.at(array[:, n_atoms], (row, at), crystals.multiplicities)
    line = ROWS["letters"].start + letter
    line[letter >= N_COUNTED_LETTERS] = ROWS["empty"].start
    np.add.at(array, (row, line, at), 1)
    atoms = array[:, n_atoms]
    array[:, fraction] = atoms / atoms.sum(axis=1, keepdims=True)
    array[row, ROWS["features"], at] = binary_features()[number]
    return array
