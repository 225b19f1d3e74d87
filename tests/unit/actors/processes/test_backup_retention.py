"""Retention of backups: which directories are removed, and which never are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actors.processes.backup import MANIFEST
from actors.processes.backup_retention import remove_older
from actors.settings.data_dir_marker import MARKER_FILE, Marker

OURS = Marker("2026-01-01T00:00:00+00:00", "aa")


def made(folder: Path, name: str, day: int, marker: Marker = OURS) -> Path:
    """A complete backup of that day."""
    path = folder / name
    path.mkdir()
    (path / MARKER_FILE).write_text(marker.text())
    (path / "master.key").write_text("k")
    (path / MANIFEST).write_text(json.dumps({"made_at": f"2026-02-{day:02}T03:00:00+00:00"}))
    return path


@pytest.mark.parametrize(("keep", "left"), [(1, 1), (2, 2), (3, 3), (9, 4)])
def test_the_latest_are_kept(tmp_path: Path, keep: int, left: int) -> None:
    """By the time of the backup, whatever the names are; the newest counts."""
    paths = [made(tmp_path, name, day) for day, name in enumerate("dbca", start=1)]

    removed = remove_older(paths[-1], keep)

    assert removed == paths[: 4 - left][::-1]
    assert sorted(tmp_path.iterdir()) == sorted(paths[4 - left :])


def test_everything_else_stays(tmp_path: Path) -> None:
    """Incomplete backups, other installations, links and other files are not ours to remove."""
    newest = made(tmp_path, "new", 9)
    made(tmp_path, "other", 1, Marker("2026-01-01T00:00:00+00:00", "bb"))
    (made(tmp_path, "incomplete", 1) / MANIFEST).unlink()
    (made(tmp_path, "damaged", 1) / MANIFEST).write_text("{")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / MANIFEST).write_text('{"made_at": "2020-01-01T00:00:00+00:00"}')
    (tmp_path / "file").write_text("")
    (tmp_path / "elsewhere").mkdir()
    old = made(tmp_path / "elsewhere", "old", 1)
    (tmp_path / "link").symlink_to(old)
    before = sorted(tmp_path.rglob("*"))

    assert remove_older(newest, 1) == []
    assert sorted(tmp_path.rglob("*")) == before


def test_a_relative_target_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its siblings are those in the working directory."""
    old = made(tmp_path, "old", 1)
    made(tmp_path, "new", 2)
    monkeypatch.chdir(tmp_path)

    assert remove_older(Path("new"), 1) == [old]
