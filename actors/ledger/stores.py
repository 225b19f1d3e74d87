"""Which store the settings name: its writer, and a reader of it.

PostgreSQL's driver is loaded by those alone who have such a store.
"""

from __future__ import annotations

from actors.ledger.reader import StoreReader
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.writer import SQLiteLedger
from actors.ledger.writer import Ledger
from actors.settings import Settings


def writer(settings: Settings) -> Ledger:
    """The one writer of the store; making another ends the one before it, or is refused.

    Raises:
        StoreError, StoreUnavailable: SQLite's file cannot be used. PostgreSQL is waited for instead.
    """
    if settings.store is None:
        return SQLiteLedger(settings.data_dir / "ledger.sqlite")
    from actors.ledger.postgres.writer import PostgresLedger  # noqa: PLC0415

    return PostgresLedger(settings.store)


def reader(settings: Settings) -> StoreReader:
    """A reader, for one process. It connects when it is first asked for something."""
    if settings.store is None:
        return SQLiteLedgerReader(settings.data_dir / "ledger.sqlite")
    from actors.ledger.postgres.reader import PostgresLedgerReader  # noqa: PLC0415

    return PostgresLedgerReader(settings.store)


def check(settings: Settings) -> None:
    """Returns when the setting can be understood; nothing is connected to.

    Raises:
        InvalidInput: it cannot. What was given, which may hold a password, is not repeated.
    """
    if settings.store is not None:
        from actors.ledger.postgres.connection import check_url  # noqa: PLC0415

        check_url(settings.store)
