"""Connections to the ledger's PostgreSQL database: one for the writer, others for readers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from actors.ledger.postgres.binary_arrays import adapt, adapt_for_look_ups
from actors.ledger.postgres.dialect import LedgerCursor
from actors.ledger.store_connection import closed_on_error
from domain.errors import InvalidInput, StoreUnavailable

#: Where the URL comes from, for error texts.
SETTING: Final = "--store (FEEDBACK_LOOPS_STORE)"
#: Seconds to connect to each host of the URL, unless the URL sets another limit.
CONNECT_TIMEOUT_S: Final = 5
#: Seconds after which the server cancels a statement of the writer, including the time it waits for locks.
WRITER_STATEMENT_S: Final = 30
READER_STATEMENT_S: Final = 15
#: Seconds after which the server ends an idle transaction. A writer that lost its connection during one delays the next
#: writer by this long.
IDLE_IN_TRANSACTION_S: Final = 10
#: Seconds after the server's own limit at which the client aborts a connection that does not answer at all.
SILENCE_S: Final = 5

#: libpq parameters, in seconds and milliseconds: a peer that vanishes silently is noticed within half a minute.
_LIVELINESS: Final[Mapping[str, Any]] = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "connect_timeout": CONNECT_TIMEOUT_S,
    # Of several hosts, use the one that accepts writes. Readers use it too, so they see what was just written.
    "target_session_attrs": "read-write",
    "client_encoding": "UTF8",
}
#: Settings of every session, whatever the server's defaults are.
_SESSION: Final[Mapping[str, str]] = {
    "default_transaction_isolation": "read committed",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    # Every statement is a look-up by index, or a list of them. The planner guesses as long as a table has not been
    # analysed or a parameter is unknown; it must never choose to read whole tables.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}

log = logging.getLogger(__name__)


def check_url(url: str) -> None:
    """Checks that psycopg can parse the URL, and that it names a database.

    Raises:
        InvalidInput: the URL is invalid. The error does not repeat it, since it may contain a password.
    """
    try:
        given = conninfo_to_dict(url)
    except (psycopg.ProgrammingError, ValueError):
        given = {}
    if not given.get("dbname"):
        problem = "must be a URL like postgresql://user:password@host/database; write @, : and / in a password as %XX"
        raise InvalidInput(f"{SETTING} {problem}", [("--store", problem)])


def open_writer(url: str) -> Connection[tuple[Any, ...]]:
    """A connection with durable commits. The caller begins and ends transactions.

    Raises:
        StoreUnavailable: the server cannot be reached, refuses the connection, or accepts no writes.
    """
    settings = {
        "statement_timeout": f"{WRITER_STATEMENT_S}s",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S}s",
    }
    connection = _open(url, "feedback-loops ledger", settings)
    with closed_on_error(connection):
        _insist_on_durability(connection)
    return connection


def open_reader(url: str) -> Connection[tuple[Any, ...]]:
    """A read-only connection. Any thread may use it, one at a time.

    Raises:
        StoreUnavailable: the server cannot be reached or refuses the connection.
    """
    settings = {"statement_timeout": f"{READER_STATEMENT_S}s", "default_transaction_read_only": "on"}
    connection = _open(url, "feedback-loops reader", settings)
    adapt_for_look_ups(connection)
    return connection


def open_importer(url: str) -> Connection[tuple[Any, ...]]:
    """A plain psycopg connection without time limits, for importing a ledger.

    Raises:
        StoreUnavailable: the server cannot be reached, refuses the connection, or accepts no writes.
    """
    connection: Connection[tuple[Any, ...]] = _connect(url, "feedback-loops migrate")
    connection.execute("SET enable_seqscan = off")  # read tables in key order
    return connection


def open_maintenance(url: str) -> Connection[tuple[Any, ...]]:
    """A plain psycopg connection without time limits, for rewriting tables.

    Raises:
        StoreUnavailable: the server cannot be reached, refuses the connection, or accepts no writes.
    """
    connection: Connection[tuple[Any, ...]] = _connect(url, "feedback-loops compact")
    connection.execute("SET statement_timeout = 0")
    return connection


def _open(url: str, name: str, settings: Mapping[str, str]) -> Connection[tuple[Any, ...]]:
    connection = _connect(url, name, cursor_factory=LedgerCursor, prepare_threshold=None)
    with closed_on_error(connection):
        adapt(connection)
        _configure(connection, {**_SESSION, **settings})
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
    """The message of libpq on one line. It names host, user and database, but never the password."""
    return "; ".join(line.strip() for line in str(exc).splitlines() if line.strip())


def _configure(connection: Connection[Any], settings: Mapping[str, str]) -> None:
    pairs = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    connection.cursor().execute(f"SELECT {pairs}", prepare=False)


def _insist_on_durability(connection: Connection[Any]) -> None:
    """Turns `synchronous_commit` on unless the server sets it to a level that waits for the disk."""
    found = connection.execute(
        "SELECT current_setting('synchronous_commit'), current_setting('fsync')", prepare=False
    ).fetchone()
    if found is not None and found[0] == "off":
        connection.execute("SET synchronous_commit = on", prepare=False)
    if found is not None and found[1] == "off":
        log.warning(
            "the store does not sync its disk (fsync = off): a power cut loses answered requests",
            extra={"action": "store_unsafe"},
        )
