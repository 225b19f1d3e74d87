"""Which store the settings name: its writer, and a reader of it.

PostgreSQL's driver is loaded by those alone who have such a store.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from actors.ledger.reader import StoreReader
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.writer import SQLiteLedgerWriter
from actors.ledger.writer import StoreWriter
from actors.settings import Settings
from actors.settings.data_dir import write_private
from domain.errors import Conflict

#: In the data directory.
LEDGER_FILE: Final = "ledger.sqlite"
#: What it is called once its ledger is on PostgreSQL.
MOVED_FILE: Final = "ledger.moved.sqlite"
#: What says that a data directory never had a ledger in it.
ELSEWHERE_FILE: Final = "ledger.elsewhere"
ELSEWHERE: Final = """\
The ledger of this data directory is on PostgreSQL: start it with --store (FEEDBACK_LOOPS_STORE).
To begin with an empty one on SQLite all the same, and lose what is in the journal, remove this file.
"""


def make_writer(settings: Settings) -> StoreWriter:
    """The one writer of the store; making another ends the one before it, or is refused.

    Raises:
        StoreError, StoreUnavailable: SQLite's file cannot be used. PostgreSQL is waited for instead.
    """
    if settings.store is None:
        return SQLiteLedgerWriter(settings.data_dir / LEDGER_FILE)
    from actors.ledger.postgres.writer import PostgresLedgerWriter  # noqa: PLC0415

    return PostgresLedgerWriter(settings.store)


def make_reader(settings: Settings) -> StoreReader:
    """A reader, for one process. It connects when it is first asked for something."""
    if settings.store is None:
        return SQLiteLedgerReader(settings.data_dir / LEDGER_FILE)
    from actors.ledger.postgres.reader import PostgresLedgerReader  # noqa: PLC0415

    return PostgresLedgerReader(settings.store)


def refuse_moved_ledger(data_dir: Path) -> None:
    """Returns unless the data directory's ledger is elsewhere: it was moved there, or has always been.

    Raises:
        Conflict: it is. A start without the store would begin an empty one, in which no hit's message is known.
    """
    if (data_dir / LEDGER_FILE).exists():
        return
    if (data_dir / ELSEWHERE_FILE).exists():
        raise Conflict(
            f"the ledger of {data_dir} is on PostgreSQL: name it with --store (FEEDBACK_LOOPS_STORE). "
            f"To begin with an empty one on SQLite all the same, remove {ELSEWHERE_FILE}"
        )
    if (data_dir / MOVED_FILE).exists():
        raise Conflict(
            f"the ledger of {data_dir} was moved to PostgreSQL: name it with --store (FEEDBACK_LOOPS_STORE). "
            f"To go back to the ledger as it was, and lose what came since, rename {MOVED_FILE} to {LEDGER_FILE}"
        )


def refuse_unmoved_ledger(data_dir: Path) -> None:
    """Returns unless the data directory has a ledger of its own, on SQLite.

    Raises:
        Conflict: it has. A start on the store would leave behind all that is in it, and hits of its messages would
            be of messages that the store does not know.
    """
    if (data_dir / LEDGER_FILE).exists():
        raise Conflict(
            f"{data_dir} has a ledger of its own, {LEDGER_FILE}: move it to the store with `feedback-loops migrate`, "
            "or name another directory with --data-dir. "
            f"To leave it behind, with what waits in the journal for its messages, rename {LEDGER_FILE}"
        )


def note_store_elsewhere(settings: Settings) -> None:
    """Keeps in the data directory that its ledger is elsewhere, if it is. For a directory that this process holds."""
    path = settings.data_dir / ELSEWHERE_FILE
    if settings.store is not None and not path.exists():
        write_private(path, ELSEWHERE)


def check_store_setting(settings: Settings) -> None:
    """Returns when the setting can be understood, and fits the data directory; nothing is connected to.

    Raises:
        InvalidInput: it cannot be understood. What was given, which may hold a password, is not repeated.
        Conflict: the data directory's ledger is on PostgreSQL, and no store is named; or it is not, and one is.
    """
    if settings.store is None:
        refuse_moved_ledger(settings.data_dir)
    else:
        from actors.ledger.postgres.connection import check_url  # noqa: PLC0415

        check_url(settings.store)
        refuse_unmoved_ledger(settings.data_dir)
