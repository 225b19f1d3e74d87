"""Which store the settings name: its writer, and a reader of it.

PostgreSQL's driver is loaded by those alone who have such a store.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from actors.ledger.reader import StoreReader
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.writer import SQLiteLedger
from actors.ledger.writer import Ledger
from actors.settings import Settings
from domain.errors import Conflict

#: In the data directory.
LEDGER_FILE: Final = "ledger.sqlite"
#: What it is called once its ledger is on PostgreSQL.
MOVED_FILE: Final = "ledger.moved.sqlite"


def writer(settings: Settings) -> Ledger:
    """The one writer of the store; making another ends the one before it, or is refused.

    Raises:
        StoreError, StoreUnavailable: SQLite's file cannot be used. PostgreSQL is waited for instead.
    """
    if settings.store is None:
        return SQLiteLedger(settings.data_dir / LEDGER_FILE)
    from actors.ledger.postgres.writer import PostgresLedger  # noqa: PLC0415

    return PostgresLedger(settings.store)


def reader(settings: Settings) -> StoreReader:
    """A reader, for one process. It connects when it is first asked for something."""
    if settings.store is None:
        return SQLiteLedgerReader(settings.data_dir / LEDGER_FILE)
    from actors.ledger.postgres.reader import PostgresLedgerReader  # noqa: PLC0415

    return PostgresLedgerReader(settings.store)


def refuse_moved(data_dir: Path) -> None:
    """Returns unless the data directory's ledger was moved elsewhere, where it goes on.

    Raises:
        Conflict: it was.
    """
    if (data_dir / MOVED_FILE).exists() and not (data_dir / LEDGER_FILE).exists():
        raise Conflict(
            f"the ledger of {data_dir} was moved to PostgreSQL: name it with --store (FEEDBACK_LOOPS_STORE). "
            f"To go back to the ledger as it was, and lose what came since, rename {MOVED_FILE} to {LEDGER_FILE}"
        )


def check(settings: Settings) -> None:
    """Returns when the setting can be understood, and fits the data directory; nothing is connected to.

    Raises:
        InvalidInput: it cannot be understood. What was given, which may hold a password, is not repeated.
        Conflict: the data directory's ledger was moved to PostgreSQL, and no store is named.
    """
    if settings.store is None:
        refuse_moved(settings.data_dir)
    else:
        from actors.ledger.postgres.connection import check_url  # noqa: PLC0415

        check_url(settings.store)
