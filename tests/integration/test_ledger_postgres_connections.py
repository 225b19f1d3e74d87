"""The connections of the PostgreSQL ledger: requests of one commit, readers, and errors."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from actors.ledger.group_commit import FRESH_S
from actors.ledger.postgres.connection import open_writer
from actors.ledger.postgres.reader import PostgresLedgerReader
from domain.errors import FirstTaken, StoreError, StoreUnavailable
from tests.contract.ledger_facts import event, outcome
from tests.contract.postgres_store import read_models
from tests.integration.postgres_ledger import due, ledger, sessions
from tests.postgres import PostgresServer
from tests.service import eventually

# --- requests that share a commit


def test_only_a_poisoned_request_fails(url: str) -> None:
    """A text that PostgreSQL cannot store, or a conflict, fails only its caller."""
    with ledger(url) as store:
        tenant = store.account()
        loop = store.active_loop(tenant)
        made = [event(tenant, loop_nos=[loop.no]) for _ in range(3)]
        ids = [i for of_event in store.record(*made).delivery_ids for i in of_event]
        version = store.reader.routing_table().version
        first = event(tenant, message_key=5, first_key=0)

        async def all_at_once() -> list[Any]:
            requests: list[Any] = [
                store.writer.record_outcomes([outcome(ids[0])]),
                store.writer.record_outcomes([outcome(ids[1], excerpt="a\0b")]),
                store.writer.record_events(version, [first, event(tenant)]),
                store.writer.record_events(version, [event(tenant, message_key=5, first_key=0)]),
                store.writer.record_events(version, [made[0], event(tenant, loop_nos=[loop.no])]),
                store.writer.record_outcomes([outcome(ids[2])]),
            ]
            done: list[Any] = await asyncio.gather(*requests, return_exceptions=True)
            return done

        answers = store.run(all_at_once())
        assert [type(a) for a in answers[:2]] == [type(None), StoreError]
        assert isinstance(answers[3], FirstTaken)
        assert answers[4].duplicates == [0]
        assert answers[4].delivery_ids[1] == [ids[-1] + 1]
        assert answers[5] is None
        assert [d.delivery_id for d in due(store, loop.no)] == [ids[1], ids[-1] + 1]


# --- readers


def test_a_reader_cannot_write(url: str) -> None:
    """A reader's connection cannot write."""
    with ledger(url) as store:
        store.account()
        with pytest.raises(StoreUnavailable, match="read-only"):
            store.reader.rows("DELETE FROM meta")
    assert read_models(url)["meta"]


@pytest.mark.parametrize("how", ["stop", "crash"])
def test_the_first_read_after_a_restart_is_answered(server: PostgresServer, url: str, how: str) -> None:
    """A connection that ended while idle is replaced without an error."""
    reader = PostgresLedgerReader(url)
    version = reader.routing_table().version
    getattr(server, how)()
    server.start()

    assert reader.routing_table().version == version
    server.stop()
    server.start()
    with reader.snapshot() as cursor:
        assert cursor.execute("SELECT 1").fetchall() == [(1,)]
    reader.close()


def test_a_reader_keeps_no_connection_that_it_does_not_use(url: str) -> None:
    """A reader has at most one connection, closes it after some idle seconds, and reconnects for the next read."""
    reader = PostgresLedgerReader(url, idle_s=0.2)
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(lambda _: reader.routing_table().version, range(50))) == {1}
    assert len(sessions(url, "feedback-loops reader")) <= 1
    eventually(lambda: not sessions(url, "feedback-loops reader"), 10, "the connection is given back")
    assert reader.routing_table().version == 1
    reader.close()
    assert eventually(lambda: not sessions(url, "feedback-loops reader"), 10, "it is closed")


def test_a_reader_waits_for_its_store(server: PostgresServer) -> None:
    """A reader created before the ledger is unavailable, and works as soon as the ledger exists."""
    url = server.new_database()
    reader = PostgresLedgerReader(url)
    with pytest.raises(StoreUnavailable):
        reader.running_loops()
    with ledger(url) as store:
        loop = store.active_loop(store.account())
        assert eventually(lambda: _running(reader), 5, "it reads") == [loop.id]
    reader.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        reader.running_loops()


def _running(reader: PostgresLedgerReader) -> list[str]:
    with suppress(StoreUnavailable):
        found: list[str] = reader.running_loops()
        return found
    return []


# --- errors and checks


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"user": "nobody_here"}, "nobody_here"),
        ({"database": "nowhere"}, "nowhere"),
        ({"password": "open-sesame"}, "authentication failed"),
    ],
)
def test_errors_in_the_url_are_reported(server: PostgresServer, change: dict[str, str], said: str) -> None:
    """Errors name the setting and repeat the server's message, but never contain the password."""
    server.run("DROP ROLE IF EXISTS locked")
    server.run("CREATE ROLE locked LOGIN PASSWORD 'something else'")
    rules = server.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("host all locked 127.0.0.1/32 scram-sha-256\n" + before)
    server.run("SELECT pg_reload_conf()")
    user = f"locked:{change['password']}" if "password" in change else change.get("user", "postgres")
    url = f"postgresql://{user}@127.0.0.1:{server.port}/{change.get('database', 'postgres')}"
    with ledger(url) as store, pytest.raises(StoreUnavailable, match=said) as refused:
        store.run(store.writer.check())  # type: ignore[attr-defined]
    rules.write_text(before)

    assert "FEEDBACK_LOOPS_STORE" in str(refused.value)
    assert "sesame" not in str(refused.value)


def test_commits_are_durable(server: PostgresServer, url: str) -> None:
    """The writer overrides settings of the database that are not durable (I1), but keeps stricter ones."""
    name = url.rpartition("/")[2]
    for told, found in (("off", "on"), ("remote_apply", "remote_apply")):
        server.run(f"ALTER DATABASE {name} SET synchronous_commit = {told}")
        connection: Connection[Any] = open_writer(url)
        assert connection.execute("SHOW synchronous_commit").fetchone() == (found,)
        connection.close()


def test_a_recent_check_is_not_repeated(url: str) -> None:
    """Checking the store costs at most one commit every few seconds."""
    with ledger(url) as store:
        store.account()
        before = commits(url)
        for _ in range(20):
            store.run(store.writer.check())  # type: ignore[attr-defined]
        assert FRESH_S > 1
        assert commits(url) - before < 5


def commits(url: str) -> int:
    """The number of the newest transaction."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").fetchone()
    assert row is not None
    return int(row[0])
