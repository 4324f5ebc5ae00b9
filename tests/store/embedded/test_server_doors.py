"""Who may enter the embedded server: passwords, socket, port, file modes."""

from __future__ import annotations

import json
import socket
import stat
from contextlib import suppress
from pathlib import Path

import pymongo
import pytest
from pymongo.errors import OperationFailure
from server_things import connect, insert, names

from wyckflow.errors import ServerError
from wyckflow.store.embedded import server as server_module
from wyckflow.store.embedded.credentials import create_credentials, load_credentials
from wyckflow.store.embedded.server import ServerState

pytestmark = [pytest.mark.mongo, pytest.mark.usefixtures("binary")]


def socket_inodes(pid):
    """Return the sockets of a process; its files come and go while one looks."""
    targets = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            targets.append(str(link.readlink()))
    return {
        target.removeprefix("socket:[").removesuffix("]")
        for target in targets
        if target.startswith("socket:[")
    }


class TestDoors:
    def test_nobody_comes_in_without_a_password(self, shared):
        with (
            connect(f"mongodb://{shared.uri.partition('@')[2]}") as client,
            pytest.raises(OperationFailure, match="requires authentication"),
        ):
            client["wyckflow"]["things"].find_one()

    def test_nobody_can_make_a_user_any_more(self, shared):
        with (
            connect(f"mongodb://{shared.uri.partition('@')[2]}") as client,
            pytest.raises(OperationFailure, match="requires authentication"),
        ):
            client.admin.command("createUser", "eve", pwd="x", roles=["root"])

    def test_wrong_password_is_refused(self, shared):
        with (
            connect(shared.uri, password="wrong") as client,
            pytest.raises(OperationFailure, match="Authentication failed"),
        ):
            client["wyckflow"]["things"].find_one()

    def test_user_may_do_everything_in_its_database_and_nothing_outside(self, shared):
        with connect(shared.uri) as client:
            ours = client[shared.database_name]
            ours["fireworks"].insert_one({"fw_id": 1})
            ours["fireworks"].create_index("fw_id", unique=True)
            ours.drop_collection("fireworks")
            with pytest.raises(OperationFailure, match="not authorized"):
                client["other"]["things"].insert_one({})

    def test_admin_may_make_databases(self, shared):
        with connect(shared.admin_uri) as client:
            client["other"]["things"].insert_one({})
            client.drop_database("other")

    def test_uri_waits_for_the_journal_and_outlives_an_outage(self, shared):
        options = pymongo.uri_parser.parse_uri(shared.uri)["options"]
        assert options["journal"] is True
        assert options["serverSelectionTimeoutMS"] == 600  # pymongo: seconds

    def test_default_has_no_door_but_the_socket(self, shared):
        pid = shared.status().pid
        inodes = socket_inodes(pid)
        tables = [Path(f"/proc/{pid}/net/{kind}") for kind in ("tcp", "tcp6")]
        rows = [
            row.split()
            for t in tables
            if t.exists()
            for row in t.read_text().split("\n")
        ]
        assert not [row for row in rows[1:] if len(row) > 9 and row[9] in inodes]
        unix = [row.split() for row in Path("/proc/net/unix").read_text().split("\n")]
        paths = {row[7] for row in unix if len(row) > 7 and row[6] in inodes}
        assert paths == {str(shared.status().socket)}

    def test_password_is_in_no_description_log_record_or_command_line(self, shared):
        secrets = load_credentials(shared.folder / "credentials.json")
        texts = [
            repr(shared),
            str(vars(shared)),
            repr(shared.status()),
            repr(secrets),
            (shared.folder / "mongod.log").read_text(),
            (shared.folder / "server.json").read_text(),
            Path(f"/proc/{shared.status().pid}/cmdline").read_text(),
            Path(f"/proc/{shared.status().pid}/environ").read_text(),
        ]
        for secret in (secrets.user_password, secrets.admin_password):
            password = secret.get_secret_value()
            assert len(password) >= 32
            assert password in (shared.folder / "credentials.json").read_text()
            assert not [text for text in texts if password in text]

    def test_passwords_differ_between_servers_and_users(self, tmp_path):
        drawn = [create_credentials(tmp_path / name) for name in "ab"]
        secrets = {one.user_password.get_secret_value() for one in drawn}
        secrets |= {one.admin_password.get_secret_value() for one in drawn}
        assert len(secrets) == 4

    def test_folder_and_files_are_private_to_their_owner(self, server):
        server.folder.mkdir(mode=0o755)
        server.start()
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
        for path in [server.folder, *server.folder.rglob("*")]:
            if path.name == "server.lock":
                continue  # it is empty
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path

    def test_password_file_that_others_could_read_is_closed_again(self, server):
        server.start(ephemeral=True)
        server.stop()
        (server.folder / "credentials.json").chmod(0o644)
        server.start(ephemeral=True)
        mode = (server.folder / "credentials.json").stat().st_mode
        assert stat.S_IMODE(mode) == 0o600


class TestPort:
    @pytest.fixture
    def free_port(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            return listener.getsockname()[1]

    def test_port_opens_with_the_password_beside_the_socket(self, server, free_port):
        status = server.start(port=free_port)
        assert status.port == free_port
        assert status.socket.exists()
        assert f"@127.0.0.1:{free_port}/" in server.uri
        insert(server, "a")
        assert names(server) == {"a"}
        with (
            connect(f"mongodb://127.0.0.1:{free_port}/") as client,
            pytest.raises(OperationFailure, match="requires authentication"),
        ):
            client.admin.command("createUser", "eve", pwd="x", roles=["root"])

    def test_port_is_shut_until_the_users_exist(self, server, free_port, monkeypatch):
        ports = []
        original = server_module.ensure_users

        def look(path, *arguments, **options):
            ports.append(
                json.loads((server.folder / "server.json").read_text())["port"]
            )
            original(path, *arguments, **options)

        monkeypatch.setattr(server_module, "ensure_users", look)
        server.start(port=free_port)
        assert ports == [None, free_port]

    def test_running_server_without_the_port_is_not_passed_off_as_one(self, server):
        server.start(ephemeral=True)
        with pytest.raises(ServerError, match=r"runs already.*Stop it first"):
            server.start(port=27018)

    def test_port_in_use_is_told_with_the_option_that_helps(self, server):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            with pytest.raises(ServerError, match=f"port {port}.*--port OTHER"):
                server.start(port=port)
        assert server.status().state is ServerState.STOPPED
        assert server.start().port is None

    def test_server_in_memory_has_no_port(self, server):
        with pytest.raises(ValueError, match="ephemeral"):
            server.start(port=27018, ephemeral=True)
