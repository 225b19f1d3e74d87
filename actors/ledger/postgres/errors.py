"""What PostgreSQL's errors are to those who asked for something."""

from __future__ import annotations

import psycopg

from domain.errors import ConcurrentWrite, StoreError, StoreUnavailable


def is_store_failure(error: Exception) -> bool:
    """Whether the error is of the store as a whole (away, full, read-only, overtaken) and not of one request to it.

    Of the errors of a statement only those of its data and of uniqueness are its own: whatever else the server
    says (SQLSTATE classes 08, 25, 40, 42, 53, 54, 55, 57, 58, XX and so on) will be said to the next one too, or
    needs a new connection.
    """
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        return False
    if isinstance(error, psycopg.ProgrammingError):
        return error.sqlstate is not None  # else the driver could not make a parameter of a value
    return isinstance(error, psycopg.Error | StoreUnavailable)


def own_refusal(error: Exception) -> Exception | None:
    """What the caller of a request that failed of its own is told; None for an error of the store as a whole."""
    return None if is_store_failure(error) else refusal(error)


def refusal(error: Exception) -> Exception:
    """What the caller of a request that the store took nothing of is told; errors of others stay what they are."""
    if isinstance(error, psycopg.errors.UniqueViolation):
        told: Exception = ConcurrentWrite(f"somebody wrote first ({_words(error)})")
    elif not isinstance(error, psycopg.Error):
        return error
    elif is_store_failure(error):
        told = StoreUnavailable(f"the ledger cannot be read or written now ({_words(error)})")
    else:
        told = StoreError(f"the ledger cannot take this ({_words(error)})")
    told.__cause__ = error
    return told


def _words(error: psycopg.Error) -> str:
    """The first line; what follows may hold a row's values."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
