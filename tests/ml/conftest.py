"""Small datasets of made-up crystals, in which there is something to learn."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.tables import load_space_group

sys.path.insert(0, str(Path(__file__).parent))
from made_crystals import ANIONS, CATIONS, dataset_of_genes, salts_with_properties


@pytest.fixture(scope="session")
def make_dataset():
    """Make a dataset of genes and properties."""
    return dataset_of_genes


@pytest.fixture(scope="session")
def salt_dataset():
    """Salts whose energy and gap follow from their elements."""
    return salts_with_properties()


def random_gene(rng, number, *, max_elements=5):
    """A gene of any space group that can exist."""
    group = load_space_group(number)
    elements = rng.choice([*CATIONS, *ANIONS], max_elements, replace=False).tolist()
    pairs, taken = [], set()
    for _ in range(int(rng.integers(1, 8))):
        letter = str(rng.choice(list(group.letters)))
        if group.position(letter).degrees_of_freedom == 0:
            if letter in taken:
                continue
            taken.add(letter)
        pairs.append((str(rng.choice(elements)), letter))
    return WyckoffGene.from_pairs(number, pairs)


@pytest.fixture(scope="session")
def random_genes():
    """A gene in each of the 230 groups, and as many again."""
    rng = np.random.default_rng(0)
    return [random_gene(rng, number) for number in range(1, 231) for _ in range(2)]
