"""Ledger writer on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psycopg import Connection

from actors.adapters.clock import SystemClock
from actors.ledger.group_commit import GroupCommit
from actors.ledger.postgres.connection import open_writer
from actors.ledger.postgres.errors import domain_errors
from actors.ledger.postgres.fence import Fence
from actors.ledger.postgres.outbox import PostgresWrites
from actors.ledger.postgres.read_connection import PostgresReadConnection
from actors.ledger.postgres.schema import migrate
from actors.ledger.postgres.session import PostgresSession
from actors.ledger.store_connection import closed_on_error
from actors.ledger.writer import StoreWriter
from actors.ports import Clock

Connect = Callable[[str], Connection[tuple[Any, ...]]]


class PostgresLedgerWriter(StoreWriter):
    """`StoreWriter` on a PostgreSQL database. The one that started last may write; earlier ones are refused.

    It connects on the first call, and migrates the database to this program's schema. If that fails, or the database
    belongs to a newer program or another application, each call tries again and raises a `StoreError` with the reason.
    """

    def __init__(self, url: str, clock: Clock | None = None, connect: Connect = open_writer) -> None:
        self._url = url
        self._connect = connect
        self._fence = Fence()
        super().__init__(
            GroupCommit(self._open_session), PostgresReadConnection(url), PostgresWrites(), clock or SystemClock()
        )

    def _open_session(self) -> PostgresSession:
        connection = self._connect(self._url)
        with domain_errors(), closed_on_error(connection):
            migrate(connection)
            self._fence.enter(connection)
        return PostgresSession(connection, self._fence)
