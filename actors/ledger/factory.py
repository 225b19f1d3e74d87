"""Factory of the store that the settings name: its writer and its readers.

PostgreSQL's driver is only imported for a PostgreSQL store.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from actors.ledger.compaction import Compaction
from actors.ledger.erasure.steps.bytes import ByteClearing
from actors.ledger.key_ring_store import KeyRingStore, SQLiteKeyRingStore
from actors.ledger.reader import LedgerReader
from actors.ledger.retention.clearing import RetentionClearing
from actors.ledger.sqlite.checkpoint import SQLiteByteClearing
from actors.ledger.sqlite.compaction import SQLiteCompaction
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.writer import SQLiteLedgerWriter
from actors.ledger.writer import StoreWriter
from actors.ports import Clock
from actors.settings import Settings
from actors.settings.data_dir import write_private
from domain.errors import Conflict

#: The SQLite ledger, in the data directory.
LEDGER_FILE: Final = "ledger.sqlite"
#: The name of that file once its ledger was moved to PostgreSQL.
MOVED_FILE: Final = "ledger.moved.sqlite"
#: Marks a data directory whose ledger has always been on PostgreSQL.
ELSEWHERE_FILE: Final = "ledger.elsewhere"
ELSEWHERE: Final = """\
The ledger of this data directory is on PostgreSQL: start it with --store (FEEDBACK_LOOPS_STORE).
To start with an empty ledger on SQLite instead, and lose what is in the journal, remove this file.
"""


def make_writer(settings: Settings) -> StoreWriter:
    """The writer of the store. On PostgreSQL it takes over from an earlier writer.

    The store may be unavailable: calls of the writer then raise `StoreUnavailable` until it is back.
    """
    if settings.store is None:
        return SQLiteLedgerWriter(settings.data_dir / LEDGER_FILE, check=settings.watch().require_readable)
    from actors.ledger.postgres.writer import PostgresLedgerWriter  # noqa: PLC0415

    return PostgresLedgerWriter(settings.store)


def make_reader(settings: Settings) -> LedgerReader:
    """A reader for one process. It connects on first use."""
    if settings.store is None:
        return SQLiteLedgerReader(settings.data_dir / LEDGER_FILE, check=settings.watch().require_readable)
    from actors.ledger.postgres.reader import PostgresLedgerReader  # noqa: PLC0415

    return PostgresLedgerReader(settings.store)


def make_byte_clearing(settings: Settings) -> ByteClearing:
    """Clears the store's files of former bytes."""
    if settings.store is None:
        return SQLiteByteClearing(settings.data_dir / LEDGER_FILE, settings.watch().require_readable)
    from actors.ledger.postgres.vacuum import PostgresByteClearing  # noqa: PLC0415

    return PostgresByteClearing(settings.store)


def make_retention_clearing(settings: Settings, clock: Clock) -> RetentionClearing | None:
    """Clears the store's files of what deleted rows leave. PostgreSQL does what it can on its own, by autovacuum."""
    if settings.store is not None:
        return None
    path, check = settings.data_dir / LEDGER_FILE, settings.watch().require_readable
    return RetentionClearing(lambda rest: SQLiteByteClearing(path, check, rest=rest), clock)


def make_key_ring_store(settings: Settings) -> KeyRingStore:
    """The key ring in the store."""
    if settings.store is None:
        return SQLiteKeyRingStore(settings.data_dir / LEDGER_FILE, settings.watch().require_readable)
    from actors.ledger.postgres.key_ring_store import PostgresKeyRingStore  # noqa: PLC0415

    return PostgresKeyRingStore(settings.store)


def make_compaction(settings: Settings) -> Compaction:
    """The compaction of the store."""
    if settings.store is None:
        return SQLiteCompaction(settings.data_dir / LEDGER_FILE)
    from actors.ledger.postgres.compaction import PostgresCompaction  # noqa: PLC0415

    return PostgresCompaction(settings.store)


def refuse_moved_ledger(data_dir: Path) -> None:
    """Refuses to use SQLite in a data directory whose ledger is on PostgreSQL.

    Raises:
        Conflict: the ledger was moved to PostgreSQL, or has always been there. Starting without --store would create an
            empty ledger, which knows none of the messages that hits refer to.
    """
    if (data_dir / LEDGER_FILE).exists():
        return
    if (data_dir / ELSEWHERE_FILE).exists():
        raise Conflict(
            f"the ledger of {data_dir} is on PostgreSQL: name it with --store (FEEDBACK_LOOPS_STORE). "
            f"To start with an empty ledger on SQLite instead, remove {ELSEWHERE_FILE}"
        )
    if (data_dir / MOVED_FILE).exists():
        raise Conflict(
            f"the ledger of {data_dir} was moved to PostgreSQL: name it with --store (FEEDBACK_LOOPS_STORE). "
            f"To go back to the old ledger, and lose everything recorded since, rename {MOVED_FILE} to {LEDGER_FILE}"
        )


def refuse_unmoved_ledger(data_dir: Path) -> None:
    """Refuses to use PostgreSQL with a data directory that has an SQLite ledger.

    Raises:
        Conflict: the data directory has an SQLite ledger. Starting on PostgreSQL would leave its rows behind, and hits
            would refer to messages that the store does not know.
    """
    if (data_dir / LEDGER_FILE).exists():
        raise Conflict(
            f"{data_dir} has an SQLite ledger, {LEDGER_FILE}: move it to the store with `feedback-loops migrate`, "
            "or name another directory with --data-dir. "
            f"To leave it behind, together with the hits in the journal that refer to it, rename {LEDGER_FILE}"
        )


def note_store_elsewhere(settings: Settings) -> None:
    """Marks the data directory, which this process has locked, if the settings name a PostgreSQL store."""
    path = settings.data_dir / ELSEWHERE_FILE
    if settings.store is not None and not path.exists():
        write_private(path, ELSEWHERE)


def check_store_setting(settings: Settings) -> None:
    """Checks that the store setting is valid and fits the data directory, without connecting.

    Raises:
        InvalidInput: the setting is not a valid URL. The error does not repeat it, since it may contain a password.
        Conflict: the data directory's ledger is on PostgreSQL but no store is named, or the other way round.
    """
    if settings.store is None:
        refuse_moved_ledger(settings.data_dir)
    else:
        from actors.ledger.postgres.connection import check_url  # noqa: PLC0415

        check_url(settings.store)
        refuse_unmoved_ledger(settings.data_dir)
