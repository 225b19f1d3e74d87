"""eventsourcing's own test suites for recorders, on the schemas of both stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresDatastore
from eventsourcing.sqlite import SQLiteDatastore
from psycopg.conninfo import conninfo_to_dict

from tests.contract.application_recorders import PostgresLedgerRecorder, SQLiteLedgerRecorder
from tests.postgres import PostgresServer

pytest.importorskip("Crypto", reason="eventsourcing's own test-suite needs pycryptodome")

from eventsourcing.tests.persistence import AggregateRecorderTestCase, ApplicationRecorderTestCase


def recorder_in(
    directory: Path, recorder_class: type[SQLiteLedgerRecorder] = SQLiteLedgerRecorder
) -> SQLiteLedgerRecorder:
    recorder = recorder_class(SQLiteDatastore(str(directory / "ledger.sqlite")))
    recorder.create_table()
    return recorder


class WithoutNotifications(SQLiteLedgerRecorder):
    """Returns no notification ids, like an aggregate recorder."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:
        super().insert_events(stored_events, **kwargs)


class TestAsAggregateRecorder(AggregateRecorderTestCase):
    """The SQLite schema stores events of aggregates."""

    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path

    def create_recorder(self) -> SQLiteLedgerRecorder:
        return recorder_in(self.tmp_path, WithoutNotifications)


class TestAsApplicationRecorder(ApplicationRecorderTestCase[SQLiteLedgerRecorder]):
    """The SQLite schema stores the log of an application."""

    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path

    def create_recorder(self) -> SQLiteLedgerRecorder:
        return recorder_in(self.tmp_path)


class OnPostgres:
    """A recorder on a new database."""

    @pytest.fixture(autouse=True)
    def server(self, postgres: PostgresServer) -> Iterator[None]:
        self.postgres = postgres
        self.datastores: list[PostgresDatastore] = []
        yield
        for datastore in self.datastores:
            datastore.close()

    def recorder_on_new(self, recorder_class: type[PostgresLedgerRecorder]) -> PostgresLedgerRecorder:
        to: dict[str, Any] = conninfo_to_dict(self.postgres.new_database())
        datastore = PostgresDatastore(to["dbname"], to["host"], to["port"], to["user"], "", max_overflow=20)
        self.datastores.append(datastore)
        recorder = recorder_class(datastore)
        recorder.create_table()
        return recorder


class PostgresWithoutNotifications(PostgresLedgerRecorder):
    """Returns no notification ids, like an aggregate recorder."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:
        super().insert_events(stored_events, **kwargs)


class TestPostgresAsAggregateRecorder(OnPostgres, AggregateRecorderTestCase):
    """The PostgreSQL schema stores events of aggregates."""

    def create_recorder(self) -> PostgresLedgerRecorder:
        return self.recorder_on_new(PostgresWithoutNotifications)


class TestPostgresAsApplicationRecorder(OnPostgres, ApplicationRecorderTestCase[PostgresLedgerRecorder]):
    """The PostgreSQL schema stores the log of an application."""

    def create_recorder(self) -> PostgresLedgerRecorder:
        return self.recorder_on_new(PostgresLedgerRecorder)
