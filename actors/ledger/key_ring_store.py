"""Key ring in the store: the authoritative copy, and the generation that each front end has on its disk.

Gateways write it themselves, before there is an actor: a store that belongs to another installation must not even be
migrated. So its two tables are not part of the ledger's schema.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Final

from actors.installation.key_file import ring_of, ring_text
from actors.ledger.dialect import Cursor
from actors.ledger.sqlite.connection import Check, no_check, open_reader, open_writer
from actors.ledger.sqlite.dialect import LedgerCursor
from actors.ledger.sqlite.errors import to_domain_error
from domain.key_ring import FrontEndKeys, KeyRing

#: Both stores understand these.
TABLES: Final = (
    """
    CREATE TABLE IF NOT EXISTS installation (
        one BIGINT PRIMARY KEY CHECK (one = 1), generation BIGINT NOT NULL, ring TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS front_ends (
        front_end TEXT PRIMARY KEY, name TEXT NOT NULL, generation BIGINT NOT NULL, master TEXT NOT NULL,
        at_ms BIGINT NOT NULL
    )
    """,
)
LOAD: Final = "SELECT ring FROM installation"
_LISTED: Final = "SELECT 1 FROM front_ends WHERE front_end = $1"


class KeyRingStore(ABC):
    """The store's key ring. Each call connects, blocks, and raises `StoreUnavailable` while the store is away."""

    def load(self) -> KeyRing | None:
        """The ring; None: the store belongs to no installation yet."""
        with self._reading() as cursor:
            row = None if cursor is None else cursor.execute(LOAD).fetchone()
        return None if row is None else ring_of(row[0])

    def look(self, front_end: str) -> tuple[KeyRing | None, bool]:
        """The ring, and whether this front end is listed."""
        with self._reading() as cursor:
            if cursor is None:
                return None, False
            row = cursor.execute(LOAD).fetchone()
            is_listed = cursor.execute(_LISTED, (front_end,)).fetchone() is not None
        return None if row is None else ring_of(row[0]), is_listed

    def create(self, ring: KeyRing) -> KeyRing:
        """Makes this the store's ring, unless it has one. Returns the store's."""
        with self._writing() as cursor:
            row = cursor.execute(LOAD).fetchone()
            if row is not None:
                return ring_of(row[0])
            cursor.execute("INSERT INTO installation VALUES (1, $1, $2)", (ring.generation, ring_text(ring)))
        return ring

    def replace(self, ring: KeyRing, former_generation: int) -> bool:
        """Replaces the ring of this generation. False: another writer was first, and nothing was written."""
        with self._writing() as cursor:
            cursor.execute(
                "UPDATE installation SET generation = $1, ring = $2 WHERE generation = $3",
                (ring.generation, ring_text(ring), former_generation),
            )
            return cursor.rowcount == 1

    def confirm(self, keys: FrontEndKeys) -> None:
        """Records what a front end has on its disk."""
        with self._writing() as cursor:
            cursor.execute(
                "INSERT INTO front_ends VALUES ($1, $2, $3, $4, $5) ON CONFLICT (front_end) DO UPDATE SET"
                " name = excluded.name, generation = excluded.generation, master = excluded.master,"
                " at_ms = excluded.at_ms",
                (keys.front_end, keys.name, keys.generation, keys.master, keys.at_ms),
            )

    def front_ends(self) -> list[FrontEndKeys]:
        """The keys that every known front end has on its disk."""
        with self._reading() as cursor:
            sql = "SELECT front_end, name, generation, master, at_ms FROM front_ends ORDER BY front_end"
            rows = [] if cursor is None else cursor.execute(sql).fetchall()
        names = ("front_end", "name", "generation", "master", "at_ms")
        return [FrontEndKeys(**dict(zip(names, row, strict=True))) for row in rows]

    def forget(self, front_end: str) -> bool:
        """Forgets a front end that will not come back. False: it was not known."""
        with self._writing() as cursor:
            cursor.execute("DELETE FROM front_ends WHERE front_end = $1", (front_end,))
            return cursor.rowcount == 1

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Cursor | None]:
        """A cursor that reads; None: the tables do not exist."""

    @abstractmethod
    def _writing(self) -> AbstractContextManager[Cursor]:
        """A cursor in a transaction that no other writer of the ring interferes with. Creates the tables."""


class SQLiteKeyRingStore(KeyRingStore):
    """The key ring in an SQLite ledger, whose file it may create."""

    def __init__(self, path: Path, check: Check = no_check) -> None:
        """`check` raises if the file's directory is not the right one any more."""
        self._path = path
        self._check = check

    @contextmanager
    def _reading(self) -> Iterator[Cursor | None]:
        self._check()
        if not self._path.exists():
            yield None
            return
        try:
            with closing(open_reader(self._path)) as connection:
                sql = "SELECT count(*) FROM sqlite_master WHERE name IN ('installation', 'front_ends')"
                (tables,) = connection.execute(sql).fetchone()
                yield connection.cursor(LedgerCursor) if tables == len(TABLES) else None
        except sqlite3.Error as exc:
            raise to_domain_error(exc) from exc

    @contextmanager
    def _writing(self) -> Iterator[Cursor]:
        self._check()
        try:
            with closing(open_writer(self._path)) as connection:
                cursor = connection.cursor(LedgerCursor)
                cursor.execute("BEGIN IMMEDIATE")
                for table in TABLES:
                    cursor.execute(table)
                yield cursor
                cursor.execute("COMMIT")
        except sqlite3.Error as exc:
            raise to_domain_error(exc) from exc
