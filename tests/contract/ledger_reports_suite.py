"""Contract suite for reports and their digests. A store subclasses it with a fixture `store`."""

from __future__ import annotations

from typing import Any

import pytest

from actors.commands.events import ListEvents
from actors.commands.reports import ListReports
from domain.errors import InvalidInput
from domain.reports.intake import ReportState, further_id
from domain.tracking import RecordedEvents, ReportToRecord
from domain.values import id_text
from tests.contract.ledger_facts import NOW_MS, Store, Tenant, event, event_id

DAY_MS = 86_400_000


def report(tenant: Tenant, digest: bytes = b"d" * 32, events: int = 1, **given: Any) -> ReportToRecord:
    """A matched report with a number of failures."""
    id_ = given.pop("report_id", None) or event_id(given.pop("time_ms", NOW_MS))
    loop_nos = given.pop("loop_nos", ())
    made = [event(tenant, loop_nos=loop_nos, event_id=further_id(id_, n), type="failure") for n in range(events)]
    made = [each._replace(mime=given.get("mime")) for each in made]
    given.pop("mime", None)
    state = int(given.pop("state", ReportState.MATCHED))
    return ReportToRecord(id_, tenant.no, digest, "api", "failure", state, made, **given)


def record(store: Store, *reports: ReportToRecord) -> RecordedEvents:
    return store.run(store.writer.record_events(store.reader.routing_table().version, [], reports))


def listed(store: Store, tenant: Tenant, state: str | None = None) -> list[tuple[str, str]]:
    """The id and the state of each report."""
    page = store.reader.list_reports(ListReports(account=tenant.view, state=state))
    return [(view.id, view.state) for view in page.data]


def events_of(store: Store, tenant: Tenant) -> set[str]:
    return {view.id for view in store.reader.list_events(ListEvents(account=tenant.view, limit=200)).data}


class ReportsSuite:
    """Reports in `LedgerWriter` and `LedgerReader`."""

    def test_a_report_is_recorded_with_its_events(self, store: Store) -> None:
        """Its events get their deliveries, and the report lists the events."""
        tenant = store.account()
        loop = store.active_loop(tenant, triggers=["failure"])
        made = report(tenant, events=3, loop_nos=[loop.no], is_truncated=True)

        assert [len(ids) for ids in record(store, made).delivery_ids] == [1, 1, 1]
        view = store.reader.report(tenant.no, id_text("rep", made.report_id))
        assert view is not None
        assert (view.state, view.kind, view.source, view.is_truncated) == ("matched", "failure", "api", True)
        assert view.arrived_at_ms == NOW_MS
        assert view.events == [id_text("evt", each.event_id) for each in made.events]
        assert events_of(store, tenant) == set(view.events)

    def test_an_event_s_report_is_found(self, store: Store) -> None:
        """By the id of any of its events, only in its account, also among others of the same millisecond."""
        tenant, other = store.account(), store.account()
        made = [report(tenant, bytes([n]) * 32, events=n + 1) for n in range(3)]
        hit = event(tenant)
        store.record(hit)
        record(store, *made)

        for each in made:
            for of_report in each.events:
                event_name = id_text("evt", of_report.event_id)
                found = store.reader.report_of_event(tenant.no, event_name)
                assert found == store.reader.report(tenant.no, id_text("rep", each.report_id))
                assert store.reader.report_of_event(other.no, event_name) is None
        assert store.reader.report_of_event(tenant.no, id_text("evt", hit.event_id)) is None
        assert store.reader.report_of_event(tenant.no, "evt_no") is None

    def test_a_repeated_report_is_one_event(self, store: Store) -> None:
        """The second arrival records no event, in the same batch or a later one, and names the first."""
        tenant = store.account()
        first, second, third = (report(tenant) for _ in range(3))

        assert record(store, first, second).repeated_reports == (1,)
        assert record(store, third).repeated_reports == (0,)
        assert events_of(store, tenant) == {id_text("evt", first.report_id)}
        for each in (second, third):
            view = store.reader.report(tenant.no, id_text("rep", each.report_id))
            assert view is not None
            assert (view.state, view.first_id, view.events) == ("repeated", id_text("rep", first.report_id), [])

    def test_a_batch_sent_again_changes_nothing(self, store: Store) -> None:
        """Its events are duplicates, also those of a report whose events have expired."""
        tenant = store.account()
        loop = store.active_loop(tenant, triggers=["failure"])
        batch = [report(tenant, b"a" * 32, 2, loop_nos=[loop.no]), report(tenant, b"b" * 32), report(tenant, b"b" * 32)]
        first = record(store, *batch)
        before = store.log(), listed(store, tenant)
        again = record(store, *batch)

        assert (first.duplicates, first.repeated_reports) == ([], (2,))
        assert (again.duplicates, again.repeated_reports) == ([0, 1, 2], (2,))
        assert again.delivery_ids == [[]] * 4
        assert (store.log(), listed(store, tenant)) == before
        store.clock.ms += 40 * DAY_MS
        store.record(event(tenant))  # the newest row of the log always stays
        store.drop(events=store.clock.ms, deliveries=store.clock.ms)
        known = events_of(store, tenant)
        assert record(store, batch[1]).duplicates == [0]
        assert events_of(store, tenant) == known

    def test_digests_outlive_reports_and_events(self, store: Store) -> None:
        """A repeat is recognised for 100 days, whatever the retention of events; reports are shown for 30."""
        tenant = store.account()
        old = report(tenant)
        record(store, old)
        store.clock.ms += 31 * DAY_MS
        store.record(event(tenant, time_ms=store.clock.ms))
        store.drop(events=store.clock.ms)
        assert listed(store, tenant) == []
        store.clock.ms += 68 * DAY_MS
        store.drop(events=store.clock.ms)
        assert record(store, report(tenant, time_ms=store.clock.ms)).repeated_reports == (0,)
        store.clock.ms += 2 * DAY_MS
        store.drop(events=store.clock.ms)
        assert record(store, report(tenant, time_ms=store.clock.ms)).repeated_reports == ()

    def test_a_refused_report_leaves_its_digest_free(self, store: Store) -> None:
        """The same report with a valid key is recorded."""
        tenant = store.account()
        refused = report(tenant, b"", 0, state=ReportState.REFUSED)
        record(store, refused)
        record(store, refused)

        assert listed(store, tenant) == [(id_text("rep", refused.report_id), "refused")]
        assert record(store, report(tenant)).repeated_reports == ()

    def test_reports_are_listed_newest_first_by_state(self, store: Store) -> None:
        """Pages follow each other; another account's reports are not in them."""
        tenant, other = store.account(), store.account()
        states = [ReportState.MATCHED, ReportState.UNMATCHED] * 3
        made = [report(tenant, bytes([n]) * 32, time_ms=NOW_MS + n, state=state) for n, state in enumerate(states)]
        record(store, *made, report(other, b"o" * 32))
        ids = [id_text("rep", each.report_id) for each in reversed(made)]
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = store.reader.list_reports(ListReports(account=tenant.view, limit=4, cursor=cursor))
            found += [view.id for view in page.data]
            if (cursor := page.next) is None:
                break

        assert found == ids
        assert listed(store, tenant, "unmatched") == [(id_, "unmatched") for id_ in ids[::2]]
        assert store.reader.report(other.no, ids[0]) is None
        with pytest.raises(InvalidInput, match="must be one of matched"):
            listed(store, tenant, "lost")

    def test_a_returned_mail_is_kept_beside_its_event(self, store: Store) -> None:
        """Only `kept_mail` reads it, and it goes with the event."""
        tenant = store.account()
        mail = "From: a@b.example\r\n\r\nZurück \0 " + "x" * 100_000
        made = report(tenant, mime=mail)
        record(store, made)

        assert store.reader.kept_mail(made.report_id) == mail
        assert max(len(stored.state) for stored in store.log() if stored.originator_version == 1) < 2_000
        store.clock.ms += DAY_MS
        store.record(event(tenant, time_ms=store.clock.ms))
        store.drop(events=store.clock.ms)
        assert store.reader.kept_mail(made.report_id) is None

    def test_messages_are_found_by_id_and_reference(self, store: Store) -> None:
        """Only in the account, and a reference with or without angle brackets. Any text may be asked for."""
        tenant, other = store.account(), store.account()
        store.append(tenant.message(1, reference="<a@b>"), other.message(2, reference="a@b"), tenant.message(3))
        wanted = [(tenant.no, "a@b"), (other.no, "a@b"), (tenant.no, "<a@b>"), (tenant.no, "x"), (tenant.no, "\0a@b")]

        assert store.reader.message_keys("reference", wanted) == {(tenant.no, "a@b"): 1, (other.no, "a@b"): 2}
        assert store.reader.message_keys("id", [(tenant.no, "m-3"), (other.no, "m-3")]) == {(tenant.no, "m-3"): 3}
        assert store.reader.message_keys("id", []) == {}

    def test_api_keys_are_known_after_their_revocation(self, store: Store) -> None:
        """A revoked key has its time; the list of valid keys changes its version with each key."""
        tenant = store.account()
        before = store.reader.api_key_list(-1)
        assert before.keys is not None
        (hash_,) = (key.hash for key in before.keys if key.account == tenant.view)
        assert store.reader.api_key(hash_) == (tenant.no, None)
        assert store.reader.api_key("f" * 64) is None
        assert store.reader.api_key_list(before.version).keys is None
        store.revoke_key(tenant, hash_, NOW_MS + 5)
        after = store.reader.api_key_list(before.version)

        assert store.reader.api_key(hash_) == (tenant.no, NOW_MS + 5)
        assert after.version > before.version
        assert after.keys == [key for key in before.keys if key.hash != hash_]
