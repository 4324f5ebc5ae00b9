"""Genes of a composition, counted and written down, against brute force and PyXtal."""

from __future__ import annotations

from collections import Counter
from itertools import combinations_with_replacement, product

import numpy as np
import pytest

from wyckflow.crystal import WyckoffGene
from wyckflow.crystal.enumeration import (
    EnumerationLimits,
    check_composition,
    count_assignments,
    count_lattice_points,
    enumerate_genes,
    find_smallest_cell,
)
from wyckflow.crystal.keys import unpack_genes
from wyckflow.crystal.tables import ENANTIOMORPHS, load_space_group
from wyckflow.errors import GeneError

PEROVSKITE = {"Ca": 1, "Ti": 1, "O": 3}
WIDE = EnumerationLimits(
    max_atoms=10, max_freedom=30, max_orbits=10, max_assignments=10**9
)


def brute_force(composition, number, units, limits):
    """Yield every way as (element, letters) pairs, by trying all multisets."""
    group = load_space_group(number)
    points = count_lattice_points(number)

    def ways(n_atoms):
        for size in range(1, limits.max_orbits + 1):
            for chosen in combinations_with_replacement(group.positions, size):
                if sum(p.multiplicity for p in chosen) == n_atoms * points:
                    yield chosen

    parts = [list(ways(n * units)) for n in composition.values()]
    for way in product(*parts):
        sites = [position for part in way for position in part]
        fixed = Counter(p.letter for p in sites if not p.degrees_of_freedom)
        freedom = sum(position.degrees_of_freedom for position in sites)
        if (
            max(fixed.values(), default=1) == 1
            and freedom <= limits.max_freedom
            and len(sites) <= limits.max_orbits
        ):
            yield [
                (element, position.letter)
                for element, part in zip(composition, way, strict=True)
                for position in part
            ]


@pytest.mark.parametrize(
    ("number", "units"),
    [
        (2, 1),
        (12, 1),
        (31, 2),
        (62, 4),
        (123, 1),
        (160, 1),
        (166, 2),
        (221, 1),
        (227, 2),
    ],
)
def test_genes_are_those_of_brute_force_without_equivalent_ones(number, units):
    limits = EnumerationLimits(
        max_atoms=5 * units, max_freedom=9, max_orbits=5, max_assignments=10**6
    )
    ways = list(brute_force(PEROVSKITE, number, units, limits))
    found = enumerate_genes(PEROVSKITE, [number], limits)
    counted = count_assignments(PEROVSKITE, number, limits)[units].sum()
    assert counted == len(ways)
    cell = [cell for cell in found.cells if cell.formula_units == units]
    assert sum(c.n_assignments for c in cell) == sum(c.n_listed for c in cell)
    assert sum(c.n_listed for c in cell) == len(ways)
    expected = {WyckoffGene.from_pairs(number, way).gene_id for way in ways}
    genes = unpack_genes(found.space_group_numbers, found.codes)
    points = count_lattice_points(number)
    own = [gene.gene_id for gene in genes if gene.n_sites == 5 * units * points]
    assert len(own) == len(set(own))
    assert set(own) == expected


@pytest.mark.parametrize("number", [14, 36, 99, 148, 194, 216, 225])
@pytest.mark.parametrize("counts", [(1, 1), (2, 1), (2, 2)], ids=str)
def test_counts_agree_with_pyxtal(number, counts):
    pyxtal = pytest.importorskip("pyxtal.symmetry")
    points = count_lattice_points(number)
    group = pyxtal.Group(number)
    atoms = [count * points for count in counts]
    ways, *_ = group.list_wyckoff_combinations(atoms)
    composition = check_composition(dict(zip(("Na", "Cl"), counts, strict=True)))
    units = counts[0] // composition["Na"]
    assert count_assignments(composition, number, WIDE)[units].sum() == len(ways)


def test_the_polymorphs_of_calcium_titanate_are_among_them():
    found = enumerate_genes(
        PEROVSKITE, [62, 140, 148, 221], EnumerationLimits(max_assignments=1000)
    )
    keys = set(found.keys.tolist())
    for text in (
        "62 Ca:c Ti:a O:c,d",
        "62 Ca:c Ti:b O:c,d",
        "140 Ca:b Ti:c O:a,h",
        "148 Ca:c Ti:c O:f",
        "221 Ca:b Ti:a O:d",
    ):
        assert int(WyckoffGene.from_text(text).gene_id, 16) in keys


def test_what_is_left_out_is_counted():
    few = EnumerationLimits(max_atoms=10, max_orbits=5, max_assignments=10)
    all_of_them = EnumerationLimits(max_atoms=10, max_orbits=5, max_assignments=10**9)
    part = enumerate_genes(PEROVSKITE, [10, 47], few)
    whole = enumerate_genes(PEROVSKITE, [10, 47], all_of_them)
    assert whole.n_left_out == 0
    assert part.n_assignments == whole.n_assignments
    assert part.n_left_out == whole.n_assignments - sum(c.n_listed for c in part.cells)
    assert all(cell.n_listed <= 10 for cell in part.cells)
    assert set(part.keys.tolist()) <= set(whole.keys.tolist())


def test_where_even_the_simplest_ways_are_too_many_none_is_listed():
    limits = EnumerationLimits(max_atoms=5, max_assignments=1)
    found = enumerate_genes(PEROVSKITE, [221], limits)
    (cell,) = found.cells
    assert cell.n_assignments > 1
    assert cell.n_listed == cell.n_genes == len(found) == 0


def test_every_gene_is_one_has_the_formula_and_keeps_the_limits():
    limits = EnumerationLimits(max_freedom=4, max_orbits=4, max_assignments=50)
    found = enumerate_genes({"Zn": 2, "S": 2}, limits=limits)
    genes = unpack_genes(found.space_group_numbers, found.codes)  # checks each
    assert len(genes) == len(set(found.keys.tolist())) == len(found) > 1000
    for gene in genes[::50]:
        assert gene.formula == "ZnS"
        assert gene.n_orbits <= 4
        assert gene.positional_degrees_of_freedom <= 4
        points = count_lattice_points(gene.space_group_number)
        assert gene.n_sites <= 20 * points
    assert not set(found.space_group_numbers.tolist()) & ENANTIOMORPHS.keys()


@pytest.mark.parametrize(("number", "points"), [(1, 1), (5, 2), (22, 4), (148, 3)])
def test_centring_multiplies_the_cell(number, points):
    assert count_lattice_points(number) == points


def test_the_smallest_cell_is_the_smallest_that_has_a_way():
    for number in (1, 62, 70, 141, 198, 205, 213, 219, 227, 230):
        units = find_smallest_cell(PEROVSKITE, number)
        wide = EnumerationLimits(
            max_atoms=5 * min(units, 8), max_freedom=60, max_orbits=40
        )
        ways = count_assignments(PEROVSKITE, number, wide).sum(axis=1)
        assert not ways[1:units].any()
        if units <= 8:
            assert ways[units] > 0


@pytest.mark.parametrize(
    ("composition", "words"),
    [
        ({}, "empty"),
        ({"Xx": 1}, "no chemical symbol"),
        ({"Ca": 0}, "whole numbers"),
        ({"Ca": 0.5}, "whole numbers"),
    ],
)
def test_what_is_no_composition_is_refused(composition, words):
    with pytest.raises(GeneError, match=words):
        check_composition(composition)


@pytest.mark.parametrize(
    "wrong", [{"max_atoms": 0}, {"max_orbits": 0}, {"max_freedom": -1}]
)
def test_limits_that_allow_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EnumerationLimits(**wrong)


def test_a_composition_too_large_for_the_cell_gives_nothing():
    found = enumerate_genes({"Ca": 3, "P": 2, "O": 8}, [225], EnumerationLimits(8))
    assert len(found) == 0
    assert found.cells == ()
    assert found.codes.dtype == np.int16
