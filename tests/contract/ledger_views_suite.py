"""What any ledger shows of what was written to it. A store joins by subclassing with a fixture `store`."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from actors import commands as c
from actors.ledger.reader_port import LoopRow
from domain.enrichment import first_key
from domain.errors import InvalidInput
from domain.tracking import MessageFacts, ProfileFacts, Route
from domain.values import id_text
from tests.contract.ledger_facts import NOW_MS, Store, Tenant, event, failed, outcome


class RoutesSuite:
    """The routing table follows the loops, and its version every change of it."""

    def test_a_loop_is_routed_while_it_is_active_or_paused(self, store: Store) -> None:
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
            (lambda: loop.rotate_secret(NOW_MS), True, False),
            (lambda: loop.disable("gone", NOW_MS), False, True),
            (lambda: loop.change({"tags": []}, NOW_MS), False, False),
            (lambda: loop.resume(NOW_MS), True, True),
            (lambda: loop.change_url("https://example.org/", "u" * 32, NOW_MS), False, True),
            (lambda: loop.verify("x", NOW_MS), True, True),
            (lambda: loop.delete(NOW_MS), False, True),
        ]
        for number, (step, is_routed, moves_on) in enumerate(steps):
            before = store.reader.routes_version()
            step()
            store.append(loop)
            table = store.reader.routing_table()

            assert (number, is_routed, moves_on) == (number, bool(table.routes), table.version > before)
            assert table.version == store.reader.routes_version()

    def test_a_route_has_what_enrichment_needs(self, store: Store) -> None:
        """A route has the loop's number, id, account, triggers and filters."""
        tenant = store.account()
        row = store.active_loop(tenant, tags=["a"], databases=["1"], collections=["c"])

        expected = Route(row.no, row.id, tenant.no, ["click", "open"], ["a"], ["1"], ["c"])
        assert [expected] == store.reader.routing_table().routes


class LookUpSuite:
    """What enrichment and lanes look up."""

    def test_messages_by_key(self, store: Store) -> None:
        """Known messages come with their facts, unknown keys are left out."""
        tenant = store.account()
        store.append(tenant.message(2**63 - 1), tenant.message(8, database="1", profile="p", mailing="m", tags=[]))

        assert {
            2**63 - 1: MessageFacts(
                2**63 - 1, tenant.no, f"m-{2**63 - 1}", "john@example.com", ["spring"], None, None, None
            ),
            8: MessageFacts(8, tenant.no, "m-8", "john@example.com", [], "m", "1", "p"),
        } == store.reader.messages([8, 2**63 - 1, 77])

    def test_profiles_follow_their_updates(self, store: Store) -> None:
        """A profile is as it was last put, user maps that look like eventsourcing's own included."""
        tenant = store.account()
        profile = tenant.profile("1", "a'b", {"name": "John", "odd": {"_type_": "uuid_hex", "_data_": "x"}})
        store.append(profile)
        key = (tenant.no, "1", "a'b")
        found = store.reader.profiles([key, (tenant.no, "1", "nobody"), (tenant.no + 1, "1", "a'b")])
        fields: dict[str, object] = {"name": "John", "odd": {"_type_": "uuid_hex", "_data_": "x"}}
        assert {key: ProfileFacts("1", "a'b", fields, ["golf"])} == found

        profile.update('{"name": "Jane"}', [], NOW_MS + 9)
        store.append(profile)
        assert {key: ProfileFacts("1", "a'b", {"name": "Jane"}, [])} == store.reader.profiles([key])
        shown = store.reader.profile(*key)
        assert shown is not None
        assert (
            shown.created_at_ms,
            shown.modified_at_ms,
            json.loads(bytes(shown.fields)),
        ) == (NOW_MS, NOW_MS + 9, {"name": "Jane"})

    def test_looking_up_nothing_finds_nothing(self, store: Store) -> None:
        """Empty questions have empty answers."""
        reader = store.reader
        assert ({}, {}, set(), []) == (
            reader.messages([]),
            reader.profiles([]),
            reader.taken_firsts([]),
            reader.loops_owed([]),
        )

    def test_due_deliveries_come_soonest_first(self, store: Store) -> None:
        """What is due comes in the order of due time and id, without the skipped, up to the limit, payload and all."""
        tenant = store.account()
        loop, other = store.active_loop(tenant), store.active_loop(tenant)
        events = [event(tenant, loop_nos=[loop.no, other.no]) for _ in range(6)]
        ids = [of_event[0] for of_event in store.record(*events).delivery_ids]
        store.outcomes(failed(ids[0], 1, NOW_MS + 10), failed(ids[1], 1, NOW_MS - 10), outcome(ids[2]))

        due = store.reader.due_deliveries(loop.no, NOW_MS + 9, 10, [ids[4]])
        assert [ids[1], ids[3], ids[5]] == [d.delivery_id for d in due]
        assert (events[1].event_id, "open", events[1].fields, 1, NOW_MS - 10) == due[0][1:]
        assert ids[1:2] == [d.delivery_id for d in store.reader.due_deliveries(loop.no, NOW_MS, 1, [])]
        assert ids[0] in [d.delivery_id for d in store.reader.due_deliveries(loop.no, NOW_MS + 10, 10, [])]

    def test_the_next_due_time(self, store: Store) -> None:
        """The soonest pending delivery's time, or None when nothing is pending."""
        tenant = store.account()
        loop = store.active_loop(tenant)
        assert store.reader.next_due_ms(loop.no) is None

        [[delivery_id]] = store.record(event(tenant, loop_nos=[loop.no])).delivery_ids
        assert store.reader.next_due_ms(loop.no) == NOW_MS
        store.outcomes(failed(delivery_id, 1, NOW_MS + 5))
        assert store.reader.next_due_ms(loop.no) == NOW_MS + 5
        store.outcomes(outcome(delivery_id, 2))
        assert store.reader.next_due_ms(loop.no) is None

    def test_loops_owed(self, store: Store) -> None:
        """Only loops with a pending delivery of the events asked for, however many are asked for."""
        tenant = store.account()
        a, b, d = (store.active_loop(tenant).no for _ in range(3))
        asked, done, another = (event(tenant, loop_nos=[no]) for no in (a, b, d))
        _, [delivered], _ = store.record(asked, done, another).delivery_ids
        store.outcomes(outcome(delivered))
        unknown = [event(tenant).event_id for _ in range(1200)]

        assert [a] == store.reader.loops_owed([*unknown, asked.event_id, done.event_id])


class ViewsSuite:
    """What the API shows."""

    def test_an_account_is_found_by_its_key(self, store: Store) -> None:
        """Each key opens its account, an unknown one none."""
        tenant = store.account()

        assert ("Acme", id_text("acc", tenant.uuid)) == (tenant.view.name, tenant.view.id)
        assert store.reader.account_by_key("0" * 64) is None

    def test_a_loop_is_shown_as_its_aggregate_is(self, store: Store) -> None:
        """Changes, verification, disabling and deletion are seen in the loop's row."""
        tenant = store.account()
        loop = tenant.loop(rate_limit=2.5, signature="cavage")
        loop.verify("x", NOW_MS + 3)
        loop.change({"format": "json", "rate_limit": None}, NOW_MS)
        loop.disable("410 Gone", NOW_MS)
        store.append(loop)
        row = store.reader.loop(id_text("fl", loop.id))
        assert row is not None

        assert (row.format, row.rate_limit, row.signature) == ("json", None, "cavage")
        assert (row.state, row.disabled_reason, row.verified_at_ms) == ("disabled", "410 Gone", NOW_MS + 3)
        assert (tenant.no, tenant.view.id, False) == (row.account_no, row.account_id, row.deleted)
        assert store.reader.loop("fl_" + "0" * 32) is None

    def test_deleted_loops_are_not_listed(self, store: Store) -> None:
        """A deleted loop is found by its id alone."""
        tenant = store.account()
        kept, loop = store.active_loop(tenant), tenant.loop()
        loop.delete(NOW_MS)
        store.append(loop)
        row = store.reader.loop(id_text("fl", loop.id))

        assert row is not None
        assert row.deleted
        assert [kept.id] == store.reader.running_loops()
        assert [kept.id] == [x.id for x in store.reader.list_loops(tenant.no, 10, None).data]

    def test_loops_are_listed_page_by_page(self, store: Store) -> None:
        """Pages of one account's loops, oldest first, end with no cursor."""
        tenant = store.account()
        store.active_loop(store.account())
        ids = [store.active_loop(tenant).id for _ in range(4)]
        first = store.reader.list_loops(tenant.no, 2, None)
        second = store.reader.list_loops(tenant.no, 2, first.next)

        assert (ids[:2], ids[2:]) == ([x.id for x in first.data], [x.id for x in second.data])
        assert second.next is None

    def test_a_message_is_shown_with_its_events(self, store: Store) -> None:
        """The message of this account with its own history, oldest first."""
        tenant, stranger = store.account(), store.account()
        store.append(tenant.message(1, message_id="ü 1"), tenant.message(2))
        late, early = (event(tenant, message_key=1, time_ms=NOW_MS + n) for n in (5, 1))
        store.record(late, early, event(tenant, message_key=2))
        shown = store.reader.message(tenant.no, "ü 1")

        assert shown is not None
        assert (shown.key, shown.links, shown.created_at_ms) == (1, ["https://example.com/a"], NOW_MS)
        assert [early.fields, late.fields] == [bytes(e.fields) for e in shown.history]
        assert store.reader.message(stranger.no, "ü 1") is None

    @pytest.fixture
    def history(self, store: Store) -> tuple[Store, Tenant, list[str]]:
        """Twelve events, of three messages and none, of three types, one a millisecond."""
        tenant = store.account()
        store.append(
            *(tenant.message(k, recipient=f"{name}@example.com") for k, name in ((1, "a"), (2, "b"), (3, "a")))
        )
        types = ["open", "click", "bounce"]
        events = [event(tenant, message_key=n % 4, type=types[n % 3], time_ms=NOW_MS + n) for n in range(12)]
        store.record(*events)
        stranger = store.account()
        store.record(event(stranger))
        return store, tenant, [id_text("evt", e.event_id) for e in events]

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({}, range(12)),
            ({"type": "click"}, (1, 4, 7, 10)),
            ({"message_id": "m-2"}, (2, 6, 10)),
            ({"message_id": "m-2", "type": "bounce"}, (2,)),
            ({"message_id": "nobody's"}, ()),
            ({"recipient": "A@Example.com"}, (1, 3, 5, 7, 9, 11)),
            ({"recipient": "a@example.com", "message_id": "m-2"}, ()),
            ({"since_ms": NOW_MS + 3, "until_ms": NOW_MS + 6}, (3, 4, 5)),
            ({"since_ms": NOW_MS + 3, "type": "open"}, (3, 6, 9)),
            ({"until_ms": -5}, ()),
            ({"until_ms": 2**62}, range(12)),
        ],
    )
    def test_events_are_listed_by_filter(
        self, history: tuple[Store, Tenant, list[str]], filters: dict[str, Any], expected: Any
    ) -> None:
        """Every filter and mix of filters, newest first, in pages that neither miss nor repeat."""
        store, tenant, ids = history
        wanted = [ids[n] for n in reversed(expected)]
        for limit in (2, 5, 100):
            found: list[str] = []
            cursor = None
            while page := store.reader.list_events(
                c.ListEvents(account=tenant.view, limit=limit, cursor=cursor, **filters)
            ):
                found += [e.id for e in page.data]
                cursor = page.next
                if cursor is None:
                    break
            assert wanted == found

    @pytest.fixture
    def deliveries(self, store: Store) -> tuple[Store, Tenant, LoopRow, list[str]]:
        """Nine deliveries, created one a second; each third is delivered, each third after it dead."""
        tenant = store.account()
        loop, other = store.active_loop(tenant), store.active_loop(tenant)
        ids = []
        for n in range(9):
            made = event(tenant, type=["open", "click"][n % 2], loop_nos=[loop.no, other.no])
            ids.append(store.record(made).delivery_ids[0][0])
            store.clock.ms += 1000
        store.outcomes(*(outcome(i) for i in ids[::3]), *(outcome(i, state=2, status=500) for i in ids[1::3]))
        return store, tenant, loop, [f"dlv_{i}" for i in ids]

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({}, range(9)),
            ({"state": "delivered"}, (0, 3, 6)),
            ({"state": "dead"}, (1, 4, 7)),
            ({"state": "pending", "type": "click"}, (5,)),
            ({"type": "open"}, (0, 2, 4, 6, 8)),
            ({"since_ms": NOW_MS + 2000, "until_ms": NOW_MS + 5000}, (2, 3, 4)),
            ({"since_ms": NOW_MS + 2000, "state": "dead"}, (4, 7)),
            ({"since_ms": 2**70}, ()),
        ],
    )
    def test_deliveries_are_listed_by_filter(
        self, deliveries: tuple[Store, Tenant, LoopRow, list[str]], filters: dict[str, Any], expected: Any
    ) -> None:
        """Every filter and mix of filters, newest first, in pages that neither miss nor repeat."""
        store, tenant, loop, ids = deliveries
        wanted = [ids[n] for n in reversed(expected)]
        for limit in (1, 4, 100):
            pages = [self.page(store, tenant, loop.no, limit, None, filters)]
            while pages[-1].next is not None:
                pages.append(self.page(store, tenant, loop.no, limit, pages[-1].next, filters))
            found = [d for page in pages for d in page.data]

            assert wanted == [d.id for d in found]
            assert all(a.created_at_ms > b.created_at_ms for a, b in pairwise(found))

    def page(
        self, store: Store, tenant: Tenant, loop_no: int, limit: int, cursor: str | None, filters: dict[str, Any]
    ) -> c.DeliveryPage:
        return store.reader.list_deliveries(
            loop_no, c.ListDeliveries(account=tenant.view, loop_id="", limit=limit, cursor=cursor, **filters)
        )

    @pytest.mark.parametrize("cursor", ["", "x", "é", "W10", "WyJ4Il0", "eyJhIjoxfQ", "W5kMV0", "====", "A", "Wy0xXQ"])
    def test_a_foreign_cursor_is_refused(self, store: Store, cursor: str) -> None:
        """A cursor that is not one of the list's own is the caller's mistake, and named so."""
        tenant = store.account()
        calls: list[Callable[[], object]] = [
            lambda: store.reader.list_loops(tenant.no, 1, cursor),
            lambda: store.reader.list_events(c.ListEvents(account=tenant.view, cursor=cursor)),
            lambda: self.page(store, tenant, 1, 1, cursor, {}),
        ]
        for call in calls:
            with pytest.raises(InvalidInput) as refused:
                call()
            assert refused.value.problems[0][0] == "/cursor"

    def test_unknown_filters_are_refused(self, store: Store) -> None:
        """An unknown state or type is the caller's mistake, and named so."""
        tenant = store.account()
        calls: list[tuple[str, Any]] = [
            ("/type", lambda: store.reader.list_events(c.ListEvents(account=tenant.view, type="opened"))),
            ("/state", lambda: self.page(store, tenant, 1, 1, None, {"state": "PENDING"})),
            ("/type", lambda: self.page(store, tenant, 1, 1, None, {"type": "x"})),
        ]
        for pointer, call in calls:
            with pytest.raises(InvalidInput) as refused:
                call()
            assert pointer == refused.value.problems[0][0]


class RebuildSuite:
    """Read models are nothing but the log, folded."""

    def test_the_log_alone_rebuilds_every_read_model(self, store: Store) -> None:
        """Projecting the log into an empty store, in one go or event by event, gives equal rows."""
        tenant, _ = store.account(), store.account()
        loop = tenant.loop()
        loop.verify("x", NOW_MS)
        profile = tenant.profile("1", "p", {"a": [1, {"b": None}]})
        store.append(loop, profile, tenant.message(1), tenant.message(2, links=[]))
        profile.update("{}", ["x"], NOW_MS + 1)
        loop.change({"tags": ["spring"]}, NOW_MS)
        store.append(profile, loop)
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
