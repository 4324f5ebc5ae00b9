"""Conditions of people against the same conditions run by Python on each document."""

from __future__ import annotations

import pytest

from wyckflow.errors import QueryError
from wyckflow.store.candidates.where import parse_where

FIELDS = ["band_gap", "energy_above_hull", "elements", "chemsys", "is_gap_direct"]
DOCUMENTS = [
    {"band_gap": 1.0, "energy_above_hull": 0.01, "elements": ["O", "Sr", "Ti"]},
    {"band_gap": 0.2, "energy_above_hull": -0.02, "elements": ["Cl", "Na"]},
    {"band_gap": 3.0, "energy_above_hull": 0.2, "elements": ["O", "Zn"]},
    {"band_gap": None, "energy_above_hull": 0.0, "elements": ["Pb", "S"]},
]
for number, document in enumerate(DOCUMENTS):
    document |= {"n": number, "chemsys": "-".join(sorted(document["elements"]))}
    document["is_gap_direct"] = number == 2


@pytest.mark.mongo
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [0, 1, 2, 3]),
        ("band_gap > 0.5", [0, 2]),
        ("0.5 < band_gap", [0, 2]),
        ("0.5 < band_gap <= 1.0", [0]),
        ("band_gap>0.5 and energy_above_hull<0.05", [0]),
        ("band_gap<0.5 or energy_above_hull > 0.1", [1, 2]),
        ("not band_gap < 0.5", [0, 2, 3]),
        ("energy_above_hull < -0.01", [1]),
        ("'O' in elements and not 'Ti' in elements", [2]),
        ("'O' not in elements", [1, 3]),
        ("elements == 'O'", [0, 2]),
        ("chemsys in ['Cl-Na', \"O-Zn\"]", [1, 2]),
        ("band_gap == none", [3]),
        ("band_gap != None and is_gap_direct", [2]),
        ("is_gap_direct == false", [0, 1, 3]),
    ],
)
def test_the_server_finds_what_the_words_say(database, text, expected):
    with database.client() as client:
        collection = client[database.name]["some"]
        collection.insert_many([dict(item) for item in DOCUMENTS])
        found = collection.find(parse_where(text, FIELDS)).sort("n")
        assert [item["n"] for item in found] == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("band_gpa > 1", "Did you mean 'band_gap'"),
        ("band_gap >", "cannot be read"),
        ("band_gap", None),
        ("band_gap > energy_above_hull", "two fields"),
        ("1 < 2", "no field"),
        ("band_gap + 1 > 2", "no field"),
        ("__import__('os').system('true')", "is no condition"),
        ("band_gap > len('x')", "is no constant"),
        ("band_gap is 1", "is no comparison"),
        ("chemsys == Cl", "no field|two fields"),
        ("band_gap > 'a' + 'b'", "is no constant"),
    ],
)
def test_what_is_no_condition_is_refused_with_an_example(text, words):
    if words is None:
        assert parse_where(text, FIELDS) == {"band_gap": True}
        return
    with pytest.raises(QueryError, match=words):
        parse_where(text, FIELDS)
