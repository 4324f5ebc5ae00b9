"""Trial structures of a gene by drawing many cells and coordinates at once.

A round draws some dozens of cells and places the orbits one after another in all of
them, with several candidates per orbit; cells where no candidate keeps clear of the
atoms before it are given up. The finished structures are ordered so that those first
in line are both roomy and unlike each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.build._placement import Draws, Placement
from wyckflow.crystal.build._ranking import rank_draws
from wyckflow.crystal.build._shapes import draw_lattices
from wyckflow.crystal.build.volumes import load_atomic_volumes
from wyckflow.crystal.reduced import ReducedStructure, contact_radii

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.random import Generator
    from numpy.typing import NDArray

    from wyckflow.crystal.gene import WyckoffGene

    Floats = NDArray[np.float64]

DEFAULT_CONTACT_RATIO: Final = 0.65
"""Shortest distance allowed, over the sum of the contact radii."""

VOLUME_SPREAD: Final = 0.1
"""Standard deviation of log(volume) of the draws; that of known crystals about the
volume prior is 0.08 to 0.11."""

MAX_ROUNDS: Final = 40

# Cells per wanted structure (twice as many in later rounds), and candidates per orbit
# in the first round and in any.
_N_CELLS: Final = 3
_N_CANDIDATES: Final = 8
_MAX_CANDIDATES: Final = 64

# After two rounds in vain, volumes grow and shapes spread by these factors per round,
# up to the limits.
_GROWTH: Final = 1.05
_MAX_GROWTH: Final = 2.0
_SPREADING: Final = 1.1
_MAX_SPREADING: Final = 2.0


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """What a search for trial structures found.

    Iterating over it makes the structures one by one, the best first, each unlike
    those before it.

    Attributes
    ----------
    gene
        What was to be built.
    lattices, parameters
        The drawn structures in order.
    n_draws
        Cells drawn, also those that were given up.
    min_contact_ratio
        Shortest distance allowed, over the sum of the contact radii.
    was_interrupted
        Whether the search was told to stop; then there are no structures, since how
        far it came depends on the machine.
    """

    gene: WyckoffGene
    lattices: Floats
    parameters: Floats
    n_draws: int
    min_contact_ratio: float
    was_interrupted: bool = False

    def __len__(self) -> int:
        """Return the number of drawn structures."""
        return len(self.lattices)

    def __iter__(self) -> Iterator[ReducedStructure]:
        """Yield the structures, but for those with a contact that the search missed.

        The search looks at the nearest images only, which in a skewed cell may not be
        all that matter.
        """
        for lattice, parameters in zip(self.lattices, self.parameters, strict=True):
            structure = ReducedStructure(self.gene, lattice, parameters)
            if structure.contact_ratio() >= self.min_contact_ratio:
                yield structure


def sample_structures(
    gene: WyckoffGene,
    n_structures: int,
    *,
    rng: Generator,
    min_contact_ratio: float = DEFAULT_CONTACT_RATIO,
    should_stop: Callable[[], bool] = lambda: False,
) -> Sample:
    """Draw trial structures of a gene.

    Parameters
    ----------
    gene
        What to build; all its elements must be in the table of atomic volumes.
    n_structures
        How many are wanted; rounds go on until there are as many to choose from, or
        `MAX_ROUNDS` are over. More or fewer may come out.
    rng
        Source of all randomness.
    min_contact_ratio
        Shortest distance allowed, over the sum of the contact radii.
    should_stop
        Asked before every orbit of every round.

    Returns
    -------
    Sample
        At least ``n_structures`` structures where the search succeeded.

    Raises
    ------
    StructureError
        If an element is not in the table.
    """
    placement = Placement(gene, contact_radii(gene), min_contact_ratio)
    volume = load_atomic_volumes().estimate(gene.composition)
    draws = Draws(np.empty((0, 3, 3)), np.empty((0, gene.n_orbits, 3)))
    n_draws = 0
    for round_number in range(MAX_ROUNDS):
        effort = max(0, round_number - 1)
        n_candidates = min(_N_CANDIDATES << effort, _MAX_CANDIDATES)
        n_cells = _N_CELLS * n_structures * (2 if effort else 1)
        n_cells = min(n_cells, placement.max_cells(n_candidates))
        lattices = draw_lattices(
            gene.space_group_number,
            volume * min(_GROWTH**effort, _MAX_GROWTH) * _scatter(n_cells, rng),
            rng,
            spreading=min(_SPREADING**effort, _MAX_SPREADING),
        )
        n_draws += n_cells
        filled = placement.fill(lattices, n_candidates, rng, should_stop)
        if filled is None:
            draws = draws.take(np.arange(0))
            break
        draws = draws.join(filled)
        if len(draws) >= n_structures:
            break
    draws = draws.take(rank_draws(placement, draws, n_structures))
    return Sample(
        gene=gene,
        lattices=draws.lattices,
        parameters=draws.parameters,
        n_draws=n_draws,
        min_contact_ratio=min_contact_ratio,
        was_interrupted=filled is None,
    )


def _scatter(n_cells: int, rng: Generator) -> Floats:
    """Return random factors of the volume."""
    factors: Floats = np.exp(rng.normal(0.0, VOLUME_SPREAD, n_cells))
    return factors
