"""Contract suite for storing events. A store subclasses it with a fixture `store`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors.commands.events import ListEvents
from domain.errors import ConcurrentWrite, FirstTaken, StaleRoutes
from domain.ledger import event_mapper
from domain.tracking import RecordedEvents
from domain.tracking_event import TrackingEventRecorded
from tests.contract.ledger_facts import NOW_MS, Store, event, stored


class AppendSuite:
    """`LedgerWriter.append`."""

    def test_appended_events_are_read_in_order(self, store: Store) -> None:
        """The events of an aggregate are returned as they were stored."""
        loop = store.account().loop()
        loop.verify("https://example.com/x.txt", NOW_MS)
        events = stored(loop)
        store.run(store.writer.append(events))

        assert events == list(store.reader.events_of(loop.id))

    def test_no_events_are_no_aggregate(self, store: Store) -> None:
        """An unknown originator has no events."""
        assert list(store.reader.events_of(store.account().loop().id)) == []

    def test_appending_nothing_does_nothing(self, store: Store) -> None:
        """An empty append succeeds."""
        store.run(store.writer.append([]))

        assert store.log() == []

    def test_a_used_version_is_a_conflict(self, store: Store) -> None:
        """The second of two writers of the same version is refused, and nothing of its request is written."""
        tenant = store.account()
        events = stored(tenant.loop())
        store.run(store.writer.append(events))
        other = stored(tenant.loop())
        before = store.read_models()

        with pytest.raises(ConcurrentWrite):
            store.run(store.writer.append([*other, *events]))

        assert list(store.reader.events_of(other[0].originator_id)) == []  # type: ignore[arg-type]
        assert before == store.read_models()

    def test_a_message_id_is_registered_once(self, store: Store) -> None:
        """The same message id in the same account is a conflict, even with another key."""
        tenant = store.account()
        store.append(tenant.message(1, message_id="same"))

        with pytest.raises(ConcurrentWrite):
            store.append(tenant.message(2, message_id="same"))
        assert store.reader.messages([2]) == {}

    def test_a_message_key_is_given_once(self, store: Store) -> None:
        """A key that collides with another message's is a conflict."""
        tenant = store.account()
        store.append(tenant.message(1, message_id="a"))

        with pytest.raises(ConcurrentWrite):
            store.append(tenant.message(1, message_id="b"))
        assert store.reader.message(tenant.no, "b") is None

    def test_callers_that_share_a_commit_fail_separately(self, store: Store) -> None:
        """One caller's conflict does not affect other callers of the same commit."""
        tenant = store.account()
        taken = stored(tenant.message(1))
        store.run(store.writer.append(taken))
        fresh = [stored(tenant.message(key)) for key in range(2, 40)]

        async def all_at_once() -> list[Any]:
            requests = [store.writer.append(events) for events in [taken, *fresh, taken]]
            return await asyncio.gather(*requests, return_exceptions=True)

        first, *others, last = store.run(all_at_once())

        assert isinstance(first, ConcurrentWrite)
        assert isinstance(last, ConcurrentWrite)
        assert [None] * len(fresh) == others
        assert set(range(1, 40)) == set(store.reader.messages(range(1, 40)))

    def test_only_a_request_that_cannot_be_projected_fails(self, store: Store) -> None:
        """An event of an unknown aggregate fails only its caller."""
        tenant = store.account()
        orphan = tenant.loop()
        stored(orphan)
        orphan.verify("https://example.com/x.txt", NOW_MS)
        bad = stored(orphan)

        async def both() -> tuple[Any, Any]:
            good = store.writer.append(stored(tenant.message(1)))
            return await asyncio.gather(store.writer.append(bad), good, return_exceptions=True)

        refused, fine = store.run(both())

        assert isinstance(refused, ValueError)
        assert fine is None
        assert list(store.reader.events_of(orphan.id)) == []


class EventsSuite:
    """`LedgerWriter.record_events`."""

    def test_an_event_is_stored_as_the_domain_reads_it(self, store: Store) -> None:
        """The event mapper decodes the stored state to a `TrackingEventRecorded`, and encodes it to the same state."""
        tenant = store.account()
        made = event(tenant, message_key=7, type="click")
        store.record(made)
        [stored_event] = [e for e in store.log() if e.topic == TrackingEventRecorded.TOPIC]
        mapper = event_mapper()
        read: Any = mapper.to_domain_event(stored_event)

        assert (made.event_id, 1) == (read.originator_id.bytes, read.originator_version)
        assert (tenant.no, "click", 7, NOW_MS) == (read.account_no, read.type, read.message_key, read.time_ms)
        assert made.fields.decode() == read.fields
        assert stored_event == mapper.to_stored_event(read)

    def test_each_loop_is_owed_one_delivery(self, store: Store) -> None:
        """Delivery ids are distinct and in order of events and loops; the deliveries are due at once."""
        tenant = store.account()
        a, b = store.active_loop(tenant), store.active_loop(tenant)
        recorded = store.record(event(tenant, loop_nos=[a.no, b.no]), event(tenant), event(tenant, loop_nos=[b.no]))

        assert recorded.duplicates == []
        assert [len(ids) for ids in recorded.delivery_ids] == [2, 0, 1]
        flat = [i for ids in recorded.delivery_ids for i in ids]
        assert sorted(set(flat)) == flat
        due = store.reader.due_deliveries(b.no, store.clock.ms, 10, [])
        assert [flat[1], flat[2]] == [d.delivery_id for d in due]

    def test_an_existing_event_is_not_changed(self, store: Store) -> None:
        """A repeated batch stores only its new events and reports the others as duplicates (I3)."""
        tenant = store.account()
        loop = store.active_loop(tenant)
        old = event(tenant, loop_nos=[loop.no], first_key=0, message_key=1)
        store.record(old)
        new = event(tenant, loop_nos=[loop.no])
        recorded = store.record(old._replace(fields=b"{}"), new, new)

        assert recorded.duplicates == [0, 2]
        assert [len(ids) for ids in recorded.delivery_ids] == [0, 1, 0]
        due = store.reader.due_deliveries(loop.no, store.clock.ms, 10, [])
        assert [old.fields, new.fields] == [d.fields for d in due]

    def test_nothing_but_duplicates_writes_nothing(self, store: Store) -> None:
        """Sending a whole batch again changes no row."""
        tenant = store.account()
        batch = [event(tenant, loop_nos=[store.active_loop(tenant).no]) for _ in range(5)]
        store.record(*batch)
        before = store.log(), store.read_models()
        recorded = store.record(*batch)

        assert recorded == RecordedEvents([[]] * 5, [0, 1, 2, 3, 4])
        assert before == (store.log(), store.read_models())

    def test_no_events_are_recorded_as_none(self, store: Store) -> None:
        """An empty batch has an empty result."""
        assert store.record() == RecordedEvents([], [])

    def test_stale_routes_are_refused(self, store: Store) -> None:
        """Events with stale routes are not written; the error has the current version."""
        tenant = store.account()
        old = store.reader.routing_table().version
        store.active_loop(tenant)
        made = event(tenant)

        with pytest.raises(StaleRoutes) as refused:
            store.run(store.writer.record_events(old, [made]))
        assert store.reader.routing_table().version == refused.value.current_version
        assert store.reader.list_events(ListEvents(account=tenant.view)).data == []

    def test_a_first_is_claimed_once(self, store: Store) -> None:
        """A batch that claims a taken first fails as a whole; other firsts can be claimed."""
        tenant = store.account()
        store.record(event(tenant, message_key=5, first_key=0))
        innocent = event(tenant, message_key=5)

        with pytest.raises(FirstTaken):
            store.record(
                innocent, event(tenant, message_key=5, first_key=99), event(tenant, message_key=5, first_key=0)
            )
        assert {(5, 0)} == store.reader.taken_firsts([(5, 0), (5, 99), (6, 0)])
        assert len(store.reader.list_events(ListEvents(account=tenant.view)).data) == 1

        store.record(event(tenant, message_key=5, first_key=2**63 - 1))
        assert {(5, 2**63 - 1)} == store.reader.taken_firsts([(5, 2**63 - 1)])

    def test_delivery_ids_of_callers_in_one_commit_differ(self, store: Store) -> None:
        """Callers of one commit get distinct ids, even if one of them is refused."""
        tenant = store.account()
        loop = store.active_loop(tenant)
        version = store.reader.routing_table().version

        async def all_at_once() -> list[Any]:
            batches = [[event(tenant, loop_nos=[loop.no]) for _ in range(3)] for _ in range(10)]
            requests = [store.writer.record_events(version - (n == 4), batch) for n, batch in enumerate(batches)]
            return await asyncio.gather(*requests, return_exceptions=True)

        answers = store.run(all_at_once())

        assert isinstance(answers.pop(4), StaleRoutes)
        ids = [i for answer in answers for of_event in answer.delivery_ids for i in of_event]
        assert len(set(ids)) == 27
