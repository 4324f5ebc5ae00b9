"""Tokens: they name letters both ways, and follow a site to its other descriptions."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.tables import WYCKOFF_LETTERS, NormalizerKind, load_space_group
from wyckflow.errors import GeneError
from wyckflow.ml.codec.sites import tensorise_genes
from wyckflow.ml.codec.tables import load_position_tables
from wyckflow.ml.transformer.tokens import (
    MASKED_SYMMETRY,
    N_ENUMERATIONS,
    GeneTokens,
    load_token_tables,
)

# Where the axes of an orthorhombic group can be renamed so that a site has another
# oriented symbol, and keeping the old one would name another position.
RENAMED = {16, 17, *range(20, 26), 35, 42, 44, *range(47, 51), 59, *range(65, 75)}


def symbols_of(tokens, row):
    """Element, symbol and enumeration of every site, as words."""
    names = load_position_tables().site_symmetry_symbols
    return [
        (int(e), names[s], int(n))
        for e, s, n, m in zip(
            tokens.element[row],
            tokens.symmetry[row],
            tokens.enumeration[row],
            tokens.mask[row],
            strict=True,
        )
        if m
    ]


def test_the_tokens_of_a_gene_are_those_of_the_crystal_tables(random_genes):
    from wyckflow.crystal.elements import ATOMIC_NUMBERS

    tokens = GeneTokens.from_sites(tensorise_genes(random_genes))
    for row, gene in enumerate(random_genes):
        expected = [(ATOMIC_NUMBERS[e], s, n) for e, s, n in gene.tokens]
        assert symbols_of(tokens, row) == expected


def test_tokens_lead_back_to_the_genes(random_genes):
    genes = [*random_genes] * 10
    rng = np.random.default_rng(3)
    sites = tensorise_genes(genes).permuted(rng, kind=NormalizerKind.AUGMENTATION)
    numbers, codes = GeneTokens.from_sites(sites).to_codes()
    assert len(numbers) == 4600
    assert (numbers == sites.codes[0]).all()
    assert (codes == sites.codes[1]).all()


def test_every_position_has_a_token_of_its_own():
    tables = load_token_tables()
    groups, letters = load_position_tables().exists.nonzero()
    symmetry, enumeration = tables.symmetry, tables.enumeration
    names = {
        (int(g), int(symmetry[g, x]), int(enumeration[g, x]))
        for g, x in zip(groups, letters, strict=True)
    }
    assert len(names) == len(groups) == 1731
    assert enumeration.max() + 1 == N_ENUMERATIONS
    assert (symmetry[groups, letters] != MASKED_SYMMETRY).all()
    # The published example: in group 225 4a is m-3m 0, 4b m-3m 1, 8c -43m 0.
    gene = WyckoffGene.from_text("225 Mg:a Tm:b Hg:c")
    assert {token[1:] for token in gene.tokens} == {
        ("m-3m", 0),
        ("m-3m", 1),
        ("-43m", 0),
    }


def orthorhombic_symbol(rotations):
    """The oriented symbol of a point group of axes and planes along a, b and c."""
    axes = []
    for axis in range(3):
        two, plane = -np.eye(3), np.eye(3)
        two[axis, axis], plane[axis, axis] = 1, -1
        has = [bool((rotations == x).all((1, 2)).any()) for x in (two, plane)]
        words = {(True, True): "2/m", (True, False): "2", (False, True): "m"}
        axes.append(words.get(tuple(has), "."))
    if axes == ["2/m"] * 3:
        return "mmm"
    if axes == ["."] * 3:
        return "-1" if (rotations == -np.eye(3)).all((1, 2)).any() else "1"
    return "".join(axes)


def moved_symbol(group, operations, position, rotation, translation):
    """The symbol of a site after an operator of the normalizer has moved it."""
    free = np.array([0.1234, 0.3317, 0.0871])
    point = position.rotations[0] @ free + position.translations[0] / 24
    point = rotation @ point + translation / 24
    rotations, translations = operations
    images = rotations @ point + translations
    shifts = images - point
    stays = np.abs(shifts - shifts.round()).max(1) < 1e-6
    return orthorhombic_symbol(np.unique(rotations[stays], axis=0))


def test_both_parts_follow_a_site_whose_axes_are_renamed():
    """Against the stabilisers of the moved points, by spglib's operations."""
    import spglib

    names = load_position_tables().site_symmetry_symbols
    tables = load_token_tables()
    changed = set()
    for number in range(16, 75):
        group = load_space_group(number)
        database = spglib.get_symmetry_from_database(group.hall_number)
        operations = database["rotations"], database["translations"]
        normalizer = group.normalizer(NormalizerKind.AUGMENTATION)
        for rotation, translation, images in zip(
            normalizer.rotations,
            normalizer.translations,
            normalizer.permutations,
            strict=True,
        ):
            for index, position in enumerate(group.positions):
                symbol = moved_symbol(
                    group, operations, position, rotation, translation
                )
                assert names[tables.symmetry[number, images[index]]] == symbol
                if symbol != position.site_symmetry:
                    changed.add(number)
    assert changed == RENAMED


def test_a_renamed_axis_changes_the_symbol_of_a_drawn_description():
    gene = WyckoffGene.from_text("71 Na:e Cl:f")
    sites = tensorise_genes([gene] * 200)
    rng = np.random.default_rng(0)
    drawn = sites.permuted(rng, kind=NormalizerKind.AUGMENTATION)
    tokens = GeneTokens.from_sites(drawn)
    seen = {symbols_of(tokens, row)[0][1] for row in range(200)}
    assert seen == {"2mm", "m2m", "mm2"}
    # The published way, old symbol beside new enumeration, is another arrangement.
    old = GeneTokens.from_sites(sites)
    mixed = GeneTokens(
        old.space_group, old.element, old.symmetry, tokens.enumeration, old.mask
    )
    kept = {int(code) for code in mixed.to_codes()[1][:, 0] & 31}
    assert kept < {int(code) for code in drawn.codes[1][:, 0] & 31}


@pytest.mark.skipif("WYCKFLOW_ORACLES" not in os.environ, reason="needs the oracles")
def test_drawn_descriptions_are_those_of_the_oracle():
    path = Path(os.environ["WYCKFLOW_ORACLES"]) / "letter_perms.json"
    known = json.loads(path.read_text())
    rng = np.random.default_rng(0)
    for number, kind in (
        (2, "euclid"),
        (62, "affine"),
        (71, "affine"),
        (225, "euclid"),
    ):
        group = load_space_group(number)
        gene = WyckoffGene.from_pairs(number, [("O", x) for x in group.letters])
        sites = tensorise_genes([gene] * 500)
        drawn = sites.permuted(rng, kind=NormalizerKind.AUGMENTATION)
        images = {
            "".join(WYCKOFF_LETTERS[i] for i in row) for row in drawn.letter.tolist()
        }
        assert images == {text.replace(" ", "") for text in known[kind][str(number)]}


def test_a_token_that_names_no_position_is_refused():
    tokens = GeneTokens.from_sites(tensorise_genes([WyckoffGene.from_text("62 O:c")]))
    wrong = GeneTokens(
        tokens.space_group,
        tokens.element,
        tokens.symmetry,
        tokens.enumeration + 1,
        tokens.mask,
    )
    with pytest.raises(GeneError, match=r"'\.m\.'.*enumeration 1.*group 62"):
        wrong.to_codes()
