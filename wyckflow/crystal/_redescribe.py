"""The same crystal in another description: other axes, origin and Wyckoff letters."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from wyckflow.crystal._geometry import cell_from_metric, fit_parameters
from wyckflow.crystal.encode import EncodedStructure, encode_structure
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.crystal.tables import (
    ENANTIOMORPHS,
    TRANSLATION_DENOMINATOR,
    WYCKOFF_LETTERS,
)
from wyckflow.errors import StructureError

if TYPE_CHECKING:
    from wyckflow.crystal.encode import StandardCell
    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.crystal.tables import Normalizer


def reduce_standard_cell(standard: StandardCell) -> ReducedStructure:
    """Take the free coordinates of points that lie on their Wyckoff positions.

    Parameters
    ----------
    standard
        A crystal in the standard setting, one point per orbit.
    """
    rows = [
        fit_parameters(position, point[None], standard.lattice)[0]
        for position, point in zip(
            standard.gene.positions, standard.coordinates, strict=True
        )
    ]
    return ReducedStructure(standard.gene, standard.lattice, np.array(rows))


def redescribe(
    reduced: ReducedStructure, gene: WyckoffGene, *, symprec: float
) -> ReducedStructure:
    """Describe a crystal by a wanted gene.

    Parameters
    ----------
    reduced
        The crystal, described by any equivalent gene.
    gene
        How it shall be described.
    symprec
        Distance tolerance in A of the symmetry search that the mirror image takes.

    Returns
    -------
    ReducedStructure
        The same crystal, or its mirror image where only that one has the gene.

    Raises
    ------
    StructureError
        If no change of axes and origin leads to the gene.
    """
    if reduced.gene == gene:
        return reduced
    pair = {reduced.gene.space_group_number, gene.space_group_number}
    if any(pair == set(enantiomorphs) for enantiomorphs in ENANTIOMORPHS.items()):
        reduced = _mirror_image(reduced, symprec)
    if reduced.gene.space_group_number == gene.space_group_number:
        normalizer = gene.space_group.affine
        operator = _find_operator(reduced.gene, gene, normalizer)
        if operator is not None:
            return _apply(normalizer, operator, reduced, gene)
    raise StructureError(
        f"The structure is described by {reduced.gene} and by no change of axes and "
        f"origin by {gene}; give an equivalent gene, or none to take it as found."
    )


def _mirror_image(reduced: ReducedStructure, symprec: float) -> ReducedStructure:
    """Return the inverted crystal in its standard setting."""
    coordinates, numbers = reduced.expand()
    encoded = encode_structure(
        (reduced.lattice, -coordinates, numbers),
        symprec=symprec,
        with_standard_cell=True,
    )
    if isinstance(encoded, EncodedStructure) and encoded.standard_cell is not None:
        return reduce_standard_cell(encoded.standard_cell)
    return reduced


def _find_operator(
    found: WyckoffGene, wanted: WyckoffGene, normalizer: Normalizer
) -> int | None:
    """Return an operator that carries one gene to the other, a rotation if there is."""
    target = Counter((site.element, site.letter) for site in wanted.sites)
    indices = np.array([WYCKOFF_LETTERS.index(site.letter) for site in found.sites])
    elements = [site.element for site in found.sites]
    matches = [
        k
        for k, permutation in enumerate(normalizer.permutations)
        if Counter(
            (element, WYCKOFF_LETTERS[letter])
            for element, letter in zip(elements, permutation[indices], strict=True)
        )
        == target
    ]
    determinants = np.linalg.det(normalizer.rotations)
    return min(matches, key=lambda k: (determinants[k] < 0, k), default=None)


def _apply(
    normalizer: Normalizer, operator: int, reduced: ReducedStructure, gene: WyckoffGene
) -> ReducedStructure:
    """Carry points and cell to the new axes; an improper operator mirrors them."""
    rotation = normalizer.rotations[operator]
    shift = normalizer.translations[operator] / TRANSLATION_DENOMINATOR
    coordinates, _ = reduced.expand()
    points = coordinates[reduced.orbit_table.first_atoms] @ rotation.T + shift
    lattice = np.linalg.inv(rotation).T @ reduced.lattice
    lattice = cell_from_metric(lattice @ lattice.T)
    places: dict[tuple[str, str], list[int]] = {}
    for place, site in enumerate(reduced.gene.sites):
        index = WYCKOFF_LETTERS.index(site.letter)
        letter = WYCKOFF_LETTERS[normalizer.permutations[operator][index]]
        places.setdefault((site.element, letter), []).append(place)
    order = [places[site.element, site.letter].pop(0) for site in gene.sites]
    rows = [
        fit_parameters(position, points[place][None], lattice)[0]
        for position, place in zip(gene.positions, order, strict=True)
    ]
    return ReducedStructure(gene, lattice, np.array(rows))
