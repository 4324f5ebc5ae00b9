"""Some of very many genes: a sample of bounded size, the same every time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pymongo.errors import PyMongoError

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import pack_genes
from wyckflow.screening.novelty.parents import join_codes
from wyckflow.store.candidates.builder import CANDIDATES
from wyckflow.store.connect import explain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from wyckflow.store.connect import Database

SAMPLE_SIZE: Final = 2000
"""Genes that are looked at one by one, of however many there are."""
SEED: Final = 0
ENERGY: Final = "formation_energy_per_atom"


@dataclass(frozen=True, eq=False, slots=True)
class GeneSample:
    """Some of many genes.

    Attributes
    ----------
    space_groups, codes
        The genes, as `wyckflow.crystal.keys.pack_genes` writes them.
    energies
        Predicted formation energies, eV/atom; NaN where there is none.
    n_genes
        How many there are in all.
    """

    space_groups: NDArray[np.int64]
    codes: NDArray[np.int64]
    energies: NDArray[np.float64]
    n_genes: int

    def __len__(self) -> int:
        """Return how many are in the sample."""
        return len(self.space_groups)


class Sampler:
    """Draws a sample while genes pass by, in one go and without keeping them.

    Every gene gets a random number, and those with the smallest stay.

    Parameters
    ----------
    size
        At most so many.
    seed
        Of the random numbers: the same genes in the same order give the same sample.
    """

    def __init__(self, size: int = SAMPLE_SIZE, *, seed: int = SEED) -> None:
        self.size = size
        self.n_genes = 0
        self._random = np.random.default_rng(seed)
        self._draws = np.empty(0)
        self._codes = join_codes([])
        self._energies = np.empty(0)

    def add(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Let some genes pass by.

        Parameters
        ----------
        arrays
            As `wyckflow.schemas.generation.GenerationDoc.iter_rows` yields them.
        """
        groups = arrays["space_groups"].astype(np.int64)
        self.n_genes += len(groups)
        energies = arrays.get(ENERGY, np.full(len(groups), np.nan))
        draws = np.concatenate([self._draws, self._random.random(len(groups))])
        kept = np.sort(np.argsort(draws, kind="stable")[: self.size])
        numbers, codes = join_codes(
            [self._codes, (groups, arrays["codes"].astype(np.int64))]
        )
        self._draws, self._codes = draws[kept], (numbers[kept], codes[kept])
        self._energies = np.concatenate([self._energies, energies.astype(float)])[kept]

    def take(self) -> GeneSample:
        """Return the sample of what has passed so far."""
        groups, codes = (table.astype(np.int64) for table in self._codes)
        return GeneSample(groups, codes, self._energies, self.n_genes)


def read_accepted(
    database: Database, campaign: str, *, size: int = SAMPLE_SIZE
) -> GeneSample:
    """Return a sample of the genes that passed every filter of the screen.

    The ids of genes are hashes, so that the first by id are a fair choice.

    Parameters
    ----------
    database
        Where.
    campaign
        Which.
    size
        At most so many.
    """
    passed = {"$elemMatch": {"stage": "gene screen", "verdict": "pass"}}
    query = {"campaign": campaign, "verdicts": passed}
    with database.client() as client:
        candidates = client[database.name][CANDIDATES]
        try:
            found = candidates.find(query, {"gene": 1}).sort("gene_id", 1).limit(size)
            genes = [item["gene"] for item in found]
            n_genes = candidates.count_documents(query)
        except PyMongoError as error:
            raise explain(error, database) from error
    return sample_genes(genes, n_genes=n_genes)


def sample_genes(genes: Sequence[str], *, n_genes: int) -> GeneSample:
    """Return genes in text form as a sample, without predictions.

    Parameters
    ----------
    genes
        Such as ``221 Sr:a Ti:b O:c``.
    n_genes
        How many there are in all.
    """
    groups, codes = pack_genes([WyckoffGene.from_text(text) for text in genes])
    wide = groups.astype(np.int64), codes.astype(np.int64)
    return GeneSample(*wide, np.full(len(genes), np.nan), n_genes)
