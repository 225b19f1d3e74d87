"""Read-only summary of a journal that no process has open."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import lmdb

from api.journal.lmdb_access import MAX_DATABASES, check_length, first_entries
from domain.errors import StoreUnavailable


class JournalSummary(NamedTuple):
    """Numbers of entries in a journal, and the oldest one."""

    entries: int
    set_aside: int
    oldest: bytes | None


def read_summary(path: Path) -> JournalSummary:
    """Reads the journal at `path` without changing it, even if it is corrupt.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    try:
        with lmdb.open(str(path), max_dbs=MAX_DATABASES, readonly=True, lock=False, create=False) as env:
            check_length(env, path)
            hits, reports, poison = (env.open_db(name, create=False) for name in (b"hits", b"reports", b"poison"))
            with env.begin() as txn:
                first = first_entries(txn, (hits, reports), 0, 1, 1)
                counts = [int(txn.stat(db)["entries"]) for db in (hits, reports, poison)]
        return JournalSummary(counts[0] + counts[1], counts[2], first[0][1] if first else None)
    except (OSError, lmdb.Error) as exc:
        raise StoreUnavailable(f"the journal {path} cannot be read: {exc}") from exc
