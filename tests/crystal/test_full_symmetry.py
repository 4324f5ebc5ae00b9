"""Genes whose crystals all have more symmetry than their space group says."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal import WyckoffGene
from wyckflow.crystal.full_symmetry import find_full_gene
from wyckflow.crystal.tables import load_space_group


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("195 Ca:a Ti:b O:c", "221 Ca:a Ti:b O:c"),
        ("196 Na:a Cl:b", "225 Na:a Cl:b"),
        ("196 Zn:a S:c", "216 Zn:a S:c"),
        ("227 C:a", "227 C:a"),
        ("1 Fe:a", "2 Fe:a"),  # a lattice has an inversion
        ("168 Mg:a", "191 Mg:a"),
    ],
)
def test_genes_of_textbook_crystals_in_subgroups(text, full):
    found = find_full_gene(WyckoffGene.from_text(text))
    assert found.gene_id == WyckoffGene.from_text(full).gene_id


@pytest.mark.parametrize(
    "text",
    [
        "62 Ca:c Ti:b O:c,d",
        "148 Ca:c Ti:c O:f",
        "160 Ba:a Ti:a O:b",
        "122 Cu:a In:b S:d",
        "186 Zn:b S:b",
        "221 Sr:a Ti:b O:c",
        "152 Si:a O:c",
        "154 Si:a O:c",
    ],
)
def test_genes_of_crystals_in_their_own_group_are_left_alone(text):
    gene = WyckoffGene.from_text(text)
    assert find_full_gene(gene) is gene


def test_a_smaller_cell_is_a_higher_symmetry():
    """One element on both fixed positions: a primitive cube of half the edge."""
    found = find_full_gene(WyckoffGene.from_text("225 Po:a,b"))
    assert found.gene_id == WyckoffGene.from_text("221 Po:a").gene_id


def test_the_full_gene_has_the_formula_and_is_its_own_full_gene():
    rng = np.random.default_rng(0)
    for number in rng.integers(3, 200, 25).tolist():
        group = load_space_group(number)
        n_letters = min(2, len(group.letters))
        letters = rng.choice(list(group.letters), n_letters, replace=False)
        gene = WyckoffGene.from_pairs(
            number, zip(("Na", "Cl"), letters.tolist(), strict=False)
        )
        full = find_full_gene(gene)
        assert full.formula == gene.formula
        assert find_full_gene(full, seed=1).gene_id == full.gene_id
        n_operations = len(full.space_group.rotations) / full.n_sites
        assert n_operations >= len(group.rotations) / gene.n_sites - 1e-9
