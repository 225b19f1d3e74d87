"""The PostgreSQL ledger under crashes, cut connections, restarts, failovers and competing writers."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from actors.ledger.group_commit import FRESH_S
from actors.ledger.postgres import connection as connections
from actors.ledger.postgres import read_connection, session
from actors.ledger.postgres.connection import open_writer
from actors.ledger.postgres.errors import is_store_failure, to_domain_error
from actors.ledger.postgres.reader import PostgresLedgerReader
from actors.ledger.postgres.writer import Connect, PostgresLedgerWriter
from domain.errors import ConcurrentWrite, FirstTaken, StoreError, StoreUnavailable
from tests.contract.ledger_facts import FakeClock, Store, event, outcome
from tests.contract.postgres_store import TEMPLATE, make_template, read_log, read_models
from tests.postgres import PostgresServer, running_server
from tests.service import eventually


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that tests may stop, kill and reconfigure, as long as they restore it."""
    with running_server() as made:
        make_template(made)
        yield made


@pytest.fixture
def url(server: PostgresServer) -> str:
    return server.new_database(TEMPLATE)


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


# --- crashes and cut connections


@pytest.mark.parametrize("acknowledged", [1, 40])
@pytest.mark.parametrize("whom", ["writer", "server"])
def test_a_kill_loses_nothing_acknowledged(server: PostgresServer, url: str, acknowledged: int, whom: str) -> None:
    """After a kill during writes, everything that was answered is stored; a batch is whole or missing (I1)."""
    command = [sys.executable, "-m", "tests.integration.write_until_killed", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(acknowledged)]
        if whom == "server":
            server.crash()
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
    if whom == "server":
        server.start()
    promised = {event_id for line in lines if line.endswith("\n") for event_id in line.split()}

    with psycopg.connect(url) as connection:
        kept, owed, stored = (
            [id_.hex for (id_,) in connection.execute(f"SELECT {column} FROM {table}".encode())]
            for column, table in (
                ("event_id", "events"),
                ("event_id", "deliveries"),
                ("originator_id", "stored_events"),
            )
        )
    assert promised
    assert promised <= set(kept)
    assert sorted(kept) == sorted(owed) == sorted(stored)
    assert len(kept) % 10 == 0


def test_a_session_that_is_cut_off_is_made_anew(url: str) -> None:
    """Requests of the broken transaction fail as unknown, later ones succeed, and nothing is stored twice."""
    with ledger(url) as store:
        tenant = store.account()
        loop = store.active_loop(tenant)
        for _ in range(5):
            made = event(tenant, loop_nos=[loop.no])
            version = store.reader.routing_table().version
            end_sessions(url)
            recorded = retried(store, lambda made=made, version=version: store.writer.record_events(version, [made]))  # type: ignore[misc]
            assert len(recorded.duplicates) <= 1
        assert len(store.reader.due_deliveries(loop.no, 2**60, 100, [])) == 5


def test_a_restarted_server_is_found_again(server: PostgresServer, url: str) -> None:
    """Writer and reader report a stopped server, and continue with all data once it is back."""
    with ledger(url) as store:
        tenant = store.account()
        loop = store.active_loop(tenant)
        store.record(event(tenant, loop_nos=[loop.no]))
        version = store.reader.routing_table().version
        server.stop()
        try:
            with pytest.raises(StoreUnavailable, match="cannot"):
                store.run(store.writer.record_events(version, [event(tenant)]))
            with pytest.raises(StoreUnavailable):
                store.reader.running_loops()
            with pytest.raises(StoreUnavailable, match="FEEDBACK_LOOPS_STORE"):
                store.run(store.writer.check())  # type: ignore[attr-defined]
        finally:
            server.start()
        retried(store, lambda: store.writer.record_events(version, [event(tenant, loop_nos=[loop.no])]))
        store.run(store.writer.check())  # type: ignore[attr-defined]
        assert len(eventually(partial(due, store, loop.no), 10, "the reader reads again")) == 2


def due(store: Store, loop_no: int) -> list[Any]:
    with suppress(StoreUnavailable):
        return store.reader.due_deliveries(loop_no, 2**60, 100, [])
    return []


def test_a_frozen_server_blocks_nobody_for_ever(
    server: PostgresServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that keeps connections open without answering is given up, and used again once it answers."""
    monkeypatch.setattr(session, "_DEADLINE_S", 1.0)
    monkeypatch.setattr(read_connection, "_DEADLINE_S", 1.0)
    with ledger(f"{url}?connect_timeout=2") as store:
        tenant = store.account()
        version = store.reader.routing_table().version
        server.freeze()
        try:
            with pytest.raises(StoreUnavailable):
                store.run(store.writer.record_events(version, [event(tenant)]))
            with pytest.raises(StoreUnavailable):
                store.reader.running_loops()
            with pytest.raises(StoreUnavailable):
                store.run(store.writer.check())  # type: ignore[attr-defined]
        finally:
            server.freeze(on=False)
        made = event(tenant)
        recorded = retried(store, lambda: store.writer.record_events(version, [made]))
        assert recorded.duplicates == []


# --- servers that accept no writes


def test_a_read_only_server_is_waited_for(server: PostgresServer, url: str) -> None:
    """Writes fail with the reason while the server is read-only, and continue afterwards; reads keep working."""
    with ledger(url) as store:
        tenant = store.account()
        version = store.reader.routing_table().version
        name = url.rpartition("/")[2]
        server.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        end_sessions(url)
        with pytest.raises(StoreUnavailable):
            store.run(store.writer.record_events(version, [event(tenant)]))
        with pytest.raises(StoreUnavailable, match="read-only"):
            store.run(store.writer.record_events(version, [event(tenant)]))
        assert store.reader.routing_table().version == version
        server.run(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        assert retried(store, lambda: store.writer.record_events(version, [event(tenant)])).duplicates == []


def test_a_standby_that_was_promoted_is_written_to() -> None:
    """With both hosts in the URL, the ledger continues on the new primary, with everything that was answered."""
    with running_server(synchronous_standby_names="*") as primary, primary.standby() as standby:
        standby.start()
        eventually(lambda: primary.run("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"), 20, "it follows")
        name = primary.new_database().rpartition("/")[2]
        both = f"postgresql://postgres@127.0.0.1:{standby.port},127.0.0.1:{primary.port}/{name}"
        with ledger(both) as store:
            tenant = store.account()
            loop = store.active_loop(tenant)
            kept = [event(tenant, loop_nos=[loop.no]) for _ in range(5)]
            store.record(*kept)
            version = store.reader.routing_table().version
            primary.crash()
            with pytest.raises(StoreUnavailable):
                store.run(store.writer.record_events(version, [event(tenant)]))
            standby.promote()
            again = retried(store, lambda: store.writer.record_events(version, kept))
            assert again.duplicates == [0, 1, 2, 3, 4]
            assert len(eventually(partial(due, store, loop.no), 10, "the reader reads again")) == 5


def test_a_full_server_is_waited_for(server: PostgresServer, url: str) -> None:
    """The error for a server without free connections repeats the server's message, and calls try again."""
    user = "crowded"
    server.run(f"CREATE ROLE {user} LOGIN CONNECTION LIMIT 1")
    server.run(f"GRANT pg_read_all_data TO {user}")
    own = url.replace("postgres@", f"{user}@")
    with psycopg.connect(own), ledger(url) as store:
        store.account()
        reader = PostgresLedgerReader(own)
        with pytest.raises(StoreUnavailable, match="too many connections"):
            reader.running_loops()
    assert eventually(partial(_reads, reader), 10, "the reader reads")
    reader.close()


def _reads(reader: PostgresLedgerReader) -> bool:
    with suppress(StoreUnavailable):
        return reader.running_loops() == []
    return False


# --- other writers


def test_the_last_ledger_to_start_is_the_one_that_writes(url: str) -> None:
    """A writer that was superseded writes nothing more, on any connection, and reports why."""
    with ledger(url) as old, ledger(url) as new:
        tenant = old.account()
        other = new.account()
        version = new.reader.routing_table().version
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="another ledger has taken over"):
                old.run(old.writer.record_events(version, [event(tenant)]))
            end_sessions(url)
        retried(new, lambda: new.writer.record_events(version, [event(other)]))
        assert len(new.log()) == 2 + 2 + 1


def test_a_writer_cut_off_in_a_transaction_holds_the_next_one_up_no_longer_than_the_server_waits(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new writer waits for the transaction in progress, which the server ends if its client is silent."""
    monkeypatch.setattr(connections, "IDLE_IN_TRANSACTION_S", 1)
    stuck = open_writer(url)
    stuck.execute("BEGIN")
    stuck.execute("SELECT epoch FROM writer FOR UPDATE")
    with ledger(url) as store:
        tenant = retried(store, lambda: asyncio.to_thread(store.account))
        assert tenant.no == 1
    with pytest.raises(psycopg.Error):
        stuck.execute("COMMIT")
    stuck.close()


# --- requests that share a commit


def test_a_poisoned_request_fails_alone(url: str) -> None:
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
            store.reader.rows("DELETE FROM meta")  # type: ignore[attr-defined]
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
    """A reader made before the ledger is unavailable, and works as soon as the ledger exists."""
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
def test_what_is_wrong_with_the_url_is_said(server: PostgresServer, change: dict[str, str], said: str) -> None:
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


def test_every_error_of_the_driver_is_one_of_ours() -> None:
    """Every PostgreSQL error is reported as an error of the store, except those that a request itself causes."""
    own = {psycopg.DataError, psycopg.IntegrityError}
    kinds = [k for k in vars(psycopg.errors).values() if isinstance(k, type) and issubclass(k, psycopg.Error)]
    assert len(kinds) > 200
    for kind in kinds:
        told = to_domain_error(kind("x"))
        assert isinstance(told, StoreError), kind
        is_own = any(issubclass(kind, base) for base in own) or (
            issubclass(kind, psycopg.ProgrammingError) and kind.sqlstate is None
        )
        assert is_own != isinstance(told, StoreUnavailable), kind
        assert is_own != is_store_failure(kind("x")), kind
    assert isinstance(to_domain_error(psycopg.errors.UniqueViolation("x")), ConcurrentWrite)
    assert isinstance(to_domain_error(psycopg.errors.DiskFull("x")), StoreUnavailable)
    assert isinstance(to_domain_error(psycopg.errors.ReadOnlySqlTransaction("x")), StoreUnavailable)


def test_commits_are_durable(server: PostgresServer, url: str) -> None:
    """The writer overrides settings of the database that are not durable (I1), but keeps stricter ones."""
    name = url.rpartition("/")[2]
    for told, found in (("off", "on"), ("remote_apply", "remote_apply")):
        server.run(f"ALTER DATABASE {name} SET synchronous_commit = {told}")
        connection: Connection[Any] = open_writer(url)
        assert connection.execute("SHOW synchronous_commit").fetchone() == (found,)
        connection.close()


def test_a_fresh_answer_is_not_asked_for_again(url: str) -> None:
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
