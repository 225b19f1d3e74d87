"""Vacuum of a PostgreSQL ledger: removes the former versions of rows.

The schema keeps the planner's statistics free of personal texts: of a table that becomes empty, they would stay.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg
from psycopg import Connection
from psycopg.errors import Diagnostic

from actors.ledger.postgres.connection import open_maintenance
from actors.ledger.postgres.errors import to_domain_error

#: Every table with rows that an erasure changes or deletes.
TABLES: Final = (
    *("stored_events", "messages", "first_hits", "deliveries", "attempts", "loop_health"),
    *("profiles", "subprofiles", "profile_addresses", "reports", "idempotency"),
    *("erasures", "erasure_keys", "erasure_front_ends"),
)
#: INDEX_CLEANUP: otherwise the server leaves entries of few dead rows in the indexes. TRUNCATE would lock the tables.
VACUUM: Final = f"VACUUM (ANALYZE, INDEX_CLEANUP ON, TRUNCATE FALSE) {', '.join(TABLES)}"
OUTSIDE: Final = (
    "The PostgreSQL server keeps former bytes in its files until it reuses the space or `compact` rewrites them.",
    "Its write-ahead log, replicas, archives and snapshots keep former bytes for as long as you have configured there.",
)
#: Seconds for which one call waits for older transactions, and for locks.
TRIES_S: Final = 5.0
_PAUSE_S: Final = 0.1
#: Whoever may still see row versions that were current at a transaction. A vacuum would keep these.
OLDER: Final = (
    "SELECT 'a transaction of ' || coalesce(nullif(application_name, ''), 'another program') FROM pg_stat_activity"
    " WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND age(backend_xmin) > age(%(now)s::xid)"
    " AND (datname = current_database() OR datname IS NULL)"
    " UNION ALL SELECT 'replication slot ' || slot_name FROM pg_replication_slots"
    " WHERE xmin IS NOT NULL AND age(xmin) > age(%(now)s::xid)"
    " UNION ALL SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts"
    " WHERE database = current_database() AND age(transaction) > age(%(now)s::xid)"
)


class PostgresByteClearing:
    """`ByteClearing` of a database."""

    outside: Sequence[str] = OUTSIDE

    def __init__(self, url: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._url = url
        self._sleep = sleep

    def clear(self) -> str | None:
        """See `ByteClearing.clear`."""
        try:
            with open_maintenance(self._url) as connection:
                if (holder := self._older_transaction(connection)) is not None:
                    return f"{holder} may still read erased rows"
                return _vacuum(connection)
        except psycopg.errors.LockNotAvailable:
            return "another session holds a lock on a table of the ledger"
        except psycopg.Error as exc:
            raise to_domain_error(exc) from exc

    def _older_transaction(self, connection: Connection[Any]) -> str | None:
        """Waits for transactions that are older than now; returns one that does not end."""
        [(now,)] = connection.execute("SELECT pg_current_xact_id()::xid::text").fetchall()
        ends_s = time.monotonic() + TRIES_S
        while found := connection.execute(OLDER, {"now": now}).fetchone():
            if time.monotonic() > ends_s:
                return str(found[0])
            self._sleep(_PAUSE_S)
        return None


def _vacuum(connection: Connection[Any]) -> str | None:
    """Vacuums the tables. Returns None, or a reason for which the server has left out one of them."""
    warnings: list[str] = []

    def note(diagnostic: Diagnostic) -> None:
        # Without the right to vacuum a table, the server only warns.
        if diagnostic.severity_nonlocalized == "WARNING":
            warnings.append(diagnostic.message_primary or "it left out a table")

    connection.add_notice_handler(note)
    connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{TRIES_S * 1000:.0f}ms",))
    connection.execute(VACUUM.encode())
    return f"the server says: {warnings[0]}" if warnings else None
