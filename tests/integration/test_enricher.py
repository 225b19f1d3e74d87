"""Enrichment on a real SQLite ledger: recorded events, their loops, and the offers to these."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from actors.commands.events import ListEvents
from actors.commands.intake import Batch
from actors.enrichment.enricher import Enricher
from actors.metrics import catalogue as m
from actors.metrics.instruments import EnrichmentInstruments
from actors.metrics.registry import Registry
from domain.delivery import OfferedDelivery
from domain.enrichment import first_key
from domain.errors import StoreUnavailable, UnknownIntake
from domain.message import Message
from domain.profile import Profile
from domain.profile_change import ProfileKey
from domain.tracking import EventToRecord, RecordedEvents, ReportToRecord, TrackingHit
from tests.contract.ledger_facts import NOW_MS, Store, Tenant
from tests.contract.sqlite_store import sqlite_stores
from tests.mail_reader import make_mail_reader

KEY = 4711


class FakeLoops:
    """Fake `LoopNotifier` that records offers and nudges."""

    def __init__(self) -> None:
        self.offers: list[tuple[str, OfferedDelivery]] = []
        self.nudged: list[str] = []

    def offer(self, loop_id: str, deliveries: Sequence[OfferedDelivery]) -> None:
        self.offers += [(loop_id, delivery) for delivery in deliveries]

    def nudge(self, loop_id: str) -> None:
        self.nudged.append(loop_id)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A real ledger."""
    with sqlite_stores(tmp_path) as made:
        yield made


@pytest.fixture
def loops() -> FakeLoops:
    return FakeLoops()


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def enricher(store: Store, loops: FakeLoops, registry: Registry) -> Enricher:
    return Enricher(store.writer, store.reader, loops, make_mail_reader(), EnrichmentInstruments(registry))


def register(store: Store, tenant: Tenant, key: int = KEY, **facts: Any) -> None:
    """A message of the tenant, in the ledger."""
    spec: dict[str, Any] = {
        "recipient": "john@example.com",
        "tags": ["a"],
        "mailing": None,
        "database": None,
        "profile": None,
        "links": [],
    }
    message = Message.register(
        account_id=tenant.uuid,
        account_no=tenant.view.no,
        message_id=f"m-{key}",
        key=key,
        at_ms=NOW_MS,
        **(spec | facts),
    )
    store.append(message)


def hit(tenant: Tenant, kind: str = "click", key: int = KEY, target: str = "https://a.example/") -> TrackingHit:
    """A fresh hit on a message."""
    return TrackingHit(uuid4().bytes, kind, tenant.view.no, key, NOW_MS, target, "192.0.2.1", "Firefox", "", "")


def record(enricher: Enricher, *hits: TrackingHit) -> None:
    asyncio.run(enricher.record(Batch(list(hits), [])))


def fields(offer: tuple[str, OfferedDelivery]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(offer[1].fields)
    return found


def test_a_hit_becomes_an_event_and_is_offered_to_its_loop(store: Store, enricher: Enricher, loops: FakeLoops) -> None:
    """The event carries message and profile, is in the log, and its delivery is in the outbox."""
    tenant = store.account()
    loop = store.active_loop(tenant, triggers=["click"])
    profile = Profile.create(
        account_id=tenant.uuid,
        account_no=tenant.view.no,
        key=ProfileKey("1", "p"),
        fields_json='{"name": "John"}',
        interests=["jam"],
        at_ms=NOW_MS,
    )
    store.append(profile)
    register(store, tenant, database="1", profile="p")

    record(enricher, hit(tenant))

    (offer,) = loops.offers
    assert offer[0] == loop.id
    assert fields(offer)["recipient"] == "john@example.com"
    assert fields(offer)["fields"] == {"name": "John"}
    assert fields(offer)["first"] == 1
    (due,) = store.reader.due_deliveries(loop.no, store.clock.now_ms(), 10, ())
    assert (due.delivery_id, due.fields) == (offer[1].delivery_id, offer[1].fields)
    assert len(store.reader.list_events(ListEvents(account=tenant.view)).data) == 1


def test_a_batch_sent_again_is_stored_once_and_the_loop_is_nudged(
    store: Store, enricher: Enricher, loops: FakeLoops
) -> None:
    """I3: the second time nothing is offered, and the loop is nudged to look into the outbox."""
    tenant = store.account()
    loop = store.active_loop(tenant, triggers=["click"])
    register(store, tenant)
    hits = [hit(tenant), hit(tenant)]

    record(enricher, *hits)
    record(enricher, *hits)

    assert len(loops.offers) == 2
    assert loops.nudged == [loop.id]
    assert len(store.reader.list_events(ListEvents(account=tenant.view)).data) == 2


def test_only_the_first_is_first(store: Store, enricher: Enricher, loops: FakeLoops) -> None:
    """Only one of many clicks on a link is the first, in one batch or several; another link has its own first."""
    tenant = store.account()
    store.active_loop(tenant, triggers=["click", "open"])
    register(store, tenant)

    record(enricher, hit(tenant), hit(tenant), hit(tenant, target="https://b.example/"))
    record(enricher, hit(tenant), hit(tenant, kind="open", target=""))

    assert [fields(offer).get("first") for offer in loops.offers] == [1, None, 1, None, 1]


def test_a_loop_verified_a_moment_ago_gets_the_next_hit(store: Store, enricher: Enricher, loops: FakeLoops) -> None:
    """An enricher with an old routing table routes again, so the loop misses no event after its verification."""
    tenant = store.account()
    register(store, tenant)
    record(enricher, hit(tenant))
    assert loops.offers == []
    loop = store.active_loop(tenant, triggers=["click"])

    record(enricher, hit(tenant))

    assert [offer[0] for offer in loops.offers] == [loop.id]


def test_hits_of_unknown_messages_and_foreign_accounts_are_left_out(
    store: Store, enricher: Enricher, loops: FakeLoops, registry: Registry
) -> None:
    """A token whose message is gone or belongs to another account records nothing, and holds up no other hit."""
    tenant, stranger = store.account(), store.account()
    store.active_loop(tenant, triggers=["click"])
    register(store, tenant)

    record(enricher, hit(tenant, key=1), hit(stranger), hit(tenant))

    assert len(loops.offers) == 1
    assert registry.counter(m.HITS_UNKNOWN).value == 2
    assert registry.counter(m.EVENTS, "click", m.HIT_SOURCE).value == registry.counter(m.DELIVERIES, "made").value == 1
    assert sum(registry.histogram(m.HIT_RECORDED).counts) == 1


def test_entries_of_a_newer_version_are_refused_and_all_others_recorded(
    store: Store, enricher: Enricher, loops: FakeLoops
) -> None:
    """The error names the entries that must be sent again."""
    tenant = store.account()
    store.active_loop(tenant, triggers=["click"])
    register(store, tenant)

    with pytest.raises(UnknownIntake) as refused:
        asyncio.run(enricher.record(Batch([hit(tenant), hit(tenant)], [1])))

    assert refused.value.positions == [1]
    assert len(loops.offers) == 2


def test_an_enricher_that_loses_a_race_for_first_looks_again(
    store: Store, enricher: Enricher, loops: FakeLoops
) -> None:
    """If another enricher records the first between look-up and commit, this event is recorded as not first."""
    tenant = store.account()
    store.active_loop(tenant, triggers=["click"])
    register(store, tenant)
    rival = Enricher(store.writer, store.reader, FakeLoops(), make_mail_reader())
    overtaken = OvertakenLedger(store.writer, lambda: rival.record(Batch([hit(tenant)], [])))

    record(Enricher(overtaken, store.reader, loops, make_mail_reader()), hit(tenant))

    assert fields(loops.offers[0]).get("first") is None
    assert store.reader.taken_firsts([(KEY, first_key("click", "https://a.example/") or 0)])


def test_a_store_that_is_away_fails_the_batch(store: Store, enricher: Enricher) -> None:
    """The batch fails as a whole, and the front end sends it again."""
    tenant = store.account()
    register(store, tenant)
    store.run(store.writer.close())

    with pytest.raises(StoreUnavailable):
        record(enricher, hit(tenant))


class OvertakenLedger:
    """A ledger that lets another enricher record first, once."""

    def __init__(self, ledger: Any, rival: Any) -> None:
        self._ledger = ledger
        self._rival = rival

    async def append(self, events: Any) -> None:
        await self._ledger.append(events)

    async def record_events(
        self, routes_version: int, events: Sequence[EventToRecord], reports: Sequence[ReportToRecord] = ()
    ) -> RecordedEvents:
        if self._rival is not None:
            rival, self._rival = self._rival, None
            await rival()
        recorded: RecordedEvents = await self._ledger.record_events(routes_version, events, reports)
        return recorded

    async def change_erasures(self, change: Any) -> str:
        changed: str = await self._ledger.change_erasures(change)
        return changed

    async def record_outcomes(self, outcomes: Any, health: Any = None) -> None:
        await self._ledger.record_outcomes(outcomes, health)
