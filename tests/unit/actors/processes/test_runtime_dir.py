"""Runtime directory: its lock, and the removal of abandoned ones."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from actors.processes.ray_head import MARK
from actors.processes.runtime_dir import locked, remove_leftovers
from domain.errors import Conflict, StoreUnavailable
from tests.paths import ROOT

HOLD = """
import sys
from pathlib import Path
from actors.processes.runtime_dir import locked
with locked(Path(sys.argv[1])):
    (Path(sys.argv[1]) / "r").mkdir()
    print("held", flush=True)
    sys.stdin.read()
"""


def place(directory: Path, number: int) -> Path:
    return directory / f"fl-{os.getuid()}-{number:012x}"


@contextmanager
def a_process(code: str, *args: object, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that has printed a line and is killed at the end."""
    command = [sys.executable, "-c", code, *map(str, args)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT, env={**os.environ, **environment}) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def test_it_exists_while_it_is_held(tmp_path: Path) -> None:
    """It is created only for its owner, and removed at the end if it is empty."""
    path = place(tmp_path, 1)
    with locked(path):
        assert path.stat().st_mode & 0o077 == 0
    assert not path.exists()

    with locked(path):
        (path / "kept").touch()
    assert path.exists()
    with locked(path):
        (path / "kept").unlink()
    assert not path.exists()


def test_the_directory_of_a_killed_service_is_removed(tmp_path: Path) -> None:
    """A service's directory stays while it runs; once it was killed, the next start of a service removes it."""
    own, other = place(tmp_path, 1), place(tmp_path, 2)
    with locked(own), a_process(HOLD, other) as service:
        remove_leftovers(own)
        assert (other / "r").is_dir()

        service.kill()
        service.wait()
        remove_leftovers(own)
        assert not other.exists()
        assert own.exists()


def test_a_running_ray_keeps_its_directory(tmp_path: Path) -> None:
    """While Ray processes of a dead service are running, their directory stays."""
    other = place(tmp_path, 2)
    (other / "r").mkdir(parents=True)
    with a_process("import sys; print('runs', flush=True); sys.stdin.read()", **{MARK: str(other / "r")}):
        remove_leftovers(place(tmp_path, 1))
        assert other.exists()
    remove_leftovers(place(tmp_path, 1))
    assert not other.exists()


def test_other_files_are_kept(tmp_path: Path) -> None:
    """Foreign names, files and links stay, and so do the targets of links."""
    (tmp_path / "precious").mkdir()
    strangers = [
        tmp_path / f"fl-{os.getuid()}-notes",
        tmp_path / f"fl-{os.getuid()}-{'0' * 13}",
        tmp_path / f"fl-{os.getuid() + 1}-{'0' * 12}",
    ]
    for path in strangers:
        path.mkdir()
    place(tmp_path, 2).symlink_to(tmp_path / "precious")
    place(tmp_path, 3).touch()
    before = set(tmp_path.iterdir())

    remove_leftovers(place(tmp_path, 1))
    assert set(tmp_path.iterdir()) == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_another_user_s_directory_is_kept(tmp_path: Path) -> None:
    """A directory of another user with one of our names is neither removed nor used."""
    other = place(tmp_path, 2)
    other.mkdir()
    os.chown(other, os.getuid() + 1, -1)

    remove_leftovers(place(tmp_path, 1))
    assert other.exists()
    with pytest.raises(StoreUnavailable, match="belongs to another user"), locked(other):
        pass


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    """The error has advice."""
    path = place(tmp_path, 1)
    with locked(path), pytest.raises(Conflict, match="in use by another service"), locked(path, timeout_s=0.05):
        pass


def test_a_directory_removed_during_the_start_is_created_again(tmp_path: Path) -> None:
    """With starts and removals at the same time, every holder of a directory has it at its path."""
    path = place(tmp_path, 2)
    stop = threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            remove_leftovers(place(tmp_path, 1))

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for _ in range(200):
            with locked(path):
                (path / "r").mkdir(exist_ok=True)
                (path / "r").rmdir()
    finally:
        stop.set()
        sweeper.join()
