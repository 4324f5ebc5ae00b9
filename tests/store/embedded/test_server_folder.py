"""The folder of the embedded server: any path, any name, room, and a bounded log."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from pathlib import Path
from urllib.parse import unquote

import pymongo
import pytest

from wyckflow.errors import ServerError
from wyckflow.store.embedded import server as server_module
from wyckflow.store.embedded.server import EmbeddedServer, temporary_server

pytestmark = [pytest.mark.mongo, pytest.mark.usefixtures("binary")]


def insert_volatile(server):
    """Write to a server that may have no journal."""
    with pymongo.MongoClient(server.uri) as client:
        client["wyckflow"]["things"].insert_one({"_id": "volatile"})


def test_long_path_gets_a_short_private_socket_folder(tmp_path):
    server = EmbeddedServer(tmp_path / ("long" * 25) / "database")
    assert len(str(server.folder / "mongod.sock")) > 107
    try:
        path = server.start(ephemeral=True).socket
        insert_volatile(server)
        assert len(os.fsencode(path)) <= 107
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert path.parent.stat().st_uid == os.geteuid()
        server.stop()
        assert not path.parent.exists()
        assert server.start(ephemeral=True).socket == path
    finally:
        server.stop()


def test_short_socket_folder_that_is_a_link_is_not_trusted(tmp_path, monkeypatch):
    with tempfile.TemporaryDirectory(dir="/tmp") as base:
        monkeypatch.setattr("wyckflow.store.embedded.process.SHORT_BASE", Path(base))
        server = EmbeddedServer(tmp_path / "a:b")
        path = server.start(ephemeral=True).socket
        assert path.is_relative_to(base)
        server.stop()
        path.parent.symlink_to(tmp_path / "a:b")
        with pytest.raises(ServerError, match="is a link"):
            server.start(ephemeral=True)


@pytest.mark.parametrize("name", ["a b", "kühl+@%41", "co:lon", "com,ma"])
def test_folder_of_any_name_works(tmp_path, name):
    with temporary_server(tmp_path / name, ephemeral=True) as server:
        insert_volatile(server)
        host = server.uri.partition("@")[2].partition("/?")[0]
        assert unquote(host) == str(server.status().socket)


def test_folder_reached_by_a_link_is_the_same_server(server, tmp_path):
    pid = server.start(ephemeral=True).pid
    (tmp_path / "link").symlink_to(server.folder)
    assert EmbeddedServer(tmp_path / "link").status().pid == pid


def test_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match="Choose another"):
        EmbeddedServer(tmp_path / "file").start()


def test_full_disk_is_refused_before_anything_is_made(server, monkeypatch):
    monkeypatch.setattr(server_module, "FREE_BYTES_NEEDED", 10**18)
    with pytest.raises(ServerError, match="MB left"):
        server.start()
    assert not (server.folder / "data").exists()
    assert not (server.folder / "credentials.json").exists()


def test_large_log_is_put_aside_at_start(server, monkeypatch):
    monkeypatch.setattr(server_module, "LOG_BYTES_ALLOWED", 10)
    server.folder.mkdir()
    (server.folder / "mongod.log").write_text("from the last time")
    server.start(ephemeral=True)
    assert "last time" not in (server.folder / "mongod.log").read_text()
    server.stop()
    assert (server.folder / "mongod.log.1").read_text() == "from the last time"


def test_large_log_of_a_running_server_is_put_aside_too(server, monkeypatch):
    pid = server.start(ephemeral=True).pid
    monkeypatch.setattr(server_module, "LOG_BYTES_ALLOWED", 10)
    assert server.start().pid == pid
    insert_volatile(server)
    log = server.folder / "mongod.log"
    patience = time.monotonic() + 10
    while not log.exists() or not log.stat().st_size:
        assert time.monotonic() < patience, "the server did not open its log anew"
        time.sleep(0.01)
    assert "mongod startup" not in log.read_text()
    assert (server.folder / "mongod.log.1").stat().st_size > 0
