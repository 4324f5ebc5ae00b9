"""Conditions on genes, checked one gene at a time with pymatgen."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Composition
from pymatgen.symmetry.groups import SpaceGroup

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import ModelError, TargetError
from wyckflow.ml.codec.sites import tensorise_genes
from wyckflow.ml.sampling.matching import (
    GeneTraits,
    match_target,
    meet_all,
    refuse_empty,
)
from wyckflow.schemas.target import Target

TEXTS = [
    "221 Sr:a Ti:b O:c",
    "225 Na:a Cl:b",
    "62 Ca:c Ti:b O:c O:d",
    "227 Si:a",
    "160 Ba:a Ti:a O:b",
    "194 Pb:c I:a I:f",
]
GENES = [WyckoffGene.from_text(text) for text in TEXTS]
TRAITS = GeneTraits.from_sites(tensorise_genes(GENES))
GAPS = np.array([1.8, 5.0, 2.2, 0.6, np.nan, 2.5])


def elements(gene):
    return set(Composition(gene.formula).as_dict())


def system(gene):
    return SpaceGroup.from_int_number(gene.space_group_number).crystal_system


@pytest.mark.parametrize(
    ("conditions", "check"),
    [
        (
            {"space_groups": "62, 221-230"},
            lambda g: g.space_group_number in {62, 221, 225, 227},
        ),
        ({"crystal_systems": ["cubic"]}, lambda g: system(g) == "cubic"),
        ({"elements_all": "Ti,O"}, lambda g: {"Ti", "O"} <= elements(g)),
        ({"elements_any": "Cl,I"}, lambda g: bool({"Cl", "I"} & elements(g))),
        ({"elements_none": "Pb,Si"}, lambda g: not {"Pb", "Si"} & elements(g)),
        (
            {"elements_only": "Sr-Ti-O-Si"},
            lambda g: elements(g) <= {"Sr", "Ti", "O", "Si"},
        ),
        ({"n_elements": {"max": 2}}, lambda g: len(elements(g)) <= 2),
        ({"nsites": {"min": 8, "max": 20}}, lambda g: 8 <= g.n_sites <= 20),
    ],
)
def test_each_condition_holds_for_the_genes_it_says(conditions, check):
    ((_, mask),) = match_target(Target(**conditions), TRAITS, {}).items()
    assert mask.tolist() == [check(gene) for gene in GENES]
    assert 0 < mask.sum() < len(GENES)


def test_a_range_takes_its_ends_a_tolerance_and_no_missing_value():
    target = Target(properties={"band_gap": {"min": 0.6, "max": 2.2}})
    (mask,) = match_target(target, TRAITS, {"band_gap": GAPS}).values()
    assert mask.tolist() == [True, False, True, True, False, False]
    wide = {"band_gap": 0.35}
    (mask,) = match_target(target, TRAITS, {"band_gap": GAPS}, tolerances=wide).values()
    assert mask.tolist() == [True, False, True, True, False, True]


def test_all_conditions_together_and_none():
    target = Target(crystal_systems=["cubic"], n_elements={"min": 2})
    met = meet_all(match_target(target, TRAITS, {}), len(GENES))
    assert met.tolist() == [True, True, False, False, False, False]
    assert meet_all(match_target(Target(), TRAITS, {}), len(GENES)).all()


def test_a_property_that_the_model_does_not_know_is_refused():
    target = Target(properties={"band_gpa": {"min": 1}})
    with pytest.raises(ModelError, match="Did you mean 'band_gap'"):
        match_target(target, TRAITS, {"band_gap": GAPS})


def test_a_target_that_one_condition_empties_names_it_and_the_nearest_value():
    target = Target(properties={"band_gap": {"min": 6}}, space_groups="221-230")
    with pytest.raises(TargetError, match=r"band_gap \(at least 6\).*nearest has 5"):
        refuse_empty(target, TRAITS, {"band_gap": GAPS})


def test_a_target_that_conditions_empty_together_names_the_costliest():
    target = Target(properties={"band_gap": {"min": 4}}, elements_all="Ti")
    with pytest.raises(TargetError, match=r"without band_gap .* 3 are left") as caught:
        refuse_empty(target, TRAITS, {"band_gap": GAPS})
    assert "nearest has 2.2" in str(caught.value)


def test_a_target_that_some_gene_meets_is_let_through():
    refuse_empty(Target(elements_all="Pb"), TRAITS, {})


def test_a_number_of_atoms_that_is_not_known_is_not_asked():
    unknown = GeneTraits(TRAITS.space_group, TRAITS.has_element, None)
    assert match_target(Target(nsites={"max": 2}), unknown, {}) == {}
