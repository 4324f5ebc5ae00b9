"""The passwords of the embedded server, and the two users who have them.

``admin`` makes users and does nothing else; ``wyckflow`` owns one database. Both
passwords are random, are kept in one file that only its owner may read, and are
never part of a ``repr``, a message or a command line.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from wyckflow.errors import ServerError
from wyckflow.store.private import write_private_file

if TYPE_CHECKING:
    from pathlib import Path

ADMIN = "admin"
USER = "wyckflow"
DATABASE = "wyckflow"

_UNAUTHORIZED = 13
_AUTHENTICATION_FAILED = 18
_USER_EXISTS = 51003
_MECHANISMS = ["SCRAM-SHA-256"]


class Credentials(BaseModel):
    """The passwords of one server.

    Parameters
    ----------
    admin_password
        Of the user ``admin``.
    user_password
        Of the user ``wyckflow``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    admin_password: SecretStr
    user_password: SecretStr


def create_credentials(path: Path) -> Credentials:
    """Draw new passwords and write them down, before any user has them.

    Parameters
    ----------
    path
        The file, written with mode 0600.
    """
    drawn = {name: secrets.token_urlsafe(24) for name in Credentials.model_fields}
    write_private_file(path, json.dumps(drawn, indent=2) + "\n")
    return Credentials.model_validate(drawn)


def load_credentials(path: Path) -> Credentials:
    """Read the passwords of a server.

    Parameters
    ----------
    path
        The file that :func:`create_credentials` wrote.

    Raises
    ------
    ServerError
        When it is missing or damaged.
    """
    remedy = (
        "Restore it from a backup; if there is none, the database is locked: begin "
        "anew in an empty folder."
    )
    try:
        return Credentials.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ServerError(
            f"The passwords of the server, {path}, cannot be read: {error.strerror}. "
            f"{remedy}"
        ) from error
    except ValidationError:  # its text would show the passwords
        raise ServerError(
            f"The passwords of the server, {path}, are damaged. {remedy}"
        ) from None


def build_uri(
    credentials: Credentials,
    *,
    socket: Path,
    port: int | None,
    as_admin: bool,
    is_journaled: bool,
) -> str:
    """Write the URI with which a user enters; keep it private.

    Parameters
    ----------
    credentials
        The passwords.
    socket
        The unix socket of the server.
    port
        Its port of 127.0.0.1, which is used instead if given.
    as_admin
        For the user ``admin``, not ``wyckflow``.
    is_journaled
        Whether the server has a journal that a write can wait for.
    """
    user = ADMIN if as_admin else USER
    secret = credentials.admin_password if as_admin else credentials.user_password
    host = quote(str(socket), safe="") if port is None else f"127.0.0.1:{port}"
    journal = "&journal=true" if is_journaled else ""
    return (
        f"mongodb://{user}:{quote(secret.get_secret_value(), safe='')}@{host}"
        f"/?authSource=admin{journal}&serverSelectionTimeoutMS=600000"
    )


def check_login(socket: Path, credentials: Credentials, *, wait_s: float) -> bool:
    """Tell whether the server lets the user ``wyckflow`` in.

    Parameters
    ----------
    socket
        The unix socket of the server.
    credentials
        The passwords.
    wait_s
        How long to wait for an answer, in seconds.

    Raises
    ------
    ServerError
        When it does not answer.
    """
    password = credentials.user_password
    try:
        with _connect(socket, USER, password, wait_s=wait_s) as client:
            client.admin.command("ping")
    except OperationFailure as error:
        if error.code == _AUTHENTICATION_FAILED:
            return False
        raise ServerError(f"The server refuses a ping: {error}") from error
    except PyMongoError as error:
        raise ServerError(
            f"The server at {socket} accepts connections but does not answer within "
            f"{wait_s:g} s. Look into its log, stop it and start it again."
        ) from error
    return True


def ensure_users(socket: Path, credentials: Credentials, *, wait_s: float) -> None:
    """Make both users, or whichever of them a broken first start left out.

    Parameters
    ----------
    socket
        The unix socket of the server.
    credentials
        The passwords.
    wait_s
        How long to wait for each answer, in seconds.

    Raises
    ------
    ServerError
        When the passwords are not those of this database.
    """
    if check_login(socket, credentials, wait_s=wait_s):
        return
    try:
        _create_admin(socket, credentials, wait_s=wait_s)
        _create_user(socket, credentials, wait_s=wait_s)
    except OperationFailure as error:
        if error.code == _AUTHENTICATION_FAILED:
            raise ServerError(
                "The server refuses the stored passwords: credentials.json is not the "
                "one with which this database was made. Restore it from a backup."
            ) from error
        raise ServerError(f"The server could not make its users: {error}") from error
    except PyMongoError as error:
        raise ServerError(
            f"The server went away while its users were made: {error}. Start it again."
        ) from error


def _create_admin(socket: Path, credentials: Credentials, *, wait_s: float) -> None:
    """Make the first user, which a server without users allows on its own host."""
    try:
        with _connect(socket, wait_s=wait_s) as client:
            client.admin.command(
                "createUser",
                ADMIN,
                pwd=credentials.admin_password.get_secret_value(),
                roles=["root"],  # the first user must be able to make others
                mechanisms=_MECHANISMS,
            )
    except OperationFailure as error:
        if error.code not in {_UNAUTHORIZED, _USER_EXISTS}:  # those mean: there is one
            raise


def _create_user(socket: Path, credentials: Credentials, *, wait_s: float) -> None:
    """Make the user of the database, or give the present one the stored password."""
    roles = [{"role": role, "db": DATABASE} for role in ("readWrite", "dbAdmin")]
    password = credentials.admin_password
    with _connect(socket, ADMIN, password, wait_s=wait_s) as client:
        is_there = client.admin.command("usersInfo", USER)["users"]
        client.admin.command(
            "updateUser" if is_there else "createUser",
            USER,
            pwd=credentials.user_password.get_secret_value(),
            roles=roles,
            mechanisms=_MECHANISMS,
        )


def _connect(
    socket: Path,
    user: str | None = None,
    password: SecretStr | None = None,
    *,
    wait_s: float,
) -> MongoClient[dict[str, Any]]:
    milliseconds = max(1, int(1000 * wait_s))
    return MongoClient(
        f"mongodb://{quote(str(socket), safe='')}/",
        username=user,
        password=password.get_secret_value() if password else None,
        serverSelectionTimeoutMS=milliseconds,
        connectTimeoutMS=milliseconds,
        socketTimeoutMS=milliseconds,
    )
