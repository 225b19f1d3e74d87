"""Data directory: its permissions, its lock, its format and its keys."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from actors.settings.data_dir import DataDir, make_private_dir, runtime_dir_path, write_private
from actors.settings.parsers import Secret
from domain.errors import Conflict, StoreUnavailable
from tests.paths import ROOT

HOLD = """
import sys
from pathlib import Path
from actors.settings.data_dir import DataDir
with DataDir.open(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def use(path: Path, patience_s: float = 3) -> None:
    """Locks the directory and unlocks it again."""
    with DataDir.open(path, patience_s):
        pass


def test_only_the_owner_can_read_the_directory(tmp_path: Path) -> None:
    """The directory is 0700 and the keys are 0600, whatever the umask is."""
    old = os.umask(0)
    try:
        with DataDir.open(tmp_path / "a" / "data") as data:
            data.admin_key(None)
            data.folder("logs")
            path = tmp_path / "a" / "data"
            assert mode(path) == mode(path / "logs") == 0o700
            assert {mode(path / name) for name in ("admin.key", "lock")} == {0o600}
    finally:
        os.umask(old)


def test_keys_are_created_once_and_kept(tmp_path: Path) -> None:
    """The next start has the same keys; two directories have different ones."""
    with DataDir.open(tmp_path / "one") as data:
        data.init()
        made = data.admin_key(None)
    with DataDir.open(tmp_path / "one") as data:
        assert data.admin_key(None) == made
    with DataDir.open(tmp_path / "two") as data:
        assert data.admin_key(None) != made
    assert str(made).startswith("fla_")


def test_a_given_key_is_used(tmp_path: Path) -> None:
    """A given admin key is used and not stored."""
    with DataDir.open(tmp_path / "data") as data:
        assert data.admin_key(Secret("given-key")) == Secret("given-key")
        assert not (tmp_path / "data" / "admin.key").exists()


@pytest.mark.parametrize("damage", [b"", b"abcd\n", b"\xff\xfe"])
def test_a_damaged_key_is_never_replaced(tmp_path: Path, damage: bytes) -> None:
    """A cut or broken key file prevents the start with advice, and is not overwritten."""
    with DataDir.open(tmp_path / "data") as data:
        path = tmp_path / "data" / "admin.key"
        path.write_bytes(damage)
        with pytest.raises(StoreUnavailable, match=r"admin\.key"):
            data.admin_key(None)
        assert path.read_bytes() == damage


def test_a_second_service_is_refused_by_name(tmp_path: Path) -> None:
    """While one process uses the directory another is refused with its name; after kill -9 the directory is free."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "data")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Conflict, match=rf"in use by another service \(process {holder.pid}\)"):
            use(tmp_path / "data")
        holder.kill()
        holder.wait()
        use(tmp_path / "data")


def test_children_of_a_dead_service_keep_the_directory(tmp_path: Path) -> None:
    """The lock survives in a child that inherited it: a new service waits for its end, and is refused if it stays."""
    with DataDir.open(tmp_path / "data") as data:
        child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, pass_fds=[data.lock_fd])
        (tmp_path / "data" / "lock").write_text("999999999\n")
    try:
        with pytest.raises(Conflict, match=r"children of a service that has died \(process 999999999\)"):
            use(tmp_path / "data", patience_s=0.1)
    finally:
        child.kill()
        child.communicate()
    use(tmp_path / "data", patience_s=0.1)


def test_a_directory_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    """A path through a file is refused with the path and the reason."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="file/data cannot be used"):
        use(tmp_path / "file" / "data")


def test_private_files_are_written_atomically(tmp_path: Path) -> None:
    """A write replaces the file at once, also over the remains of a crash, and leaves no other file."""
    path = tmp_path / "key"
    (tmp_path / "key.new").write_text("left by a crash")
    write_private(path, "one")
    write_private(path, "two")

    assert path.read_text() == "two"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_short_directory_is_short_and_private(tmp_path: Path) -> None:
    """Its path leaves room for sockets, and a path created by another user is refused."""
    assert runtime_dir_path(tmp_path) != runtime_dir_path(tmp_path / "other")
    assert len(bytes(runtime_dir_path(tmp_path))) <= 31
    (tmp_path / "ours").mkdir(mode=0o755)
    make_private_dir(tmp_path / "ours")
    assert mode(tmp_path / "ours") == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "ours")
    with pytest.raises(StoreUnavailable, match="belongs to another user"):
        make_private_dir(tmp_path / "link")
