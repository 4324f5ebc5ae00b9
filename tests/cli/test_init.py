"""A project folder is tested before it is written, and never replaced unasked."""

from __future__ import annotations

import io
import stat

import pytest
import yaml

from wyckflow.store.connect import Database
from wyckflow.store.embedded.server import EmbeddedServer
from wyckflow.store.project import load_project, without_password

pytestmark = pytest.mark.mongo

FILES = {
    "FW_config.yaml",
    "env.sh",
    "fworker_cpu.yaml",
    "fworker_gpu.yaml",
    "fworker_vasp.yaml",
    "jobflow.yaml",
    "launches",
    "launchpad.yaml",
    "wyckflow.yaml",
}


@pytest.fixture
def address(mongo_server):
    return Database.from_uri(mongo_server.uri, "wyckflow")


def listing(folder):
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_a_project_with_its_own_server_is_ready_to_work(wyckflow, tmp_path):
    folder = tmp_path / "new"
    try:
        done = wyckflow("init", folder)
        assert done.code == 0, done.err
        assert listing(folder) == FILES | {"database"}
        database = load_project(folder).database()
        database.check_writable()
        for name in ("launchpad.yaml", "jobflow.yaml"):
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        password = database.uri.split(":")[2].split("@")[0]
        assert password not in done.out
        again = wyckflow("db", "status", "-p", folder)
        assert "running" in again.out
        assert wyckflow("db", "stop", "-p", folder).out == "stopped"
        assert "stopped" in wyckflow("db", "status", "-p", folder).out
    finally:
        EmbeddedServer(folder / "database").stop()


def test_a_port_chosen_once_is_kept_when_the_server_starts_again(wyckflow, tmp_path):
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "p"
    try:
        assert wyckflow("init", folder, "--port", port).code == 0
        assert wyckflow("db", "stop", "-p", folder).code == 0
        assert str(port) in wyckflow("db", "start", "-p", folder).out
        load_project(folder).database().ping()
    finally:
        EmbeddedServer(folder / "database").stop()


def test_a_users_own_server_needs_one_uri_and_a_password_apart(
    wyckflow, tmp_path, address, monkeypatch
):
    password = address.uri.split(":")[2].split("@")[0]
    uri = without_password(address).uri
    folder = tmp_path / "theirs"
    monkeypatch.setenv("WYCKFLOW_DATABASE_PASSWORD", password)
    done = wyckflow("init", folder, "--uri", uri)
    assert done.code == 0, done.err
    assert all(password not in p.read_text() for p in folder.glob("*.*"))
    load_project(folder).database().check_writable()
    assert "No password was written" in done.out


def test_a_password_file_is_remembered_and_may_be_copied_for_rlaunch(
    wyckflow, tmp_path, address
):
    password = address.uri.split(":")[2].split("@")[0]
    secret = tmp_path / "secret"
    secret.write_text(password + "\n")
    options = ["--uri", without_password(address).uri, "--password-file", secret]
    folder = tmp_path / "a"
    assert wyckflow("init", folder, *options).code == 0
    assert password not in (folder / "launchpad.yaml").read_text()
    load_project(folder).database().check_writable()
    stored = tmp_path / "b"
    assert wyckflow("init", stored, *options, "--store-password").code == 0
    assert password in (stored / "launchpad.yaml").read_text()
    assert stat.S_IMODE((stored / "launchpad.yaml").stat().st_mode) == 0o600


def test_existing_files_are_kept_unless_told_otherwise(
    wyckflow, tmp_path, address, monkeypatch
):
    folder = tmp_path / "p"
    assert wyckflow("init", folder, "--uri", address.uri).code == 0
    mine = folder / "fworker_cpu.yaml"
    mine.write_text("name: mine\n")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    done = wyckflow("init", folder, "--uri", address.uri)
    assert done.code == 1
    assert "Nothing was changed" in done.err
    assert mine.read_text() == "name: mine\n"
    assert wyckflow("init", folder, "--uri", address.uri, "--overwrite").code == 0
    assert "cpu" in mine.read_text()


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("mongodb://127.0.0.1:9/", "No MongoDB answers"),
        ("postgres://h/", "is not a MongoDB URI"),
    ],
)
def test_nothing_is_written_for_a_database_that_does_not_work(
    wyckflow, tmp_path, uri, sentence
):
    folder = tmp_path / "p"
    done = wyckflow("init", folder, "--uri", uri)
    assert done.code == 1
    assert sentence in done.err
    assert "Traceback" not in done.err
    assert listing(folder) == set()


def test_a_wrong_password_is_one_sentence(wyckflow, tmp_path, address, monkeypatch):
    monkeypatch.setenv("WYCKFLOW_DATABASE_PASSWORD", "wrong-one")
    done = wyckflow("init", tmp_path / "p", "--uri", without_password(address).uri)
    assert done.code == 1
    assert "User or password refused" in done.err
    assert "wrong-one" not in done.out + done.err


def test_a_taken_port_is_named_with_the_way_out(wyckflow, tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = wyckflow("init", tmp_path / "p", "--port", port)
        EmbeddedServer(tmp_path / "p" / "database").stop()
    assert done.code == 1
    assert str(port) in done.err
    assert "--port" in done.err


def test_a_project_of_another_version_is_left_alone(wyckflow, tmp_path, address):
    folder = tmp_path / "old"
    folder.mkdir()
    path = folder / "wyckflow.yaml"
    path.write_text("project_layout: 99\n")
    for words in (["init", folder, "--uri", address.uri], ["status", "-p", folder]):
        done = wyckflow(*words)
        assert done.code == 1
        assert "layout 99" in done.err
        assert "Nothing was changed" in done.err
    assert listing(folder) == {"wyckflow.yaml"}


def test_an_unknown_setting_is_refused_by_name_with_the_nearest(
    wyckflow, project, monkeypatch
):
    path = project.path("wyckflow.yaml")
    path.write_text(yaml.safe_dump({"hartbeat_s": 3}))
    done = wyckflow("status", "-p", project.folder)
    assert done.code == 1
    assert "'hartbeat_s'" in done.err
    assert "'heartbeat_s'" in done.err
    path.write_text("project_layout: 1\n")
    monkeypatch.setenv("WYCKFLOW_DEVISE", "cpu")
    done = wyckflow("status", "-p", project.folder)
    assert "WYCKFLOW_DEVISE" in done.err
    assert "WYCKFLOW_DEVICE" in done.err
