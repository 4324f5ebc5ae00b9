"""Compositions as arrays, held against pymatgen's."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Composition

from wyckflow.crystal.composition import Compositions
from wyckflow.errors import GeneError

FORMULAS = ("Sr2Ti2O6", "NaCl", "Cu", "Ca3Al2Si3O12", "H2O")


def mappings():
    return [
        {symbol: int(n) for symbol, n in Composition(formula).as_dict().items()}
        for formula in FORMULAS
    ]


def test_each_row_is_one_formula_unit():
    found = Compositions.from_mappings(mappings())
    assert len(found) == len(FORMULAS)
    for index, formula in enumerate(FORMULAS):
        wanted = Composition(formula)
        assert found.row(index) == wanted.reduced_composition.as_dict()
        assert found.n_elements[index] == len(wanted)


def test_shares_are_those_of_the_atoms():
    found = Compositions.from_mappings(mappings())
    for index, formula in enumerate(FORMULAS):
        own = found.shares[index][found.atomic_numbers[index] > 0]
        wanted = Composition(formula).fractional_composition
        numbers = found.atomic_numbers[index]
        elements = sorted(wanted.elements, key=lambda element: element.Z)
        assert [e.Z for e in elements] == numbers[numbers > 0].tolist()
        assert own == pytest.approx([wanted[element] for element in elements])


def test_neither_order_nor_number_of_sites_matters():
    rng = np.random.default_rng(0)
    numbers = np.array([[8, 22, 8, 38, 8, 0]])
    atoms = np.array([[4, 2, 1, 3, 2, 0]])
    for _ in range(10):
        order = rng.permutation(6)
        found = Compositions.from_sites(numbers[:, order], 7 * atoms[:, order])
        assert found.row(0) == {"Sr": 3, "Ti": 2, "O": 7}


def test_each_composition_is_found_once():
    found = Compositions.from_mappings([*mappings(), *mappings()[::-1]])
    distinct, places = found.distinct()
    assert len(distinct) == len(FORMULAS)
    for index, place in enumerate(places.tolist()):
        assert distinct.row(place) == found.row(index)


@pytest.mark.parametrize("wrong", [{}, {"Na": 0}, {"Na": 0.5}, {"Na": -1}])
def test_what_is_no_composition_is_refused(wrong):
    with pytest.raises(ValueError, match="positive whole number"):
        Compositions.from_mappings([{"Na": 1}, wrong])


def test_an_unknown_symbol_is_named():
    with pytest.raises(GeneError, match="'Xx' is no chemical symbol"):
        Compositions.from_mappings([{"Xx": 1}])
