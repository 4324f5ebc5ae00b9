"""How orbits split, against PyXtal's list of relations and the counts of atoms."""

from __future__ import annotations

import json
from collections import Counter
from importlib.resources import files

import numpy as np
import pytest

from wyckflow.crystal.tables import N_SPACE_GROUPS, load_space_group
from wyckflow.screening.novelty._generate import (
    MAX_INDEX,
    listed_subgroups,
    split_positions,
)
from wyckflow.screening.novelty.splittings import load_splittings

ALL = [
    splitting
    for number in range(1, N_SPACE_GROUPS + 1)
    for splitting in load_splittings(number)
]


def multiplicities(number):
    return np.array([p.multiplicity for p in load_space_group(number).positions])


def canonical(counts, subgroup):
    rows = load_space_group(subgroup).affine.distinct_permutations
    return min(np.ascontiguousarray(counts[:, row]).tobytes() for row in rows)


def test_atoms_are_kept():
    """Every orbit makes as many atoms per cell as the others, in a cell that fits."""
    assert len(ALL) > 2000
    for splitting in ALL:
        atoms = splitting.counts @ multiplicities(splitting.subgroup_number)
        factors = atoms / multiplicities(splitting.space_group_number)
        assert len(set(factors.tolist())) == 1


def test_no_fixed_point_is_taken_twice():
    for splitting in ALL:
        positions = load_space_group(splitting.subgroup_number).positions
        fixed = [p.degrees_of_freedom == 0 for p in positions]
        assert splitting.counts[:, fixed].sum(axis=0).max(initial=0) <= 1


def test_freedom_never_shrinks():
    for splitting in ALL:
        child = load_space_group(splitting.subgroup_number).positions
        parent = load_space_group(splitting.space_group_number).positions
        free = splitting.counts @ [p.degrees_of_freedom for p in child]
        assert (free >= [p.degrees_of_freedom for p in parent]).all()


def test_the_table_has_the_relations_that_pyxtal_lists():
    """PyXtal took them from the Bilbao server; ours are worked out from points."""
    ours = Counter(
        (
            s.space_group_number,
            s.subgroup_number,
            canonical(s.counts, s.subgroup_number),
        )
        for s in ALL
    )
    theirs = set()
    for name in ("t_subgroup.json", "k_subgroup.json"):
        listed = json.loads(files("pyxtal").joinpath("database", name).read_text())
        for number in range(1, N_SPACE_GROUPS + 1):
            found = listed[str(number)]
            for subgroup, index, relations in zip(
                found["subgroup"], found["index"], found["relations"], strict=True
            ):
                if index > MAX_INDEX:
                    continue
                letters = load_space_group(subgroup).letters
                counts = np.zeros((len(relations), len(letters)), np.uint8)
                for row, labels in enumerate(relations):
                    for label in labels:
                        counts[row, letters.index(label.lstrip("0123456789"))] += 1
                theirs.add((number, subgroup, canonical(counts, subgroup)))
    assert set(ours) <= theirs
    assert max(ours.values()) == 1
    # Three of theirs differ: two lose atoms, one takes 24f for the 24h of 214.
    differing = Counter((number, sub) for number, sub, _ in theirs - set(ours))
    assert differing == {(210, 212): 1, (208, 214): 2}


def test_a_wrong_transformation_is_no_subgroup():
    group, subgroup = load_space_group(225), load_space_group(221)
    right = np.hstack([np.eye(3), np.zeros((3, 1))])
    assert split_positions(group, subgroup, right) is not None
    shifted = right.copy()
    shifted[:, 3] = 0.1
    assert split_positions(group, subgroup, shifted) is None
    stretched = right * [[1.5], [1], [1]]
    assert split_positions(group, subgroup, stretched) is None
    assert split_positions(subgroup, group, right) is None


@pytest.mark.slow
def test_the_table_can_be_derived_anew():
    """For every twentieth relation; all take some minutes."""
    found = {
        (
            s.space_group_number,
            s.subgroup_number,
            canonical(s.counts, s.subgroup_number),
        )
        for s in ALL
    }
    for place, (number, subgroup, _, transformation) in enumerate(listed_subgroups()):
        if place % 20 == 0:
            counts = split_positions(
                load_space_group(number), load_space_group(subgroup), transformation
            )
            assert counts is not None
            assert (number, subgroup, canonical(counts, subgroup)) in found
