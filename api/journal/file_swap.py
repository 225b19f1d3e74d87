"""Swap of a journal's directory for a new one, in steps that a crash may interrupt anywhere.

| directories there | meaning | what `finish` does |
|---|---|---|
| `journal` | the journal | nothing |
| `journal`, `journal.next` | the new one is not complete | removes the new one |
| `journal.old`, `journal.next` | the new one is complete | moves it to `journal`, removes the old one |
| `journal`, `journal.old` | the new one is the journal | removes the old one |
"""

from __future__ import annotations

import shutil
from pathlib import Path

from actors.settings.data_dir import make_durable


def next_path(path: Path) -> Path:
    """Where the new directory is made."""
    return path.with_name(f"{path.name}.next")


def old_path(path: Path) -> Path:
    """Where the old directory is until it is removed."""
    return path.with_name(f"{path.name}.old")


def swap(path: Path) -> None:
    """Puts the new directory, whose files are durable, into the place of `path`. Call `remove_old` after it.

    Raises:
        OSError: the old one is still in its place.
    """
    old, new = old_path(path), next_path(path)
    make_durable(new)
    path.rename(old)
    try:
        new.rename(path)
        # Before anything is written there: after a power failure the names must not be those of before.
        make_durable(path.parent)
    except OSError:
        # The new one first: if this fails half-way, the next start must not take it for the journal.
        if path.exists():
            path.rename(new)
        shutil.rmtree(new, ignore_errors=True)
        old.rename(path)
        raise


def remove_old(path: Path) -> None:
    """Removes the old directory, if there is one. Raises `OSError`."""
    _remove(old_path(path))


def remove_new(path: Path) -> None:
    """Removes the new directory, which is not in its place yet, if there is one. Raises `OSError`."""
    _remove(next_path(path))


def finish(path: Path) -> None:
    """Finishes or takes back what was interrupted. Raises `OSError`."""
    old, new = old_path(path), next_path(path)
    if old.exists() and not path.exists():
        (new if new.exists() else old).rename(path)
        make_durable(path.parent)
    _remove(new)
    _remove(old)


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
        make_durable(path.parent)
