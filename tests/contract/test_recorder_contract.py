"""eventsourcing's own contract for recorders, run on the ledger's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteDatastore

from actors.ledger.sqlite.recorder import LedgerRecorder

pytest.importorskip("Crypto", reason="eventsourcing's own test-suite needs pycryptodome")

from eventsourcing.tests.persistence import AggregateRecorderTestCase, ApplicationRecorderTestCase


def recorder_in(directory: Path, recorder_class: type[LedgerRecorder] = LedgerRecorder) -> LedgerRecorder:
    recorder = recorder_class(SQLiteDatastore(str(directory / "ledger.sqlite")))
    recorder.create_table()
    return recorder


class WithoutNotifications(LedgerRecorder):
    """As an aggregate recorder answers: it gives no notification ids."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:
        super().insert_events(stored_events, **kwargs)


class TestAsAggregateRecorder(AggregateRecorderTestCase):
    """The ledger's recorder keeps aggregates' events."""

    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path

    def create_recorder(self) -> LedgerRecorder:
        return recorder_in(self.tmp_path, WithoutNotifications)


class TestAsApplicationRecorder(ApplicationRecorderTestCase[LedgerRecorder]):
    """The ledger's recorder keeps an application's log."""

    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path

    def create_recorder(self) -> LedgerRecorder:
        return recorder_in(self.tmp_path)
