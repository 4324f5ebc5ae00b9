"""Accepted genes of any number of screens, as arrays, in order of promise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from wyckflow.crystal.keys import unpack_genes
from wyckflow.schemas.screening import unpack_verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.schemas.generation import GenerationDoc
    from wyckflow.schemas.screening import ScreeningDoc
    from wyckflow.thermo.hull import Hull

    Part = tuple[
        NDArray[np.int16], NDArray[np.int16], NDArray[np.uint64], NDArray[np.float64]
    ]

ENERGY: Final = "formation_energy_per_atom"
PREDICTED_SCALE: Final = "mp2020-gga-u"
"""Scale of the formation energies that generators learn from."""

BY_HULL: Final = (
    "predicted energy above the hull of the bundled DFT reference, plus its error"
)
BUNDLED_RANKER, GENERATOR = "bundled", "generator"
RANKERS: Final = (BUNDLED_RANKER, GENERATOR)
"""Who predicts: a model that has seen unstable crystals, or the generator itself."""
BY_RANKER: Final = f"{BY_HULL}, by the bundled ranker"
BY_ORDER: Final = "nothing: in the order in which they came"

_GENES_AT_ONCE: Final = 5000
"""Genes that are objects at a time; beside them, a gene takes about 50 bytes."""


@dataclass(frozen=True, eq=False, slots=True)
class AcceptedGenes:
    """What the screens accepted, each arrangement once, the most promising first.

    Attributes
    ----------
    space_group_numbers, codes
        The genes, as `wyckflow.crystal.keys.pack_genes` writes them.
    keys
        One number per gene, the same for every description of an arrangement.
    n_accepted
        Genes that the screens accepted.
    ranked_by
        What they are ordered by, in words.
    """

    space_group_numbers: NDArray[np.int16]
    codes: NDArray[np.int16]
    keys: NDArray[np.uint64]
    n_accepted: int
    ranked_by: str

    @classmethod
    def gather(
        cls,
        screenings: Sequence[ScreeningDoc],
        generations: Sequence[GenerationDoc] | None,
        ranker: str = BUNDLED_RANKER,
    ) -> Self:
        """Read what was accepted, and order it.

        Parameters
        ----------
        screenings
            One or more.
        generations
            What each of them screened, or None: then genes keep their order.
        ranker
            One of `RANKERS`. Without predictions of energy by their generator, genes
            that it shall rank keep their order.
        """
        has_energies = generations is not None and (
            ranker == BUNDLED_RANKER
            or all(ENERGY in document.properties for document in generations)
        )
        hull = load_predicted_hull() if has_energies else None
        parts = []
        for place, screening in enumerate(screenings):
            document = generations[place] if generations else None
            own = None if ranker == BUNDLED_RANKER else document
            parts.append(_read_part(screening, own, hull))
        numbers, codes, keys, distances = _join(parts)
        order = np.argsort(distances, kind="stable")
        # What two parts have proposed counts once: where it stands first.
        _, first = np.unique(keys[order], return_index=True)
        chosen = order[np.sort(first)]
        return cls(
            numbers[chosen],
            codes[chosen],
            keys[chosen],
            n_accepted=len(keys),
            ranked_by=_say(ranker) if hull is not None and len(keys) else BY_ORDER,
        )

    def __len__(self) -> int:
        """Return the number of different arrangements."""
        return len(self.space_group_numbers)

    def without(self, keys: NDArray[np.uint64]) -> Self:
        """Return what is left without some arrangements.

        Parameters
        ----------
        keys
            Of those to leave out.
        """
        kept = ~np.isin(self.keys, keys)
        return replace(
            self,
            space_group_numbers=self.space_group_numbers[kept],
            codes=self.codes[kept],
            keys=self.keys[kept],
        )

    def head(self, n: int | None) -> list[WyckoffGene]:
        """Return the first genes.

        Parameters
        ----------
        n
            How many at most; all if None.
        """
        return unpack_genes(self.space_group_numbers[:n], self.codes[:n])


def load_predicted_hull() -> Hull:
    """Return the hull that predicted formation energies are held against."""
    from wyckflow.thermo.bundled import load_bundled_reference
    from wyckflow.thermo.hull import Hull

    return Hull(load_bundled_reference(PREDICTED_SCALE))


def rank_genes(
    genes: Sequence[WyckoffGene],
    energies: NDArray[np.float64] | None,
    errors: NDArray[np.float64] | None = None,
) -> tuple[list[int], str]:
    """Return places in order of promise, and what they were ordered by, in words.

    Parameters
    ----------
    genes
        The genes.
    energies
        Predicted formation energies, eV/atom, or None without predictions.
    errors
        How far they may be off, eV/atom; alike for all by default.
    """
    if energies is None or not len(genes):
        return list(range(len(genes))), BY_ORDER
    distances = measure_distances(genes, energies, load_predicted_hull())
    own = np.zeros(len(genes)) if errors is None else errors
    return np.lexsort((distances, lack_of_promise(distances, own))).tolist(), BY_HULL


def lack_of_promise(
    distances: NDArray[np.float64], errors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what genes are ordered by, the most promising lowest, eV/atom.

    A gene far below the hull of the bundled reference is not the more promising: the
    reference is partial, and what it lacks is what the gene seems to beat. So no
    distance counts below zero, and among those the surest prediction comes first.

    Parameters
    ----------
    distances
        Predicted energies above the hull, eV/atom.
    errors
        How far they may be off, eV/atom.
    """
    return np.maximum(distances, 0) + errors


def measure_distances(
    genes: Sequence[WyckoffGene], energies: NDArray[np.float64], hull: Hull
) -> NDArray[np.float64]:
    """Return how far genes are predicted to be above a hull, eV/atom.

    The distance to the hull, not the energy: that of a composition with few stable
    competitors may be high and the gene still be stable. Genes with an element that
    the reference lacks are infinitely far.

    Parameters
    ----------
    genes
        The genes.
    energies
        Their predicted formation energies, eV/atom.
    hull
        Of known phases.
    """
    found = hull.energies_above_hull(
        [gene.composition for gene in genes],
        energies,
        scale=PREDICTED_SCALE,
        kind="formation",
    )
    return np.nan_to_num(found.energies_above_hull, nan=np.inf)


def _read_part(
    screening: ScreeningDoc, generation: GenerationDoc | None, hull: Hull | None
) -> Part:
    """Return groups, codes, keys and what orders what one screen accepted.

    The energies are those of the generation, or else of the bundled ranker.
    """
    if screening.blob is None:
        none = np.empty(0, np.int16), np.empty((0, 0), np.int16)
        return *none, np.empty(0, np.uint64), np.empty(0)
    arrays = unpack_verdicts(screening.blob)
    rows = screening.accepted_rows()
    numbers, codes = arrays["space_groups"][rows], arrays["codes"][rows]
    distances = np.zeros(len(rows))
    if hull is not None:
        if generation is None:
            from wyckflow.ml.ranker import load_bundled_ranker

            energies, errors = load_bundled_ranker().predict(numbers, codes)
        else:
            energies = generation.column(ENERGY)[rows].astype(np.float64)
            errors = generation.column(f"{ENERGY}_deviation")[rows].astype(np.float64)
        for some in _slices(len(rows)):
            genes = unpack_genes(numbers[some], codes[some])
            own = measure_distances(genes, energies[some], hull)
            distances[some] = lack_of_promise(own, errors[some])
    return numbers, codes, arrays["keys"][rows], distances


def _say(ranker: str) -> str:
    return BY_RANKER if ranker == BUNDLED_RANKER else BY_HULL


def _slices(n: int) -> Iterator[slice]:
    """Cut a table into pieces."""
    for start in range(0, n, _GENES_AT_ONCE):
        yield slice(start, start + _GENES_AT_ONCE)


def _join(parts: Iterable[Part]) -> Part:
    """Put parts below each other, whose codes may differ in width."""
    numbers, codes, keys, distances = zip(*parts, strict=True)
    width = max(table.shape[1] for table in codes)
    wide = [np.pad(table, ((0, 0), (0, width - table.shape[1]))) for table in codes]
    return (
        np.concatenate(numbers),
        np.concatenate(wide),
        np.concatenate(keys),
        np.concatenate(distances),
    )
