"""Fixtures: real services, and handlers for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.handler import Handler
from tests.service import Account, Service, Sink


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A ready service; its processes are ended afterwards."""
    folder: Path = tmp_path_factory.mktemp("service")
    running = Service(folder / "data", FEEDBACK_LOOPS_RETRY_SCHEDULE="0.2,0.2,0.2")
    try:
        yield running.start()
    finally:
        running.end()


@pytest.fixture
def account(service: Service) -> Account:
    """A new account."""
    return service.account()


@pytest.fixture
def handler() -> Iterator[Handler]:
    """A new handler."""
    with Handler() as made:
        yield made


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Service]:
    """A service for one test, not started; its processes are ended afterwards."""
    made = Service(tmp_path / "data")
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A handler for many events, in a separate process."""
    made = Sink()
    try:
        yield made.start()
    finally:
        made.stop()
