"""Fixtures for pages whose readers already have a running service."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.docs.terminal import Reader
from tests.e2e.test_main_job import BROWSER, path_of, register, verified_loop
from tests.handler import Handler
from tests.service import Account, Service, eventually


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A ready service. All its processes are ended afterwards."""
    running = Service(tmp_path_factory.mktemp("service") / "data", FEEDBACK_LOOPS_RETRY_SCHEDULE="0.2,0.2,0.2")
    try:
        yield running.start()
    finally:
        running.end()


@pytest.fixture
def handler() -> Iterator[Handler]:
    """The handler for pages whose reader already has one."""
    with Handler() as made:
        yield made


def equip(reader: Reader, what: str, service: Service, handler: Handler) -> None:
    """Sets up what a page assumes that its reader has."""
    account = service.account()
    reader.use(8080, service.port)
    reader.set(
        PATH=f"{reader.folder}/.venv/bin:{os.environ['PATH']}",
        FEEDBACK_LOOPS_URL=f"http://127.0.0.1:{service.port}",
        FEEDBACK_LOOPS_API_KEY=account.key,
        FEEDBACK_LOOPS_ADMIN_KEY=service.environment["FEEDBACK_LOOPS_ADMIN_KEY"],
    )
    if what == "an account":
        return
    loop = verified_loop(account, handler, triggers=["open", "click"])
    reader.use(9000, int(handler.base.rpartition(":")[2]))
    reader.set(LOOP=loop["id"])
    if what == "a dead delivery":
        _make_one_dead(account, loop["id"], handler)
    else:
        assert what == "a verified loop", f"unknown setup: {what}"


def _make_one_dead(account: Account, loop_id: str, handler: Handler) -> None:
    handler.status = 503
    account.service.http.get(path_of(register(account)["open_url"]), headers=BROWSER)
    deliveries = f"/v1/feedback-loops/{loop_id}/deliveries"
    eventually(
        lambda: account.call("GET", deliveries, params={"state": "dead"}).json()["data"], 20, "a delivery is dead"
    )
    handler.status = 200
