"""Hooks and fixtures for all kinds of tests."""

from __future__ import annotations

import gc
import signal
from collections.abc import Generator, Iterator
from pathlib import PurePosixPath
from typing import Any

import hypothesis
import pytest

from tests.parallel import FileScheduler, rank
from tests.paths import TESTS
from tests.postgres import PostgresServer, running_server

# A shell makes background commands ignore Ctrl-C, and the processes that tests start would inherit this.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Under load any example may take long, which is no failure.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Collects tests without garbage collection.

    Modules and tests stay until the end. To search them for garbage again and again took half of the time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts tests so that the longest start first."""
    ranks = {path: rank(PurePosixPath(path.relative_to(TESTS))) for path in {item.path for item in items}}
    items.sort(key=lambda item: ranks[item.path])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileScheduler:
    """Returns the scheduler for `-n`."""
    config.option.loadscopereorder = False
    return FileScheduler(config, log)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server with a ledger's database to copy, shared by tests that do not stop or change the server."""
    from tests.contract.postgres_store import make_template  # noqa: PLC0415 - psycopg is slow to import

    with running_server(fsync="off") as server:
        make_template(server)
        yield server
