"""Element features: named, finite, standardised, and honest about what is missing."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Element

from wyckflow.crystal.elements import SYMBOLS
from wyckflow.ml import elements
from wyckflow.ml.elements import ELEMENT_FEATURES, element_features


def column(name):
    return element_features()[1:, ELEMENT_FEATURES.index(name)]


def test_every_element_has_finite_numbers_and_no_atom_has_none():
    table = element_features()
    assert table.shape == (119, len(ELEMENT_FEATURES))
    assert np.isfinite(table).all()
    assert not table[0].any()
    assert len(set(ELEMENT_FEATURES)) == len(ELEMENT_FEATURES)


@pytest.mark.parametrize(
    "name", [n for n in ELEMENT_FEATURES if not n.startswith("lacks_")]
)
def test_a_column_has_mean_zero_and_spread_one_where_it_is_known(name):
    values = column(name)
    if f"lacks_{name}" in ELEMENT_FEATURES:
        lacking = column(f"lacks_{name}") == 1
        assert not values[lacking].any()
        values = values[~lacking]
    assert values.mean() == pytest.approx(0, abs=1e-4)
    assert values.std() == pytest.approx(1, abs=1e-4)


def test_the_columns_that_lack_values_are_those_that_say_so():
    unknown = np.isnan(elements._read_tables()).any(axis=0)
    names = [n for n in ELEMENT_FEATURES if not n.startswith("lacks_")]
    lacking = {name for name, lacks in zip(names, unknown, strict=True) if lacks}
    said = {n.removeprefix("lacks_") for n in ELEMENT_FEATURES if n.startswith("lacks")}
    assert lacking == said


def test_the_order_of_elements_is_that_of_pymatgen():
    groups = [Element(symbol).group for symbol in SYMBOLS]
    assert np.corrcoef(groups, column("group"))[0, 1] == pytest.approx(1)
    mass = np.log([Element(symbol).atomic_mass for symbol in SYMBOLS])
    assert np.corrcoef(mass, column("atomic_mass"))[0, 1] == pytest.approx(1)


def test_valence_electrons_are_counted_outside_the_noble_gas():
    known = elements._read_tables()
    names = [n for n in ELEMENT_FEATURES if not n.startswith("lacks_")]
    row = dict(zip(names, known[SYMBOLS.index("Fe")], strict=True))
    assert [row[f"valence_{b}_electrons"] for b in "spdf"] == [2, 0, 6, 0]


def test_the_table_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        element_features()[0, 0] = 1
