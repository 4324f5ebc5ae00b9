"""One URI makes every connection; passwords stay private; refusals say what to do."""

from __future__ import annotations

import json
import uuid

import pymongo
import pytest
from pymongo.errors import OperationFailure

from wyckflow.errors import ConfigurationError, DatabaseError
from wyckflow.store import connect
from wyckflow.store.connect import Database, explain, redact
from wyckflow.store.project import without_password


@pytest.mark.parametrize(
    "uri",
    [
        "http://host",
        "mongodb://",
        "mongodb://u:p@h:port",
        "localhost",
        "mongodb://h/?a",
    ],
)
def test_what_is_no_mongodb_uri_is_refused_with_an_example(uri):
    with pytest.raises(ConfigurationError, match="mongodb://USER@HOST"):
        Database.from_uri(uri, "w")


@pytest.mark.parametrize(
    "password", ["plain", "p@s:s/w?rd%", "Ünïcödé ", "a+b c"], ids=str
)
def test_a_separate_password_arrives_as_it_was_written(password):
    database = Database.from_uri(
        "mongodb://me@h:1/?authSource=x", "w", password=password
    )
    parsed = pymongo.uri_parser.parse_uri(database.uri)
    assert parsed["username"] == "me"
    assert parsed["password"] == password
    assert parsed["options"]["authSource"] == "x"


def test_a_password_in_the_uri_wins_over_a_separate_one():
    database = Database.from_uri("mongodb://me:inner@h/", "w", password="outer")
    assert pymongo.uri_parser.parse_uri(database.uri)["password"] == "inner"


def test_durability_and_patience_are_added_but_what_the_user_set_is_kept():
    options = pymongo.uri_parser.parse_uri(Database.from_uri("mongodb://h", "w").uri)
    assert options["options"]["journal"] is True
    assert options["options"]["serverSelectionTimeoutMS"] == 600
    mine = Database.from_uri("mongodb://h/?serverSelectionTimeoutMS=5&tls=true", "w")
    options = pymongo.uri_parser.parse_uri(mine.uri)["options"]
    assert options["serverSelectionTimeoutMS"] == 0.005
    assert options["tls"] is True


def test_no_text_about_a_database_holds_its_password():
    secret = "s3cr3t"
    database = Database.from_uri(f"mongodb://me:{secret}@h:1/?tls=true", "w")
    error = explain(OperationFailure(f"at {database.uri}"), database)
    for text in (repr(database), str(database), database.address, str(error)):
        assert secret not in text
    assert secret not in without_password(database).uri
    assert redact(f"see {database.uri}!") == "see mongodb://me:***@h:1/?" + (
        database.uri.split("?")[1] + "!"
    )


@pytest.mark.mongo
def test_every_connection_reaches_the_same_database(database):
    launchpad = database.launchpad()
    store = database.job_store()
    store.connect()
    store.update({"uuid": "u", "index": 1, "output": 1})
    assert launchpad.db["outputs"].find_one({"uuid": "u"})["output"] == 1
    options = launchpad.connection.options
    assert options.write_concern.document["j"] is True
    assert options.server_selection_timeout == 600


def test_a_missing_server_is_named_with_both_ways_out():
    database = Database.from_uri("mongodb://127.0.0.1:9/", "w")
    with pytest.raises(DatabaseError, match="wyckflow db start") as caught:
        database.ping(timeout_ms=300)
    assert "127.0.0.1:9" in str(caught.value)


@pytest.mark.mongo
def test_a_wrong_password_is_told_from_a_missing_server(mongo_server):
    base = Database.from_uri(mongo_server.uri, "wyckflow")
    wrong = Database.from_uri(without_password(base).uri, "wyckflow", password="no")
    with pytest.raises(DatabaseError, match="User or password refused"):
        wrong.ping()


@pytest.fixture
def reader(mongo_server):
    """The address of a user who may only read."""
    secrets = json.loads((mongo_server.folder / "credentials.json").read_text())
    base = Database.from_uri(mongo_server.uri, "wyckflow")
    admin = Database.from_uri(
        without_password(base).uri.replace("//wyckflow@", "//admin@"),
        "wyckflow",
        password=secrets["admin_password"],
    )
    name = f"reader{uuid.uuid4().hex[:6]}"
    with admin.client() as client:
        client["admin"].command(
            "createUser", name, pwd="r", roles=[{"role": "read", "db": "wyckflow"}]
        )
        uri = without_password(base).uri.replace("//wyckflow@", f"//{name}@")
        yield Database.from_uri(uri, "wyckflow", password="r")
        client["admin"].command("dropUser", name)


@pytest.mark.mongo
def test_a_user_who_may_only_read_is_told_which_roles_are_missing(reader):
    reader.ping()
    with pytest.raises(DatabaseError, match="readWrite and dbAdmin"):
        reader.check_writable()


@pytest.mark.mongo
def test_a_server_that_is_too_old_is_refused(database, monkeypatch):
    monkeypatch.setattr(connect, "OLDEST_SERVER", (99, 0))
    with pytest.raises(DatabaseError, match=r"needs 99\.0 or newer"):
        database.ping()
