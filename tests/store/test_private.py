"""Private folders and files, and locks between processes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from wyckflow.errors import ServerError
from wyckflow.store.private import (
    hold_lock,
    is_locked,
    is_on_network,
    make_private_directory,
    write_private_file,
)

HOLD = """
import sys
from pathlib import Path
from wyckflow.store.private import hold_lock
with hold_lock(Path(sys.argv[1]), wait_s=5):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_lock_of_another_process_is_seen_and_ends_with_that_process(tmp_path):
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    holder.stdout.readline()
    assert is_locked(path)
    with (
        pytest.raises(ServerError, match="Another process"),
        hold_lock(path, wait_s=0.03),
    ):
        pass
    holder.kill()
    holder.communicate()
    assert not is_locked(path)
    with hold_lock(path, wait_s=0.03):
        assert is_locked(path)
    assert not is_locked(path)


def test_lock_is_given_back_when_the_block_fails(tmp_path):
    path = tmp_path / "lock"
    with pytest.raises(ZeroDivisionError), hold_lock(path, wait_s=1):
        _ = 1 / 0
    assert not is_locked(path)


def test_lock_that_was_never_taken_is_free(tmp_path):
    assert not is_locked(tmp_path / "absent")


def test_private_file_replaces_an_open_one_and_is_closed_to_others(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_private_file(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_private_file_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(ServerError, match="cannot be written"):
        write_private_file(tmp_path / "absent" / "file", "text")


def test_private_directory_closes_an_own_folder_and_refuses_a_link(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o755)
    make_private_directory(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(ServerError, match="is a link"):
        make_private_directory(tmp_path / "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_private_directory_of_somebody_else_is_refused(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    os.chown(folder, 65534, -1)
    with pytest.raises(ServerError, match="belongs to user 65534"):
        make_private_directory(folder)


def test_network_disks_are_told_from_local_ones(tmp_path):
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "40 22 0:35 / /home rw shared:9 - nfs4 server:/home rw\n"
        "41 40 8:2 / /home/local\\040disk rw shared:9 - xfs /dev/sdb rw\n"
    )
    assert not is_on_network(Path("/data/x"), mounts=table)
    assert is_on_network(Path("/home/u/x"), mounts=table)
    assert not is_on_network(Path("/home/local disk/x"), mounts=table)
    assert not is_on_network(Path("/x"), mounts=tmp_path / "absent")
