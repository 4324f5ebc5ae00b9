"""Finding a server program: the wheel, PATH, and versions."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from wyckflow.errors import ServerError
from wyckflow.store.embedded import mongod
from wyckflow.store.embedded.mongod import build_command, find_mongod, read_version


def write_program(folder, script):
    """Write an executable shell script called mongod."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mongod"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def says(version):
    return f"echo 'db version v{version}'; echo 'Build Info: {{}}'"


@pytest.fixture
def no_wheel(monkeypatch):
    monkeypatch.setattr(mongod, "find_spec", lambda _: None)


@pytest.fixture
def wheel(monkeypatch, tmp_path):
    """A wheel on the import path, instead of the one that may be installed."""
    site = tmp_path / "site"
    (site / "fiftyone").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(site)])
    return site / "fiftyone" / "db" / "bin"


@pytest.fixture
def on_path(monkeypatch, tmp_path):
    """The only folder on PATH, empty."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_no_server_program_anywhere_is_an_error_that_names_every_remedy(
    no_wheel, on_path
):
    with pytest.raises(ServerError) as caught:
        find_mongod()
    message = str(caught.value)
    assert "pip install 'wyckflow[embedded]'" in message
    assert "PATH" in message
    assert "wyckflow init --uri" in message


def test_program_of_the_wheel_is_found_without_importing_the_wheel(wheel, on_path):
    (wheel.parent.parent / "__init__.py").write_text("raise RuntimeError('imported')")
    path = write_program(wheel, says("6.0.5"))
    binary = find_mongod()
    assert (binary.path, binary.version, binary.origin) == (path, (6, 0, 5), "wheel")
    assert mongod.find_origin(path) == "wheel"
    assert "fiftyone" not in sys.modules


def test_program_on_path_is_used_when_there_is_no_wheel(no_wheel, on_path):
    path = write_program(on_path, says("7.0.14"))
    binary = find_mongod()
    assert (binary.path, binary.version, binary.origin) == (path, (7, 0, 14), "PATH")
    assert mongod.find_origin(path) == "PATH"


def test_wheel_comes_before_path(wheel, on_path):
    write_program(on_path, says("7.0.14"))
    write_program(wheel, says("6.0.5"))
    assert find_mongod().origin == "wheel"


def test_program_of_the_series_that_made_the_data_comes_first(wheel, on_path):
    write_program(on_path, says("7.0.14"))
    write_program(wheel, says("6.0.5"))
    assert find_mongod((7, 0)).origin == "PATH"
    assert find_mongod((6, 0)).origin == "wheel"
    assert find_mongod((5, 0)).origin == "wheel"  # the caller compares and refuses


@pytest.mark.parametrize("version", ["5.0.0", "6.0.5", "7.0.0-rc1", "8.0.4", "8.2.1"])
def test_supported_versions_are_accepted(no_wheel, on_path, version):
    write_program(on_path, says(version))
    numbers = version.partition("-")[0]
    assert ".".join(map(str, find_mongod().version)) == numbers


@pytest.mark.parametrize("version", ["3.6.23", "4.4.29", "9.0.0"])
def test_unsupported_versions_are_refused_by_name(no_wheel, on_path, version):
    path = write_program(on_path, says(version))
    with pytest.raises(ServerError, match=r"supported are 5\.0 to 8\.x") as caught:
        find_mongod()
    assert version in str(caught.value)
    assert str(path) in str(caught.value)


def test_wheel_that_does_not_run_here_gives_way_to_path(wheel, on_path):
    write_program(wheel, "echo 'libcrypto.so.3: cannot open' >&2; exit 127")
    write_program(on_path, says("7.0.14"))
    assert find_mongod().origin == "PATH"


def test_reason_why_the_wheel_does_not_run_is_told(wheel, on_path):
    write_program(wheel, "echo 'libcrypto.so.3: cannot open' >&2; exit 127")
    with pytest.raises(ServerError, match=r"127.*libcrypto\.so\.3: cannot open"):
        find_mongod()


def test_file_that_is_no_program_is_refused(tmp_path):
    path = tmp_path / "mongod"
    path.write_text("not a program")
    with pytest.raises(ServerError, match="does not run"):
        read_version(path)


@pytest.mark.parametrize(
    ("version", "expected"), [((5, 0, 1), True), ((6, 0, 5), True), ((7, 0, 0), False)]
)
def test_memory_engine_is_known_to_have_ended_with_6_0(version, expected):
    binary = mongod.MongodBinary(Path("mongod"), version, "PATH")
    assert binary.has_ephemeral_engine is expected


def test_command_always_asks_for_passwords_and_never_holds_one():
    for is_ephemeral in (False, True):
        for port in (None, 27018):
            command = build_command(
                Path("/bin/mongod"),
                data=Path("/f/data"),
                log=Path("/f/mongod.log"),
                socket=Path("/f/mongod.sock"),
                port=port,
                is_ephemeral=is_ephemeral,
                has_users=True,
            )
            assert "--auth" in command
            assert "enableLocalhostAuthBypass=false" in command
            bound = command[command.index("--bind_ip") + 1]
            assert bound == ("127.0.0.1," if port else "") + "/f/mongod.sock"
            assert not any("password" in word.lower() for word in command)
