"""Contract suite for the API's queries. A store subclasses it with a fixture `store`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from actors.commands.command import Page
from actors.commands.deliveries import DeliveryView, ListDeliveries
from actors.commands.events import ListEvents
from actors.commands.messages import ListMessages
from actors.ledger.loop_projection import LoopRow
from domain.errors import InvalidInput
from domain.values import id_text
from tests.contract.ledger_facts import NOW_MS, Store, Tenant, event, outcome


class ViewsSuite:
    """Queries for the API."""

    def test_an_account_is_found_by_its_key(self, store: Store) -> None:
        """Each API key belongs to its account, an unknown key to none."""
        tenant = store.account()

        assert ("Acme", id_text("acc", tenant.uuid)) == (tenant.view.name, tenant.view.id)
        assert store.reader.account_by_key("0" * 64) is None

    def test_a_loop_is_shown_as_its_aggregate_is(self, store: Store) -> None:
        """Changes, verification, disabling and deletion appear in the loop's row."""
        tenant = store.account()
        loop = tenant.loop(rate_limit=2.5, signature="cavage")
        loop.verify("x", NOW_MS + 3)
        loop.change({"format": "json", "rate_limit": None}, NOW_MS)
        loop.disable("410 Gone", NOW_MS)
        store.append(loop)
        row = store.reader.loop(id_text("fl", loop.id))
        assert row is not None

        shown = row.settings
        assert (shown.format, shown.rate_limit, shown.signature) == ("json", None, "cavage")
        assert (row.state, row.disabled_reason, row.verified_at_ms) == ("disabled", "410 Gone", NOW_MS + 3)
        assert (tenant.no, tenant.view.id, False) == (row.account_no, row.account_id, row.deleted)
        assert store.reader.loop("fl_" + "0" * 32) is None

    def test_deleted_loops_are_not_listed(self, store: Store) -> None:
        """A deleted loop is only found by its id."""
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
        """An account's loops are listed oldest first; the last page has no cursor."""
        tenant = store.account()
        store.active_loop(store.account())
        ids = [store.active_loop(tenant).id for _ in range(4)]
        first = store.reader.list_loops(tenant.no, 2, None)
        second = store.reader.list_loops(tenant.no, 2, first.next)

        assert (ids[:2], ids[2:]) == ([x.id for x in first.data], [x.id for x in second.data])
        assert second.next is None

    def test_a_message_is_shown_with_its_events(self, store: Store) -> None:
        """A message has its own history, oldest first, and belongs to its account."""
        tenant, stranger = store.account(), store.account()
        store.append(tenant.message(1, message_id="ü 1"), tenant.message(2))
        late, early = (event(tenant, message_key=1, time_ms=NOW_MS + n) for n in (5, 1))
        store.record(late, early, event(tenant, message_key=2))
        shown = store.reader.message(tenant.no, "ü 1")

        assert shown is not None
        assert (shown.key, shown.links, shown.created_at_ms) == (1, ["https://example.com/a"], NOW_MS)
        assert [early.fields, late.fields] == [bytes(e.fields) for e in shown.history]
        assert store.reader.message(stranger.no, "ü 1") is None

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({}, range(1, 8)),
            ({"recipient": "A@Example.com"}, (1, 3, 5, 7)),
            ({"tag": "odd"}, (1, 3, 5, 7)),
            ({"tag": "a"}, range(1, 8)),
            ({"tag": "none"}, ()),
            ({"mailing": "1"}, (1, 4, 7)),
            ({"mailing": ""}, ()),
            ({"mailing": "1", "tag": "odd"}, (1, 7)),
            ({"recipient": "b@example.com", "tag": "even", "mailing": "1"}, (4,)),
            ({"recipient": "b@example.com", "tag": "odd"}, ()),
        ],
    )
    def test_messages_are_listed_by_filter(self, store: Store, filters: dict[str, Any], expected: Any) -> None:
        """Every combination of filters lists the right messages, newest first, page by page, of one account."""
        tenant, stranger = store.account(), store.account()
        for number in range(1, 8):
            tags = ["a", "even" if number % 2 == 0 else "odd", "a"]
            name = "a" if number % 2 else "b"
            store.append(tenant.message(number, recipient=f"{name}@example.com", tags=tags, mailing=str(number % 3)))
        store.append(stranger.message(100, recipient="a@example.com", tags=["odd"], mailing="1"))
        for limit in (1, 3, 100):
            found: list[int] = []
            cursor = None
            while page := store.reader.list_messages(
                ListMessages(account=tenant.view, limit=limit, cursor=cursor, **filters)
            ):
                found += [message.key for message in page.data]
                cursor = page.next
                if cursor is None:
                    break
            assert found == sorted(expected, reverse=True)
        assert store.reader.accounts(0, 1) == [tenant.view]
        assert store.reader.accounts(tenant.no, 10) == [stranger.view]

    @pytest.fixture
    def history(self, store: Store) -> tuple[Store, Tenant, list[str]]:
        """Twelve events of three messages and of none, of three types, one per millisecond."""
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
        """Every combination of filters lists the right rows, newest first; pages neither miss nor repeat rows."""
        store, tenant, ids = history
        wanted = [ids[n] for n in reversed(expected)]
        for limit in (2, 5, 100):
            found: list[str] = []
            cursor = None
            while page := store.reader.list_events(
                ListEvents(account=tenant.view, limit=limit, cursor=cursor, **filters)
            ):
                found += [e.id for e in page.data]
                cursor = page.next
                if cursor is None:
                    break
            assert wanted == found

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({}, range(5, 12)),
            ({"type": "click"}, (7, 10)),
            ({"recipient": "A@Example.com"}, (5, 7, 9, 11)),
            ({"until_ms": NOW_MS + 8}, (5, 6, 7)),
            ({"since_ms": NOW_MS + 10}, (10, 11)),
        ],
    )
    def test_events_after_one_are_listed_oldest_first(
        self, history: tuple[Store, Tenant, list[str]], filters: dict[str, Any], expected: Any
    ) -> None:
        """With `after`, events after that one are listed in order of id, page by page."""
        store, tenant, ids = history
        for limit in (1, 3, 100):
            found: list[str] = []
            query = ListEvents(account=tenant.view, after=ids[4], limit=limit, **filters)
            while True:
                page = store.reader.list_events(query)
                found += [e.id for e in page.data]
                if page.next is None:
                    break
                query = msgspec.structs.replace(query, cursor=page.next)
            assert [ids[n] for n in expected] == found
        assert store.reader.list_events(ListEvents(account=tenant.view, after="evt_" + "f" * 32)).data == []
        with pytest.raises(InvalidInput) as caught:
            store.reader.list_events(ListEvents(account=tenant.view, after="evt_x"))
        assert [pointer for pointer, _ in caught.value.problems] == ["/after"]

    def test_a_loop_is_found_by_its_number(self, store: Store) -> None:
        """A loop is found by number as by id."""
        loop = store.active_loop(store.account())

        assert store.reader.loop_by_no(loop.no) == store.reader.loop(loop.id)
        assert store.reader.loop_by_no(loop.no + 1) is None

    @pytest.fixture
    def deliveries(self, store: Store) -> tuple[Store, Tenant, LoopRow, list[str]]:
        """Nine deliveries, created one per second: delivered, dead and pending in turn."""
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
        """Every combination of filters lists the right rows, newest first; pages neither miss nor repeat rows."""
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
    ) -> Page[DeliveryView]:
        return store.reader.list_deliveries(
            loop_no, ListDeliveries(account=tenant.view, loop_id="", limit=limit, cursor=cursor, **filters)
        )

    @pytest.mark.parametrize("cursor", ["", "x", "é", "W10", "WyJ4Il0", "eyJhIjoxfQ", "W5kMV0", "====", "A", "Wy0xXQ"])
    def test_a_foreign_cursor_is_refused(self, store: Store, cursor: str) -> None:
        """A cursor from another list raises `InvalidInput` that names it."""
        tenant = store.account()
        calls: list[Callable[[], object]] = [
            lambda: store.reader.list_loops(tenant.no, 1, cursor),
            lambda: store.reader.list_events(ListEvents(account=tenant.view, cursor=cursor)),
            lambda: self.page(store, tenant, 1, 1, cursor, {}),
        ]
        for call in calls:
            with pytest.raises(InvalidInput) as refused:
                call()
            assert refused.value.problems[0][0] == "/cursor"

    def test_unknown_filters_are_refused(self, store: Store) -> None:
        """An unknown state or type raises `InvalidInput` that names it."""
        tenant = store.account()
        calls: list[tuple[str, Any]] = [
            ("/type", lambda: store.reader.list_events(ListEvents(account=tenant.view, type="opened"))),
            ("/state", lambda: self.page(store, tenant, 1, 1, None, {"state": "PENDING"})),
            ("/type", lambda: self.page(store, tenant, 1, 1, None, {"type": "x"})),
        ]
        for pointer, call in calls:
            with pytest.raises(InvalidInput) as refused:
                call()
            assert pointer == refused.value.problems[0][0]
