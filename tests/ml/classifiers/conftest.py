"""Small datasets of our own making: compounds whose class a rule decides."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.dataset._arrays import RowArrays
from wyckflow.crystal.dataset.metadata import DatasetMetadata
from wyckflow.crystal.dataset.table import Dataset
from wyckflow.crystal.encode import Engine
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import LETTER_BITS, pack_genes
from wyckflow.ml.classifiers.labels import Task, label_metals
from wyckflow.ml.classifiers.options import ClassifierOptions
from wyckflow.ml.classifiers.training import train_classifier

METALLIC = ("Li", "Na", "K", "Mg", "Ca", "Sr", "Al", "Ti", "Fe", "Co", "Ni", "Cu", "Zn")
ANIONS = ("O", "S", "Se", "F", "Cl", "Br")
TEMPLATES = ("225 {}:a {}:b", "221 {}:a {}:b", "216 {}:a {}:c", "194 {}:a {}:c")


def make_dataset(genes, **properties):
    """Return a dataset of genes, with cells and coordinates that mean nothing."""
    groups, codes = pack_genes(genes)
    n_sites = (codes > 0).sum(axis=1)
    flat = codes[codes > 0].astype(np.int64)
    arrays = RowArrays(
        space_group_numbers=groups.astype(np.uint8),
        n_sites=n_sites.astype(np.int32),
        atomic_numbers=(flat >> LETTER_BITS).astype(np.uint8),
        letter_indices=(flat & (1 << LETTER_BITS) - 1).astype(np.uint8),
        coordinates=np.zeros((len(flat), 3)),
        lattices=np.tile(np.eye(3) * 4.0, (len(genes), 1, 1)),
        sources=np.zeros(len(genes), np.int32),
        records=np.arange(1, len(genes) + 1),
        properties={name: np.array(v, float) for name, v in properties.items()},
        texts={},
    )
    return Dataset(arrays, DatasetMetadata(engine=Engine.SPGLIB, symprec=0.1))


@pytest.fixture(scope="session")
def salts_and_alloys():
    """Binaries: with an anion there is a gap, without there is none."""
    genes, gaps = [], []
    for template in TEMPLATES:
        for first in METALLIC:
            for second in METALLIC + ANIONS:
                if first != second:
                    genes.append(WyckoffGene.from_text(template.format(first, second)))
                    gaps.append(2.0 if second in ANIONS else 0.0)
    return make_dataset(genes, band_gap=gaps)


@pytest.fixture(scope="session")
def metal_rows(salts_and_alloys):
    """Those, labelled."""
    return label_metals([salts_and_alloys])


@pytest.fixture(scope="session")
def metal_classifier(metal_rows):
    """A small classifier of them."""
    options = ClassifierOptions(n_members=2, n_epochs=20, batch_size=32, hidden=(16, 8))
    return train_classifier(metal_rows, Task.METAL, options)


@pytest.fixture(scope="session")
def make_labelled():
    """Return what makes a dataset of genes and properties."""
    return make_dataset
