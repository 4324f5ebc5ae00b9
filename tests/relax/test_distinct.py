"""Which relaxed crystals are one."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.relax.distinct import find_distinct


def crystal(text, cell, rows=None):
    """A crystal of a gene; cells are given by their three lengths."""
    gene = WyckoffGene.from_text(text)
    lattice = np.diag(np.array(cell, float))
    parameters = np.zeros((gene.n_orbits, 3)) if rows is None else np.array(rows)
    return ReducedStructure(gene, lattice, parameters)


@pytest.fixture
def perovskite():
    return crystal("221 Sr:a Ti:b O:c", [3.9] * 3)


@pytest.fixture
def in_a_subgroup():
    """The same crystal, described without its cubic symmetry."""
    return crystal("123 Sr:a Ti:d O:c,e", [3.9] * 3)


@pytest.fixture
def swapped():
    """Strontium and titanium have changed places."""
    return crystal("221 Ti:a Sr:b O:c", [3.9] * 3)


def test_one_crystal_in_two_symmetries_is_one_and_shown_in_the_higher(
    perovskite, in_a_subgroup
):
    (found,) = find_distinct([in_a_subgroup, perovskite], [-8.0001, -8.0])
    assert found.members == (0, 1)
    assert found.structure.gene.space_group_number == 221
    assert found.structure.gene.gene_id == perovskite.gene.gene_id


def test_different_crystals_stay_apart_and_come_by_energy(perovskite, swapped):
    found = find_distinct([perovskite, swapped], [-7.9, -8.0])
    assert [item.chosen for item in found] == [1, 0]
    assert [item.members for item in found] == [(1,), (0,)]


def test_equal_crystals_of_different_energy_are_not_compared(perovskite):
    found = find_distinct([perovskite, perovskite], [-8.0, -7.0])
    assert len(found) == 2
    assert len(find_distinct([perovskite] * 2, [-8.0, -7.0], energy_window=2.0)) == 1


def test_nothing_gives_nothing():
    assert find_distinct([], []) == []
