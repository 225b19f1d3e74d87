"""Check of the journal's files, as a user who may not do everything."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.processes.journal_check import JournalNotOpen, check_journal
from api.journal.lmdb_store import LmdbStore
from tests.paths import ROOT

NOBODY = 65534
CHECK = """
import sys
from pathlib import Path
from actors.processes.journal_check import JournalNotOpen, check_journal
try:
    check_journal(Path(sys.argv[1]))
except JournalNotOpen as exc:
    print(exc)
else:
    print("fine")
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory with a journal, where every user can go: `tmp_path` is closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        LmdbStore(path / "journal", 16 << 20).close()
        yield path


def checked_as_nobody(data_dir: Path) -> str:
    """The result for a user who owns everything in the directory except what the test changes."""
    # The program may lie where nobody else may go, so it is read before.
    code = f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\n"
    code += f"import actors.processes.journal_check\nos.setuid({NOBODY})\n"
    done = subprocess.run(
        [sys.executable, "-c", code + CHECK, str(data_dir)], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_a_journal_that_can_be_opened(data_dir: Path) -> None:
    """Nothing is refused, and nothing changes; nor in a new data directory."""
    before = {path: path.stat().st_mtime_ns for path in data_dir.rglob("*")}
    check_journal(data_dir)
    check_journal(data_dir / "new")
    assert {path: path.stat().st_mtime_ns for path in data_dir.rglob("*")} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="changing the user needs root")
@pytest.mark.parametrize("name", ["journal", "journal/data.mdb", "journal/lock.mdb", "journal.lock"])
def test_a_file_of_another_user_is_refused(data_dir: Path, name: str) -> None:
    """The sentence names the file, its owner and this user."""
    for path in (data_dir, *data_dir.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    assert checked_as_nobody(data_dir) == "fine"
    (data_dir / name).chmod(0o700)
    os.chown(data_dir / name, 0, 0)

    found = checked_as_nobody(data_dir)

    assert f"{data_dir / name}: Permission denied; it belongs to user 0, and this is user {NOBODY}" in found


def test_something_else_in_the_place_of_the_journal_is_refused(tmp_path: Path) -> None:
    """A file where the directory belongs."""
    (tmp_path / "journal").write_text("")
    with pytest.raises(JournalNotOpen, match="Not a directory"):
        check_journal(tmp_path)
