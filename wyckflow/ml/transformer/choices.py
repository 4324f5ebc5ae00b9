"""What may come next in a gene that is being written, so that each one ends as a gene.

A choice is possible if a gene can make it at all: a letter that its group has, and no
fixed point twice. It is allowed if the gene can then still be finished within the
limits: cell and number of sites large enough for every element that must still come.
Since the least room that further sites take is known exactly, no gene comes to a dead
end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from wyckflow.crystal.elements import N_ATOMIC_NUMBERS
from wyckflow.errors import GeneError
from wyckflow.ml.codec.arrangement import MAX_SPECIES
from wyckflow.ml.codec.tables import load_position_tables
from wyckflow.ml.transformer.tokens import STOP, letters_by_symmetry, load_token_tables

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.ml.mpvae.limits import DecodingLimits


@dataclass(frozen=True, eq=False, slots=True)
class PositionTensors:
    """The tables of positions and tokens, by space-group number, as tensors.

    Attributes
    ----------
    multiplicity
        Points per orbit, 0 where there is no such letter (231, 27), as real numbers.
    exists, is_fixed
        Whether there is the letter, and whether it has no free coordinate (231, 27).
    symmetry, enumeration
        Parts of the token of each letter (231, 27).
    has_symmetry
        Which letters have which symmetry (231, 27, symmetries).
    letter
        The letter of a symmetry and an enumeration, -1 for none (231, symmetries, 8).
    """

    multiplicity: Tensor
    exists: Tensor
    is_fixed: Tensor
    symmetry: Tensor
    enumeration: Tensor
    has_symmetry: Tensor
    letter: Tensor

    @classmethod
    def load(cls, device: Any) -> Self:
        """Put the tables on a device.

        Parameters
        ----------
        device
            Where.
        """
        positions, tokens = load_position_tables(), load_token_tables()
        arrays = (
            positions.multiplicity.astype(np.float32),
            positions.exists,
            (positions.degrees_of_freedom == 0) & positions.exists,
            tokens.symmetry,
            tokens.enumeration,
            letters_by_symmetry(),
            tokens.letter,
        )
        return cls(*(torch.tensor(array, device=device) for array in arrays))


class Room:
    """What is taken and what is left, of genes that are being written.

    Parameters
    ----------
    tables
        Of all groups.
    group
        Space-group numbers (n,).
    """

    def __init__(self, tables: PositionTensors, group: Tensor) -> None:
        self.multiplicity = tables.multiplicity[group]
        self.is_fixed = tables.is_fixed[group]
        self.is_free = tables.exists[group]
        n, device = len(group), group.device
        self.n_sites = torch.zeros(n, dtype=torch.long, device=device)
        self.atoms = torch.zeros(n, N_ATOMIC_NUMBERS, device=device)

    def take(self, rows: Tensor, element: Tensor, letter: Tensor) -> None:
        """Put elements on letters."""
        taken = self.is_fixed[rows, letter]
        self.is_free[rows[taken], letter[taken]] = False
        self.atoms[rows, element] += self.multiplicity[rows, letter]
        self.n_sites[rows] += 1


class Rules:
    """Which of the possible choices keep a gene within its limits.

    Parameters
    ----------
    limits
        What the genes must be like.
    known_elements
        Atomic numbers that may come unless the limits name others (119,).
    device
        Where the genes are.

    Raises
    ------
    GeneError
        If there are fewer elements than a gene must have.
    """

    def __init__(
        self, limits: DecodingLimits, known_elements: NDArray[np.bool_], device: Any
    ) -> None:
        self.limits = limits
        self.may = torch.tensor(limits.element_mask(known_elements), device=device)
        self.must = torch.tensor(limits.required_mask(), device=device)
        n_may = int(self.may.sum())
        if n_may < limits.least_species:
            raise GeneError(
                f"Genes of at least {limits.least_species} elements are asked for, but "
                f"only {n_may} may come; allow more of them, or ask for fewer."
            )
        self.most_species = min(limits.max_elements, MAX_SPECIES, n_may)

    def groups(self, tables: PositionTensors) -> Tensor:
        """Return the space groups in which there is such a gene (231,).

        Raises
        ------
        GeneError
            If there is none.
        """
        device = self.may.device
        every = torch.arange(len(tables.exists), device=device)
        room = Room(tables, every)
        # Row 0 stands for no group and has no letter to put an atom on.
        allowed = torch.tensor(self.limits.group_mask(), device=device)
        costs = _least_atoms(room, every)
        allowed &= costs[:, self.limits.least_species] <= self.limits.max_atoms
        if not bool(allowed.any()):
            raise GeneError(
                f"No cell of at most {self.limits.max_atoms} atoms holds "
                f"{self.limits.least_species} elements in the space groups asked for; "
                "allow more atoms, or other space groups."
            )
        return allowed

    def elements(self, room: Room, rows: Tensor) -> Tensor:
        """Return STOP and the elements that may come next (rows, 119)."""
        limits = self.limits
        is_there = room.atoms[rows] > 0
        n_there = is_there.sum(1, keepdim=True)
        is_new = (~is_there).long()
        missing = (self.must & ~is_there).sum(1, keepdim=True)
        n_after = n_there + is_new
        missing_after = missing - (self.must & ~is_there).long()
        needed = torch.maximum(missing_after, limits.least_species - n_after)
        needed = needed.clamp(min=0)
        atoms = room.atoms[rows].sum(1, keepdim=True)
        costs = _least_atoms(room, rows).gather(1, needed + 1)
        n_sites = room.n_sites[rows][:, None]
        allowed = (
            self.may
            & (atoms + costs <= limits.max_atoms)
            & (n_sites + 1 + needed <= limits.max_sites)
            & (is_there | (n_after + missing_after <= self.most_species))
        )
        can_stop = (n_sites > 0) & (missing == 0) & (n_there >= limits.least_species)
        allowed[:, STOP] = can_stop[:, 0]
        return allowed

    def letters(self, room: Room, rows: Tensor, element: Tensor) -> Tensor:
        """Return the letters on which an element may sit (rows, 27)."""
        limits = self.limits
        is_there = room.atoms[rows] > 0
        atoms = room.atoms[rows].sum(1, keepdim=True)
        is_there.scatter_(1, element[:, None], value=True)
        missing = (self.must & ~is_there).sum(1, keepdim=True)
        needed = torch.maximum(missing, limits.least_species - is_there.sum(1)[:, None])
        needed = needed.clamp(min=0)
        later = _least_atoms_without_each(room, rows, needed)
        own = room.multiplicity[rows]
        allowed: Tensor = room.is_free[rows] & (atoms + own + later <= limits.max_atoms)
        return allowed


def _place_costs(room: Room, rows: Tensor) -> Tensor:
    """Return what each letter can save a gene that needs sites (rows, 27).

    The smallest position with a free coordinate can be taken again and again, so that
    nothing costs more than it; a fixed point can cost less, once.
    """
    own, fixed = room.multiplicity[rows], room.is_fixed[rows]
    free = room.is_free[rows]
    largest = torch.where(free & ~fixed, own, torch.inf).amin(1, keepdim=True)
    return torch.where(free & fixed, torch.minimum(own, largest), largest)


def _least_atoms(room: Room, rows: Tensor) -> Tensor:
    """Return the fewest atoms on 0, 1, 2, ... further sites (rows, 28)."""
    costs = _place_costs(room, rows).sort(1).values.cumsum(1)
    return torch.nn.functional.pad(costs, (1, 0))


def _least_atoms_without_each(room: Room, rows: Tensor, needed: Tensor) -> Tensor:
    """Return the fewest atoms on some sites if each letter were taken (rows, 27)."""
    own = _place_costs(room, rows)
    ordered = own.sort(1).values
    costs = torch.nn.functional.pad(ordered.cumsum(1), (1, 0))
    with_all = costs.gather(1, needed)
    with_one_more = costs.gather(1, needed + 1)
    last = ordered.gather(1, (needed - 1).clamp(min=0))
    is_used = room.is_fixed[rows] & (needed > 0) & (own <= last)
    return torch.where(is_used, with_one_more - own, with_all)
