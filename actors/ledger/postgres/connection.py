"""How connections to the ledger's PostgreSQL are made, for the one writer and for readers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from actors.ledger.postgres.binary_arrays import adapt, adapt_for_look_ups
from actors.ledger.postgres.dialect import LedgerCursor
from domain.errors import InvalidInput, StoreUnavailable

#: Where the URL came from, for whoever has to mend it.
SETTING: Final = "--store (FEEDBACK_LOOPS_STORE)"
#: Seconds for each host of the URL, unless it says otherwise.
CONNECT_TIMEOUT_S: Final = 5
#: Seconds that one statement of the writer may take, locks that it waits for included; then the server breaks it off.
WRITER_STATEMENT_S: Final = 30
READER_STATEMENT_S: Final = 15
#: Seconds that the server waits for the rest of a transaction. A writer that was cut off in the midst of one holds the
#: next writer up for so long.
IDLE_IN_TRANSACTION_S: Final = 10
#: Beyond the server's own time limit, when it does not answer at all: the connection is broken off from here.
SILENCE_S: Final = 5

#: libpq's, in seconds and milliseconds: a peer that is gone without a word is noticed within half a minute.
_LIVELINESS: Final[Mapping[str, Any]] = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "connect_timeout": CONNECT_TIMEOUT_S,
    # The one that takes writes, of several hosts; and what was just written is read back.
    "target_session_attrs": "read-write",
    "client_encoding": "UTF8",
}
#: What every session is told, whatever the server's own defaults are.
_SESSION: Final[Mapping[str, str]] = {
    "default_transaction_isolation": "read committed",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    # Every statement is a look-up by index, or a list of them. The planner, who has to guess before a table was
    # analysed and for parameters that it does not know, must not choose to read tables whole.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}

log = logging.getLogger(__name__)


def check_url(url: str) -> None:
    """Returns when psycopg can make sense of the URL.

    Raises:
        InvalidInput: it cannot. The URL, which may hold a password, is not repeated.
    """
    try:
        given = conninfo_to_dict(url)
    except (psycopg.ProgrammingError, ValueError):
        given = {}
    if not given.get("dbname"):
        problem = "must be a URL like postgresql://user:password@host/database; write @, : and / in a password as %XX"
        raise InvalidInput(f"{SETTING} {problem}", [("--store", problem)])


def open_writer(url: str) -> Connection[tuple[Any, ...]]:
    """A connection whose commits are durable. The caller begins and ends transactions.

    Raises:
        StoreUnavailable: there is no server, it refuses, or it takes no writes.
    """
    settings = {
        "statement_timeout": f"{WRITER_STATEMENT_S}s",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S}s",
    }
    connection = _open(url, "feedback-loops ledger", settings)
    try:
        _insist_on_durability(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(url: str) -> Connection[tuple[Any, ...]]:
    """A connection that cannot write; any thread may use it, one at a time.

    Raises:
        StoreUnavailable: there is no server, or it refuses.
    """
    settings = {"statement_timeout": f"{READER_STATEMENT_S}s", "default_transaction_read_only": "on"}
    connection = _open(url, "feedback-loops reader", settings)
    adapt_for_look_ups(connection)
    return connection


def open_importer(url: str) -> Connection[tuple[Any, ...]]:
    """A connection as psycopg makes it, that nothing hurries, to move a ledger by.

    Raises:
        StoreUnavailable: there is no server, it refuses, or it takes no writes.
    """
    connection: Connection[tuple[Any, ...]] = _connect(url, "feedback-loops migrate")
    connection.execute("SET enable_seqscan = off")  # tables are read along their keys
    return connection


def _open(url: str, name: str, settings: Mapping[str, str]) -> Connection[tuple[Any, ...]]:
    connection = _connect(url, name, cursor_factory=LedgerCursor, prepare_threshold=None)
    try:
        adapt(connection)
        _configure(connection, {**_SESSION, **settings})
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(url: str, name: str, **how: Any) -> Connection[tuple[Any, ...]]:
    given = conninfo_to_dict(url)
    wanted = {**_LIVELINESS, "application_name": name, **{n: v for n, v in given.items() if v is not None}}
    try:
        made: Connection[tuple[Any, ...]] = Connection.connect(make_conninfo("", **wanted), autocommit=True, **how)
    except psycopg.Error as exc:
        raise StoreUnavailable(f"cannot connect to the store, see {SETTING}: {_reason(exc)}") from exc
    return made


def _reason(exc: psycopg.Error) -> str:
    """What libpq says, on one line. It names host, user and database, and never the password."""
    return "; ".join(line.strip() for line in str(exc).splitlines() if line.strip())


def _configure(connection: Connection[Any], settings: Mapping[str, str]) -> None:
    pairs = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    connection.cursor().execute(f"SELECT {pairs}", prepare=False)


def _insist_on_durability(connection: Connection[Any]) -> None:
    """`synchronous_commit` is left as it is when it waits for the disk at least, and made to where it does not."""
    found = connection.execute(
        "SELECT current_setting('synchronous_commit'), current_setting('fsync')", prepare=False
    ).fetchone()
    if found is not None and found[0] == "off":
        connection.execute("SET synchronous_commit = on", prepare=False)
    if found is not None and found[1] == "off":
        log.warning(
            "the store does not sync its disk: a power cut there loses what was answered (fsync = off)",
            extra={"action": "store_unsafe"},
        )
