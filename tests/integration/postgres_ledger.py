"""A ledger on a PostgreSQL server that tests may break, and access to its sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import psycopg

from actors.ledger.postgres.connection import open_writer
from actors.ledger.postgres.reader import PostgresLedgerReader
from actors.ledger.postgres.writer import Connect, PostgresLedgerWriter
from domain.errors import StoreUnavailable
from tests.contract.ledger_facts import FakeClock, Store
from tests.contract.postgres_store import read_log, read_models
from tests.service import eventually


@contextmanager
def ledger(url: str, connect: Connect = open_writer) -> Iterator[Store]:
    writer = PostgresLedgerWriter(url, FakeClock(), connect)
    reader = PostgresLedgerReader(url)

    def another() -> Any:
        raise NotImplementedError("one is enough here")

    yield Store(writer, reader, FakeClock(), partial(read_log, url), partial(read_models, url), another, another)
    asyncio.run(writer.close())
    reader.close()


def sessions(url: str, name: str) -> list[int]:
    """Process ids of the sessions with this application name on the database."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s", (name,)
        ).fetchall()
    return [pid for (pid,) in found]


def end_sessions(url: str, name: str = "feedback-loops ledger") -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for pid in sessions(url, name):
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def retried(store: Store, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """The result of the work once the store is back."""

    def attempt() -> list[Any]:
        with suppress(StoreUnavailable):
            return [store.run(work())]
        return []

    return eventually(attempt, 20, "the store is written again")[0]


def due(store: Store, loop_no: int) -> list[Any]:
    with suppress(StoreUnavailable):
        return store.reader.due_deliveries(loop_no, 2**60, 100, [])
    return []
