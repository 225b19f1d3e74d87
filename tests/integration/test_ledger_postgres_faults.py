"""The PostgreSQL ledger under crashes, cut connections, restarts, failovers and competing writers."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial

import psycopg
import pytest

from actors.ledger.postgres import connection as connections
from actors.ledger.postgres import read_connection, session
from actors.ledger.postgres.connection import open_writer
from actors.ledger.postgres.reader import PostgresLedgerReader
from domain.errors import StoreUnavailable
from tests.contract.ledger_facts import event
from tests.integration.postgres_ledger import due, end_sessions, ledger, retried
from tests.postgres import PostgresServer, running_server
from tests.service import eventually

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


def test_a_broken_session_is_replaced(url: str) -> None:
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


def test_a_frozen_server_is_given_up(server: PostgresServer, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
