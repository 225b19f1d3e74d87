"""`actors.settings.data_dir_marker`: which directories are ours, and which are left as they are."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from actors.settings.data_dir import DataDir
from actors.settings.data_dir_marker import (
    FORMAT,
    MARKER_FILE,
    Marker,
    is_data_dir,
    read_marker,
    refuse_system_directory,
    require_marker,
)
from domain.errors import Conflict, FeedbackLoopsError, StoreError, StoreUnavailable
from tests.paths import ROOT

PYTHON = sys.executable


def use(path: Path) -> Marker:
    """A start on the directory."""
    with DataDir.open(path) as data_dir:
        return data_dir.init()


def state(path: Path) -> list[tuple[str, int, str]]:
    """Everything in a directory, itself included, with modes and targets of links."""
    return [
        (str(each), stat.S_IMODE(each.lstat().st_mode), str(each.readlink()) if each.is_symlink() else "")
        for each in sorted([path, *path.rglob("*")])
    ]


def test_the_first_start_writes_the_marker_once(tmp_path: Path) -> None:
    """Later starts keep it; it has the format, the time, and no installation before that is known."""
    first = use(tmp_path / "data")
    assert use(tmp_path / "data") == first == require_marker(tmp_path / "data")
    assert is_data_dir(tmp_path / "data")
    assert (first.format, first.installation) == (FORMAT, None)
    assert datetime.now(UTC) - datetime.fromisoformat(first.created_at) < timedelta(minutes=1)
    assert stat.S_IMODE((tmp_path / "data" / MARKER_FILE).stat().st_mode) == 0o600


def test_the_installation_is_recorded_once(tmp_path: Path) -> None:
    """Another installation's directory is refused, with both fingerprints."""
    with DataDir.open(tmp_path / "data") as data_dir:
        data_dir.record_installation("abcd")
        data_dir.record_installation("abcd")
        with pytest.raises(Conflict, match="of the installation abcd, not of ef01"):
            data_dir.record_installation("ef01")
    assert require_marker(tmp_path / "data").installation == "abcd"


def with_link_to_lock(path: Path) -> None:
    """Like /var on Debian."""
    (path / "log").mkdir()
    (path / "lock").symlink_to("/run/lock")


def with_keys_of_another_program(path: Path) -> None:
    (path / "master.key").write_text("ab" * 32)
    (path / "app.py").touch()


@pytest.mark.parametrize(
    ("fill", "error", "problem"),
    [
        (lambda path: (path / "letter.txt").touch(), Conflict, "files of another program"),
        (with_link_to_lock, Conflict, "files of another program"),
        (with_keys_of_another_program, Conflict, "files of another program"),
        (lambda path: (path / "journal").mkdir(), StoreError, r"unreleased version .* before 0\.2\.0"),
        (lambda path: (path / "ledger.sqlite").touch(), StoreError, "its restore was interrupted"),
        (lambda path: (path / MARKER_FILE).write_text("{"), StoreUnavailable, "cannot be read"),
        (lambda path: (path / MARKER_FILE).write_text("[]"), StoreUnavailable, "cannot be read"),
        (lambda path: (path / MARKER_FILE).write_text('{"format": "1"}'), StoreUnavailable, "cannot be read"),
        (
            lambda path: (path / MARKER_FILE).write_text(Marker("2026-01-01", None, FORMAT + 1).text()),
            StoreError,
            "the newer program",
        ),
    ],
)
def test_what_is_not_ours_stays_as_it_is(
    tmp_path: Path, fill: Callable[[Path], object], error: type[FeedbackLoopsError], problem: str
) -> None:
    """The directory is refused with the reason; its mode and its contents do not change."""
    tmp_path.chmod(0o755)
    fill(tmp_path)
    before = state(tmp_path)
    with pytest.raises(error, match=problem):
        use(tmp_path)
    assert state(tmp_path) == before
    with pytest.raises(error, match=problem):
        require_marker(tmp_path)


def test_only_a_directory_that_we_made_gets_our_mode(tmp_path: Path) -> None:
    """An empty directory is used as it is, with what a file system or an interrupted start leaves in it."""
    use(tmp_path / "made")
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700
    given = tmp_path / "given"
    given.mkdir()
    given.chmod(0o750)
    for name in ("lost+found", "lock", f"{MARKER_FILE}.new"):
        (given / name).touch()
    use(given)
    assert stat.S_IMODE(given.stat().st_mode) == 0o750
    given.chmod(0o755)
    use(given)
    assert stat.S_IMODE(given.stat().st_mode) == 0o755


@pytest.mark.parametrize(
    "path", ["/", "/var", "/var/lib", "/etc", "/tmp", "/usr/../var", "/proc/self", "/dev", "/sys/fs"]
)
def test_directories_of_the_system_are_refused(path: str) -> None:
    """Whatever they contain, and however they are written."""
    with pytest.raises(Conflict, match="a directory of the system"):
        refuse_system_directory(Path(path))


def test_a_home_and_a_link_to_a_directory_of_the_system_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person's home is none of ours, and a link does not hide what it leads to. Directories in them are allowed."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "link").symlink_to("/var")
    for path in (tmp_path, tmp_path / "link"):
        before = path.stat()
        with pytest.raises(Conflict, match="a directory of the system"):
            use(path)
        assert path.stat().st_mode == before.st_mode
    use(tmp_path / "data")
    (tmp_path / "other").symlink_to(tmp_path / "data")
    assert use(tmp_path / "other") == require_marker(tmp_path / "data")


def test_paths_that_are_no_directories_are_refused(tmp_path: Path) -> None:
    """A file, a link to nothing and a loop of links, each with the path and the reason."""
    (tmp_path / "file").touch()
    (tmp_path / "nothing").symlink_to(tmp_path / "none")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("file", "nothing", "loop", "file/data"):
        with pytest.raises(StoreUnavailable, match=f"{name} cannot be used"):
            use(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop", "nothing"]


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """Otherwise the process id would be written to the file that it leads to."""
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        use(tmp_path / "data")
    assert (tmp_path / "victim").read_text() == "precious"


READ_ONLY = 'mount -t tmpfs -o ro none "$0" && exec python3 -c "$1" "$0"'


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount")
def test_a_read_only_mount_is_refused(tmp_path: Path) -> None:
    """An empty file system that cannot be written is reported, and not taken for a directory in use."""
    code = (
        "import sys; from pathlib import Path; from actors.settings.data_dir import DataDir\n"
        "with DataDir.open(Path(sys.argv[1])): pass"
    )
    command = ["unshare", "--mount", "sh", "-c", READ_ONLY.replace("python3", PYTHON), str(tmp_path), code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "cannot be used: Read-only file system" in done.stderr


AS_NOBODY = """
import os, sys
from pathlib import Path
from actors.settings.data_dir import DataDir
os.setgid(65534), os.setuid(65534)
with DataDir.open(Path(sys.argv[1])) as data_dir:
    data_dir.init()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_directory_of_another_user(tmp_path: Path) -> None:
    """It is used if it can be written, such as a volume with a group of its own, and keeps its mode; else refused."""
    base = Path(tempfile.gettempdir()).resolve()
    for parent in (tmp_path, *tmp_path.parents):
        if base in parent.parents:
            parent.chmod(0o755)
    for name, mode in (("closed", 0o755), ("shared", 0o777)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    results = [
        subprocess.run(
            [PYTHON, "-c", AS_NOBODY, str(tmp_path / name)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        for name in ("closed", "shared")
    ]
    assert "closed cannot be used: Permission denied" in results[0].stderr
    assert (results[1].returncode, results[1].stderr) == (0, "")
    assert list((tmp_path / "closed").iterdir()) == []
    assert is_data_dir(tmp_path / "shared")
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o777


def test_the_age_is_in_days() -> None:
    """A time that nobody can read counts as now."""
    assert Marker((datetime.now(UTC) - timedelta(days=3)).isoformat()).age_days == pytest.approx(3, abs=0.01)
    assert Marker("yesterday").age_days == 0
    assert json.loads(Marker("yesterday").text()) == {"created_at": "yesterday", "installation": None, "format": FORMAT}


def test_without_a_marker_there_is_no_data_directory(tmp_path: Path) -> None:
    """Neither an empty directory nor a missing one is one."""
    for path in (tmp_path, tmp_path / "missing"):
        assert read_marker(path) is None
        with pytest.raises(Conflict, match=r"it has no feedback-loops\.json"):
            require_marker(path)
