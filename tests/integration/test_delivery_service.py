"""Delivery service: retries and replays, on a real SQLite ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from actors.application.deliveries import DeliveryService
from actors.commands.accounts import Account
from actors.commands.command import Command
from actors.commands.deliveries import CancelReplay, GetReplay, ListReplays, Replay, RetryDelivery, StartReplay
from actors.ledger.loop_projection import LoopRow
from domain.errors import InvalidInput, NotFound
from domain.values import id_number
from tests.application_context import application_context
from tests.contract.ledger_facts import NOW_MS, Store, Tenant, event, outcome
from tests.contract.sqlite_store import sqlite_stores


class FakeLoops:
    """Fake actors of the loops, which only write to the ledger."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked: list[tuple[str, Command[Any]]] = []

    async def call(self, loop_id: str, command: Command[Any]) -> Any:
        self.asked.append((loop_id, command))
        writer = self._store.writer
        if isinstance(command, RetryDelivery):
            return await writer.retry_delivery(id_number("dlv", command.delivery_id) or 0)
        if isinstance(command, CancelReplay):
            return Replay.of(await writer.cancel_replay(id_number("rpl", command.replay_id) or 0))
        assert isinstance(command, StartReplay)
        assert command.until_ms is not None
        row = self._store.reader.loop(loop_id)
        assert row is not None
        return Replay.of(await writer.start_replay(row.no, command.which, command.since_ms, command.until_ms))


class DeadDelivery:
    """A service, and a loop with one dead delivery."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.tenant: Tenant = store.account()
        self.loop: LoopRow = store.active_loop(self.tenant)
        self.stranger: Tenant = store.account()
        ((self.number,),) = store.record(event(self.tenant, loop_nos=[self.loop.no])).delivery_ids
        store.outcomes(outcome(self.number, state=2, status=500))
        store.clock.ms += 60_000
        self.loops = FakeLoops(store)
        self.service = DeliveryService(application_context(store), cast(Any, self.loops))

    def start(self, **more: Any) -> Replay:
        command = StartReplay(account=self.tenant.view, loop_id=self.loop.id, **{"since_ms": NOW_MS - 1000} | more)
        return asyncio.run(self.service.start_replay(command))

    def get(self, account: Account, replay_id: str) -> Replay:
        command = GetReplay(account=account, loop_id=self.loop.id, replay_id=replay_id)
        return asyncio.run(self.service.get_replay(command))


@pytest.fixture
def deliveries(tmp_path: Path) -> Iterator[DeadDelivery]:
    with sqlite_stores(tmp_path) as store:
        yield DeadDelivery(store)


def test_a_retry_is_sent_to_the_delivery_s_loop(deliveries: DeadDelivery) -> None:
    """A retry is sent to the delivery's loop, and returns the pending delivery with its earlier attempts."""
    command = RetryDelivery(account=deliveries.tenant.view, delivery_id=f"dlv_{deliveries.number}")
    retried = asyncio.run(deliveries.service.retry_delivery(command))

    assert deliveries.loops.asked == [(deliveries.loop.id, command)]
    assert (retried.state, len(retried.attempts)) == ("pending", 1)


@pytest.mark.parametrize(
    "id_", ["dlv_0", "dlv_01", "dlv_-1", "dlv_x", "dlv_", "1", "dlv_9" + "9" * 18, "rpl_1", "dlv_1\n"]
)
def test_other_ids_are_not_found(deliveries: DeadDelivery, id_: str) -> None:
    """An id that is not a delivery of the account is not found, and no loop gets a command."""
    for account, delivery_id in ((deliveries.tenant, id_), (deliveries.stranger, f"dlv_{deliveries.number}")):
        with pytest.raises(NotFound):
            asyncio.run(deliveries.service.retry_delivery(RetryDelivery(account=account.view, delivery_id=delivery_id)))
    assert deliveries.loops.asked == []


def test_a_replay_is_started_found_and_cancelled(deliveries: DeadDelivery) -> None:
    """A replay without an end lasts until now, and is only found with its loop."""
    started = deliveries.start()
    assert (started.state, started.until_ms, started.count) == ("running", NOW_MS + 60_000, 1)
    assert deliveries.get(deliveries.tenant.view, started.id) == started
    for account, replay_id in (
        (deliveries.stranger, started.id),
        (deliveries.tenant, "rpl_77"),
        (deliveries.tenant, "1"),
    ):
        with pytest.raises(NotFound):
            deliveries.get(account.view, replay_id)

    command = CancelReplay(account=deliveries.tenant.view, loop_id=deliveries.loop.id, replay_id=started.id)
    assert asyncio.run(deliveries.service.cancel_replay(command)).state == "cancelled"
    listing = ListReplays(account=deliveries.tenant.view, loop_id=deliveries.loop.id)
    assert [r.state for r in asyncio.run(deliveries.service.list_replays(listing)).data] == ["cancelled"]


def test_a_replay_of_all_time(deliveries: DeadDelivery) -> None:
    """Times outside the range of event times are clamped to it."""
    started = deliveries.start(since_ms=-(2**60), until_ms=2**60)

    assert (started.since_ms, started.until_ms, started.count) == (0, 2**48 - 1, 1)


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"which": "pending"}, "/state"),
        ({"since_ms": NOW_MS + 60_000}, "/since"),
        ({"until_ms": NOW_MS - 1000}, "/since"),
    ],
)
def test_a_replay_of_nothing_is_refused(deliveries: DeadDelivery, more: dict[str, Any], pointer: str) -> None:
    """A replay of an empty range is refused with the field's name, and the loop gets no command."""
    with pytest.raises(InvalidInput) as caught:
        deliveries.start(**more)

    assert [p for p, _ in caught.value.problems] == [pointer]
    assert deliveries.loops.asked == []
