"""What tests of several kinds share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.postgres import PostgresServer, running_server

# A shell has what it starts in the background ignore Ctrl-C, and so would all that tests start, and press it for.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server with a ledger's database to copy; for tests that leave the server itself alone."""
    from tests.contract.postgres_store import make_template  # noqa: PLC0415 - psycopg, for those alone that need it

    with running_server(fsync="off") as server:
        make_template(server)
        yield server
