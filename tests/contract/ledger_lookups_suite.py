"""Contract suite for look-ups and for rebuilding read models. A store subclasses it with a fixture `store`."""

from __future__ import annotations

import json
from typing import Any

from actors.commands.events import ListEvents
from domain.enrichment import first_key
from domain.loop_settings import EventFilter
from domain.profile_change import ProfileKey
from domain.tracking import MessageFacts, ProfileFacts, Route
from domain.values import DeliveryState
from tests.contract.ledger_facts import NOW_MS, Store, event, failed, outcome


class RoutesSuite:
    """The routing table follows the loops, and each change of it increments its version."""

    def test_a_loop_is_routed_while_it_is_active_paused_or_moving(self, store: Store) -> None:
        """Each step of a loop's life changes the routes and their version together, or neither."""
        tenant = store.account()
        loop = tenant.loop(tags=["a"], databases=["1"], collections=["c"])
        steps: list[tuple[Any, bool, bool]] = [
            (lambda: None, False, False),
            (lambda: loop.verify("x", NOW_MS), True, True),
            (lambda: loop.verify("x", NOW_MS), True, False),
            (lambda: loop.pause(NOW_MS), True, False),
            (lambda: loop.resume(NOW_MS), True, False),
            (lambda: loop.change({"description": "new"}, NOW_MS), True, False),
            (lambda: loop.change({"triggers": ["click"]}, NOW_MS), True, True),
            (lambda: loop.rotate_secret(1, NOW_MS), True, False),
            (lambda: loop.disable("gone", NOW_MS), False, True),
            (lambda: loop.change({"tags": []}, NOW_MS), False, False),
            (lambda: loop.resume(NOW_MS), True, True),
            (lambda: loop.change_url("https://example.org/", "u" * 32, NOW_MS), True, False),
            (lambda: loop.change_url("https://example.net/", "v" * 32, NOW_MS), True, False),
            (lambda: loop.verify("x", NOW_MS), True, False),
            (lambda: loop.disable("gone", NOW_MS), False, True),
            (lambda: loop.change_url("https://example.org/", "w" * 32, NOW_MS), False, False),
            (lambda: loop.verify("x", NOW_MS), True, True),
            (lambda: loop.delete(NOW_MS), False, True),
        ]
        for number, (step, is_routed, moves_on) in enumerate(steps):
            before = store.reader.routing_table().version
            step()
            store.append(loop)
            table = store.reader.routing_table()

            assert (number, is_routed, moves_on) == (number, bool(table.routes), table.version > before)
            assert table.version == store.reader.routing_table().version

    def test_a_route_has_what_enrichment_needs(self, store: Store) -> None:
        """A route has the loop's number, id, account, triggers and filters."""
        tenant = store.account()
        row = store.active_loop(tenant, tags=["a"], databases=["1"], collections=["c"])

        expected = Route(
            row.no,
            row.id,
            tenant.no,
            EventFilter(triggers=("click", "open"), tags=("a",), databases=("1",), collections=("c",)),
        )
        assert [expected] == store.reader.routing_table().routes


class LookUpSuite:
    """Look-ups of enrichment and of lanes."""

    def test_messages_by_key(self, store: Store) -> None:
        """Known messages are returned with their facts; unknown keys are omitted."""
        tenant = store.account()
        store.append(tenant.message(2**63 - 1), tenant.message(8, database="1", profile="p", mailing="m", tags=[]))

        assert {
            2**63 - 1: MessageFacts(
                2**63 - 1, tenant.no, f"m-{2**63 - 1}", "john@example.com", ["spring"], None, None, None
            ),
            8: MessageFacts(8, tenant.no, "m-8", "john@example.com", [], "m", "1", "p"),
        } == store.reader.messages([8, 2**63 - 1, 77])

    def test_profiles_follow_their_updates(self, store: Store) -> None:
        """A profile has its last written state, even if its fields look like eventsourcing's own encoding."""
        tenant = store.account()
        profile = tenant.profile("1", "a'b", {"name": "John", "odd": {"_type_": "uuid_hex", "_data_": "x"}})
        store.append(profile)
        key = (tenant.no, "1", "a'b")
        found = store.reader.profiles([key, (tenant.no, "1", "nobody"), (tenant.no + 1, "1", "a'b")])
        fields: dict[str, object] = {"name": "John", "odd": {"_type_": "uuid_hex", "_data_": "x"}}
        assert {key: ProfileFacts("1", "a'b", fields, ["golf"])} == found

        profile.put('{"name": "Jane"}', [], NOW_MS + 9)
        store.append(profile)
        assert {key: ProfileFacts("1", "a'b", {"name": "Jane"}, [])} == store.reader.profiles([key])
        shown = store.reader.profile(tenant.no, profile.key)
        assert shown is not None
        assert (
            shown.created_at_ms,
            shown.modified_at_ms,
            json.loads(bytes(shown.fields)),
        ) == (NOW_MS, NOW_MS + 9, {"name": "Jane"})

    def test_a_text_that_cannot_be_stored_is_not_found(self, store: Store) -> None:
        """Looking up a text that the database cannot store finds nothing, without an error."""
        tenant = store.account()
        store.append(tenant.message(1))

        assert store.reader.message(tenant.no, "m\0") is None
        assert store.reader.profile(tenant.no, ProfileKey("1", "\0")) is None
        assert store.reader.loop("fl_\0") is None
        assert store.reader.list_events(ListEvents(account=tenant.view, recipient="\0", message_id="\0")).data == []
        assert set(store.reader.messages([1])) == {1}

    def test_looking_up_nothing_finds_nothing(self, store: Store) -> None:
        """Looking up nothing returns nothing."""
        reader = store.reader
        assert ({}, {}, set(), []) == (
            reader.messages([]),
            reader.profiles([]),
            reader.taken_firsts([]),
            reader.loops_owed([]),
        )

    def test_due_deliveries_are_ordered_by_due_time(self, store: Store) -> None:
        """Due deliveries come with their payload, ordered by due time and id, up to the limit, without skipped ones."""
        tenant = store.account()
        loop, other = store.active_loop(tenant), store.active_loop(tenant)
        events = [event(tenant, loop_nos=[loop.no, other.no]) for _ in range(6)]
        ids = [of_event[0] for of_event in store.record(*events).delivery_ids]
        store.outcomes(failed(ids[0], 1, NOW_MS + 10), failed(ids[3], 1, NOW_MS - 10), outcome(ids[2]))

        due = store.reader.due_deliveries(loop.no, NOW_MS + 9, 10, [ids[4]])
        assert [ids[3], ids[1], ids[5]] == [d.delivery_id for d in due]
        assert (events[3].event_id, "open", events[3].fields, 1, NOW_MS - 10, 0) == due[0][1:]
        assert ids[3:4] == [d.delivery_id for d in store.reader.due_deliveries(loop.no, NOW_MS, 1, [])]
        assert ids[0] in [d.delivery_id for d in store.reader.due_deliveries(loop.no, NOW_MS + 10, 10, [])]

    def test_ordered_pending_deliveries_are_ordered_by_id(self, store: Store) -> None:
        """In order, all pending deliveries come in order of recording, due or not; limit and skipped ids apply."""
        tenant = store.account()
        loop, other = store.active_loop(tenant), store.active_loop(tenant)
        events = [event(tenant, loop_nos=[other.no, loop.no]) for _ in range(6)]
        ids = [of_event[1] for of_event in store.record(*events).delivery_ids]
        store.outcomes(failed(ids[0], 1, NOW_MS + 9000), failed(ids[3], 1, NOW_MS - 10), outcome(ids[2]))

        def found(limit: int, skip: list[int]) -> list[int]:
            due = store.reader.due_deliveries(loop.no, NOW_MS, limit, skip, in_order=True)
            return [d.delivery_id for d in due]

        assert found(10, []) == [ids[0], ids[1], ids[3], ids[4], ids[5]]
        assert found(2, [ids[0], ids[3]]) == [ids[1], ids[4]]
        [first] = store.reader.due_deliveries(loop.no, NOW_MS, 1, [], in_order=True)
        assert (events[0].event_id, "open", events[0].fields, 1, NOW_MS + 9000, 0) == first[1:]

    def test_the_newest_delivery_id_only_grows(self, store: Store) -> None:
        """The newest delivery id is the highest ever given, across all loops, even if that delivery is dropped."""
        tenant = store.account()
        loop, other = store.active_loop(tenant), store.active_loop(tenant)
        assert store.reader.newest_delivery_id() == 0

        [ids] = store.record(event(tenant, loop_nos=[loop.no, other.no])).delivery_ids
        assert store.reader.newest_delivery_id() == max(ids)
        store.outcomes(*map(outcome, ids))
        assert store.drop(deliveries=2**47) > 0
        assert store.reader.newest_delivery_id() == max(ids)
        [[next_id]] = store.record(event(tenant, loop_nos=[loop.no])).delivery_ids
        assert next_id > max(ids)

    def test_the_next_due_time(self, store: Store) -> None:
        """The next due time is that of the soonest pending delivery, or None if nothing is pending."""
        tenant = store.account()
        loop = store.active_loop(tenant)
        assert store.reader.next_due_ms(loop.no) is None

        [[delivery_id]] = store.record(event(tenant, loop_nos=[loop.no])).delivery_ids
        assert store.reader.next_due_ms(loop.no) == NOW_MS
        store.outcomes(failed(delivery_id, 1, NOW_MS + 5))
        assert store.reader.next_due_ms(loop.no) == NOW_MS + 5
        store.outcomes(outcome(delivery_id, 2))
        assert store.reader.next_due_ms(loop.no) is None

    def test_loops_that_are_due(self, store: Store) -> None:
        """Only active loops with a due delivery or a running replay are returned, each once."""
        tenant = store.account()
        due, later, done, paused, replaying = (store.active_loop(tenant) for _ in range(5))
        assert store.reader.loops_due(NOW_MS) == []

        made = [event(tenant, loop_nos=[due.no, later.no, done.no, paused.no, replaying.no]) for _ in range(2)]
        for _, late, delivered, _, dead in store.record(*made).delivery_ids:
            store.outcomes(failed(late, 1, NOW_MS + 5), outcome(delivered), outcome(dead, state=DeliveryState.DEAD))
        store.change(paused.id, lambda loop: loop.pause(NOW_MS))
        assert store.reader.loops_due(NOW_MS - 1) == []
        assert store.reader.loops_due(NOW_MS) == [due.id]
        assert sorted(store.reader.loops_due(NOW_MS + 5)) == sorted([due.id, later.id])

        store.replay(replaying.no)
        assert sorted(store.reader.loops_due(NOW_MS)) == sorted([due.id, replaying.id])
        for gone in (due, replaying):
            store.change(gone.id, lambda loop: loop.delete(NOW_MS))
        assert store.reader.loops_due(NOW_MS) == []

    def test_due_deliveries_are_counted_up_to_a_limit(self, store: Store) -> None:
        """The pending count covers deliveries of the loop that are due now, up to the limit."""
        tenant = store.account()
        loop, other = store.active_loop(tenant), store.active_loop(tenant)
        made = [event(tenant, loop_nos=[loop.no, other.no]) for _ in range(5)]
        ids = [of_event[0] for of_event in store.record(*made).delivery_ids]
        store.outcomes(failed(ids[0], 1, NOW_MS + 10), outcome(ids[1]))

        assert [store.reader.pending_count(loop.no, n) for n in (1, 3, 1000)] == [1, 3, 3]
        store.clock.ms += 10
        assert store.reader.pending_count(loop.no, 1000) == 4

    def test_loops_owed(self, store: Store) -> None:
        """Only loops with a pending delivery of these events are returned, for any number of events."""
        tenant = store.account()
        a, b, d = (store.active_loop(tenant).no for _ in range(3))
        asked, done, another = (event(tenant, loop_nos=[no]) for no in (a, b, d))
        _, [delivered], _ = store.record(asked, done, another).delivery_ids
        store.outcomes(outcome(delivered))
        unknown = [event(tenant).event_id for _ in range(1200)]

        assert [a] == store.reader.loops_owed([*unknown, asked.event_id, done.event_id])


class RebuildSuite:
    """Read models can be rebuilt from the log."""

    def test_the_log_is_enough_to_rebuild_every_read_model(self, store: Store) -> None:
        """Projecting the log into an empty store, at once or event by event, gives equal rows."""
        tenant, other = store.account(), store.account()
        keys = {key.account.id: key.hash for key in store.reader.api_key_list(-1).keys or []}
        store.revoke_key(other, keys[other.view.id], NOW_MS)
        loop = tenant.loop()
        loop.verify("x", NOW_MS)
        profile = tenant.profile("1", "p", {"a": [1, {"b": None}], "email": "Ann@Example.com"})
        gone = tenant.user("gone@example.com")
        store.append(
            loop, profile, tenant.message(1), tenant.message(2, links=[]), tenant.user("ann@example.com"), gone
        )
        gone.leave(NOW_MS)
        store.append(gone)
        profile.put("{}", ["x"], NOW_MS + 1)
        loop.change({"tags": ["spring"]}, NOW_MS)
        store.append(profile, loop)
        subprofile = tenant.profile("1", "p", {"b": 1}, ("orders", "7"))
        deleted = tenant.profile("1", "p", {}, ("orders", "8"))
        store.append(subprofile, deleted)
        for again in (False, True):
            deleted.delete(NOW_MS + 1)
            if again:
                deleted.put('{"again": 1}', [], NOW_MS + 2)
            subprofile.put(f'{{"b": {again:d}}}', ["x"], NOW_MS + 3)
            store.append(deleted, subprofile)
            if not again:
                deleted.put("{}", [], NOW_MS + 2)
        click = {"original": "https://example.com/a", "first": 1}
        store.record(event(tenant, 1, fields={"first": 1}, first_key=0), event(tenant, 1), event(tenant))
        store.record(
            event(tenant, 1, type="click", fields=click, first_key=first_key("click", "https://example.com/a"))
        )
        loop.delete(NOW_MS)
        store.append(loop)

        log = store.log()
        at_once, one_by_one = store.another(), store.another()
        at_once.run(at_once.writer.append(log))
        for stored_event in log:
            one_by_one.run(one_by_one.writer.append([stored_event]))

        assert store.read_models() == at_once.read_models()
        assert store.read_models() == one_by_one.read_models()
        assert all(store.read_models().values())
