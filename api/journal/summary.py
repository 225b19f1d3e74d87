"""Read-only summary of a journal that no process has open."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import lmdb

from api.journal.lmdb_store import check_length, first_hits
from domain.errors import StoreUnavailable


class JournalSummary(NamedTuple):
    """Numbers of hits in a journal, and the oldest one."""

    entries: int
    set_aside: int
    oldest: bytes | None


def read_summary(path: Path) -> JournalSummary:
    """Reads the journal at `path` without changing it, even if it is corrupt.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    try:
        with lmdb.open(str(path), max_dbs=3, readonly=True, lock=False, create=False) as env:
            check_length(env, path)
            hits, poison = env.open_db(b"hits", create=False), env.open_db(b"poison", create=False)
            with env.begin() as txn:
                first = first_hits(txn.cursor(db=hits), 0, 1, 1)
                counts = [int(txn.stat(db)["entries"]) for db in (hits, poison)]
        return JournalSummary(counts[0], counts[1], first[0][1] if first else None)
    except (OSError, lmdb.Error) as exc:
        raise StoreUnavailable(f"the journal {path} cannot be read: {exc}") from exc
