"""SQL dialect of SQLite, and a cursor that translates to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Any, Final, Self

import msgspec

from actors.ledger.dialect import Dialect, translator


class SQLiteDialect:
    """`Dialect` in which lists are JSON texts, event ids are blobs and originator ids are hexadecimal texts."""

    def word(self, name: str, of: Sequence[str]) -> str:
        a, *b = of
        texts = {
            "often": "",  # SQLite keeps every plan
            "in": f"IN (SELECT value FROM json_each({a}))",  # noqa: S608 - constants only
            "not in": f"NOT IN (SELECT value FROM json_each({a}))",  # noqa: S608 - constants only
            # SQLite joins the tables of a CROSS JOIN in the given order.
            "join": "CROSS JOIN",
            "stored": f"stored_events AS s ON s.originator_id = lower(hex({a}.event_id)) AND s.originator_version = 1",
            "by": f"INDEXED BY {a}",
            "larger": f"max({a}, {''.join(b)})",
            "pending": "state = 0",
            "pending id": "id",
            "part": "",  # SQLite merges the parts as it reads them
            "end": "",
            "position": "rowid",
        }
        return texts[name]

    def parameter(self, number: str) -> str:
        return f"?{number}"

    def many(self, values: Collection[int]) -> str:
        return json_text(values)

    def event_id(self, id_: bytes) -> bytes:
        return id_

    def event_id_bytes(self, originator_id: str) -> bytes:
        return bytes.fromhex(originator_id)


SQLITE: Final = SQLiteDialect()
sqlite_sql: Final = translator(SQLITE)


def json_text(values: Collection[object]) -> str:
    """A list as JSON text, for `json_each`."""
    return msgspec.json.encode(list(values)).decode()


class LedgerCursor(sqlite3.Cursor):
    """An SQLite cursor for statements in the dialect of `actors.ledger.dialect`."""

    dialect: Dialect = SQLITE

    def execute(self, sql: str, params: Any = (), /) -> Self:
        super().execute(sqlite_sql(sql), params)
        return self

    def executemany(self, sql: str, params: Any, /) -> Self:
        super().executemany(sqlite_sql(sql), params)
        return self
