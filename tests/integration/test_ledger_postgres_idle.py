"""Connections that PostgreSQL, its administrator or a pooler closed while they were idle: nobody notices."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest

from actors.ledger.postgres.reader import PostgresLedgerReader
from actors.ledger.postgres.session import PostgresSession
from domain.errors import StoreUnavailable
from tests.contract.ledger_facts import Store, event
from tests.integration.postgres_ledger import end_sessions, ledger, sessions
from tests.postgres import PostgresServer
from tests.service import eventually

WRITER, READER = "feedback-loops ledger", "feedback-loops reader"


class Pooler:
    """A proxy in front of the server. Its restart closes all connections without a word."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._server.port))
                self._sockets += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def restart(self) -> None:
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        self._listening.close()
        self.restart()


@contextmanager
def through_a_pooler(server: PostgresServer, url: str) -> Iterator[tuple[str, Pooler]]:
    pooler = Pooler(server)
    yield url.replace(f":{server.port}/", f":{pooler.port}/"), pooler
    pooler.close()


def idle_timeout(url: str) -> None:
    """Waits until the server has ended the sessions."""
    eventually(lambda: not sessions(url, WRITER) and not sessions(url, READER), 10, "the sessions are over")


def write_and_read(store: Store) -> None:
    """Succeeds at the first attempt."""
    tenant = store.account()
    recorded = store.record(event(tenant))
    assert recorded.duplicates == []


WAYS = ["idle_session_timeout", "pg_terminate_backend", "a restarted pooler", "a restarted server", "a crashed server"]


def end_connections(how: str, server: PostgresServer, url: str, pooler: Pooler) -> None:
    match how:
        case "idle_session_timeout":
            idle_timeout(url)
        case "pg_terminate_backend":
            end_sessions(url, WRITER)
            end_sessions(url, READER)
        case "a restarted pooler":
            pooler.restart()
        case "a restarted server":
            server.stop()
            server.start()
        case _:
            server.crash()
            server.start()


@pytest.mark.parametrize("how", WAYS)
def test_the_first_write_and_read_after_an_idle_session_has_ended_succeed(
    server: PostgresServer, url: str, how: str
) -> None:
    """However the connections ended, a new one is used at once, several times in a row."""
    if how == "idle_session_timeout":
        server.run(f"ALTER DATABASE {url.rpartition('/')[2]} SET idle_session_timeout = '300ms'")
    with through_a_pooler(server, url) as (through, pooler), ledger(through) as store:
        store.account()
        for _ in range(3):
            end_connections(how, server, url, pooler)
            write_and_read(store)
            end_connections(how, server, url, pooler)
            with store.reader.snapshot() as cursor:
                assert cursor.execute("SELECT 1").fetchall() == [(1,)]
            end_connections(how, server, url, pooler)
            assert store.reader.routing_table().version


def test_a_session_that_ends_before_the_commit_is_replaced(url: str) -> None:
    """The work runs again on a new connection, and is written once."""
    with ledger(url) as store:
        tenant = store.account()
        version = store.reader.routing_table().version
        runs: list[int] = []

        def work(cursor: Any) -> None:
            cursor.execute("UPDATE meta SET value = value")
            runs.append(1)
            if len(runs) == 1:
                end_sessions(url)
            cursor.execute("SELECT 1")

        store.run(store.writer._commits.run(work, 1))  # type: ignore[attr-defined]
        assert len(runs) == 2
        assert store.run(store.writer.record_events(version, [event(tenant)])).duplicates == []


def test_a_transaction_that_may_have_been_committed_is_not_repeated(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the connection ends after the commit was sent, the caller gets the error and decides."""
    with ledger(url) as store:
        store.account()
        runs: list[int] = []
        end = PostgresSession._end

        def lose_the_answer(session: PostgresSession, cursor: Any) -> None:
            end(session, cursor)
            raise psycopg.OperationalError("server closed the connection unexpectedly")

        monkeypatch.setattr(PostgresSession, "_end", lose_the_answer)
        with pytest.raises(StoreUnavailable, match="closed the connection"):
            store.run(store.writer._commits.run(lambda _cursor: runs.append(1), 1))  # type: ignore[attr-defined]
        assert runs == [1]


def test_a_reader_that_is_cut_off_in_a_snapshot_raises(url: str) -> None:
    """What was read of a snapshot cannot be read again on another connection."""
    with ledger(url) as store:
        store.account()
        reader = PostgresLedgerReader(url)

        def read() -> None:
            with reader.snapshot() as cursor:
                cursor.execute("SELECT 1")
                end_sessions(url, READER)
                cursor.execute("SELECT 1")

        with pytest.raises(StoreUnavailable):
            read()
        assert reader.routing_table().version
        reader.close()
