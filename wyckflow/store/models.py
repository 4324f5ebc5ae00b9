"""The registry of trained models: stored once by hash, reached by jobs as references.

A model's file lies in the job store as if a job had put it there. So a flow takes it as
a jobflow reference, every worker gets it the way it gets any other input, and no job
asks the database for anything. The collection ``models`` holds the cards alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import PyMongoError

from wyckflow.errors import ModelError, nearest_name
from wyckflow.schemas.model import ModelDoc
from wyckflow.store.connect import BLOBS, OUTPUTS, explain

if TYPE_CHECKING:
    from jobflow import OutputReference
    from pymongo.database import Database as MongoDatabase

    from wyckflow.store.connect import Database

MODELS: Final = "models"
_UUID: Final = "model-{}"
_SHORTEST_PREFIX: Final = 4


def register_model(database: Database, model: ModelDoc) -> bool:
    """Store a model and its card; return False if it was there already.

    The file is written before its card: a card promises that the file is there.

    Parameters
    ----------
    database
        Where.
    model
        With its file.

    Raises
    ------
    ModelError
        If the file is damaged.
    DatabaseError
        If the database does not take it.
    """
    from monty.json import jsanitize

    model.to_bytes()
    card = jsanitize(model.model_dump(exclude={"chunks"}), strict=True)
    with database.client() as client:
        cards = client[database.name][MODELS]
        try:
            if cards.find_one({"model_id": model.model_id}, {"_id": 1}):
                return False
            _put_file(database, model)
            cards.replace_one({"model_id": model.model_id}, card, upsert=True)
        except PyMongoError as error:
            raise explain(error, database) from error
    return True


def list_models(database: Database, *, kind: str | None = None) -> list[ModelDoc]:
    """Return the cards, the newest first, without the files.

    Parameters
    ----------
    database
        Where.
    kind
        Only models that do this, such as ``mpvae``.
    """
    query = {} if kind is None else {"kind": kind}
    with database.client() as client:
        try:
            found = client[database.name][MODELS].find(query, {"_id": 0})
            cards = list(found.sort("provenance.created_at", -1))
        except PyMongoError as error:
            raise explain(error, database) from error
    return [ModelDoc.model_validate(card) for card in cards]


def find_model(database: Database, name: str) -> ModelDoc:
    """Return the card of a model by its name, or the first digits of its hash.

    Of several with one name, the newest.

    Parameters
    ----------
    database
        Where.
    name
        Name, or at least four digits of ``model_id``.

    Raises
    ------
    ModelError
        If no model, or more than one hash, fits.
    """
    cards = list_models(database)
    if named := [card for card in cards if card.name == name]:
        return named[0]
    is_prefix = len(name) >= _SHORTEST_PREFIX
    hits = [card for card in cards if is_prefix and card.model_id.startswith(name)]
    if len(hits) == 1:
        return hits[0]
    known = [card.name for card in cards]
    problem = f"{len(hits)} models begin with it" if hits else "no model has it"
    raise ModelError(
        f"{name!r} names no single model of {database.name!r}: {problem}."
        f"{nearest_name(name, known)} 'wyckflow model list' shows all."
    )


def fetch_model(database: Database, name: str) -> ModelDoc:
    """Return a model with its file.

    Parameters
    ----------
    database
        Where.
    name
        As in :func:`find_model`.

    Raises
    ------
    ModelError
        If there is no such model, or its file is damaged.
    """
    card = find_model(database, name)
    store = database.job_store()
    store.connect()
    try:
        stored = store.get_output(_UUID.format(card.model_id), load=True)
    except (PyMongoError, ValueError) as error:
        raise ModelError(
            f"The file of model {card.name!r} is not in the database ({error}): import "
            "it again with 'wyckflow model import FILE'."
        ) from error
    finally:
        store.close()
    model = ModelDoc.model_validate(_without_class(stored))
    model.to_bytes()
    return model


def remove_model(database: Database, name: str) -> ModelDoc:
    """Remove a model and its file, and return its card.

    Parameters
    ----------
    database
        Where.
    name
        As in :func:`find_model`.
    """
    card = find_model(database, name)
    with database.client() as client:
        mongo = client[database.name]
        try:
            mongo[MODELS].delete_one({"model_id": card.model_id})
            _remove_file(mongo, card.model_id)
        except PyMongoError as error:
            raise explain(error, database) from error
    return card


def model_reference(model_id: str) -> OutputReference:
    """Return what a flow passes to a job that needs a registered model.

    Parameters
    ----------
    model_id
        The whole hash, as :func:`find_model` gives it.
    """
    from jobflow import OutputReference

    return OutputReference(uuid=_UUID.format(model_id), output_schema=ModelDoc)


def _put_file(database: Database, model: ModelDoc) -> None:
    """Write the model as an output that references find."""
    from monty.json import jsanitize

    uuid = _UUID.format(model.model_id)
    output = jsanitize(model, strict=True, enum_values=True, allow_bson=True)
    entry = {
        "uuid": uuid,
        "index": 1,
        "output": output,
        "name": f"model {model.name}",
        "completed_at": model.provenance.created_at.isoformat(),
        "metadata": {},
        "hosts": [],
    }
    with database.client() as client:  # what an interrupted try has left
        _remove_file(client[database.name], model.model_id)
    store = database.job_store()
    store.connect()
    try:
        store.update(entry, key=["uuid", "index"], save={"blobs": "blob"})
    finally:
        store.close()


def _remove_file(mongo: MongoDatabase[Any], model_id: str) -> None:
    """Remove the output that holds a model's file."""
    uuid = _UUID.format(model_id)
    mongo[OUTPUTS].delete_many({"uuid": uuid})
    mongo[BLOBS].delete_many({"job_uuid": uuid})


def _without_class(stored: dict[str, Any]) -> dict[str, Any]:
    """Drop what jobflow adds to say which class a dictionary was."""
    return {name: value for name, value in stored.items() if name[0] != "@"}
