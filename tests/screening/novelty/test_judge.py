"""Novelty levels, on crystals whose relations everybody knows."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from wyckflow.crystal.encode import encode_structure
from wyckflow.crystal.equivalence import equivalent_genes
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import pack_genes
from wyckflow.crystal.tables import NormalizerKind
from wyckflow.screening.novelty import KnownGenes, NoveltyLevel, judge_novelty

FCC = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]


def gene(text):
    return WyckoffGene.from_text(text)


def known(*texts):
    return KnownGenes.from_genes([gene(text) for text in texts], name="known")


def judge_one(text_or_gene, reference):
    one = gene(text_or_gene) if isinstance(text_or_gene, str) else text_or_gene
    return judge_novelty([one], reference)


# --- the same, and other elements -----------------------------------------------------


@pytest.mark.parametrize(
    "text", ["221 Sr:a Ti:b O:c", "2 Na:a,c Cl:e,i", "92 Si:a O:b", "62 Fe:a,c2 O:d"]
)
def test_every_description_of_a_known_gene_is_known(text):
    reference = known(text)
    images = equivalent_genes(gene(text), kind=NormalizerKind.AFFINE)
    found = judge_novelty(images, reference)
    assert found.known_gene.all()
    assert found.known_formula.all()
    assert (found.level == NoveltyLevel.KNOWN_GENE).all()


def test_a_mirror_image_is_known():
    assert judge_one("96 Si:a O:b", known("92 Si:a O:b")).known_gene.all()


def test_a_substitution_is_told_from_a_known_gene():
    reference = known("221 Sr:a Ti:b O:c")
    found = judge_one("221 Ba:b Zr:a O:d", reference)
    assert found.level.tolist() == [NoveltyLevel.KNOWN_PROTOTYPE]
    assert not found.known_gene.any()
    assert not found.known_formula.any()


def test_elements_that_trade_places_are_a_substitution_of_known_formula():
    found = judge_one("221 Ti:a Sr:b O:c", known("221 Sr:a Ti:b O:d"))
    assert found.known_gene.all()  # another origin
    found = judge_one("227 Mg:a Al:d O:e", known("227 Al:a Mg:d O:e"))
    assert found.level.tolist() == [NoveltyLevel.KNOWN_PROTOTYPE]
    found = judge_one("225 Al:a Mg:c O:b", known("225 Al:c Mg:a O:b"))
    assert not found.known_gene.any()
    assert not found.known_formula.any()


def test_a_formula_is_known_in_any_multiple_and_structure():
    reference = known("225 Ti:a,b S:c")  # eight of each
    assert judge_one("194 Ti:a S:c", reference).known_formula.all()
    assert not judge_one("164 Ti:a S:d", reference).known_formula.any()


# --- orderings ------------------------------------------------------------------------

# An ordering, and a crystal in which one of its elements stands in the place of two.
ORDERINGS = {
    "Cu3Au in fcc": ("221 Au:a Cu:c", "225 Cu:a"),
    "CuAu in fcc": ("123 Au:a Cu:d", "225 Cu:a"),
    "CuZn in bcc": ("221 Cu:a Zn:b", "229 Cu:a"),
    "Fe3Al in bcc": ("225 Fe:b,c Al:a", "229 Fe:a"),
    "GaAs in diamond": ("216 Ga:a As:c", "227 Ga:a"),
    "Heusler in CsCl": ("225 Mn:a Al:b Cu:c", "221 Al:a Cu:b"),
    "half-Heusler in fluorite": ("216 Mg:a Ag:b As:c", "225 Mg:c As:a"),
    "inverse Heusler in Heusler": ("216 Mn:a,b Co:c Al:d", "225 Mn:c Co:a Al:b"),
    "elpasolite in perovskite": ("225 Cs:c Ag:a Bi:b Cl:e", "221 Cs:b Ag:a Cl:d"),
    "chalcopyrite in zinc blende": ("122 Cu:a In:b S:d", "216 In:a S:c"),
    "kesterite in chalcopyrite": ("82 Cu:a,d Zn:c Sn:b S:g", "122 Cu:a Zn:b S:d"),
    "LiCoO2 in rock salt": ("166 Li:a Co:b O:c", "225 Co:a O:b"),
    "ilmenite in corundum": ("148 Fe:c Ti:c O:f", "167 Fe:c O:e"),
    "LiNbO3 in corundum": ("161 Li:a Nb:a O:b", "167 Nb:c O:e"),
    "dolomite in calcite": ("148 Ca:a Mg:b C:c O:f", "167 Ca:b C:a O:e"),
    "ordered olivine": ("62 Mg:a Fe:c Si:c O:c2,d", "62 Fe:a,c Si:c O:c2,d"),
}


@pytest.mark.parametrize("name", ORDERINGS)
def test_orderings_are_found(name):
    ordered, parent = ORDERINGS[name]
    found = judge_one(ordered, known(parent))
    assert found.level.tolist() == [NoveltyLevel.KNOWN_PARENT]
    assert found.known_parent_gene.all()
    assert not found.known_gene.any()


@pytest.mark.parametrize("name", ORDERINGS)
def test_the_parent_may_be_known_with_other_elements(name):
    """Then its prototype is what is known, not an end member."""
    ordered, parent = ORDERINGS[name]
    others = dict.fromkeys(gene(parent).elements)
    swapped = parent
    for old, new in zip(others, ("Zr", "Hf", "Nb"), strict=False):
        swapped = swapped.replace(f" {old}:", f" {new}:")
    found = judge_one(ordered, known(swapped))
    assert found.known_parent.all()
    assert not found.known_parent_gene.any()


@pytest.mark.parametrize("name", ORDERINGS)
def test_the_parent_is_no_ordering_of_its_child(name):
    ordered, parent = ORDERINGS[name]
    assert judge_one(parent, known(ordered)).level.tolist() == [NoveltyLevel.NEW]


def test_a_lower_symmetry_form_of_a_known_crystal_is_no_new_prototype():
    reference = known("221 Ba:a Ti:b O:c")
    tetragonal = judge_one("99 Ba:a Ti:b O:b,c", reference)
    assert tetragonal.level.tolist() == [NoveltyLevel.KNOWN_PARENT]
    assert tetragonal.known_parent_gene.all()
    assert not tetragonal.known_gene.any()
    other = judge_one("99 Pb:a Zr:b O:b,c", reference)
    assert other.known_parent.all()
    assert not other.known_parent_gene.any()


@pytest.mark.parametrize(
    ("text", "parent"),
    [
        ("221 Sr:a Ti:b O:c", "225 Na:a Cl:b"),  # cation and anion share no site
        ("225 He:a Ne:b", "221 He:a"),  # no electronegativity, no pair
        ("225 Mn:a Al:b Cu:c", "229 Cu:a"),  # three elements on one site
        ("121 Cu:d Fe:a Sn:b S:i", "216 Fe:a S:c"),  # likewise: stannite
        ("194 Zn:b S:c", "216 Zn:a S:c"),  # another stacking
    ],
)
def test_what_is_no_ordering_is_new(text, parent):
    found = judge_one(text, known(parent))
    assert found.level.tolist() == [NoveltyLevel.NEW]


def test_the_limit_of_electronegativity_can_be_moved():
    elpasolite, parent = gene("225 Cs:c Na:a Bi:b Cl:e"), known("221 Cs:b Na:a Cl:d")
    assert not judge_novelty([elpasolite], parent).known_parent.any()
    wider = judge_novelty([elpasolite], parent, max_electronegativity_difference=1.2)
    assert wider.known_parent_gene.all()


def crystals():
    """Parents, and what becomes of them when their atoms order, as coordinates."""
    fcc = Structure(Lattice.cubic(3.9), ["Cu"] * 4, FCC)
    rock_salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(4.2), ["Co", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    zinc_blende = Structure.from_spacegroup(
        "F-43m", Lattice.cubic(5.5), ["In", "S"], [[0, 0, 0], [0.25, 0.25, 0.25]]
    )
    fluorite = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.6), ["Ce", "O"], [[0, 0, 0], [0.25, 0.25, 0.25]]
    )
    for parent, old, new in (
        (fcc, "Cu", "Au"),
        (rock_salt, "Co", "Ni"),
        (zinc_blende, "In", "Ga"),
        (fluorite, "Ce", "Zr"),
    ):
        for period in (1, 2):
            child = parent.copy()
            child.make_supercell([1, 1, period])
            for place, site in enumerate(child):
                layer = round(4 * period * site.frac_coords[2])
                if site.specie.symbol == old and layer % 4 == 0:
                    child.replace(place, new)
            yield parent, child


def test_layered_orderings_of_real_coordinates_are_found():
    """Their genes are spglib's, not ours to choose."""
    n_found = 0
    for parent, child in crystals():
        known_gene = encode_structure(parent, symprec=0.01).gene
        ordered = encode_structure(child, symprec=0.01).gene
        if len(ordered.elements) == len(known_gene.elements):
            continue  # every atom was replaced
        reference = KnownGenes.from_genes([known_gene], name="parent")
        found = judge_novelty([ordered], reference)
        assert found.known_parent_gene.all(), f"{ordered} of {known_gene}"
        n_found += 1
    assert n_found >= 6


# --- many at once ---------------------------------------------------------------------


def test_arrays_and_genes_are_judged_alike():
    texts = [text for pair in ORDERINGS.values() for text in pair]
    genes = [gene(text) for text in texts]
    reference = known(*texts[1::2], "2 Na:a,c Cl:e,i")
    objects, arrays = (judge_novelty(x, reference) for x in (genes, pack_genes(genes)))
    alone = [judge_novelty([one], reference).level[0] for one in genes]
    assert objects.level.tolist() == arrays.level.tolist() == alone
    for name in ("known_parent", "known_parent_gene", "known_formula"):
        assert (getattr(objects, name) == getattr(arrays, name)).all()


def test_a_flag_never_contradicts_another():
    texts = [text for pair in ORDERINGS.values() for text in pair]
    genes = [gene(text) for text in texts]
    found = judge_novelty(genes, known(*texts[::3]))
    assert (found.known_prototype | ~found.known_gene).all()
    assert (found.known_parent | ~found.known_prototype).all()
    assert (found.known_parent | ~found.known_parent_gene).all()
    assert (found.known_formula | ~found.known_gene).all()


def test_nothing_is_known_of_an_empty_set():
    empty = KnownGenes.from_genes([], name="nothing")
    found = judge_one("225 Na:a Cl:b", empty)
    assert found.level.tolist() == [NoveltyLevel.NEW]
    assert len(judge_novelty([], known("225 Na:a Cl:b")).level) == 0
    assert not np.any(found.known_formula)
