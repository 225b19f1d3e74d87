"""Contract suite for what is kept about a person: exports and counts."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import msgspec
import pytest

from actors.commands.recipients import ExportedRecord, RecipientCounts
from actors.ledger.queries import recipients
from domain.profile_change import ProfileKey
from domain.reports.intake import ReportState
from tests.contract.ledger_facts import NOW_MS, Store, Tenant, event, outcome
from tests.contract.ledger_reports_suite import record, report

JOHN = "John.Doe@Example.com"


def exported(store: Store, tenant: Tenant, email: str = JOHN) -> list[dict[str, Any]]:
    """All records of an export, page by page, each with its only attribute as plain data."""
    found: list[ExportedRecord] = []
    cursor = None
    while True:
        page = store.reader.export_page(tenant.view, email, cursor)
        found += page.records
        cursor = page.next
        if cursor is None:
            return [_plain(record) for record in found]


def _plain(record: ExportedRecord) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(msgspec.json.encode(record))
    return {name: value for name, value in plain.items() if value is not None}


def kinds(records: list[dict[str, Any]]) -> list[str]:
    return [next(iter(record)) for record in records]


class RecipientsSuite:
    """`RecipientQueries` of `LedgerReader`."""

    @pytest.fixture(autouse=True)
    def installation(self, store: Store) -> None:
        """The store belongs to an installation, whose digests have a key."""
        store.reader._digest_key = b"k" * 32

    @pytest.fixture
    def person(self, store: Store) -> tuple[Store, Tenant]:
        """Somebody with two messages, three events, a returned mail, two deliveries, a profile and a subprofile."""
        tenant = store.account()
        loop = store.active_loop(tenant)
        store.append(
            tenant.message(1, recipient="john.doe@EXAMPLE.com", reference="ref@example", database="1", profile="p"),
            tenant.message(2, recipient="JOHN.DOE@example.com"),
            tenant.message(3, recipient="jane@example.com", database="1", profile="q"),
        )
        profile = tenant.profile("1", "p", {"city": "Delft"})
        store.append(profile, tenant.profile("1", "p", {"item": "tea"}, ("orders", "7")))
        store.append(tenant.profile("1", "q", {"email": "jane@example.com"}))
        profile.put('{"city": "Gouda"}', [], profile.modified_at_ms + 1)
        store.append(profile)
        bounce = event(tenant, 1, loop_nos=[loop.no], type="bounce", fields={"recipient": JOHN})._replace(mime="mail")
        [[first], [second], []] = store.record(
            bounce, event(tenant, 2, loop_nos=[loop.no]), event(tenant, 3)
        ).delivery_ids
        store.outcomes(outcome(first, excerpt=JOHN, state=2, status=500, error="teapot"), outcome(second))
        store.record(event(tenant, 1, time_ms=NOW_MS + 1))
        return store, tenant

    def test_everything_about_a_person_is_exported(self, person: tuple[Store, Tenant]) -> None:
        """In the order of messages, each with its events; then profiles, with their history; of no one else."""
        store, tenant = person
        records = exported(store, tenant)

        assert kinds(records) == [
            *("message", "event", "mail", "delivery", "event", "message", "event", "delivery"),
            *("profile", "version", "version", "profile", "version"),
        ]
        assert records[0]["message"]["reference"] == "ref@example"
        assert records[1]["event"]["fields"]["recipient"] == JOHN
        assert records[2]["mail"]["mime"] == "mail"
        assert records[3]["delivery"]["delivery"]["attempts"][0]["response_excerpt"] == JOHN
        assert records[3]["delivery"]["loop_id"].startswith("fl_")
        assert [records[at]["profile"]["fields"] for at in (8, 11)] == [{"city": "Gouda"}, {"item": "tea"}]
        assert [records[at]["version"]["fields"] for at in (9, 10)] == [{"city": "Delft"}, {"city": "Gouda"}]
        assert [records[at]["version"]["change"] for at in (9, 10)] == ["created", "updated"]
        assert "jane" not in json.dumps(records)

    @pytest.mark.parametrize("size", [1, 2, 3, 1000])
    def test_pages_of_any_size_have_the_same_records(
        self, person: tuple[Store, Tenant], size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A page continues exactly where the one before it ended."""
        store, tenant = person
        whole = exported(store, tenant)
        monkeypatch.setattr(recipients, "PAGE_RECORDS", size)
        assert exported(store, tenant) == whole
        monkeypatch.setattr(recipients, "PAGE_BYTES", size)
        assert exported(store, tenant) == whole

    def test_a_page_is_bounded(self, store: Store) -> None:
        """However many events a message has, and however large they are."""
        tenant = store.account()
        store.append(tenant.message(1, recipient=JOHN))
        made = [event(tenant, 1, fields={"x": "y" * 60_000})._replace(mime="m" * 500_000) for _ in range(30)]
        store.record(*made)
        page = store.reader.export_page(tenant.view, JOHN, None)

        assert 0 < len(msgspec.json.encode(page)) < 1_300_000
        assert kinds(exported(store, tenant)).count("event") == 30

    def test_every_personal_column_is_exported(self, person: tuple[Store, Tenant]) -> None:
        """The values of each column of the class `PERSONAL` (`tests.integration.test_personal_columns` lists them)."""
        store, tenant = person
        text = json.dumps(exported(store, tenant), ensure_ascii=False)

        for value in (
            *("john.doe@EXAMPLE.com", "ref@example", "https://example.com/a", "Ünïcode", "mail"),
            *("Gouda", "Delft", "golf", "tea", JOHN, "teapot", "X-Näme: ü"),
        ):
            assert value in text, value

    def test_another_account_keeps_nothing(self, person: tuple[Store, Tenant]) -> None:
        """An export is about one account, and an unknown address has an empty one."""
        store, tenant = person
        assert exported(store, store.account()) == []
        assert exported(store, tenant, "john.do@example.com") == []

    def test_a_profile_with_the_address_is_exported(self, store: Store) -> None:
        """Also if no message names it, and if only a subprofile has the address; then with its profile."""
        tenant = store.account()
        store.append(
            tenant.profile("1", "a", {"email": JOHN}),
            tenant.profile("1", "b", {}),
            tenant.profile("1", "b", {"to": "john.doe@example.com"}, ("orders", "1")),
            tenant.profile("1", "c", {"email": "x" + JOHN}),
        )
        keys = [ProfileKey(*record["profile"]["key"]) for record in exported(store, tenant) if "profile" in record]

        assert keys == [ProfileKey("1", "a"), ProfileKey("1", "b"), ProfileKey("1", "b", "orders", "1")]

    def test_deleted_profiles_and_former_addresses_are_exported(self, store: Store) -> None:
        """What the history still has is kept, too: of a deleted subprofile, and of a field that was changed."""
        tenant = store.account()
        profile, subprofile = tenant.profile("1", "p", {"email": JOHN}), tenant.profile("1", "p", {"n": 1}, ("o", "7"))
        store.append(profile, subprofile)
        subprofile.delete(NOW_MS + 1)
        profile.put('{"email": "jane@example.com"}', [], NOW_MS + 1)
        store.append(profile, subprofile)
        records = exported(store, tenant)

        assert kinds(records) == ["profile", *["version"] * 4]
        assert [each["version"]["change"] for each in records[1:]] == ["created", "updated", "created", "deleted"]
        assert records[3]["version"]["key"] == ["1", "p", "o", "7"]

    @pytest.mark.parametrize("seconds", [0.0, 60.0])
    def test_reports_of_no_message_are_searched(
        self, store: Store, seconds: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A mail is decoded for the search; a report is exported with all its events. A page may end after each."""
        monkeypatch.setattr(recipients, "PAGE_S", seconds)
        tenant = store.account()
        head = "Content-Transfer-Encoding: base64\n\n"
        unmatched = ReportState.UNMATCHED
        record(
            store,
            *(report(tenant, bytes([n]) * 32, state=unmatched, mime="Hello jane@example.com") for n in range(30)),
            report(tenant, b"b" * 32, 2, state=unmatched, mime=head + b64encode(f"I am {JOHN}.".encode()).decode()),
            report(tenant, b"c" * 32, state=ReportState.UNREADABLE, mime=f"To: <{JOHN}>"),
            report(tenant, b"d" * 32, state=ReportState.MATCHED, mime=f"To: <{JOHN}>"),
        )
        records = exported(store, tenant)

        assert kinds(records) == ["report", "event", "mail", "event", "mail", "report", "event", "mail"]
        assert [each["report"]["state"] for each in records if "report" in each] == ["unmatched", "unreadable"]

    def test_counts(self, person: tuple[Store, Tenant]) -> None:
        """As many as an export has."""
        store, tenant = person
        assert store.reader.recipient_counts(tenant.view, JOHN) == RecipientCounts(
            messages=2, events=3, deliveries=2, profiles=0
        )
        assert store.reader.recipient_counts(store.account().view, JOHN) == RecipientCounts(
            messages=0, events=0, deliveries=0, profiles=0
        )
