"""Enrichment of reports on a real SQLite ledger: matching, fields, loops, repeats and refusals."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actors.adapters.uuid7 import UUID7s
from actors.commands.events import ListEvents
from actors.commands.intake import Batch
from actors.commands.reports import ListReports
from actors.enrichment.enricher import Enricher
from actors.enrichment.mails import MailReader
from actors.metrics import catalogue as m
from actors.metrics.instruments import EnrichmentInstruments
from actors.metrics.registry import Registry
from domain.reports.intake import Report, ReturnedMailEntry, mail_digest, report_digest
from domain.reports.validation import canonical_report
from domain.returned_mail.report import MatchingKeys, ReturnedMail
from tests.contract.ledger_facts import NOW_MS, Store, Tenant
from tests.contract.sqlite_store import sqlite_stores
from tests.integration.test_enricher import KEY, FakeLoops, hit, register
from tests.mail_reader import RETURN_PATH, TRACKING, DirectParser, make_mail_reader, read_keys

HOUR_MS = 3_600_000
ids = UUID7s()


class World:
    """A store with one account, its enricher, and what the loops were offered."""

    def __init__(self, store: Store, reader: MailReader | None = None) -> None:
        self.store = store
        self.loops = FakeLoops()
        self.registry = Registry()
        instruments = EnrichmentInstruments(self.registry)
        self.enricher = Enricher(store.writer, store.reader, self.loops, reader or make_mail_reader(), instruments)
        self.tenant = store.account()

    def key_hash(self, tenant: Tenant) -> str:
        keys = self.store.reader.api_key_list(-1).keys or []
        return next(key.hash for key in keys if key.account == tenant.view)

    def report(self, tenant: Tenant | None = None, arrived_ms: int = NOW_MS, **fields: Any) -> Report:
        """A report as the front end journals it."""
        tenant = tenant or self.tenant
        body, given_id = canonical_report({"type": "failure"} | fields, arrived_ms)
        digest = report_digest(tenant.no, "api", given_id, body)
        key_hash = bytes.fromhex(self.key_hash(tenant))
        return Report(ids.next(arrived_ms), tenant.no, "api", key_hash, arrived_ms, digest, body)

    def mail(self, raw: str | bytes, tenant: Tenant | None = None, **given: Any) -> ReturnedMailEntry:
        """A returned mail as the front end journals it."""
        tenant = tenant or self.tenant
        mime = raw.encode() if isinstance(raw, str) else raw
        key_hash, digest = bytes.fromhex(self.key_hash(tenant)), mail_digest(tenant.no, "mail", mime)
        entry = ReturnedMailEntry(ids.next(NOW_MS), tenant.no, "mail", key_hash, NOW_MS, digest, mime)
        return entry._replace(**given)

    def record(self, *reports: Any) -> None:
        asyncio.run(self.enricher.record(Batch(list(reports), [])))

    def states(self, tenant: Tenant | None = None) -> list[str]:
        """The states of all reports, oldest first."""
        page = self.store.reader.list_reports(ListReports(account=(tenant or self.tenant).view, limit=200))
        return [view.state for view in reversed(page.data)]

    def events(self) -> list[dict[str, Any]]:
        """The fields of all events, oldest first."""
        page = self.store.reader.list_events(ListEvents(account=self.tenant.view, limit=200))
        return [json.loads(bytes(view.fields)) for view in reversed(page.data)]

    def count(self, state: str) -> float:
        return self.registry.counter(m.REPORTS, "api", state).value


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with sqlite_stores(tmp_path) as store:
        yield World(store)


def test_a_report_becomes_an_event_with_the_message_s_fields(world: World) -> None:
    """It has the contract's fields: of the message, of the profile, and its own; its time is the report's."""
    loop = world.store.active_loop(world.tenant, triggers=["failure"], tags=["a"], databases=["1"])
    world.store.append(world.tenant.profile("1", "p", {"name": "John"}))
    register(world.store, world.tenant, database="1", profile="p", mailing="may")
    at = "2026-02-01T10:00:00Z"
    report = world.report(
        message=f"m-{KEY}",
        recipient="other@example.com",
        code=550,
        extended="5.1.1",
        description="no",
        state="rcpt",
        time=at,
    )
    world.record(report)

    [(loop_id, delivery)] = world.loops.offers
    assert (loop_id, delivery.event_id, delivery.type) == (loop.id, report.event_id, "failure")
    assert json.loads(delivery.fields) == {
        "id": f"m-{KEY}",
        "message": f"m-{KEY}",
        "event": f"evt_{report.event_id.hex()}",
        "type": "failure",
        "timestamp": "2026-02-01 10:00:00",
        "time": 1_769_940_000,
        "recipient": "john@example.com",
        "tags": ["a"],
        "mailing": "may",
        "action": "failed",
        "state": "rcpt",
        "code": "550",
        "extended": "5.1.1",
        "description": "no",
        "category": "address",
        "permanent": 1,
        "database": "1",
        "profile": "p",
        "fields": {"name": "John"},
        "interests": ["golf"],
    }
    assert world.states() == ["matched"]
    history = world.store.reader.message(world.tenant.no, f"m-{KEY}")
    assert history is not None
    assert [view.id for view in history.history] == [f"evt_{report.event_id.hex()}"]


@pytest.mark.parametrize(
    ("type_", "given", "own"),
    [
        (
            "delivery",
            {"code": 250, "extended": "2.0.0", "description": "ok", "state": "data"},
            {"code", "extended", "description"},
        ),
        (
            "bounce",
            {"envelope": "b@x.example", "mime": "From: ü", "extended": "4.2.2"},
            {"envelope", "mime_charset", "category", "permanent"},
        ),
        ("abuse", {"envelope": "b@x", "emailfrom": "f@x", "mime": "x"}, {"envelope", "emailfrom", "mime_charset"}),
        ("unsubscribe", {"ip": "192.0.2.1", "useragent": "UA", "code": 250}, {"ip", "useragent"}),
        ("failure", {"action": "failed"}, {"action"}),
        ("failure", {}, {"action"}),
    ],
)
def test_each_type_has_its_own_fields(world: World, type_: str, given: dict[str, Any], own: set[str]) -> None:
    """Fields that the event does not have are left out; a mail is kept beside the event, and only there."""
    register(world.store, world.tenant)
    report = world.report(type=type_, message=f"m-{KEY}", **given)
    world.record(report)

    common = {"id", "message", "event", "type", "timestamp", "time", "recipient", "tags"}
    [fields] = world.events()
    assert fields.keys() == common | own
    assert world.store.reader.kept_mail(report.event_id) == given.get("mime")


def test_messages_are_matched_inside_the_account_only(world: World) -> None:
    """By id or reference of the same account; another account's message is as unknown as none."""
    other = world.store.account()
    register(world.store, world.tenant, reference="<ref@example.com>")
    register(world.store, other, key=KEY + 1, reference="theirs")
    wanted: list[dict[str, Any]] = [
        {"message": f"m-{KEY}"},
        {"reference": "ref@example.com"},
        {"reference": " <ref@example.com> "},
        {"message": "unknown", "reference": "<ref@example.com>"},
        {"message": f"m-{KEY + 1}"},
        {"reference": "theirs"},
        {"reference": "REF@example.com"},
        {"message": "x", "recipient": "john@example.com"},
    ]
    world.record(*(world.report(event=str(n), **fields) for n, fields in enumerate(wanted)))

    assert world.states() == ["matched"] * 4 + ["unmatched"] * 4
    assert [event.get("id") for event in world.events()] == [f"m-{KEY}"] * 4 + [None] * 4


def test_unmatched_reports_go_to_loops_without_filters(world: World) -> None:
    """Loops with a tag or database filter do not get them; the fields are those that the report knows."""
    free = world.store.active_loop(world.tenant, triggers=["abuse"])
    for settings in ({"tags": ["a"]}, {"databases": ["1"]}, {"triggers": ["bounce"]}):
        world.store.active_loop(world.tenant, **({"triggers": ["abuse"]} | settings))
    report = world.report(type="abuse", message="m", recipient="jane@example.com", emailfrom="jane@example.com")
    world.record(report)

    [(loop_id, delivery)] = world.loops.offers
    assert loop_id == free.id
    assert json.loads(delivery.fields) == {
        "event": f"evt_{report.event_id.hex()}",
        "type": "abuse",
        "timestamp": "2026-02-02 02:40:00",
        "time": NOW_MS // 1000,
        "recipient": "jane@example.com",
        "emailfrom": "jane@example.com",
    }


def test_the_same_report_twice_is_one_event(world: World) -> None:
    """In one batch, in a later one, or with the caller's id and other content; a batch sent again nudges its loops."""
    loop = world.store.active_loop(world.tenant, triggers=["failure"])
    register(world.store, world.tenant)
    fields: dict[str, Any] = {"message": f"m-{KEY}"}
    first, second = world.report(**fields), world.report(arrived_ms=NOW_MS + HOUR_MS, **fields)
    world.record(first, world.report(**fields))
    world.record(second)
    world.record(world.report(event="e", code=550, **fields), world.report(event="e", code=551, **fields))

    assert world.events()[0]["event"] == f"evt_{first.event_id.hex()}"
    assert len(world.events()) == len(world.loops.offers) == 2
    assert sorted(world.states()) == ["matched"] * 2 + ["repeated"] * 3
    assert (world.count("matched"), world.count("repeated")) == (2, 3)
    world.record(first)
    assert world.loops.nudged == [loop.id]
    assert (world.count("matched"), len(world.events())) == (2, 2)


def test_a_report_after_the_revocation_of_its_key_is_refused(world: World) -> None:
    """One that arrived before still counts, and the same report with a valid key is recorded afterwards."""
    register(world.store, world.tenant)
    early, late = (
        world.report(message=f"m-{KEY}", event=name, arrived_ms=NOW_MS + ms) for name, ms in (("a", 5), ("b", 6))
    )
    stranger = early._replace(key_hash=b"x" * 32)
    world.store.revoke_key(world.tenant, world.key_hash(world.tenant), NOW_MS + 5)
    world.record(early, late, stranger._replace(event_id=ids.next(NOW_MS + 7)))

    assert world.states() == ["matched", "refused", "refused"]
    assert (len(world.events()), world.count("refused")) == (1, 2)
    other = world.store.account()
    world.record(late._replace(event_id=ids.next(NOW_MS + 8), key_hash=bytes.fromhex(world.key_hash(other))))
    assert world.states()[-1] == "refused"


def test_hits_and_reports_share_a_batch(world: World) -> None:
    """Both are recorded in one transaction and offered to their loops."""
    world.store.active_loop(world.tenant, triggers=["click", "delivery"])
    register(world.store, world.tenant)
    world.record(hit(world.tenant), world.report(type="delivery", message=f"m-{KEY}"), hit(world.tenant, "open"))

    assert sorted(delivery.type for _, delivery in world.loops.offers) == ["click", "delivery"]
    assert world.registry.counter(m.EVENTS, "delivery", "api").value == 1
    assert world.registry.counter(m.EVENTS, "click", m.HIT_SOURCE).value == 1


def dsn(*recipients: tuple[str, str, str], original: str = "", header: str = "") -> str:
    """A delivery status notification with the action and the status of each recipient."""
    groups = "".join(
        f"Final-Recipient: rfc822; {address}\nAction: {action}\nStatus: {status}\n"
        f"Diagnostic-Code: smtp; 550 {status} no such user\n\n"
        for address, action, status in recipients
    )
    return (
        f"From: MAILER-DAEMON@mx.example\nTo: sender@example.com\n{header}Subject: Undelivered Mail\n"
        "MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
        "--b\nContent-Type: text/plain\n\nSorry.\n"
        f"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n{original}\n{groups}"
        "--b\nContent-Type: message/rfc822\n\nMessage-ID: <mid@example.com>\nSubject: Hi\n\nText\n--b--\n"
    )


def test_a_failed_dsn_is_a_failure_and_a_bounce(world: World) -> None:
    """Both have the message's fields and their own; the mail is kept with the bounce only."""
    register(world.store, world.tenant, reference="mid@example.com")
    raw = dsn(("john@example.com", "failed", "5.1.1"))
    mail = world.mail(raw)
    world.record(mail)

    failure, bounce = sorted(world.events(), key=lambda event: event["type"], reverse=True)
    common = {"id": f"m-{KEY}", "message": f"m-{KEY}", "recipient": "john@example.com", "tags": ["a"]}
    assert {name: failure[name] for name in ("action", "state", "code", "extended", "category", "permanent")} == {
        "action": "failed",
        "state": "bounce",
        "code": "550",
        "extended": "5.1.1",
        "category": "address",
        "permanent": 1,
    }
    for event in (failure, bounce):
        assert {name: event[name] for name in common} == common
        assert "mime" not in event
    assert (bounce["type"], bounce["category"], bounce["permanent"]) == ("bounce", "address", 1)
    assert bounce["mime_charset"] == "utf-8"
    kept = {event["type"]: world.store.reader.kept_mail(bytes.fromhex(event["event"][4:])) for event in world.events()}
    assert kept == {"failure": None, "bounce": raw}
    [view] = world.store.reader.list_reports(ListReports(account=world.tenant.view)).data
    assert (view.id, view.state, view.kind, view.source) == (f"rep_{mail.event_id.hex()}", "matched", "failed", "mail")
    assert set(view.events) == {event["event"] for event in world.events()}


@pytest.mark.parametrize(
    "place",
    [
        lambda no: {"header": f"Delivered-To: b-{RETURN_PATH.make(no, KEY)}@return.example\n"},
        lambda no: {"header": f"Delivered-To: prvs=0123456789=B-{RETURN_PATH.make(no, KEY).upper()}@r.example\n"},
        lambda no: {"original": f"Original-Envelope-Id: {RETURN_PATH.make(no, KEY)}\n"},
        lambda no: {"header": f"X-Note: https://t.example/c/{TRACKING.click(no, KEY, 'https://a.example/')}\n"},
        lambda no: {"header": f"X-Note: https://t.example/u/{TRACKING.unsubscribe(no, KEY)}\n"},
    ],
)
def test_a_mail_is_matched_by_our_tokens(world: World, place: Any) -> None:
    """By the return path, the envelope id or a tracking URL of the account; another account's token matches nothing."""
    other = world.store.account()
    register(world.store, world.tenant)
    world.record(world.mail(dsn(("x@y.example", "failed", "5.1.1"), **place(world.tenant.no))))
    world.record(world.mail(dsn(("x@y.example", "failed", "5.1.1"), **place(world.tenant.no)), other))

    assert (world.states(), world.states(other)) == (["matched"], ["unmatched"])


def test_each_recipient_of_a_dsn_has_an_event(world: World) -> None:
    """Recipients keep their own addresses; a delivered one is a delivery, a delayed one only a bounce."""
    register(world.store, world.tenant, reference="mid@example.com")
    world.record(world.mail(dsn(("a@x.example", "failed", "5.1.1"), ("b@x.example", "delivered", "2.0.0"))))
    world.record(world.mail(dsn(("c@x.example", "delayed", "4.4.1"))))

    found = sorted((event["type"], event["recipient"]) for event in world.events())
    assert found[:2] == [("bounce", "john@example.com")] * 2
    assert found[2:] == [("delivery", "b@x.example"), ("failure", "a@x.example")]


def test_the_same_mail_on_another_way_is_repeated(world: World) -> None:
    """Lines that transports add in front do not count."""
    raw = dsn(("john@example.com", "failed", "5.1.1"))
    world.record(world.mail(raw))
    world.record(world.mail("Received: from another\n" + raw))

    assert world.states() == ["unmatched", "repeated"]
    assert len(world.events()) == 2


def test_a_mail_that_is_none_is_a_bounce(world: World) -> None:
    """It is unreadable and counted, and goes to loops without filters."""
    loop = world.store.active_loop(world.tenant, triggers=["bounce"])
    world.record(world.mail(b"\xff\0 no mail at all"))

    assert world.states() == ["unreadable"]
    assert [loop_id for loop_id, _ in world.loops.offers] == [loop.id]
    assert world.registry.counter(m.REPORTS, "mail", "unreadable").value == 1


def test_a_mail_that_cannot_be_read_is_unreadable(tmp_path: Path) -> None:
    """A defect in the reading of what the parser found stops no other mail."""

    class DefectiveParser(DirectParser):
        async def parse(self, raw: bytes, envelope: str = "") -> ReturnedMail:
            mail = await super().parse(raw, envelope)
            return replace(mail, keys=MatchingKeys(tracking_tokens=(("open",),)))  # type: ignore[arg-type]

    with sqlite_stores(tmp_path) as store:
        world = World(store, MailReader(DefectiveParser(), TRACKING, RETURN_PATH, read_keys))
        world.store.active_loop(world.tenant, triggers=["bounce", "failure"])
        world.record(world.mail(dsn(("john@example.com", "failed", "5.1.1"))))

        assert world.states() == ["unreadable"]
        assert [fields["type"] for fields in world.events()] == ["bounce"]
        assert world.registry.counter(m.REPORTS, "mail", "unreadable").value == 1


def test_a_mail_whose_file_is_gone_is_counted_unless_it_is_known(world: World) -> None:
    """A crash between the removal of the file and of its record is no loss; anything else is."""
    mail = world.mail(dsn(("john@example.com", "failed", "5.1.1")))
    gone = mail._replace(mime=b"", spool="f" * 32)
    world.record(gone)
    assert world.registry.counter(m.MAILS_LOST).value == 1
    world.record(mail)
    world.record(gone)

    assert world.registry.counter(m.MAILS_LOST).value == 1
    assert world.states() == ["unmatched"]


def test_a_revoked_key_brings_no_mail(world: World) -> None:
    """The report is refused, and nothing of the mail is kept."""
    mail = world.mail(dsn(("john@example.com", "failed", "5.1.1")), arrived_ms=NOW_MS + 10)
    world.store.revoke_key(world.tenant, world.key_hash(world.tenant), NOW_MS + 5)
    world.record(mail)

    assert (world.states(), world.events()) == (["refused"], [])
