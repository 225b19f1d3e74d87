"""Services that show traffic, on a real SQLite ledger: rebuilt POSTs, events with their deliveries, statistics."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

from actors.adapters.sealed_headers import HeaderSealer
from actors.application.deliveries import DeliveryService
from actors.application.events import EventService
from actors.application.statistics import StatisticsService
from actors.commands.accounts import Account
from actors.commands.command import Command
from actors.commands.deliveries import CountDeliveries, GetLoopDelivery, GetPost, ListEventDeliveries, Post
from actors.commands.events import GetEvent, GetEventMail
from actors.commands.statistics import ListAttemptMinutes, ListEventMinutes, ListStatistics
from actors.delivery.lane_config import LaneConfig
from actors.delivery.request_builder import RequestBuilder
from domain.errors import Conflict, NotFound
from domain.loop_secrets import SECRET_OVERLAP_MS
from domain.signing import loop_keys
from domain.values import id_text
from tests.application_context import application_context
from tests.contract.ledger_facts import NOW_MS, Store, event, outcome
from tests.contract.sqlite_store import sqlite_stores
from tests.keys import KEYS

LATER_MS = NOW_MS + 60_000


class ChangedLoop:
    """A loop whose settings changed after its first delivery, with the services that show it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.tenant, self.stranger = store.account(), store.account()
        self.aggregate = self.tenant.loop()
        self.aggregate.verify("https://example.com/proof.txt", NOW_MS)
        store.append(self.aggregate)
        self.loop_id = id_text("fl", self.aggregate.id)
        self.config = LaneConfig.of(self.loop_id, self.aggregate, loop_keys(KEYS, self.loop_id), NOW_MS)
        self.event = event(self.tenant, loop_nos=[1], fields={"tags": ["a", "ü"]})
        ((number,),) = store.record(self.event).delivery_ids
        self.delivery_id = f"dlv_{number}"
        store.outcomes(outcome(number, at_ms=NOW_MS))
        self.number = number
        self.aggregate.change({"format": "json"}, NOW_MS + 1)
        self.aggregate.change_url("https://moved.example/", "t" * 32, NOW_MS + 2)
        self.aggregate.rotate_secret(1, NOW_MS + 3)
        store.append(self.aggregate)
        context, loops = application_context(store), cast(Any, None)
        self.handlers = {
            **DeliveryService.handlers.bound_to(DeliveryService(context, loops)),
            **EventService.handlers.bound_to(EventService(context)),
            **StatisticsService.handlers.bound_to(StatisticsService(context)),
        }

    def do(self, command: Command[Any]) -> Any:
        return asyncio.run(self.handlers[type(command)](command))  # type: ignore[arg-type]

    def post(self, attempt_no: int = 1, account: Account | None = None) -> Post:
        command = GetPost(account=account or self.tenant.view, delivery_id=self.delivery_id, attempt_no=attempt_no)
        post: Post = self.do(command)
        return post


@pytest.fixture
def changed_loop(tmp_path: Path) -> Iterator[ChangedLoop]:
    with sqlite_stores(tmp_path) as store:
        yield ChangedLoop(store)


def test_a_post_is_rebuilt_exactly(changed_loop: ChangedLoop) -> None:
    """A rebuilt POST has the format, URL and secret of its time, byte for byte, whatever has changed since."""
    sent = RequestBuilder(changed_loop.config, 1.0).build(
        changed_loop.event.event_id, changed_loop.event.fields, NOW_MS
    )

    post = changed_loop.post()

    assert (post.url, post.headers, post.body.encode()) == (sent.url, sent.headers, sent.body)
    assert "tags[]=a&tags[]=%C3%BC" in post.body


def test_a_later_attempt_uses_the_settings_of_its_time(changed_loop: ChangedLoop) -> None:
    """A rebuilt later attempt uses the settings at that time: both secrets while they overlap, and one afterwards."""
    changed_loop.store.outcomes(
        outcome(changed_loop.number, 2, at_ms=LATER_MS),
        outcome(changed_loop.number, 3, at_ms=LATER_MS + SECRET_OVERLAP_MS),
    )

    second, third = changed_loop.post(2), changed_loop.post(3)

    assert second.url == third.url == "https://moved.example/"
    assert second.body.startswith("{")
    assert len(dict(second.headers)["webhook-signature"].split(" ")) == 2
    assert len(dict(third.headers)["webhook-signature"].split(" ")) == 1


def test_a_rebuilt_post_hides_the_values_of_headers(changed_loop: ChangedLoop) -> None:
    """It names the loop's own headers, and shows the mask instead of their values."""
    sealed = HeaderSealer(loop_keys(KEYS, changed_loop.loop_id), changed_loop.loop_id).sealed(
        {"Authorization": "Bearer s3cret"}, {}, os.urandom
    )
    changed_loop.aggregate.change({"headers": sealed}, NOW_MS + 4)
    changed_loop.store.append(changed_loop.aggregate)
    changed_loop.store.outcomes(outcome(changed_loop.number, 2, at_ms=LATER_MS))

    post = changed_loop.post(2)

    assert ("Authorization", "***") in post.headers
    assert "s3cret" not in str(post)


def test_a_missing_attempt_has_no_post(changed_loop: ChangedLoop) -> None:
    """Other accounts' deliveries, unknown attempts, and dropped or oversized events get an error with the reason."""
    with pytest.raises(NotFound):
        changed_loop.post(account=changed_loop.stranger.view)
    with pytest.raises(NotFound, match="no attempt 7"):
        changed_loop.post(7)
    large = event(changed_loop.tenant, loop_nos=[1], fields={"x": "y" * 4_300_000})
    ((number,),) = changed_loop.store.record(large).delivery_ids
    changed_loop.store.outcomes(outcome(number, status=None, error="event_too_large", at_ms=LATER_MS))
    changed_loop.delivery_id = f"dlv_{number}"
    with pytest.raises(Conflict, match="4194304 can be sent"):
        changed_loop.post()


def test_an_event_is_shown_with_its_deliveries_only_to_its_account(changed_loop: ChangedLoop) -> None:
    """The owning account sees the event's deliveries with their loops and states; other accounts see nothing."""
    event_id = id_text("evt", changed_loop.event.event_id)
    found = changed_loop.do(GetEvent(account=changed_loop.tenant.view, event_id=event_id))
    assert (found.id, found.type, found.time_ms) == (event_id, "open", NOW_MS)
    [delivery] = changed_loop.do(ListEventDeliveries(account=changed_loop.tenant.view, event_id=event_id))
    assert (delivery.loop_id, delivery.delivery.id, delivery.delivery.state) == (
        changed_loop.loop_id,
        changed_loop.delivery_id,
        "delivered",
    )
    same = changed_loop.do(GetLoopDelivery(account=changed_loop.tenant.view, delivery_id=changed_loop.delivery_id))
    assert same == delivery
    for wanted in (event_id, id_text("evt", uuid4()), "evt_no", id_text("evt", changed_loop.aggregate.id)):
        account = changed_loop.stranger.view if wanted == event_id else changed_loop.tenant.view
        for kind in (GetEvent, ListEventDeliveries):
            with pytest.raises(NotFound):
                changed_loop.do(kind(account=account, event_id=wanted))
    with pytest.raises(NotFound):
        changed_loop.do(GetLoopDelivery(account=changed_loop.stranger.view, delivery_id=changed_loop.delivery_id))


def test_the_mail_of_an_event_is_only_shown_to_its_account(changed_loop: ChangedLoop) -> None:
    """The whole stored text; other accounts, unknown events and events without a mail are not found."""
    mail = "Subject: =?x\r\n\r\n\x00 \u202e €" * 1000
    bounce = event(changed_loop.tenant, loop_nos=[1], type="bounce")._replace(mime=mail)
    changed_loop.store.record(bounce)
    event_id = id_text("evt", bounce.event_id)
    tenant, stranger = changed_loop.tenant.view, changed_loop.stranger.view

    assert changed_loop.do(GetEventMail(account=tenant, event_id=event_id)).mime == mail
    for account, wanted in ((stranger, event_id), (tenant, id_text("evt", changed_loop.event.event_id))):
        with pytest.raises(NotFound):
            changed_loop.do(GetEventMail(account=account, event_id=wanted))
    wanted_ids = [event_id, id_text("evt", changed_loop.event.event_id), "evt_no"]
    counts = changed_loop.do(CountDeliveries(account=tenant, event_ids=wanted_ids))
    assert {(each.event, each.state, each.count) for each in counts} == {
        (wanted_ids[0], "pending", 1),
        (wanted_ids[1], "delivered", 1),
    }
    assert changed_loop.do(CountDeliveries(account=stranger, event_ids=wanted_ids)) == []


def test_statistics_cover_the_account_s_loops(changed_loop: ChangedLoop) -> None:
    """Statistics have attempts, backlog and the last event of the account's loops; other loops are not found."""
    changed_loop.store.record(event(changed_loop.tenant, loop_nos=[1]))
    [statistics] = changed_loop.do(ListStatistics(account=changed_loop.tenant.view, loop_ids=[changed_loop.loop_id]))
    assert (statistics.counts.answers, statistics.backlog, statistics.last_event_ms) == ([1, 0, 0, 0, 0], 1, NOW_MS)
    minutes = changed_loop.do(ListAttemptMinutes(account=changed_loop.tenant.view, loop_id=changed_loop.loop_id))
    assert [minute.counts.answers for minute in minutes] == [[1, 0, 0, 0, 0]]
    events = changed_loop.do(ListEventMinutes(account=changed_loop.tenant.view))
    assert [(minute.type, minute.count) for minute in events] == [("open", 2)]
    assert changed_loop.do(ListEventMinutes(account=changed_loop.stranger.view)) == []
    changed_loop.store.clock.ms += 3600_000
    assert changed_loop.do(ListAttemptMinutes(account=changed_loop.tenant.view, loop_id=changed_loop.loop_id)) == []
    with pytest.raises(NotFound):
        changed_loop.do(ListStatistics(account=changed_loop.stranger.view, loop_ids=[changed_loop.loop_id]))
    with pytest.raises(NotFound):
        changed_loop.do(ListAttemptMinutes(account=changed_loop.stranger.view, loop_id=changed_loop.loop_id))
