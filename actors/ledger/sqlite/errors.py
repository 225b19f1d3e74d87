"""Translation of SQLite errors to domain errors."""

from __future__ import annotations

import sqlite3

from domain.errors import ConcurrentWrite, StoreError, StoreUnavailable


def is_store_failure(error: Exception) -> bool:
    """Whether the error concerns the whole store (locked, full, damaged) rather than one request."""
    return isinstance(error, sqlite3.OperationalError | sqlite3.InternalError) or type(error) is sqlite3.DatabaseError


def request_error(error: Exception) -> Exception | None:
    """The error to report for one failed request; None if the whole store failed."""
    return None if is_store_failure(error) else to_domain_error(error)


def to_domain_error(error: Exception) -> Exception:
    """The domain error for an SQLite error, which becomes its cause; any other error is returned unchanged."""
    if isinstance(error, sqlite3.IntegrityError):
        translated: Exception = ConcurrentWrite(f"another request wrote first ({error})")
    elif is_store_failure(error):
        translated = StoreUnavailable(f"the ledger cannot be read or written now ({error})")
    elif isinstance(error, sqlite3.Error):
        translated = StoreError(f"the ledger cannot store or look up this value ({error})")
    else:
        return error
    translated.__cause__ = error
    return translated
