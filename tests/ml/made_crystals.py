"""Made-up crystals in which there is something to learn, for tests that train."""

from __future__ import annotations

import numpy as np

from wyckflow.crystal.dataset._arrays import RowArrays
from wyckflow.crystal.dataset.metadata import DatasetMetadata
from wyckflow.crystal.dataset.table import Dataset
from wyckflow.crystal.elements import ATOMIC_NUMBERS
from wyckflow.crystal.encode import Engine
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.tables import WYCKOFF_LETTERS

CATIONS = ["Li", "Na", "K", "Mg", "Ca", "Sr", "Ti", "Zr"]
ANIONS = ["O", "S", "F", "Cl", "N"]


def dataset_of_genes(genes, properties):
    """Genes with properties, and lattices that mean nothing."""
    sites = [site for gene in genes for site in gene.sites]
    arrays = RowArrays(
        space_group_numbers=np.array([g.space_group_number for g in genes], np.uint8),
        n_sites=np.array([gene.n_orbits for gene in genes], np.int32),
        atomic_numbers=np.array([ATOMIC_NUMBERS[s.element] for s in sites], np.uint8),
        letter_indices=np.array(
            [WYCKOFF_LETTERS.index(s.letter) for s in sites], np.uint8
        ),
        coordinates=np.zeros((len(sites), 3)),
        lattices=np.tile(np.eye(3), (len(genes), 1, 1)),
        sources=np.zeros(len(genes), np.int32),
        records=np.arange(len(genes)),
        properties={k: np.asarray(v, float) for k, v in properties.items()},
        texts={},
    )
    return Dataset(arrays, DatasetMetadata(engine=Engine.SPGLIB, symprec=0.1))


def salts():
    """Rock salts, fluorites and perovskites of all cations and anions."""
    genes = []
    for cation in CATIONS:
        for anion in ANIONS:
            genes += [
                WyckoffGene.from_text(f"225 {cation}:a {anion}:b"),
                WyckoffGene.from_text(f"225 {cation}:a {anion}:c"),
                WyckoffGene.from_text(f"62 {cation}:c {anion}:c2"),
            ]
            genes += [
                WyckoffGene.from_text(f"221 {cation}:a {other}:b {anion}:c")
                for other in ("Ti", "Zr", "Si")
                if other != cation
            ]
    return genes


def salts_with_properties():
    """Salts whose energy and gap follow from their elements; one energy is missing."""
    genes = salts()
    energy = [-0.02 * sum(ATOMIC_NUMBERS[e] for e in g.elements) for g in genes]
    gap = [max(0.0, 4 - 0.1 * ATOMIC_NUMBERS[g.elements[-1]]) for g in genes]
    gap = [0.0 if "Zr" in g.elements else x for g, x in zip(genes, gap, strict=True)]
    energy[3] = np.nan
    return dataset_of_genes(
        genes, {"formation_energy_per_atom": energy, "band_gap": gap}
    )
