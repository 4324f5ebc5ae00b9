"""Novelty and known analogues for a report: the nearest, in the letters they share."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from wyckflow.crystal.elements import ATOMIC_NUMBERS
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import pack_genes
from wyckflow.errors import DatasetError
from wyckflow.screening.novelty.judge import NoveltyLevel
from wyckflow.screening.novelty.known import KnownGenes
from wyckflow.store.evidence.known import (
    KnownFile,
    elements_of,
    find_known,
    pack_elements,
)

sys.path.insert(0, str(Path(__file__).parents[2]))

# Known: rock salts, fluorites, and perovskites with titanium; see tiny_model.
GENES = {
    "225 Na:a Cl:b": NoveltyLevel.KNOWN_GENE,
    "225 Cl:a Na:b": NoveltyLevel.KNOWN_GENE,  # from the other origin
    "225 Ba:a Se:b": NoveltyLevel.KNOWN_PROTOTYPE,
    "227 Si:a O:c": NoveltyLevel.NEW,
}


@pytest.fixture(scope="module")
def minerals(tmp_path_factory):
    from tiny_model import make_salts

    path = tmp_path_factory.mktemp("known") / "minerals.npz"
    make_salts().save(path)
    return path


def test_levels_are_those_of_the_novelty_filter(minerals):
    file = KnownFile.load(minerals)
    found = find_known(file, list(GENES))
    assert file.name == "minerals.npz"
    assert [level for level, _ in found] == list(GENES.values())


def test_a_known_crystal_is_shown_in_the_letters_of_the_candidate(minerals):
    found = find_known(KnownFile.load(minerals), ["225 Cl:a Na:b"])
    nearest = found[0][1][0]
    assert nearest.gene == "225 Na:b Cl:a"  # stored as Na:a Cl:b
    assert (nearest.is_same_group, nearest.n_shared) == (True, 2)


def test_only_crystals_of_the_same_elements_count_the_same_group_first(minerals):
    genes = ["221 Na:a Cl:b", "225 Ba:a Se:b"]
    found = find_known(KnownFile.load(minerals), genes)
    near, none = found[0][1], found[1][1]
    assert {one.formula_pretty for one in near} == {"NaCl", "NaCl2"}
    assert not any(one.is_same_group for one in near)
    assert none == ()


def test_a_set_of_keys_gives_levels_but_holds_no_crystals_to_show(minerals, tmp_path):
    from wyckflow.crystal.dataset.table import load_dataset

    path = tmp_path / "keys.npz"
    KnownGenes.from_dataset(load_dataset(minerals), name="salts").save(path)
    file = KnownFile.load(path)
    found = find_known(file, list(GENES))
    assert file.name == "salts"
    assert [level for level, _ in found] == list(GENES.values())
    assert {analogues for _, analogues in found} == {None}


def test_nothing_asked_is_nothing_found(minerals):
    assert find_known(KnownFile.load(minerals), []) == []


def test_what_is_no_file_of_known_crystals_is_refused(tmp_path):
    path = tmp_path / "torn.npz"
    path.write_bytes(b"PK no archive")
    with pytest.raises(DatasetError, match="wyckflow data"):
        KnownFile.load(path)


def test_elements_of_codes_and_of_flags_are_the_same_bits():
    genes = [WyckoffGene.from_text(text) for text in GENES]
    flags = np.zeros((len(genes), 119), bool)
    for row, gene in enumerate(genes):
        flags[row, [ATOMIC_NUMBERS[symbol] for symbol in gene.composition]] = True
    assert np.array_equal(elements_of(pack_genes(genes)[1]), pack_elements(flags))
