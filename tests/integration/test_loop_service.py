"""Loop service: creation of feedback loops, on a real SQLite ledger."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from actors.application.service import ApplicationService
from actors.commands.accounts import Account
from actors.commands.deliveries import DeliveryView, GetDelivery, ListDeliveries, ListEventDeliveries
from actors.commands.loops import CreateLoop, GetLoop, ListLoops, Loop
from actors.ledger.loop_projection import LoopRow
from domain.delivery import LaneHealth
from domain.errors import Conflict
from domain.loop_settings import LoopSettings
from tests.application_context import application_context
from tests.contract.ledger_facts import NOW_MS, Store, event, failed
from tests.contract.sqlite_store import sqlite_stores


class FakeActors:
    """Fake resolver and loop actors: every address is allowed, and every loop starts."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    async def check_url(self, url: str) -> None:
        pass

    async def begin(self, loop_id: str) -> None:
        self.begun.append(loop_id)


def service(store: Store, actors: FakeActors) -> ApplicationService:
    loops = none = cast(Any, actors)
    context = application_context(store)
    return ApplicationService(
        context, none, loops, actors, passwords=none, problems=none, metrics=none, installation_keys=none
    )


def test_concurrent_repeated_requests_create_one_loop(tmp_path: Path) -> None:
    """Concurrent requests with the same seed get the same loop; requests without a seed each create one."""
    with sqlite_stores(tmp_path) as store:
        made = service(store, FakeActors())
        account = store.account().view

        def command(seed: str | None) -> CreateLoop:
            return CreateLoop(
                account=account, url="https://x.example/", settings=LoopSettings(triggers=("open",)), seed=seed
            )

        async def make(*seeds: str | None) -> list[Loop]:
            return list(await asyncio.gather(*(made.handle(command(seed)) for seed in seeds)))

        once = asyncio.run(make("a", "a", "a"))
        others = asyncio.run(make(None, None, "b"))

        assert len({loop.id for loop in once}) == 1
        assert len({loop.secret for loop in once}) == 1
        assert len({loop.id for loop in [*once, *others]}) == 4
        assert len(store.reader.list_loops(account.no, 10, None).data) == 4


def test_a_repeated_request_does_not_recreate_a_deleted_loop(tmp_path: Path) -> None:
    """A repeated request for a deleted loop gets an error with the reason."""
    with sqlite_stores(tmp_path) as store:
        actors = FakeActors()
        made = service(store, actors)
        account = store.account().view
        command = CreateLoop(
            account=account, url="https://x.example/", settings=LoopSettings(triggers=("open",)), seed="a"
        )
        loop = asyncio.run(made.handle(command))
        assert actors.begun == [loop.id]
        store.change(loop.id, lambda found: found.delete(store.clock.now_ms()))

        with pytest.raises(Conflict, match="deleted"):
            asyncio.run(made.handle(command))


def show(store: Store, made: ApplicationService, loop: LoopRow, account: Account) -> Loop:
    """The loop as it is shown, which is the same in the list."""
    shown: Loop = asyncio.run(made.handle(GetLoop(account=account, loop_id=loop.id)))
    assert asyncio.run(made.handle(ListLoops(account=account))).data == [shown]
    return shown


def test_a_failing_loop_says_why_and_what_is_next(tmp_path: Path) -> None:
    """It shows the last error, what waits, and the next attempt, which is never in the past or in an idle loop."""
    with sqlite_stores(tmp_path) as store:
        made, tenant = service(store, FakeActors()), store.account()
        account, loop = tenant.view, store.active_loop(tenant)
        healthy = show(store, made, loop, account).health
        assert (healthy.last_error, healthy.waiting, healthy.next_attempt_ms) == ("", 0, None)

        (first,), (second,) = store.record(*(event(tenant, loop_nos=[loop.no]) for _ in range(2))).delivery_ids
        store.outcomes(
            failed(first, 1, NOW_MS + 5000),
            failed(second, 1, NOW_MS + 7000),
            health=(loop.no, LaneHealth("closed", NOW_MS, None, NOW_MS, 2, None, 0, "503 Service Unavailable")),
        )
        failing = show(store, made, loop, account).health
        assert (failing.last_error, failing.failures, failing.waiting) == ("503 Service Unavailable", 2, 2)
        assert failing.next_attempt_ms == NOW_MS + 5000

        store.clock.ms = NOW_MS + 6000
        assert show(store, made, loop, account).health.next_attempt_ms == NOW_MS + 6000
        planned = [planned_ms(made, account, number) for number in (first, second)]
        assert planned == [NOW_MS + 6000, NOW_MS + 7000]

        store.outcomes(health=(loop.no, LaneHealth("open", NOW_MS, None, NOW_MS, 5, NOW_MS + 9000, 0, "timeout")))
        assert show(store, made, loop, account).health.next_attempt_ms == NOW_MS + 9000
        assert planned_ms(made, account, second) == NOW_MS + 9000

        store.change(loop.id, lambda found: found.disable("410 Gone", NOW_MS + 6000))
        disabled = show(store, made, loop, account)
        assert (disabled.health.last_error, disabled.health.waiting) == ("timeout", 2)
        assert disabled.health.next_attempt_ms is None
        assert planned_ms(made, account, first) is None


def planned_ms(made: ApplicationService, account: Account, delivery_no: int) -> int | None:
    """The next attempt of a delivery, which is the same wherever it is shown."""
    one: DeliveryView = asyncio.run(made.handle(GetDelivery(account=account, delivery_id=f"dlv_{delivery_no}")))
    found = asyncio.run(made.handle(ListEventDeliveries(account=account, event_id=one.event)))
    listing = ListDeliveries(account=account, loop_id=found[0].loop_id)
    assert one in asyncio.run(made.handle(listing)).data
    assert [each.delivery for each in found] == [one]
    return one.next_attempt_at_ms
