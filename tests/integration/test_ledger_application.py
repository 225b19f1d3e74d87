"""eventsourcing Applications on the ledger's schema."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import IntegrityError
from eventsourcing.utils import get_topic

from actors.ledger.sqlite.reader import SQLiteLedgerReader
from domain.account import Account
from domain.message import Message
from tests.contract.application_recorders import SQLiteLedgerRecorder


def application(path: Path) -> Application[UUID]:
    return Application[UUID](
        {
            "PERSISTENCE_MODULE": "eventsourcing.sqlite",
            "SQLITE_DBNAME": str(path),
            "APPLICATION_RECORDER_TOPIC": get_topic(SQLiteLedgerRecorder),
        }
    )


def test_an_application_saves_through_the_recorder(tmp_path: Path) -> None:
    """An Application on the ledger's schema updates the read models like the ledger's writer."""
    path = tmp_path / "ledger.sqlite"
    account_id = uuid4()
    account = Account.open(account_id, "Acme", 1)
    account.issue_api_key("a" * 64, 2)
    reader = SQLiteLedgerReader(path)
    with application(path) as ledger:
        ledger.save(account)
        view = reader.account_by_key("a" * 64)
        again: Account = ledger.repository.get(account_id)
    reader.close()

    assert view is not None
    assert (view.name, again.name) == ("Acme", "Acme")


def test_an_event_and_its_rows_stand_or_fall_together(tmp_path: Path) -> None:
    """A conflict in a read model also keeps the event out of the log."""
    path = tmp_path / "ledger.sqlite"
    account_id = uuid4()

    def message(message_id: str) -> Message:
        return Message.register(account_id, 1, message_id, 5, "a@example.com", [], None, None, None, [], 1)

    with application(path) as ledger:
        ledger.save(message("one"))
        with pytest.raises(IntegrityError):
            ledger.save(message("two"))
        assert ledger.recorder.max_notification_id() == 1
