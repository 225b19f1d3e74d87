"""`feedback-loops assets`, which writes the operators' files."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.cli.commands import assets
from tests.paths import ROOT


def test_it_writes_the_files_and_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They have the contents of `deploy`; a second run changes nothing."""
    target = tmp_path / "new" / "folder"
    for _ in range(2):
        assert assets.run([str(target)], {}) == 0
        printed = capsys.readouterr().out.splitlines()
        assert sorted(printed) == sorted(str(path) for path in target.rglob("*") if path.is_file())
    assert len(printed) >= 6
    for path in map(Path, printed):
        assert path.read_bytes() == (ROOT / "deploy" / path.relative_to(target)).read_bytes()


def test_it_replaces_no_changed_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An operator's change stays, and nothing else is written, unless --overwrite is given."""
    compose = tmp_path / "compose.yaml"
    compose.write_text("changed")

    assert assets.run([str(tmp_path)], {}) == 1
    assert str(compose) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["compose.yaml"]

    assert assets.run([str(tmp_path), "--overwrite"], {}) == 0
    assert compose.read_text() != "changed"


def test_it_says_why_it_cannot_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The path and the reason."""
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "folder"
    assert assets.run([str(folder)], {}) == 1
    assert capsys.readouterr().err == f"feedback-loops assets: {folder}: Not a directory\n"
