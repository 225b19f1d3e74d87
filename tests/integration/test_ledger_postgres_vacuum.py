"""Vacuum of a PostgreSQL ledger at the end of erasures: its effect, and everything that may keep it from working."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from actors.ledger.postgres import vacuum
from actors.ledger.postgres.vacuum import TABLES, PostgresByteClearing
from domain.errors import StoreUnavailable
from tests.contract.ledger_facts import Store, Tenant
from tests.contract.postgres_store import make_template
from tests.integration.postgres_ledger import ledger
from tests.ports import free_port
from tests.postgres import PostgresServer, running_server

MESSAGES = 400


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server whose own vacuum neither helps nor is in the way."""
    with running_server(autovacuum="off") as made:
        make_template(made)
        yield made


def problem_of(url: str, monkeypatch: pytest.MonkeyPatch, patience_s: float = 0.3) -> str | None:
    monkeypatch.setattr(vacuum, "TRIES_S", patience_s)
    return PostgresByteClearing(url).clear()


#: Seconds for a vacuum that nothing holds up, on a busy machine.
LONG_S = 60.0


def pages(connection: psycopg.Connection[tuple[int]]) -> int:
    [(size,)] = connection.execute("SELECT pg_relation_size('messages') / 8192").fetchall()
    return size


def test_the_space_of_former_rows_is_used_again(url: str) -> None:
    """After a vacuum, new rows overwrite the bytes of deleted ones; without it, the table grows."""
    with ledger(url) as store, psycopg.connect(url, autocommit=True) as connection:
        tenant = store.account()
        sizes = []
        for start in range(0, 4 * MESSAGES, MESSAGES):
            add(store, tenant, start)
            sizes.append(pages(connection))
            connection.execute("DELETE FROM messages")
            if start >= MESSAGES:
                assert PostgresByteClearing(url).clear() is None
        assert sizes[0] < sizes[1] == sizes[2] == sizes[3]


def add(store: Store, tenant: Tenant, start: int) -> None:
    store.append(*(tenant.message(1 + start + n, recipient=f"zebra.{n:05}@example.com") for n in range(MESSAGES)))


def test_a_transaction_that_may_read_former_rows_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vacuum would leave the rows that it sees. Once it has ended, nothing is in the way."""
    with ledger(url) as store, psycopg.connect(url, application_name="a long report") as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM messages").fetchall()
        store.account()  # a transaction that the reader does not see
        assert problem_of(url, monkeypatch) == "a transaction of a long report may still read erased rows"
        reader.rollback()
        assert problem_of(url, monkeypatch, LONG_S) is None


def test_a_lock_of_another_session_is_no_endless_wait(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The erasures of others would wait, too."""
    with ledger(url), psycopg.connect(url) as locker:
        locker.execute("LOCK TABLE messages IN SHARE UPDATE EXCLUSIVE MODE")
        assert problem_of(url, monkeypatch) == "another session holds a lock on a table of the ledger"
        locker.rollback()
        assert problem_of(url, monkeypatch, LONG_S) is None


def test_a_user_without_the_right_to_vacuum_is_no_success(server: PostgresServer, url: str) -> None:
    """The server only warns, and leaves the tables as they are."""
    with ledger(url), closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute("CREATE ROLE visitor LOGIN")
        connection.execute(f"GRANT SELECT, UPDATE ON {', '.join(TABLES)} TO visitor".encode())
        database = url.rpartition("/")[2]
        problem = PostgresByteClearing(server.url(database, user="visitor")).clear()
        assert problem is not None
        assert "permission denied" in problem


def test_a_server_that_is_away_is_asked_later() -> None:
    """As with every other write."""
    with pytest.raises(StoreUnavailable):
        PostgresByteClearing(f"postgresql://postgres@127.0.0.1:{free_port()}/ledger").clear()
