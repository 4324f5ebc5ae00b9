"""The registry: a model is stored once, comes back whole, and reaches jobs."""

from __future__ import annotations

import hashlib

import pytest
from jobflow import Flow, job

from wyckflow.errors import ConfigurationError, ModelError
from wyckflow.schemas.model import CHUNK_BYTES, ModelDoc
from wyckflow.store.models import (
    fetch_model,
    find_model,
    list_models,
    model_reference,
    register_model,
    remove_model,
)
from wyckflow.store.submit import submit

pytestmark = pytest.mark.mongo


@job
def measure(model):
    return len(model.to_bytes())


def digest(content):
    return hashlib.sha256(content).hexdigest()


def model(content=b"weights", name="first"):
    return ModelDoc.from_bytes(
        content, model_id=digest(content), name=name, kind="mpvae", card={"seed": 1}
    )


def count(database, collection):
    with database.client() as client:
        return client[database.name][collection].count_documents({})


def test_a_model_comes_back_as_it_was_whatever_its_size(database):
    content = bytes(range(256)) * (CHUNK_BYTES // 256) + b"the rest"
    big = model(content)
    assert len(big.chunks) == 2
    assert register_model(database, big)
    back = fetch_model(database, "first")
    assert back.to_bytes() == content
    assert back.model_id == digest(content)
    assert (back.card, back.kind) == ({"seed": 1}, "mpvae")


def test_the_same_model_is_stored_once(database):
    assert register_model(database, model())
    assert not register_model(database, model(name="again"))
    assert [card.name for card in list_models(database)] == ["first"]
    assert (count(database, "models"), count(database, "blobs")) == (1, 1)


def test_cards_carry_no_file(database):
    register_model(database, model())
    (card,) = list_models(database, kind="mpvae")
    assert card.chunks == []
    assert list_models(database, kind="classifier") == []


def test_a_model_is_found_by_name_and_by_the_start_of_its_hash(database):
    register_model(database, model())
    register_model(database, model(b"other", name="second"))
    wanted = digest(b"other")
    assert find_model(database, "second").model_id == wanted
    assert find_model(database, wanted[:8]).name == "second"
    with pytest.raises(ModelError, match="Did you mean 'second'"):
        find_model(database, "secnd")


def test_an_interrupted_registration_is_completed_by_the_next(database):
    register_model(database, model())
    with database.client() as client:  # the card is written last
        client[database.name]["models"].delete_many({})
    assert register_model(database, model())
    assert fetch_model(database, "first").to_bytes() == b"weights"
    assert count(database, "blobs") == 1


def test_a_file_that_is_gone_is_told_from_a_model_that_never_was(database):
    register_model(database, model())
    with database.client() as client:
        client[database.name]["outputs"].delete_many({})
    with pytest.raises(ModelError, match="import it again"):
        fetch_model(database, "first")


def test_a_damaged_model_is_not_registered(database):
    damaged = model().model_copy(update={"sha256": "0" * 64})
    with pytest.raises(ModelError, match="import it again"):
        register_model(database, damaged)
    assert count(database, "models") == 0


def test_a_removed_model_leaves_nothing(database):
    register_model(database, model())
    remove_model(database, "first")
    assert [count(database, name) for name in ("models", "outputs", "blobs")] == [0] * 3


def test_a_job_takes_a_registered_model_by_reference(project):
    from jobflow import run_locally

    database = project.database()
    register_model(database, model(b"nine byte"))
    reference = model_reference(find_model(database, "first").model_id)
    task = measure(reference)
    store = database.job_store()
    found = run_locally(
        Flow([task]), store=store, allow_external_references=True, ensure_success=True
    )
    assert found[task.uuid][1].output == 9


def test_a_flow_with_a_reference_to_nothing_is_refused(project):
    task = measure(model_reference("0" * 64))
    task.update_config({"manager_config": {"_category": "cpu"}})
    with pytest.raises(ConfigurationError, match="register the model"):
        submit(Flow([task]), campaign="c", database=project.database())


def test_a_flow_with_a_registered_model_is_taken(project):
    database = project.database()
    register_model(database, model())
    task = measure(model_reference(find_model(database, "first").model_id))
    task.update_config({"manager_config": {"_category": "cpu"}})
    assert len(submit(Flow([task]), campaign="c", database=database)) == 1


def test_a_file_is_cached_once_under_its_hash(tmp_path):
    path = model().write(tmp_path / "cache")
    assert path.read_bytes() == b"weights"
    path.write_bytes(b"kept")
    assert model().write(tmp_path / "cache").read_bytes() == b"kept"
    assert [item.name for item in path.parent.iterdir()] == [path.name]
