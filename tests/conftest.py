"""What tests of several kinds share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import hypothesis
import pytest

from tests.parallel import FileScheduler, rank
from tests.paths import TESTS
from tests.postgres import PostgresServer, running_server

# A shell has what it starts in the background ignore Ctrl-C, and so would all that tests start, and press it for.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Under load any example may take long, and no test is about that.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts what takes long before what does not."""
    items.sort(key=lambda item: rank(PurePosixPath(item.path.relative_to(TESTS))))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileScheduler:
    """Says what each process takes, with `-n`."""
    config.option.loadscopereorder = False
    return FileScheduler(config, log)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server with a ledger's database to copy; for tests that leave the server itself alone."""
    from tests.contract.postgres_store import make_template  # noqa: PLC0415 - psycopg, for those alone that need it

    with running_server(fsync="off") as server:
        make_template(server)
        yield server
