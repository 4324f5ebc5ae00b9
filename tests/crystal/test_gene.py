"""Genes: what they accept, how they are written, what they say about themselves."""

import json
import pickle
import subprocess
import sys
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from wyckflow.crystal import WyckoffGene, WyckoffSite
from wyckflow.crystal.elements import ATOMIC_NUMBERS, ELECTRONEGATIVITIES
from wyckflow.crystal.tables import load_space_group
from wyckflow.errors import GeneError, UnknownWyckoffLetterError


@st.composite
def genes(draw, elements=tuple(ATOMIC_NUMBERS)):
    """Any gene that can exist, of any space group."""
    group = load_space_group(draw(st.integers(1, 230)))
    letters = draw(st.lists(st.sampled_from(group.letters), min_size=1, max_size=8))
    fixed = {p.letter for p in group.positions if not p.degrees_of_freedom}
    kept = [x for i, x in enumerate(letters) if x not in fixed or x not in letters[:i]]
    pairs = [(draw(st.sampled_from(elements)), letter) for letter in kept]
    return WyckoffGene.from_pairs(group.number, pairs)


@cache
def pyxtal_group(number):
    from pyxtal.symmetry import Group

    return Group(number).Wyckoff_positions


@pytest.fixture
def perovskite():
    return WyckoffGene.from_text("221 Ca:a Ti:b O:c")


class Holder(BaseModel):
    gene: WyckoffGene


@given(genes())
def test_text_dict_json_and_pickle_round_trip(gene):
    assert WyckoffGene.from_text(gene.to_text()) == gene
    assert WyckoffGene.from_text(str(gene)) == gene
    assert WyckoffGene.from_dict(json.loads(json.dumps(gene.as_dict()))) == gene
    assert pickle.loads(pickle.dumps(gene)) == gene  # noqa: S301 - our own bytes
    assert hash(WyckoffGene.from_text(gene.to_text())) == hash(gene)


@given(genes())
def test_a_pydantic_field_takes_gene_text_or_dict_and_dumps_text(gene):
    for form in (gene, gene.to_text(), gene.as_dict()):
        assert Holder(gene=form).gene == gene
    holder = Holder(gene=gene)
    assert json.loads(holder.model_dump_json()) == {"gene": gene.to_text()}
    assert holder.model_dump() == {"gene": gene.to_text()}
    assert Holder.model_validate_json(holder.model_dump_json()) == holder


def test_a_pydantic_field_has_a_json_schema():
    field = Holder.model_json_schema()["properties"]["gene"]
    assert field["type"] == "string"
    assert WyckoffGene.from_text(field["examples"][0])


@pytest.mark.parametrize("form", ["221 Ca:z", {"sites": []}, 221, None])
def test_a_pydantic_field_refuses_what_is_no_gene(form):
    with pytest.raises(ValidationError):
        Holder(gene=form)


def test_monty_takes_a_gene_through_json(perovskite):
    from monty.json import MontyDecoder, MontyEncoder, jsanitize

    text = json.dumps({"gene": perovskite}, cls=MontyEncoder)
    assert json.loads(text, cls=MontyDecoder) == {"gene": perovskite}
    stored = jsanitize({"gene": perovskite}, strict=True)
    assert MontyDecoder().process_decoded(stored) == {"gene": perovskite}


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("221 O:c Ti:b Ca:a", "221 Ca:a Ti:b O:c"),
        ("  221\tCa :a  Ti: b\nO:c ", "221 Ca:a Ti:b O:c"),
        ("Ca:1a Ti:1b; O:3c 221", "221 Ca:a Ti:b O:c"),
        ("14 O:e Ti:a O:e", "14 Ti:a O:e2"),
        ("14 Ti:a O:4e2", "14 Ti:a O:e2"),
        ("14 Ti:a O:4e, 4e", "14 Ti:a O:e2"),
        ("14 Ti:ab O:e3", "14 Ti:a,b O:e3"),
        ("47 Fe:A2,z", "47 Fe:z,A2"),
    ],
)
def test_text_is_read_generously_and_written_in_one_way(text, canonical):
    assert WyckoffGene.from_text(text).to_text() == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds 0 space-group numbers"),
        ("Ca:a", "holds 0 space-group numbers"),
        ("221 225 Ca:a", "holds 2 space-group numbers"),
        ("231 Ca:a", "from 1 to 230"),
        ("221", "without a site"),
        ("221 Ca", "expected an element, a colon"),
        ("221 Ca:b :a", "Cannot read the letters 'b:a'"),
        ("221 Ca:", "expected an element, a colon"),
        ("221 Ca:a,,b", "Cannot read the letters ''"),
        ("221 Ca:3", "Cannot read the letters '3'"),
        ("221 Ca:i0", "0 times"),
        ("221 Ca:2a", "has multiplicity 1"),
        ("221 Ca:z", "it has a, b, c"),
        ("221 Caa:a", "no chemical symbol.*'Ca'"),
        ("221 Ca:a2", "no free coordinate"),
        ("221 Ca:a Ti:a", "Ca and Ti came"),
    ],
)
def test_unreadable_text_says_what_was_expected(text, message):
    with pytest.raises(GeneError, match=message):
        WyckoffGene.from_text(text)


def test_sites_are_sorted_like_a_formula_whatever_order_they_come_in(perovskite):
    backwards = WyckoffGene(221, perovskite.sites[::-1])
    assert backwards == perovskite
    assert [site.element for site in backwards.sites] == ["Ca", "Ti", "O"]
    many = WyckoffGene.from_pairs(47, [("O", "A"), ("O", "b"), ("O", "a")])
    assert [site.letter for site in many.sites] == ["a", "b", "A"]


@pytest.mark.parametrize(
    ("pairs", "error"),
    [
        ([], GeneError),
        ([("Xx", "a")], GeneError),
        ([(None, "a")], GeneError),
        ([("O", "aa")], UnknownWyckoffLetterError),
        ([("O", "")], UnknownWyckoffLetterError),
    ],
)
def test_impossible_genes_cannot_be_constructed(pairs, error):
    with pytest.raises(error):
        WyckoffGene.from_pairs(2, pairs)


def test_dict_without_sites_is_refused():
    for damaged in ({}, {"space_group_number": 1}, {"sites": [], "space_group": 1}):
        with pytest.raises(GeneError, match="space_group_number"):
            WyckoffGene.from_dict(damaged)


def test_published_labels_are_checked_against_the_table():
    published = {"Ca": ["1b"], "Ti": ["1a"], "O": ["3d"]}
    gene = WyckoffGene.from_published(221, published)
    assert gene == WyckoffGene.from_text("221 Ca:b Ti:a O:d")
    with pytest.raises(GeneError, match="multiplicity 3"):
        WyckoffGene.from_published(221, {"O": ["6d"]})
    with pytest.raises(GeneError, match="no Wyckoff label"):
        WyckoffGene.from_published(221, {"O": ["d3"]})


@given(genes())
def test_pyxtal_arguments_round_trip(gene):
    arguments = gene.to_pyxtal()
    assert WyckoffGene.from_pyxtal(*arguments) == gene
    assert dict(zip(arguments[1], arguments[2], strict=True)) == gene.composition


def test_pyxtal_builds_what_the_gene_says():
    from pyxtal import pyxtal

    gene = WyckoffGene.from_text("62 Ca:c Ti:b O:c,d")
    crystal = pyxtal()
    group, species, num_ions, sites = gene.to_pyxtal()
    crystal.from_random(3, group, species, num_ions, sites=sites, random_state=0)
    built = [(site.specie, site.wp.letter) for site in crystal.atom_sites]
    assert WyckoffGene.from_pairs(62, built) == gene
    atoms = crystal.to_ase()
    assert sorted(atoms.get_chemical_symbols()) == sorted(
        element for element, n in gene.composition.items() for _ in range(n)
    )


def test_pyxtal_arguments_that_disagree_are_refused():
    with pytest.raises(GeneError, match="conventional cell"):
        WyckoffGene.from_pyxtal(225, ["Na", "Cl"], [1, 1], [["4a"], ["4b"]])
    with pytest.raises(GeneError, match="differ in length"):
        WyckoffGene.from_pyxtal(225, ["Na", "Cl"], [4], [["4a"], ["4b"]])


@given(genes())
def test_formula_and_chemical_system_are_those_of_pymatgen(gene):
    from pymatgen.core import Composition

    theirs = Composition(gene.composition)
    assert gene.formula == theirs.reduced_formula
    assert gene.chemsys == theirs.chemical_system
    assert gene.n_sites == theirs.num_atoms
    assert gene.elements == tuple(gene.composition)


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("2 Ca:i3 P:i2 O:i8", "Ca3(PO4)2"),
        ("2 O:i", "O2"),
        ("2 Na:i O:i", "Na2O2"),
        ("2 H:i O:i", "H2O2"),
        ("2 Fe:i2 O:i3", "Fe2O3"),
        ("2 He:i Na:i2", "Na2He"),
    ],
)
def test_formulas_are_written_as_chemists_do(text, formula):
    assert WyckoffGene.from_text(text).formula == formula


def test_elements_are_those_of_pymatgen():
    import math

    from pymatgen.core import Element

    for symbol, number in ATOMIC_NUMBERS.items():
        element = Element.from_Z(number)
        assert element.symbol == symbol
        ours = ELECTRONEGATIVITIES[symbol]
        if symbol in {element.symbol for element in Element if element.X > 0}:
            assert ours == element.X
        else:
            assert math.isinf(ours)
    assert len(ATOMIC_NUMBERS) == 118


@given(genes())
def test_counts_and_freedom_add_up_as_in_pyxtal(gene):
    theirs = {p.letter: p for p in pyxtal_group(gene.space_group_number)}
    expected = tuple(theirs[site.letter].multiplicity for site in gene.sites)
    assert gene.multiplicities == expected
    free = sum(theirs[site.letter].get_dof() for site in gene.sites)
    assert gene.positional_degrees_of_freedom == free
    assert gene.n_sites == sum(gene.composition.values()) == sum(expected)
    assert gene.n_orbits == len(gene.sites) == len(gene.tokens)
    freedom = gene.positional_degrees_of_freedom + gene.lattice_degrees_of_freedom
    assert gene.degrees_of_freedom == freedom


def test_tokens_name_the_letters_again():
    gene = WyckoffGene.from_text("71 Fe:a,e O:i,e")
    group = gene.space_group
    for site, (element, symbol, enumeration) in zip(
        gene.sites, gene.tokens, strict=True
    ):
        of_symbol = [p.letter for p in group.positions if p.site_symmetry == symbol]
        assert (element, of_symbol[enumeration]) == (site.element, site.letter)
    assert gene.site_symmetries == tuple(token[1] for token in gene.tokens)
    assert gene.enumerations == tuple(token[2] for token in gene.tokens)
    assert gene.crystal_system == "orthorhombic"


def test_a_site_can_be_compared_and_hashed():
    assert WyckoffSite("Ca", "a") < WyckoffSite("Ca", "b")
    assert len({WyckoffSite("Ca", "a"), WyckoffSite("Ca", "a")}) == 1


def test_gene_id_is_16_hexadecimal_digits_and_differs_by_element(perovskite):
    other = WyckoffGene.from_text("221 Sr:a Ti:b O:c")
    assert len(perovskite.gene_id) == 16
    assert int(perovskite.gene_id, 16)
    assert perovskite.gene_id != other.gene_id


def test_importing_and_using_genes_loads_nothing_heavy():
    code = (
        "import sys; from wyckflow.crystal import WyckoffGene;"
        "WyckoffGene.from_text('221 Ca:a Ti:b O:c').gene_id;"
        "import wyckflow.crystal.equivalence;"
        "heavy = {'torch', 'pymatgen', 'pyxtal', 'spglib', 'pandas', 'scipy'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
