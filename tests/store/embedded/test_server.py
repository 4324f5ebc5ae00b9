"""The embedded server against the real program: life, death, doors and refusals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from server_things import insert, names

from wyckflow.errors import ServerError
from wyckflow.store.embedded import mongod
from wyckflow.store.embedded import record as server_record
from wyckflow.store.embedded import server as server_module
from wyckflow.store.embedded.credentials import create_credentials
from wyckflow.store.embedded.mongod import find_mongod
from wyckflow.store.embedded.server import EmbeddedServer, ServerState, temporary_server

pytestmark = [pytest.mark.mongo, pytest.mark.usefixtures("binary")]


def runs(pid):
    """Whether a process lives, told independently of the code under test."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)


def mongods_of(folder):
    """The processes whose command line has the data folder, by reading /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(folder / "data") in words:
            found.append(int(path.parent.name))
    return found


def run_python(code, *arguments):
    """Start a fresh interpreter; the caller reads its output."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
    )


def snapshot(folder):
    """Every file below a folder with its size, time and content."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def edit_record(server, **changes):
    path = server.folder / "server.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


START = """
import sys
from pathlib import Path
from wyckflow.store.embedded.server import EmbeddedServer
print(EmbeddedServer(Path(sys.argv[1])).start().pid, flush=True)
sys.stdin.read() if len(sys.argv) > 2 else None
"""


class TestLife:
    def test_start_serve_stop_and_start_again_keeps_the_data(self, server):
        assert server.status().state is ServerState.STOPPED

        status = server.start()
        assert status.state is ServerState.RUNNING
        assert runs(status.pid)
        assert status.version == ".".join(map(str, find_mongod().version))
        assert status.uptime_s >= 0
        assert status.data_bytes > 0
        assert status.log.is_file()
        insert(server, "a")

        assert server.stop() is True
        assert not runs(status.pid)
        assert not status.socket.exists()
        stopped = server.status()
        assert (stopped.state, stopped.pid) == (ServerState.STOPPED, None)

        server.start()
        assert names(server) == {"a"}

    def test_start_of_a_running_server_returns_that_server(self, shared):
        before = shared.status()
        again = EmbeddedServer(shared.folder).start()
        assert (again.pid, again.state) == (before.pid, ServerState.RUNNING)

    def test_stop_of_nothing_is_false_and_makes_nothing(self, tmp_path):
        assert EmbeddedServer(tmp_path / "absent").stop() is False
        assert not (tmp_path / "absent").exists()

    def test_status_of_nothing_says_how_to_start_and_makes_nothing(self, tmp_path):
        status = EmbeddedServer(tmp_path / "absent").status()
        assert status.state is ServerState.STOPPED
        assert "wyckflow db start" in status.detail
        assert not (tmp_path / "absent").exists()

    def test_uri_before_the_first_start_is_an_error(self, tmp_path):
        with pytest.raises(ServerError, match="never started"):
            _ = EmbeddedServer(tmp_path / "absent").uri

    def test_server_survives_kill_9_of_who_started_it(self, server):
        starter = subprocess.Popen(
            [sys.executable, "-c", START, str(server.folder), "wait"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        pid = int(starter.stdout.readline())
        starter.kill()
        starter.communicate()
        status = server.status()
        assert (status.pid, status.state) == (pid, ServerState.RUNNING)
        insert(server, "a")
        assert server.stop() is True

    def test_server_has_a_session_of_its_own_so_that_ctrl_c_spares_it(self, shared):
        pid = shared.status().pid
        assert os.getsid(pid) == pid

    def test_two_starts_at_once_give_one_server(self, server):
        starters = [run_python(START, server.folder) for _ in range(2)]
        pids = {int(starter.communicate()[0]) for starter in starters}
        assert len(pids) == 1
        assert mongods_of(server.folder) == list(pids)

    def test_start_from_elsewhere_waits_for_the_lock_and_gives_up_in_words(
        self, server
    ):
        server.folder.mkdir()
        with (
            server_module.hold_lock(server.folder / "server.lock", wait_s=1),
            pytest.raises(ServerError, match="Another process has been starting"),
        ):
            server.start(wait_s=0.05)

    def test_start_that_ran_out_of_time_is_continued_by_the_next(self, server):
        with pytest.raises(ServerError, match="does not listen yet"):
            server.start(wait_s=0)
        [pid] = mongods_of(server.folder)
        assert server.start().pid == pid
        insert(server, "a")

    def test_temporary_server_ends_with_its_block(self, tmp_path):
        with temporary_server(tmp_path, ephemeral=True) as one:
            pid = one.status().pid
            insert(one, "a")
            assert names(one) == {"a"}
        assert not runs(pid)

    def test_temporary_server_ends_with_a_killed_process(self, tmp_path):
        code = START.replace("start()", "start(ephemeral=True, die_with_parent=True)")
        starter = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), "wait"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        pid = int(starter.stdout.readline())
        assert runs(pid)
        starter.kill()
        starter.communicate()
        wait_until(lambda: not runs(pid))


class TestCrash:
    def test_write_survives_kill_9_and_status_says_what_to_do(self, server):
        pid = server.start().pid
        insert(server, "a")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not runs(pid))

        status = server.status()
        assert status.state is ServerState.STALE
        assert "wyckflow db start" in status.detail
        assert server.stop() is False

        assert server.start().state is ServerState.RUNNING
        assert names(server) == {"a"}

    @pytest.mark.parametrize("step", ["_create_admin", "_create_user"])
    def test_start_killed_between_its_steps_is_completed_by_the_next(
        self, server, monkeypatch, step
    ):
        def die(*_arguments, **_options):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(f"wyckflow.store.embedded.credentials.{step}", die)
            with pytest.raises(KeyboardInterrupt):
                server.start()
        assert server.status().state is ServerState.STALE
        assert "wyckflow db start" in server.status().detail
        [pid] = mongods_of(server.folder)

        assert server.start().pid == pid
        insert(server, "a")

    def test_start_killed_before_the_users_and_then_a_crash_is_completed(
        self, server, monkeypatch
    ):
        with monkeypatch.context() as patch:
            patch.setattr(server_module, "ensure_users", lambda *_a, **_k: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                server.start()
        [pid] = mongods_of(server.folder)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not runs(pid))
        server.start()
        insert(server, "a")

    def test_server_whose_record_was_deleted_is_found_again(self, server):
        before = server.start()
        uri = server.uri
        (server.folder / "server.json").unlink()
        after = server.start()
        assert (after.pid, after.version) == (before.pid, before.version)
        assert (after.origin, after.socket) == (before.origin, before.socket)
        assert server.uri == uri

    def test_damaged_record_is_an_error_with_a_remedy_that_works(self, server):
        pid = server.start().pid
        record = server.folder / "server.json"
        record.write_text("{")
        with pytest.raises(ServerError, match="Delete it"):
            server.status()
        record.unlink()
        assert server.start().pid == pid

    def test_lost_socket_is_told(self, server):
        server.start().socket.unlink()
        status = server.status()
        assert status.state is ServerState.STALE
        assert "wyckflow db stop" in status.detail
        assert server.stop() is True

    def test_server_that_does_not_answer_is_not_called_running(self, server):
        pid = server.start().pid
        os.kill(pid, signal.SIGSTOP)
        try:
            assert server.status().state is not ServerState.RUNNING
            with pytest.raises(ServerError, match="still writing"):
                server.stop(wait_s=0.05)
        finally:
            os.kill(pid, signal.SIGCONT)


class TestRefusals:
    def test_data_of_another_version_are_refused_untouched(self, server):
        server.start()
        server.stop()
        edit_record(server, version=[5, 0, 3])
        before = snapshot(server.folder)
        with pytest.raises(ServerError, match=r"belong to mongod 5\.0.*mongodump"):
            server.start()
        assert snapshot(server.folder) == before
        assert mongods_of(server.folder) == []

    def test_another_patch_of_the_same_series_is_accepted(self, server, binary):
        server.start()
        server.stop()
        edit_record(server, version=[*binary.series, 999])
        assert server.start().state is ServerState.RUNNING

    def test_no_program_leaves_no_database_behind(self, server, monkeypatch, tmp_path):
        monkeypatch.setattr(mongod, "find_spec", lambda _: None)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ServerError, match="no usable MongoDB server"):
            server.start()
        assert not (server.folder / "data").exists()

    def test_program_that_dies_at_once_is_explained(
        self, server, monkeypatch, tmp_path
    ):
        program = tmp_path / "mongod"
        program.write_text(
            '#!/bin/sh\n[ "$1" = --version ] && echo "db version v7.0.1" && exit\n'
            "kill -ILL $$\n"
        )
        program.chmod(0o755)
        monkeypatch.setattr(mongod, "find_spec", lambda _: None)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with pytest.raises(ServerError, match="AVX"):
            server.start()
        assert server.status().state is ServerState.STOPPED

    def test_data_used_by_another_mongod_are_refused_and_that_one_lives(
        self, server, binary
    ):
        (server.folder / "data").mkdir(parents=True)
        other = subprocess.Popen(
            [
                *(binary.path, "--dbpath", server.folder / "data", "--nounixsocket"),
                *("--bind_ip", server.folder / "other.sock"),
            ],
            stdout=subprocess.DEVNULL,
        )
        try:
            lock = server.folder / "data" / "mongod.lock"
            wait_until(lambda: lock.exists() and lock.read_text())
            create_credentials(server.folder / "credentials.json")
            with pytest.raises(ServerError, match=rf"pid {other.pid}.*did not start"):
                server.start()
            assert server.stop() is False
            assert other.poll() is None
        finally:
            other.terminate()
            other.wait()

    def test_program_behind_a_script_is_stopped_for_good(
        self, server, binary, monkeypatch, tmp_path
    ):
        script = tmp_path / "mongod"
        script.write_text(f'#!/bin/sh\n"{binary.path}" "$@"\n')
        script.chmod(0o755)
        monkeypatch.setattr(mongod, "find_spec", lambda _: None)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        assert server.start(ephemeral=True).origin == "PATH"
        assert server.stop() is True
        wait_until(lambda: mongods_of(server.folder) == [])

    def test_child_without_its_command_line_yet_is_not_taken_for_dead(self, server):
        child = subprocess.Popen(["/bin/sleep", "60"])  # as a server before its exec
        files = server_record.ServerFolder(server.folder)
        assert server_module._check_end(files, child.pid) == (False, None)
        child.kill()
        wait_until(lambda: not runs(child.pid))
        assert server_module._check_end(files, child.pid) == (True, -signal.SIGKILL)
        child.wait()

    def test_stop_never_signals_a_foreign_process(self, server):
        server.start()
        server.stop()
        sleeper = subprocess.Popen(["/bin/sleep", "60"])
        try:
            edit_record(server, pid=sleeper.pid)
            (server.folder / "data" / "mongod.lock").write_text(f"{sleeper.pid}\n")
            assert server.status().state is ServerState.STALE
            assert server.stop() is False
            assert sleeper.poll() is None
        finally:
            sleeper.kill()
            sleeper.wait()

    def test_lost_passwords_are_not_replaced_over_a_database(self, server):
        server.start()
        server.stop()
        path = server.folder / "credentials.json"
        path.unlink()
        with pytest.raises(ServerError, match=r"cannot be read.*backup"):
            server.start()
        assert not path.exists()

    def test_passwords_of_another_database_are_told_and_nothing_is_left_running(
        self, server
    ):
        server.start()
        server.stop()
        create_credentials(server.folder / "credentials.json")
        with pytest.raises(ServerError, match="refuses the stored passwords"):
            server.start()
        assert mongods_of(server.folder) == []

    def test_damaged_passwords_are_told_without_showing_them(self, server):
        server.folder.mkdir()
        path = server.folder / "credentials.json"
        path.write_text('{"admin_password": "visible", "user_password": 5}')
        with pytest.raises(ServerError, match="damaged") as caught:
            server.start()
        assert "visible" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_folder_of_a_server_in_memory_and_one_on_disk_are_not_mixed(self, server):
        server.start(ephemeral=True)
        server.stop()
        with pytest.raises(ServerError, match="in memory"):
            server.start()

    def test_database_on_disk_is_not_hidden_by_a_server_in_memory(self, shared):
        shared_copy = EmbeddedServer(shared.folder)
        shared_copy.stop()
        with pytest.raises(ServerError, match="on disk"):
            shared_copy.start(ephemeral=True)
        shared.start(die_with_parent=True)

    def test_server_of_another_machine_on_a_network_disk_is_left_alone(
        self, server, monkeypatch
    ):
        pid = server.start(ephemeral=True).pid
        edit_record(server, host="login1", pid=1)
        (server.folder / "data" / "mongod.lock").unlink()
        monkeypatch.setattr(server_record, "is_on_network", lambda _: True)
        for act in (server.start, server.stop):
            with pytest.raises(ServerError, match="machine login1"):
                act()
        assert server.status().state is ServerState.STALE
        assert "login1" in server.status().detail
        edit_record(server, host=socket.gethostname(), pid=pid)
