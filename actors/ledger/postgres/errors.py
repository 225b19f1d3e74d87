"""Translation of PostgreSQL errors to domain errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from domain.errors import ConcurrentWrite, StoreError, StoreUnavailable

#: The server's last words to a session.
_ENDINGS: Final = (
    psycopg.errors.AdminShutdown,
    psycopg.errors.CrashShutdown,
    psycopg.errors.CannotConnectNow,
    psycopg.errors.DatabaseDropped,
    psycopg.errors.IdleSessionTimeout,
)


def is_store_failure(error: Exception) -> bool:
    """Whether the error concerns the whole store (unreachable, full, read-only, taken over) rather than one request.

    Only data errors and integrity errors belong to a single statement. Any other server error (SQLSTATE classes 08,
    25, 40, 42, 53, 54, 55, 57, 58, XX and so on) would hit the next statement too, or requires a new connection.
    """
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        return False
    if isinstance(error, psycopg.ProgrammingError):
        return error.sqlstate is not None  # without one, the driver could not convert a parameter
    return isinstance(error, psycopg.Error | StoreUnavailable)


def ends_session(error: Exception) -> bool:
    """Whether the connection has ended: the server or a pooler closed it, or it broke.

    The driver may see that the connection is closed only later than the server's message about it.
    """
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith("08") or isinstance(error, _ENDINGS)


def request_error(error: Exception) -> Exception | None:
    """The error to report for one failed request; None if the whole store failed."""
    return None if is_store_failure(error) else to_domain_error(error)


def to_domain_error(error: Exception) -> Exception:
    """The domain error for a PostgreSQL error, which becomes its cause; any other error is returned unchanged."""
    if isinstance(error, psycopg.errors.UniqueViolation):
        translated: Exception = ConcurrentWrite(f"another request wrote first ({_first_line(error)})")
    elif not isinstance(error, psycopg.Error):
        return error
    elif is_store_failure(error):
        translated = StoreUnavailable(f"the ledger cannot be read or written now ({_first_line(error)})")
    else:
        translated = StoreError(f"the ledger cannot store or look up this value ({_first_line(error)})")
    translated.__cause__ = error
    return translated


@contextmanager
def domain_errors() -> Iterator[None]:
    """Raises the domain errors for PostgreSQL errors of the block."""
    try:
        yield
    except psycopg.Error as exc:
        raise to_domain_error(exc) from exc


def _first_line(error: psycopg.Error) -> str:
    """The first line of the message. The lines after it may contain a row's values."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
