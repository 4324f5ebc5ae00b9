"""How new genes are, measured against a reference set."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from wyckflow.crystal.elements import ELECTRONEGATIVITIES
from wyckflow.crystal.keys import (
    LETTER_BITS,
    anonymous_keys,
    canonical_keys,
    find_keys,
    pack_genes,
)
from wyckflow.screening.novelty.species import (
    SpeciesTable,
    formula_keys,
    gene_outlines,
    list_species,
    prototype_outlines,
    scramble,
    species_outlines,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.screening.novelty.known import KnownGenes
    from wyckflow.screening.novelty.species import Codes

MAX_ELECTRONEGATIVITY_DIFFERENCE: Final = 1.0
"""Pauling; elements further apart are not taken to share a site."""

_LETTER_MASK: Final = (1 << LETTER_BITS) - 1

Flags: TypeAlias = "NDArray[np.bool_]"
"""One per gene."""


class NoveltyLevel(IntEnum):
    """How new a gene is; more is newer."""

    KNOWN_GENE = 0
    """The same arrangement of the same elements is known."""
    KNOWN_PROTOTYPE = 1
    """The same arrangement is known with other elements."""
    KNOWN_PARENT = 2
    """It could be an ordering, or a lower-symmetry form, of a known prototype."""
    NEW = 3
    """None of these."""


@dataclass(frozen=True, eq=False, slots=True)
class NoveltyLevels:
    """What is known of each of many genes; every array has one entry per gene.

    Attributes
    ----------
    known_gene
        The same gene is known, up to a change of description or handedness.
    known_prototype
        The same gene is known with other elements.
    known_parent
        With two of its elements taken for one, or as it is, it is a known prototype
        in the same space group or in a lower-symmetry form.
    known_parent_gene
        The same, and the parent is known with one of the two elements in the place of
        both, or with the very elements.
    known_formula
        A crystal of the same reduced formula is known.
    level
        `NoveltyLevel` as an integer: the first of the flags that is set.
    """

    known_gene: Flags
    known_prototype: Flags
    known_parent: Flags
    known_parent_gene: Flags
    known_formula: Flags

    @property
    def level(self) -> NDArray[np.int64]:
        """How new each gene is."""
        flags = [self.known_gene, self.known_prototype, self.known_parent]
        return np.select(flags, [0, 1, 2], int(NoveltyLevel.NEW)).astype(np.int64)


def judge_novelty(
    genes: Sequence[WyckoffGene] | Codes,
    known: KnownGenes,
    *,
    max_electronegativity_difference: float = MAX_ELECTRONEGATIVITY_DIFFERENCE,
) -> NoveltyLevels:
    """Tell how new genes are.

    Parameters
    ----------
    genes
        Genes, or the arrays that `wyckflow.crystal.keys.pack_genes` makes of them.
    known
        What they are compared with.
    max_electronegativity_difference
        Two elements further apart on Pauling's scale are not taken for one.
    """
    numbers, sites = _as_codes(genes)
    keys, anonymous = canonical_keys(numbers, sites), anonymous_keys(numbers, sites)
    species = list_species((numbers, sites))
    known_prototype = _is_in(anonymous, known.prototype_keys)
    parent = known_prototype | _is_in(anonymous, known.parent_keys)
    parent_gene = _is_in(keys, known.parent_gene_keys)
    pairs = _alike_pairs(species, max_electronegativity_difference)
    _mark_merged(species, pairs, (numbers, sites), known, parent)
    _mark_filled(species, pairs, (numbers, sites), known, parent_gene)
    return NoveltyLevels(
        known_gene=_is_in(keys, known.gene_keys),
        known_prototype=known_prototype,
        known_parent=parent | parent_gene,
        known_parent_gene=parent_gene,
        known_formula=_is_in(formula_keys(species), known.formula_keys),
    )


def _is_in(
    keys: NDArray[np.uint64], sorted_reference: NDArray[np.uint64]
) -> NDArray[np.bool_]:
    return find_keys(keys, sorted_reference) >= 0


def _as_codes(
    genes: Sequence[WyckoffGene] | Codes,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Take genes as objects or as arrays."""
    if isinstance(genes, tuple) and genes and isinstance(genes[0], np.ndarray):
        numbers, sites = genes
    else:
        numbers, sites = pack_genes(genes)  # type: ignore[arg-type]  # no arrays
    return np.asarray(numbers, np.int64), np.asarray(sites, np.int64)


# --- two elements taken for one -----------------------------------------------------


def _alike_pairs(
    species: SpeciesTable, max_difference: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all pairs of elements of a gene that may share a site, as rows."""
    scale = np.array([np.nan, *ELECTRONEGATIVITIES.values()])
    scale[np.isinf(scale)] = np.nan  # no noble gas shares a site
    values = scale[species.atomic_numbers]
    nothing = np.zeros(0, np.int64)
    firsts, seconds = [nothing], [nothing]
    for distance in range(1, int(species.n_elements.max(initial=1))):
        first = np.flatnonzero(species.genes[distance:] == species.genes[:-distance])
        first = first[abs(values[first] - values[first + distance]) <= max_difference]
        firsts.append(first)
        seconds.append(first + distance)
    return np.concatenate(firsts), np.concatenate(seconds)


def _mark_merged(
    species: SpeciesTable,
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]],
    codes: tuple[NDArray[np.int64], NDArray[np.int64]],
    known: KnownGenes,
    parent: NDArray[np.bool_],
) -> None:
    """Mark genes that are a known prototype once two elements are one."""
    open_pairs = ~parent[species.genes[pairs[0]]]
    first, second = pairs[0][open_pairs], pairs[1][open_pairs]
    owners = species.genes[first]
    own = scramble(species.outlines)
    both = scramble(species.outlines[first] + species.outlines[second])
    outlines = prototype_outlines(species)[owners] - own[first] - own[second] + both
    likely = _is_in(outlines, known.parent_outlines)
    merged = _replace(species, codes, second[likely], first[likely])
    found = _is_in(anonymous_keys(*merged), known.parent_keys)
    parent[owners[likely][found]] = True


def _mark_filled(
    species: SpeciesTable,
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]],
    codes: tuple[NDArray[np.int64], NDArray[np.int64]],
    known: KnownGenes,
    parent_gene: NDArray[np.bool_],
) -> None:
    """Mark genes that are a known gene once one element is in the place of two."""
    kept, replaced = np.concatenate(pairs), np.concatenate(pairs[::-1])
    open_pairs = ~parent_gene[species.genes[kept]]
    kept, replaced = kept[open_pairs], replaced[open_pairs]
    owners = species.genes[kept]
    own = species_outlines(species.outlines, species.atomic_numbers)
    both = species_outlines(
        species.outlines[kept] + species.outlines[replaced],
        species.atomic_numbers[kept],
    )
    outlines = gene_outlines(species)[owners] - own[kept] - own[replaced] + both
    likely = _is_in(outlines, known.parent_gene_outlines)
    filled = _replace(species, codes, replaced[likely], kept[likely])
    found = _is_in(canonical_keys(*filled), known.parent_gene_keys)
    parent_gene[owners[likely][found]] = True


def _replace(
    species: SpeciesTable,
    codes: tuple[NDArray[np.int64], NDArray[np.int64]],
    replaced: NDArray[np.int64],
    kept: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Put an element of a gene on all sites of another, for many such pairs."""
    numbers, sites = (array[species.genes[kept]] for array in codes)
    old, new = (species.atomic_numbers[rows][:, None] for rows in (replaced, kept))
    other = (new << LETTER_BITS) + (sites & _LETTER_MASK)
    return numbers, np.where(sites >> LETTER_BITS == old, other, sites)
