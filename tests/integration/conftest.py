"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.postgres_store import TEMPLATE, make_template
from tests.postgres import PostgresServer, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that tests may stop, kill and reconfigure, as long as they restore it."""
    with running_server() as made:
        make_template(made)
        yield made


@pytest.fixture
def url(server: PostgresServer) -> str:
    return server.new_database(TEMPLATE)
