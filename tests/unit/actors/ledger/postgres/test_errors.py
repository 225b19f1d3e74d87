"""Translation of PostgreSQL errors."""

from __future__ import annotations

import psycopg

from actors.ledger.postgres.errors import is_store_failure, to_domain_error
from domain.errors import ConcurrentWrite, StoreError, StoreUnavailable


def test_every_driver_error_is_translated() -> None:
    """Every PostgreSQL error is reported as an error of the store, except those that a request itself causes."""
    own = {psycopg.DataError, psycopg.IntegrityError}
    kinds = [k for k in vars(psycopg.errors).values() if isinstance(k, type) and issubclass(k, psycopg.Error)]
    assert len(kinds) > 200
    for kind in kinds:
        translated = to_domain_error(kind("x"))
        assert isinstance(translated, StoreError), kind
        is_own = any(issubclass(kind, base) for base in own) or (
            issubclass(kind, psycopg.ProgrammingError) and kind.sqlstate is None
        )
        assert is_own != isinstance(translated, StoreUnavailable), kind
        assert is_own != is_store_failure(kind("x")), kind
    assert isinstance(to_domain_error(psycopg.errors.UniqueViolation("x")), ConcurrentWrite)
    assert isinstance(to_domain_error(psycopg.errors.DiskFull("x")), StoreUnavailable)
    assert isinstance(to_domain_error(psycopg.errors.ReadOnlySqlTransaction("x")), StoreUnavailable)
