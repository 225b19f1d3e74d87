"""`actors.settings.data_dir_watch`: a directory that is deleted, moved, replaced or covered is noticed."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.settings.data_dir import DataDir
from actors.settings.data_dir_watch import UNWATCHED, FileIdentity
from domain.errors import DataDirLost
from tests.paths import ROOT


def recreate(path: Path) -> None:
    shutil.rmtree(path)
    with DataDir.open(path):
        pass


def replace_by_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("")


def replace_by_link_to_copy(path: Path) -> None:
    shutil.copytree(path, path.with_name("copy"))
    shutil.rmtree(path)
    path.symlink_to(path.with_name("copy"))


def empty(path: Path) -> None:
    for file in path.iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (shutil.rmtree, "was deleted"),
        (empty, "was deleted"),
        (lambda path: path.rename(path.with_name("elsewhere")), "was deleted, moved"),
        (recreate, "another directory"),
        (replace_by_file, "was deleted"),
        (replace_by_link_to_copy, "another directory"),
    ],
)
def test_a_lost_directory_is_noticed(tmp_path: Path, change: Callable[[Path], None], problem: str) -> None:
    """Each way to lose the directory is a problem from then on, and nothing may be written there."""
    path = tmp_path / "data"
    with DataDir.open(path) as data_dir:
        assert data_dir.watch.check() is None
        change(path)

        assert problem in str(data_dir.watch.check())
        with pytest.raises(DataDirLost, match=str(path)):
            data_dir.watch.require()


def test_an_inode_is_not_mistaken_for_a_new_one(tmp_path: Path) -> None:
    """However often the directory is created again, its lock file never gets the inode of the one that is open."""
    path = tmp_path / "data"
    with DataDir.open(path) as data_dir:
        for _ in range(50):
            recreate(path)
            assert data_dir.watch.check() is not None


def test_a_directory_that_is_moved_back_is_right_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The loss and the return are each logged once."""
    path = tmp_path / "data"
    with DataDir.open(path) as data_dir, caplog.at_level(logging.WARNING):
        path.rename(tmp_path / "elsewhere")
        assert data_dir.watch.check()
        assert data_dir.watch.check()
        (tmp_path / "elsewhere").rename(path)
        assert data_dir.watch.check() is None
        assert data_dir.watch.problem is None
    assert [record.action for record in caplog.records] == ["data_dir_lost", "data_dir_back"]  # type: ignore[attr-defined]


COVERED = """
import subprocess, sys
from pathlib import Path
from actors.settings.data_dir import DataDir
path = Path(sys.argv[1])
with DataDir.open(path) as data_dir:
    assert data_dir.watch.check() is None
    subprocess.run(["mount", "-t", "tmpfs", "none", path], check=True)
    print(data_dir.watch.check())
    subprocess.run(["umount", path], check=True)
    print(data_dir.watch.check())
"""


@pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="only root can mount")
def test_a_directory_that_is_mounted_over_is_noticed(tmp_path: Path) -> None:
    """A file system that covers the directory hides it, until it is unmounted."""
    command = ["unshare", "--mount", sys.executable, "-c", COVERED, str(tmp_path / "data")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].endswith("was deleted, moved or covered while the service ran")
    assert done.stdout.splitlines()[1] == "None"


def test_the_check_runs_by_itself(tmp_path: Path) -> None:
    """Without a request, the loss is noticed within a few seconds."""

    async def main() -> None:
        with DataDir.open(tmp_path / "data") as data_dir:
            data_dir.watch.start()
            shutil.rmtree(tmp_path / "data")
            async with asyncio.timeout(5):
                while data_dir.watch.problem is None:
                    await asyncio.sleep(0.01)
            await data_dir.watch.stop()

    asyncio.run(main())


def test_the_identity_survives_its_text(tmp_path: Path) -> None:
    """Other processes get it as text."""
    found = FileIdentity.of(tmp_path.stat())
    assert FileIdentity.read(str(found)) == found


def test_without_a_lock_nothing_is_compared() -> None:
    """Parts that run without `serve` have no directory to lose."""
    UNWATCHED.require()
