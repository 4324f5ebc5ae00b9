"""The exception tree: what can be caught together, and what a message may hint."""

from __future__ import annotations

import inspect

import pytest

from wyckflow import errors
from wyckflow.errors import (
    ConfigurationError,
    DatabaseError,
    DocumentError,
    GeneError,
    RoutingError,
    ServerError,
    UnknownWyckoffLetterError,
    WyckflowError,
    nearest_name,
)

ALL = [
    item
    for _, item in inspect.getmembers(errors, inspect.isclass)
    if issubclass(item, BaseException)
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_one_except_clause_catches_every_error_of_ours(error):
    assert issubclass(error, WyckflowError)
    assert error.__name__.endswith("Error")


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (RoutingError, ConfigurationError),
        (ServerError, DatabaseError),
        (UnknownWyckoffLetterError, GeneError),
        (GeneError, ValueError),
    ],
)
def test_a_wider_clause_catches_the_narrower_error(narrow, wide):
    assert issubclass(narrow, wide)


def test_a_damaged_document_is_not_hidden_in_a_report_of_pydantic():
    """Pydantic collects every ValueError of a validator into one of its own."""
    assert not issubclass(DocumentError, ValueError | AssertionError)


def test_the_nearest_name_is_hinted_and_a_far_one_is_not():
    known = ["symprec", "fmax", "n_trials"]
    assert nearest_name("symperc", known) == " Did you mean 'symprec'?"
    assert nearest_name("temperature", known) == ""
    assert nearest_name("", known) == ""
    assert nearest_name("symprec", []) == ""


def test_a_hint_can_be_put_behind_any_sentence():
    assert nearest_name("fmx", iter(["fmax"])).startswith(" Did you mean")
