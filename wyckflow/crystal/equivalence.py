"""Which genes are the same arrangement, and the same crystal in another description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.elements import FORMULA_RANKS
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.tables import (
    ENANTIOMORPHS,
    TRANSLATION_DENOMINATOR,
    WYCKOFF_LETTERS,
    NormalizerKind,
    SpaceGroup,
    load_space_group,
)
from wyckflow.errors import StructureError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "EquivalentStructure",
    "NormalizerKind",
    "augment_structure",
    "canonical_gene",
    "equivalent_genes",
]

_METRIC_TOLERANCE: Final = 0.02


def equivalent_genes(
    gene: WyckoffGene, *, kind: NormalizerKind = NormalizerKind.EUCLIDEAN
) -> tuple[WyckoffGene, ...]:
    """Return every gene that describes the same arrangement, the given one first.

    Parameters
    ----------
    gene
        Any gene.
    kind
        Which changes of description to allow.
    """
    elements, images = _images(gene, gene.space_group, kind)
    distinct = dict.fromkeys(
        WyckoffGene.from_pairs(
            gene.space_group_number,
            zip(elements, (WYCKOFF_LETTERS[i] for i in letters), strict=True),
        )
        for letters in images.tolist()
    )
    return tuple(distinct)


def canonical_gene(
    gene: WyckoffGene,
    *,
    kind: NormalizerKind = NormalizerKind.AFFINE,
    fold_enantiomorphs: bool = True,
) -> WyckoffGene:
    """Return the one gene that stands for all equivalent ones.

    It is the one whose sites, in their order, have the earliest letters.

    Parameters
    ----------
    gene
        Any gene.
    kind
        Which changes of description to allow.
    fold_enantiomorphs
        Whether to move it to the lower space group of a mirror pair.
    """
    number = gene.space_group_number
    if fold_enantiomorphs:
        number = ENANTIOMORPHS.get(number, number)
    elements, images = _images(gene, load_space_group(number), kind)
    first = images[np.lexsort(images.T[::-1])[0]]
    letters = (WYCKOFF_LETTERS[i] for i in first.tolist())
    return WyckoffGene.from_pairs(number, zip(elements, letters, strict=True))


@dataclass(frozen=True, eq=False, slots=True)
class EquivalentStructure:
    """One description of a crystal in the standard setting of its space group.

    Attributes
    ----------
    gene
        The gene in this description.
    lattice
        Cell vectors in rows, in A; right-handed.
    fractional_coordinates
        Atoms in the order of the input, in [0, 1).
    letters
        What became of each letter: from the input's letter to this description's.
    """

    gene: WyckoffGene
    lattice: NDArray[np.float64]
    fractional_coordinates: NDArray[np.float64]
    letters: dict[str, str]


def augment_structure(
    gene: WyckoffGene,
    lattice: ArrayLike,
    fractional_coordinates: ArrayLike,
    *,
    kind: NormalizerKind = NormalizerKind.AUGMENTATION,
) -> tuple[EquivalentStructure, ...]:
    """Describe a crystal in every equivalent way, letters and coordinates together.

    Each operator of the normalizer gives one description of the same crystal, or of
    its mirror image where the operator changes the handedness: the cell vectors
    returned are always right-handed.

    Parameters
    ----------
    gene
        The gene of the crystal.
    lattice
        Vectors of the conventional cell in rows, (3, 3) in A, in the ITA standard
        setting.
    fractional_coordinates
        Atoms in this cell, (n, 3), all of them or one of each orbit.
    kind
        Which operators to use.

    Returns
    -------
    tuple
        One description per operator; the first is the input.

    Raises
    ------
    StructureError
        If shapes are wrong, or the lattice is not that of the space group.
    """
    vectors = np.asarray(lattice, float)
    coordinates = np.asarray(fractional_coordinates, float)
    group = gene.space_group
    _check_shapes(vectors, coordinates)
    _check_metric(group, vectors)
    normalizer = group.normalizer(kind)
    descriptions = []
    for rotation, translation, permutation in zip(
        normalizer.rotations,
        normalizer.translations / TRANSLATION_DENOMINATOR,
        normalizer.permutations.tolist(),
        strict=True,
    ):
        handedness = np.sign(np.linalg.det(rotation))
        letters = {
            letter: WYCKOFF_LETTERS[image]
            for letter, image in zip(group.letters, permutation, strict=True)
        }
        pairs = [(site.element, letters[site.letter]) for site in gene.sites]
        descriptions.append(
            EquivalentStructure(
                gene=WyckoffGene.from_pairs(group.number, pairs),
                lattice=handedness * np.linalg.solve(rotation.T, vectors),
                fractional_coordinates=(coordinates @ rotation.T + translation) % 1.0,
                letters=letters,
            )
        )
    return tuple(descriptions)


def _images(
    gene: WyckoffGene, group: SpaceGroup, kind: NormalizerKind
) -> tuple[list[str], NDArray[np.int64]]:
    """Return the elements of a gene's sites, and their letter indices in every form.

    Sites of the same element are put in letter order, so that equal rows are equal
    genes; the elements are in the order of the gene throughout.
    """
    elements = [site.element for site in gene.sites]
    ranks = np.array([FORMULA_RANKS[element] for element in elements])
    letters = [WYCKOFF_LETTERS.index(site.letter) for site in gene.sites]
    permutations = group.normalizer(kind).distinct_permutations.astype(np.int64)
    codes = ranks * len(WYCKOFF_LETTERS) + permutations[:, letters]
    codes.sort(axis=1)
    rows = codes % len(WYCKOFF_LETTERS)
    return elements, rows


def _check_shapes(
    vectors: NDArray[np.float64], coordinates: NDArray[np.float64]
) -> None:
    if vectors.shape != (3, 3) or coordinates.ndim != 2 or coordinates.shape[1] != 3:  # noqa: PLR2004 - three dimensions
        raise StructureError(
            f"A lattice of shape {vectors.shape} and coordinates of shape "
            f"{coordinates.shape} came; give (3, 3) and (n, 3)."
        )


def _check_metric(group: SpaceGroup, vectors: NDArray[np.float64]) -> None:
    """Refuse a lattice that the rotations of the group do not keep."""
    metric = vectors @ vectors.T
    turned = group.rotations.transpose(0, 2, 1) @ metric @ group.rotations
    deviation = np.abs(turned - metric).max() / np.abs(metric).max()
    if deviation > _METRIC_TOLERANCE:
        raise StructureError(
            f"The lattice {vectors.tolist()} is not one of space group {group.number} "
            f"({group.symbol}): its rotations change the metric by {deviation:.0%}. "
            "Give the conventional cell of the ITA standard setting."
        )
