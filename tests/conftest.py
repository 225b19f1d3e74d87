"""What tests of several kinds share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import PostgresServer, running_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server with a ledger's database to copy; for tests that leave the server itself alone."""
    from tests.contract.postgres_store import make_template  # noqa: PLC0415 - psycopg, for those alone that need it

    with running_server(fsync="off") as server:
        make_template(server)
        yield server
