"""Genes as sequences that can be written in one way only, for decoders.

A gene is told in three parts: its space group; its template, that is the letters of
the first species, of the second, and so on; and at last the element of each species.
Species come in the order of a formula (cations first) and letters in alphabetical
order, so that every gene has exactly one sequence. Elements come last because what may
stand on a site depends on the stoichiometry, which the template fixes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.elements import ATOMIC_NUMBERS, FORMULA_RANKS, N_ATOMIC_NUMBERS
from wyckflow.crystal.keys import LETTER_BITS
from wyckflow.errors import GeneError
from wyckflow.ml.codec.tables import load_position_tables

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.ml.codec.sites import SiteTensors

MAX_SPECIES: Final = 8
"""Most elements of a gene that the networks can tell apart."""

SAME, NEXT, END = 0, 1, 2
"""What follows a site: another one of the same species, the next species, nothing."""

N_FLAGS: Final = 3


def _ranks() -> NDArray[np.int64]:
    """Return the place of every atomic number in a formula, -1 for none."""
    ranks = np.full(N_ATOMIC_NUMBERS, -1, np.int64)
    for symbol, rank in FORMULA_RANKS.items():
        ranks[ATOMIC_NUMBERS[symbol]] = rank
    return ranks


FORMULA_RANK: Final = _ranks()


@dataclass(frozen=True, eq=False, slots=True)
class Arrangement:
    """``n`` genes as sequences of up to ``L`` sites, as tensors on one device.

    Attributes
    ----------
    space_group
        Space-group numbers (n,).
    letter
        Letter index of every site (n, L).
    flag
        What follows the site (n, L): `SAME`, `NEXT` or `END`.
    species
        Place of the site's element in the formula (n, L), from 0.
    multiplicity
        Atoms of the site in the conventional cell (n, L), 0 without site.
    mask
        Where there is a site (n, L).
    element
        Atomic number of every species (n, `MAX_SPECIES`), 0 where there is none.
    n_atoms, n_sites
        Atoms and sites of every species (n, `MAX_SPECIES`).
    """

    space_group: Tensor
    letter: Tensor
    flag: Tensor
    species: Tensor
    multiplicity: Tensor
    mask: Tensor
    element: Tensor
    n_atoms: Tensor
    n_sites: Tensor

    def __len__(self) -> int:
        """Return the number of genes."""
        return len(self.space_group)

    @property
    def n_species(self) -> int:
        """The most species of any gene here."""
        return int((self.element > 0).sum(1).max())

    @property
    def atomic_number(self) -> Tensor:
        """Element of every site (n, L), 0 without site."""
        return self.element.gather(1, self.species) * self.mask

    @property
    def codes(self) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """The genes as `wyckflow.crystal.keys.pack_genes` writes them."""
        codes = (self.atomic_number << LETTER_BITS | self.letter) * self.mask
        numbers = self.space_group.cpu().numpy().astype(np.int16)
        return numbers, codes.cpu().numpy().astype(np.int16)

    def to(self, device: str) -> Arrangement:
        """Return the same on another device."""
        return Arrangement(
            **{part.name: getattr(self, part.name).to(device) for part in fields(self)}
        )


def arrange_sites(sites: SiteTensors) -> Arrangement:
    """Put genes into their sequences.

    Parameters
    ----------
    sites
        Genes in any order of sites.

    Raises
    ------
    GeneError
        If a gene has more than `MAX_SPECIES` elements.
    """
    import torch

    places = np.where(sites.mask, FORMULA_RANK[sites.atomic_number] << 5, 1 << 20)
    order = np.argsort(places + sites.letter, axis=1, kind="stable")
    mask = np.take_along_axis(sites.mask, order, 1)
    element = np.take_along_axis(sites.atomic_number, order, 1) * mask
    changes = (element[:, 1:] != element[:, :-1]) & mask[:, 1:]
    species = np.zeros_like(element)
    np.cumsum(changes, axis=1, out=species[:, 1:])
    species *= mask
    if species.max(initial=0) >= MAX_SPECIES:
        row = int(species.max(axis=1).argmax())
        raise GeneError(
            f"The gene in row {row} has {species[row].max() + 1} elements, but the "
            f"networks take {MAX_SPECIES} at most; leave it out."
        )
    multiplicity = np.take_along_axis(sites.multiplicity, order, 1)
    rows = np.arange(len(sites))[:, None]
    of_species = np.zeros((3, len(sites), MAX_SPECIES), np.int64)
    np.maximum.at(of_species[0], (rows, species), element)
    np.add.at(of_species[1], (rows, species), multiplicity)
    np.add.at(of_species[2], (rows, species), mask)
    parts: dict[str, NDArray[Any]] = {
        "space_group": sites.space_group,
        "letter": np.take_along_axis(sites.letter, order, 1) * mask,
        "flag": _flags(species, mask),
        "species": species,
        "multiplicity": multiplicity,
        "mask": mask,
        "element": of_species[0],
        "n_atoms": of_species[1],
        "n_sites": of_species[2],
    }
    return Arrangement(**{name: torch.tensor(a) for name, a in parts.items()})


def allowed_letters(arrangement: Arrangement) -> Tensor:
    """Return the letters that may stand at each place, given all before it.

    A letter must exist in the group, may not fill a fixed point again, and does not
    come before the letter that its species already has.

    Parameters
    ----------
    arrangement
        Genes; only what stands before a place is looked at.

    Returns
    -------
    torch.Tensor
        (n, L, 27), bool.
    """
    import torch

    tables = load_position_tables()
    device = arrangement.letter.device
    group = arrangement.space_group
    exists = torch.tensor(tables.exists, device=device)[group]
    is_fixed = torch.as_tensor(tables.degrees_of_freedom == 0, device=device)[group]
    letters = torch.arange(exists.shape[1], device=device)
    here = (arrangement.letter[..., None] == letters) & arrangement.mask[..., None]
    before = here.cumsum(1) - here.long() > 0
    letter, species = arrangement.letter, arrangement.species
    goes_on = torch.zeros_like(arrangement.mask)
    goes_on[:, 1:] = species[:, 1:] == species[:, :-1]
    least = torch.zeros_like(letter)
    least[:, 1:] = letter[:, :-1] * goes_on[:, 1:]
    return (
        exists[:, None] & ~(is_fixed[:, None] & before) & (letters >= least[..., None])
    )


def allowed_elements(arrangement: Arrangement, n_species: int) -> Tensor:
    """Return the elements that may follow those of the species before.

    Parameters
    ----------
    arrangement
        Genes.
    n_species
        How many species to answer for.

    Returns
    -------
    torch.Tensor
        (n, n_species, 119), bool: those of higher rank in a formula.
    """
    import torch

    ranks = torch.as_tensor(FORMULA_RANK, device=arrangement.element.device)
    own = ranks[arrangement.element[:, :n_species]]
    least = torch.full_like(own, -1)
    least[:, 1:] = own[:, :-1]
    allowed: Tensor = ranks > least[..., None]
    return allowed


def _flags(species: NDArray[np.int64], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Say what follows each site."""
    follows = np.zeros_like(mask)
    follows[:, :-1] = mask[:, 1:]
    differs = np.zeros_like(mask)
    differs[:, :-1] = species[:, 1:] != species[:, :-1]
    flags = np.where(follows, np.where(differs, NEXT, SAME), END)
    return np.where(mask, flags, SAME)
