"""Reference sets: names, files, joining."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import anonymous_keys, key_genes, pack_genes
from wyckflow.errors import DatasetError
from wyckflow.screening.novelty import KnownGenes, judge_novelty, load_known
from wyckflow.screening.novelty.known import is_known_file
from wyckflow.screening.novelty.species import formula_keys, list_species

TEXTS = ("225 Na:a Cl:b", "221 Sr:a Ti:b O:c", "62 Fe:a,c Si:c O:c2,d", "1 K:a3 O:a")
GENES = [WyckoffGene.from_text(text) for text in TEXTS]


@pytest.fixture
def known():
    return KnownGenes.from_genes(GENES, name="minerals")


def test_the_name_of_the_content_depends_on_the_genes_alone(known):
    again = KnownGenes.from_genes([*GENES[::-1], GENES[0]], name="other")
    assert again.known_id == known.known_id
    assert len(again) == len(known) == len(GENES)
    assert KnownGenes.from_genes(GENES[1:], name="minerals").known_id != known.known_id


def test_keys_are_those_of_the_genes(known):
    assert known.gene_keys.tolist() == sorted(key_genes(GENES).tolist())
    assert set(anonymous_keys(*pack_genes(GENES))) == set(known.prototype_keys)
    assert np.isin(known.gene_keys, known.parent_gene_keys).all()
    assert np.isin(known.prototype_keys, known.parent_keys).all()


def test_formula_keys_are_equal_where_formulas_are():
    texts = ["225 Na:a Cl:b", "221 Na:a Cl:b", "194 Na:a Cl:c,d", "194 Cl:a Na:c,d"]
    texts += ["225 Ca:a F:c", "136 F:f Ca:a", "227 Mg:a Al:d O:e", "227 Al:d Mg:a O:e"]
    genes = [WyckoffGene.from_text(text) for text in texts]
    keys = formula_keys(list_species(pack_genes(genes))).tolist()
    formulas = [gene.formula for gene in genes]
    for i, first in enumerate(formulas):
        for j, second in enumerate(formulas):
            assert (keys[i] == keys[j]) == (first == second)


def test_a_set_survives_its_file(known, tmp_path):
    path = tmp_path / "known.npz"
    known.save(path)
    read = load_known(path)
    assert is_known_file(path)
    assert (read.name, read.sources) == (known.name, known.sources)
    assert read.known_id == known.known_id
    assert (judge_novelty(GENES, read).level == 0).all()
    assert list(tmp_path.iterdir()) == [path]


def test_joined_sets_know_what_each_knows(known):
    other = KnownGenes.from_genes([WyckoffGene.from_text("229 Fe:a")], name="metals")
    joined = known.join(other, known)
    assert joined.name == "minerals + metals"
    assert len(joined) == len(GENES) + 1
    whole = [*GENES, WyckoffGene.from_text("229 Fe:a")]
    assert joined.known_id == KnownGenes.from_genes(whole, name="x").known_id
    assert (judge_novelty(whole, joined).level == 0).all()


def test_a_large_set_is_made_in_parts(monkeypatch, known):
    monkeypatch.setattr("wyckflow.screening.novelty.known._GENES_AT_ONCE", 1)
    parts = KnownGenes.from_genes(GENES, name="minerals")
    assert (parts.parent_gene_keys == known.parent_gene_keys).all()
    assert (parts.parent_outlines == known.parent_outlines).all()


def test_other_files_are_refused(tmp_path, known):
    path = tmp_path / "x.npz"
    with pytest.raises(DatasetError, match=r"no set of known genes .*x\.npz"):
        load_known(path)
    path.write_bytes(b"no archive")
    assert not is_known_file(path)
    with pytest.raises(DatasetError, match="make one with KnownGenes"):
        load_known(path)
    np.savez(path, gene_keys=np.zeros(1))
    with pytest.raises(DatasetError, match="make one with KnownGenes"):
        load_known(path)


def test_a_damaged_file_is_refused(tmp_path, known):
    path = tmp_path / "x.npz"
    known.save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["gene_keys"] = arrays["gene_keys"][1:]
    np.savez(path, **arrays)
    with pytest.raises(DatasetError, match="damaged"):
        load_known(path)


def test_a_file_of_other_rules_is_refused(tmp_path, known, monkeypatch):
    path = tmp_path / "x.npz"
    known.save(path)
    monkeypatch.setitem(
        __import__("wyckflow.screening.novelty.known", fromlist=["_FORMAT"])._FORMAT,
        "parent_steps",
        9,
    )
    with pytest.raises(DatasetError, match="another version"):
        load_known(path)


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path, known):
    with pytest.raises(DatasetError, match="cannot be written"):
        known.save(tmp_path / "gone" / "x.npz")
