"""What every stored document promises its readers."""

from __future__ import annotations

import inspect
import pkgutil
import types
from enum import Enum, StrEnum
from importlib import import_module
from typing import ClassVar, get_args

import pytest
from pydantic import BaseModel, Field, ValidationError

import wyckflow.schemas
from wyckflow.errors import DocumentError, WyckflowError
from wyckflow.makers._job import BLOB_FIELD
from wyckflow.schemas.base import Provenance, WyckflowDoc


def find_classes(base):
    """Return every class of a kind that the schemas define."""
    prefix = f"{wyckflow.schemas.__name__}."
    found = set()
    for info in pkgutil.walk_packages(wyckflow.schemas.__path__, prefix):
        for _, item in inspect.getmembers(import_module(info.name), inspect.isclass):
            if item.__module__.startswith(prefix) and issubclass(item, base):
                found.add(item)
    return sorted(found, key=lambda item: item.__name__)


MODELS = find_classes(BaseModel)
DOCUMENTS = [item for item in MODELS if issubclass(item, WyckflowDoc)]

each_model = pytest.mark.parametrize("model", MODELS, ids=lambda item: item.__name__)
each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda item: item.__name__
)


class NewerDoc(WyckflowDoc):
    """A document whose layout changed once."""

    SCHEMA_VERSION: ClassVar[int] = 2

    value: int = Field(default=0, description="A number.")


def test_documents_are_found():
    assert {WyckflowDoc, Provenance} <= set(MODELS)
    assert len(DOCUMENTS) > 1


@each_model
def test_every_field_is_described(model):
    silent = [
        name for name, field in model.model_fields.items() if not field.description
    ]
    assert silent == []


@each_model
def test_a_description_is_a_sentence_without_loose_ends(model):
    for name, field in model.model_fields.items():
        assert field.description == field.description.strip(), name
        assert field.description.endswith("."), name
        assert "  " not in field.description, name


@each_model
def test_an_unknown_field_is_refused(model):
    """A typo in a job must not become a field in the database."""
    assert model.model_config.get("extra") == "forbid"
    with pytest.raises((ValidationError, WyckflowError), match="no_such_field"):
        model.model_validate({"no_such_field": 1})


@each_model
def test_a_description_is_never_taken_for_a_default(model):
    """``Field("Number of points.")`` makes the text the value."""
    for name, field in model.model_fields.items():
        assert field.default != field.description, name


@each_document
def test_a_document_is_named_as_one(document):
    assert document.__name__.endswith("Doc")


SMALL_BYTES = {"TrialTable": {"packed"}}
"""Some 100 bytes per gene of a shard, which has 500 at most."""


@each_model
def test_bytes_are_only_kept_in_the_field_that_goes_to_the_blob_store(model):
    """Jobflow finds the field by its name; bytes elsewhere would fill the outputs."""

    def holds_bytes(annotation):
        parts = get_args(annotation)
        is_union = isinstance(annotation, types.UnionType) or parts
        return annotation is bytes or (is_union and any(map(holds_bytes, parts)))

    names = {n for n, f in model.model_fields.items() if holds_bytes(f.annotation)}
    assert names <= {BLOB_FIELD} | SMALL_BYTES.get(model.__name__, set())


@each_document
def test_every_document_checks_its_version(document):
    assert "_check_schema_version" in document.__pydantic_decorators__.model_validators
    assert document.SCHEMA_VERSION >= 1


def test_a_new_document_has_the_present_version_and_its_origin():
    document = NewerDoc()
    assert document.schema_version == NewerDoc.SCHEMA_VERSION
    assert document.provenance.wyckflow_version == wyckflow.__version__
    names = [package.name for package in document.provenance.packages]
    assert {"numpy", "jobflow"} <= set(names)


def test_a_document_of_the_future_is_refused_with_the_way_out():
    with pytest.raises(DocumentError, match="schema_version 3") as caught:
        NewerDoc.model_validate({"schema_version": 3, "value": 1})
    sentence = str(caught.value)
    assert "NewerDoc" in sentence
    assert "up to 2" in sentence
    assert "newer" in sentence


def test_a_document_of_the_future_with_a_new_field_is_refused_by_its_version():
    """A report of pydantic about the field would not say to install a newer one."""
    with pytest.raises(DocumentError, match="schema_version 3"):
        NewerDoc.model_validate({"schema_version": 3, "added_later": 1})


def test_a_document_of_the_past_is_read():
    assert NewerDoc.model_validate({"schema_version": 1}).schema_version == 1


def test_a_document_of_a_past_that_would_be_misread_is_refused():
    class ChangedDoc(NewerDoc):
        """One of whose fields has another meaning since."""

        SCHEMA_VERSION: ClassVar[int] = 4
        OLDEST_SCHEMA_VERSION: ClassVar[int] = 3

    assert ChangedDoc.model_validate({"schema_version": 3}).schema_version == 3
    with pytest.raises(DocumentError, match=r"schema_version 2, .* from 3 on"):
        ChangedDoc.model_validate({"schema_version": 2})


@pytest.mark.parametrize("version", ["2", 1.0, None, True, [1], 0, -1])
def test_what_is_no_version_is_refused(version):
    """Also text and floats that pydantic would take for a number."""
    with pytest.raises(DocumentError, match="schema_version"):
        NewerDoc.model_validate({"schema_version": version})


def test_a_document_survives_the_way_through_json():
    document = NewerDoc(value=3)
    assert NewerDoc.model_validate_json(document.model_dump_json()) == document


@pytest.mark.parametrize(
    "enumeration", find_classes(Enum), ids=lambda item: item.__name__
)
def test_stored_choices_are_plain_lower_case_text(enumeration):
    assert issubclass(enumeration, StrEnum)
    for choice in enumeration:
        assert choice.value == choice.value.lower()
        assert choice.name == choice.name.upper()
