"""The one place that connects: one URI makes the LaunchPad and the JobStore.

Workers wait ten minutes for a database that went away, so that no result is lost to
an outage; a person at the terminal waits three seconds and is told what to do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote_plus, unquote, unquote_plus, urlencode

import pymongo
from pymongo.errors import ConfigurationError as MongoConfigurationError
from pymongo.errors import (
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from wyckflow.errors import ConfigurationError, DatabaseError
from wyckflow.schemas.blob import BLOB_STORE

if TYPE_CHECKING:
    from fireworks import LaunchPad
    from jobflow import JobStore
    from pymongo.database import Database as MongoDatabase

OUTPUTS = "outputs"
BLOBS = BLOB_STORE
OUTAGE_TOLERANCE_MS = 600_000
"""How long a worker waits for a database that went away."""

PROBE_TIMEOUT_MS = 3_000
"""How long a person at the terminal waits for it."""

OLDEST_SERVER = (4, 4)
NOT_AUTHORIZED, AUTHENTICATION_FAILED = 13, 18


@dataclass(frozen=True)
class Database:
    """An address: a MongoDB URI and the name of a database.

    Parameters
    ----------
    uri
        Full URI, password included; never part of the ``repr``.
    name
        Database that holds everything of the project.
    """

    uri: str = field(repr=False)
    name: str

    @classmethod
    def from_uri(cls, uri: str, name: str, *, password: str | None = None) -> Database:
        """Complete a user's URI with durability, patience and a separate password.

        Parameters
        ----------
        uri
            What the user gave, with or without a password.
        name
            Database name.
        password
            Inserted when the URI names a user but no password.

        Raises
        ------
        ConfigurationError
            If the text is not a MongoDB URI.
        """
        complete = uri
        try:
            complete = _with_options(_with_password(uri, password))
            pymongo.uri_parser.parse_uri(complete, validate=True, warn=False)
        except (InvalidURI, MongoConfigurationError, ValueError) as error:
            if uri.startswith("mongodb+srv://"):  # its parsing needs the network
                return cls(complete, name)
            raise ConfigurationError(
                f"{redact(uri)!r} is not a MongoDB URI "
                f"({redact(str(error))}). Expected "
                "mongodb://USER@HOST:27017/?authSource=admin with the password in "
                "WYCKFLOW_DATABASE_PASSWORD, where no character needs quoting."
            ) from error
        return cls(complete, name)

    @property
    def address(self) -> str:
        """The URI as it may be shown: without the password and options."""
        return unquote(redact(self.uri).split("?")[0])

    @property
    def local_port(self) -> int | None:
        """The port of 127.0.0.1 that the URI names, if it names one."""
        found = re.search(r"@127\.0\.0\.1:(\d+)/", self.uri)
        return int(found.group(1)) if found else None

    def client(self, *, timeout_ms: int = PROBE_TIMEOUT_MS) -> pymongo.MongoClient[Any]:
        """Return a client that gives up on a missing server after ``timeout_ms``."""
        return pymongo.MongoClient(self.uri, serverSelectionTimeoutMS=timeout_ms)

    def open(self, *, timeout_ms: int = PROBE_TIMEOUT_MS) -> MongoDatabase[Any]:
        """Return the database, lazily connected."""
        return self.client(timeout_ms=timeout_ms)[self.name]

    def ping(self, *, timeout_ms: int = PROBE_TIMEOUT_MS) -> dict[str, Any]:
        """Check that the server answers, lets us in, and is new enough.

        Returns
        -------
        dict
            The server's ``buildInfo``.

        Raises
        ------
        DatabaseError
            With the remedy: not reachable, refused, or too old.
        """
        with self.client(timeout_ms=timeout_ms) as client:
            try:
                info: dict[str, Any] = client.admin.command("buildInfo")
                client[self.name].command("connectionStatus")
                client[self.name][OUTPUTS].find_one({}, {"_id": 1})
            except PyMongoError as error:
                raise explain(error, self) from error
        if tuple(info["versionArray"][:2]) < OLDEST_SERVER:
            raise DatabaseError(
                f"The server at {self.address} is MongoDB {info['version']}; wyckflow "
                f"needs {'.'.join(map(str, OLDEST_SERVER))} or newer. Update it, or "
                "give another server to 'wyckflow init --uri'."
            )
        return info

    def check_writable(self) -> None:
        """Write, read back and delete one document of our own.

        Raises
        ------
        DatabaseError
            If the user may only read.
        """
        with self.client() as client:
            probe = client[self.name]["wyckflow_probe"]
            try:
                written = probe.insert_one({"made_by": "wyckflow doctor"}).inserted_id
                probe.delete_one({"_id": written})
            except PyMongoError as error:
                raise explain(error, self) from error

    def launchpad(self, *, timeout_ms: int = OUTAGE_TOLERANCE_MS) -> LaunchPad:
        """Return FireWorks' LaunchPad on this database."""
        from fireworks import LaunchPad

        return LaunchPad(**self.launchpad_options(timeout_ms=timeout_ms))

    def launchpad_options(
        self, *, timeout_ms: int = OUTAGE_TOLERANCE_MS
    ) -> dict[str, Any]:
        """Return the arguments of a LaunchPad, as ``launchpad.yaml`` holds them."""
        from wyckflow.store.indexes import FIREWORK_FIELDS, WORKFLOW_FIELDS

        return {
            "host": self.uri,
            "uri_mode": True,
            "name": self.name,
            "strm_lvl": "WARNING",
            "user_indices": list(FIREWORK_FIELDS),
            "wf_user_indices": list(WORKFLOW_FIELDS),
            "mongoclient_kwargs": {"serverSelectionTimeoutMS": timeout_ms},
        }

    def job_store(self) -> JobStore:
        """Return jobflow's JobStore: documents, and npz bytes beside them.

        Both are MongoStores: GridFSStore would turn bytes into text.
        """
        from jobflow import JobStore

        store: JobStore = JobStore.from_dict_spec(self.job_store_spec())
        return store

    def job_store_spec(self) -> dict[str, Any]:
        """Return the JobStore as ``jobflow.yaml`` holds it."""
        return {
            "docs_store": self._store_spec(OUTPUTS, key="uuid"),
            "additional_stores": {BLOB_STORE: self._store_spec(BLOBS, key="blob_uuid")},
        }

    def _store_spec(self, collection: str, *, key: str) -> dict[str, Any]:
        """Describe one MongoStore."""
        return {
            "type": "MongoStore",
            "uri": self.uri,
            "database": self.name,
            "collection_name": collection,
            "key": key,
        }


def redact(text: str) -> str:
    """Replace every password in the URIs of a text by ``***``."""
    return re.sub(r"(mongodb(?:\+srv)?://[^:/@\s]+):[^@\s]*@", r"\1:***@", text)


def explain(error: PyMongoError, database: Database) -> DatabaseError:
    """Turn pymongo's exception into one sentence with the remedy.

    Parameters
    ----------
    error
        What pymongo raised.
    database
        Where it was raised.
    """
    where = f"the database {database.name!r} at {database.address}"
    if isinstance(error, OperationFailure) and error.code == AUTHENTICATION_FAILED:
        return DatabaseError(
            f"User or password refused by {where}. Check the user in launchpad.yaml, "
            "WYCKFLOW_DATABASE_PASSWORD (or database_password_file), and the "
            "authSource of the URI."
        )
    if isinstance(error, OperationFailure) and error.code == NOT_AUTHORIZED:
        return DatabaseError(
            f"The user is known but may not do this on {where}: it needs the roles "
            f"readWrite and dbAdmin on {database.name!r} (ask its administrator for "
            f"db.grantRolesToUser). The server said: {redact(str(error))[:200]}"
        )
    if isinstance(
        error, ServerSelectionTimeoutError | pymongo.errors.ConnectionFailure
    ):
        return DatabaseError(
            f"No MongoDB answers for {where}. If it is the project's own server: "
            "'wyckflow db start'. If it is another: is its address right, is it "
            "running, and does a firewall let this machine in?"
        )
    return DatabaseError(f"MongoDB refused: {redact(str(error))[:300]} ({where}).")


def _with_password(uri: str, password: str | None) -> str:
    """Insert a password after the user of a URI that has none."""
    if password is None or "@" not in uri:
        return uri
    scheme, _, rest = uri.partition("://")
    user, _, host = rest.rpartition("@")
    if ":" in user:
        return uri
    return f"{scheme}://{quote_plus(unquote_plus(user))}:{quote_plus(password)}@{host}"


def _with_options(uri: str) -> str:
    """Add journalled writes and the long wait; keep what the user set."""
    base, _, query = uri.partition("?")
    if "/" not in base.partition("://")[2]:
        base += "/"
    options = parse_qsl(query, strict_parsing=True) if query else []
    given = {name.lower() for name, _ in options}
    patience = str(OUTAGE_TOLERANCE_MS)
    for name, value in (("journal", "true"), ("serverSelectionTimeoutMS", patience)):
        if name.lower() not in given:
            options.append((name, value))
    return f"{base}?{urlencode(options)}"
