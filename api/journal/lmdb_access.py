"""Access to the databases of a journal's LMDB environment: entries by number, and the file's length."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from heapq import merge
from pathlib import Path
from typing import Any, Final

import lmdb

#: Named databases of the environment.
MAX_DATABASES: Final = 4
#: The key of a number, in whose order LMDB sorts.
key_of = struct.Struct(">Q").pack


def check_length(env: Any, path: Path) -> None:
    """Raises `lmdb.CorruptedError` if the file is truncated: reading it would kill the process with SIGBUS."""
    needed = file_bytes(env)
    if (path / "data.mdb").stat().st_size < needed:
        raise lmdb.CorruptedError(f"data.mdb is shorter than the {needed} bytes it should have")


def file_bytes(env: Any) -> int:
    """The length of the file up to the last page that was ever used, including free pages."""
    return int((env.info()["last_pgno"] + 1) * env.stat()["psize"])


def first_entries(
    txn: Any, databases: Sequence[Any], after_seq: int, limit: int, max_bytes: int
) -> list[tuple[int, bytes]]:
    """The first entries of all databases after `after_seq`, in order of their numbers."""
    parts = [_first(txn.cursor(db=db), after_seq, limit, max_bytes) for db in databases]
    found = [part for part in parts if part]
    if len(found) < 2:
        return found[0] if found else []
    entries: list[tuple[int, bytes]] = []
    size = 0
    for entry in merge(*found):
        size += len(entry[1])
        if len(entries) == limit or (entries and size > max_bytes):
            break
        entries.append(entry)
    return entries


def _first(cursor: Any, after_seq: int, limit: int, max_bytes: int) -> list[tuple[int, bytes]]:
    entries: list[tuple[int, bytes]] = []
    if not cursor.set_range(key_of(after_seq + 1)):
        return entries
    size = 0
    for key, entry in cursor:
        size += len(entry)
        if len(entries) == limit or (entries and size > max_bytes):
            break
        entries.append((int.from_bytes(key, "big"), entry))
    return entries


def put_entries(txn: Any, db: Any, entries: Sequence[tuple[int, bytes]]) -> None:
    """Adds entries, whose numbers are above all others."""
    items = [(key_of(seq), entry) for seq, entry in entries]
    _, added = txn.cursor(db=db).putmulti(items, append=True)
    if added == len(items):
        return
    # A commit that was reported as failed did reach the disk, and appending skips existing keys.
    for key, entry in items:
        txn.put(key, entry, db=db)
