"""Retention of backups: removes the oldest complete ones next to a new one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from actors.processes.backup import MANIFEST, failing
from actors.settings.data_dir_marker import MARKER_FILE, Marker, read_marker
from domain.errors import FeedbackLoopsError


def remove_older(newest: Path, keep: int) -> list[Path]:
    """Removes backups of the same installation in the directory of `newest`, all but the `keep` latest. Returns them.

    Only directories with a manifest and the marker of this installation count: what is not complete, and what another
    program or person put there, stays. `newest` is never removed.

    Raises:
        StoreUnavailable: one cannot be removed.
    """
    newest = newest.resolve()
    installation = _marker(newest)
    if installation is None:
        return []
    others = sorted(_backups(newest, installation), reverse=True)
    doomed = [path for _, path in others[max(keep - 1, 0) :]]
    for path in doomed:
        with failing(f"{path} cannot be removed"):
            (path / MANIFEST).unlink()  # first: without it, what is left of it is no backup
            shutil.rmtree(path)
    return doomed


def _backups(newest: Path, installation: Marker) -> Iterator[tuple[datetime, Path]]:
    for path in newest.parent.iterdir():
        if path == newest or path.is_symlink() or not path.is_dir():
            continue
        marker, made_at = _marker(path), _made_at(path)
        if marker is not None and made_at is not None and _same(marker, installation):
            yield made_at, path


def _same(one: Marker, other: Marker) -> bool:
    return (one.installation, one.created_at) == (other.installation, other.created_at)


def _marker(path: Path) -> Marker | None:
    try:
        return read_marker(path) if (path / MARKER_FILE).is_file() else None
    except FeedbackLoopsError:
        return None


def _made_at(path: Path) -> datetime | None:
    """When the backup was made; None if it is not complete."""
    try:
        made_at = datetime.fromisoformat(json.loads((path / MANIFEST).read_text())["made_at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return made_at if made_at.tzinfo else None
