"""Contract suite for the erasure of people from reports and returned mail. A store subclasses it."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest

from actors.application.erasure_profiles import ErasureChanges
from actors.application.event_recorder import EventRecorder
from actors.ledger.erasure.runner import Batches
from actors.ledger.erasure.step import ErasureAction
from actors.ledger.erasure.steps.events import EventsStep
from actors.ledger.erasure.steps.mails import MailsAction
from actors.ledger.erasure.steps.messages import MessagesStep
from actors.ledger.writer import StoreWriter
from domain.address_candidates import possible_addresses
from domain.address_search import AddressSearch
from domain.errors import Unavailable
from domain.reports.intake import ReportState, further_id
from domain.tracking import EventToRecord, ReportToRecord
from domain.values import DeliveryState
from tests.contract.erasing import Eraser
from tests.contract.ledger_facts import NOW_MS, Store, Tenant, event, event_id, outcome
from tests.contract.ledger_reports_suite import listed, record

JOHN, JANE = "John@Example.com", "jane@example.com"
MAIL = "Subject: returned\n\n" + base64.encodebytes(b"for john@example.com").decode()


class Searcher:
    """Search in this process."""

    is_away = False

    async def finds(self, person: str, texts: list[str], mails: list[str]) -> bool:
        if self.is_away:
            raise Unavailable("away")
        search = AddressSearch(person)
        return any(map(search.is_in, texts)) or any(map(search.is_in_mail, mails))

    async def addresses(self, texts: list[str], mails: list[str]) -> list[str]:
        if self.is_away:
            raise Unavailable("away")
        return possible_addresses(texts, mails, 1000)

    async def close(self) -> None:
        """Nothing is open."""


def mail_steps(writer: StoreWriter, recorder: EventRecorder, changes: ErasureChanges) -> list[ErasureAction]:
    return [MailsAction(writer.erasure_store, Searcher())]


def message_steps(writer: StoreWriter, recorder: EventRecorder, changes: ErasureChanges) -> list[ErasureAction]:
    store = writer.erasure_store
    return [Batches(MessagesStep(lambda: b"k" * 32), store), Batches(EventsStep(), store)]


def returned(
    tenant: Tenant, state: ReportState, *fields: dict[str, Any], mime: str | None = None, loop_nos: Sequence[int] = ()
) -> ReportToRecord:
    """A report with one event for each of the fields; the last one has the mail."""
    id_ = event_id(NOW_MS)
    made: list[EventToRecord] = []
    for number, each in enumerate(fields):
        made.append(event(tenant, event_id=further_id(id_, number), type="failure", fields=each, loop_nos=loop_nos))
    made[-1] = made[-1]._replace(mime=mime)
    return ReportToRecord(id_, tenant.no, id_ * 2, "mail", "dsn", int(state), made)


class MailErasureSuite:
    """The step of an erasure about reports that matched no message of the person."""

    @pytest.fixture
    def eraser(self, store: Store) -> Eraser:
        return Eraser(store, mail_steps)

    @staticmethod
    def erase(eraser: Eraser, tenant: Tenant) -> dict[str, int]:
        """Erases John, as if the steps before had ended."""
        id_ = eraser.store.run(eraser.request(JOHN, tenant.no))
        eraser.begin_at(id_, "mails")
        return eraser.store.run(eraser.run(id_))

    @staticmethod
    def fields(store: Store, report: ReportToRecord) -> list[dict[str, Any]]:
        states = {each.originator_id: each for each in store.log() if each.topic == "tracking-event.recorded"}
        by_id = {
            str(id_).replace("-", ""): json.loads(json.loads(each.state)["fields"]) for id_, each in states.items()
        }
        return [by_id[each.event_id.hex()] for each in report.events]

    @pytest.mark.parametrize("state", [ReportState.UNMATCHED, ReportState.UNREADABLE])
    def test_a_report_that_names_the_person_goes(self, store: Store, eraser: Eraser, state: ReportState) -> None:
        """Wherever it names the person; only that it arrived stays, and nothing of it is delivered any more."""
        tenant = store.account()
        loop = store.active_loop(tenant, triggers=["failure"])
        in_fields = returned(tenant, state, {"recipient": JOHN, "description": "no"}, loop_nos=[loop.no])
        in_text = returned(tenant, state, {"description": f"no {JOHN} here"})
        in_mail = returned(tenant, state, {"envelope": "x@example.com"}, mime=MAIL)
        of_jane = returned(tenant, state, {"recipient": JANE, "description": "no"}, mime="hello", loop_nos=[loop.no])
        recorded = record(store, in_fields, in_text, in_mail, of_jane)
        store.outcomes(outcome(recorded.delivery_ids[0][0], 1, state=DeliveryState.PENDING, excerpt=JOHN))
        before = store.read_models()["events"]

        assert self.erase(eraser, tenant) == {"messages": 0, "events": 3, "deliveries": 1, "profiles": 0, "mails": 3}
        log = repr(store.log())
        assert "john@" not in log.lower()
        assert MAIL[-20:-5] not in log
        assert store.reader.kept_mail(of_jane.events[0].event_id) == "hello"
        assert [set(self.fields(store, each)[0]) & {"erased", "description"} for each in (in_mail, of_jane)] == [
            {"erased"},
            {"description"},
        ]
        assert sorted(each for _, each in listed(store, tenant)) == ["erased", "erased", "erased", state.name.lower()]
        assert store.read_models()["events"] == before
        assert [each.event_id for each in store.reader.due_deliveries(loop.no, 2**47, 9, [])] == [
            of_jane.events[0].event_id
        ]
        assert eraser.rows("SELECT excerpt FROM attempts") == [("",)]

    @pytest.mark.parametrize("state", [ReportState.UNMATCHED, ReportState.MATCHED])
    def test_events_about_others_go_out_without_the_mail(
        self, store: Store, eraser: Eraser, state: ReportState
    ) -> None:
        """In a report about several people, also if it matched the message of another one."""
        tenant = store.account()
        loop = store.active_loop(tenant, triggers=["failure"])
        made = returned(
            tenant,
            state,
            {"recipient": JOHN, "description": "no", "code": "550"},
            {"recipient": JANE, "description": f"no {JOHN}", "code": "551", "emailfrom": JOHN},
            {"category": "address", "envelope": "b-1@example.net", "mime_charset": "utf-8"},
            mime=MAIL,
            loop_nos=[loop.no],
        )
        record(store, made)
        assert self.erase(eraser, tenant)["deliveries"] == 1

        about_john, about_jane, about_all = self.fields(store, made)
        assert about_john.keys() & {"recipient", "description", "code", "erased"} == {"code", "erased"}
        assert about_jane.keys() & {"recipient", "description", "code", "emailfrom", "erased"} == {
            "recipient",
            "code",
        }
        assert about_all.keys() & {"category", "envelope", "mime_charset", "erased"} == {"category"}
        assert store.reader.kept_mail(made.events[-1].event_id) is None
        due = store.reader.due_deliveries(loop.no, 2**47, 9, [])
        assert {each.event_id for each in due} >= {each.event_id for each in made.events[1:]}
        assert made.events[0].event_id not in {each.event_id for each in due}
        assert dict(listed(store, tenant))[f"rep_{made.report_id.hex()}"] == state.name.lower()

    def test_a_forwarding_address_goes_from_reports_about_others(self, store: Store, eraser: Eraser) -> None:
        """A server names where it forwarded a mail to. The person to whom the mail was sent keeps the event."""
        tenant = store.account()
        loop = store.active_loop(tenant, triggers=["failure"])
        about_jane = {"recipient": JANE, "code": "550", "description": f"<{JOHN}>: unknown (expanded from <{JANE}>)"}
        in_text = returned(
            tenant, ReportState.MATCHED, about_jane, {"category": "address"}, mime="no", loop_nos=[loop.no]
        )
        in_mail = returned(tenant, ReportState.MATCHED, {"recipient": JANE}, {"recipient": JANE}, mime=MAIL)
        by_final = returned(tenant, ReportState.MATCHED, {"recipient": JOHN, "code": "551"}, loop_nos=[loop.no])
        other = returned(tenant, ReportState.MATCHED, {"recipient": JANE, "description": "no"}, mime="hello")
        recorded = record(store, in_text, in_mail, by_final, other)
        store.outcomes(outcome(recorded.delivery_ids[0][0], 1, state=DeliveryState.PENDING, excerpt=JOHN))

        assert self.erase(eraser, tenant) == {"messages": 0, "events": 5, "deliveries": 0, "profiles": 0, "mails": 3}
        log = repr(store.log())
        assert "john@" not in log.lower()
        assert MAIL[-20:-5] not in log
        kept = [
            {name: value for name, value in self.fields(store, each)[0].items() if name in {*about_jane, "erased"}}
            for each in (in_text, in_mail, by_final, other)
        ]
        assert kept == [
            *({"recipient": JANE, "code": "550"}, {"recipient": JANE}, {"code": "551"}),
            {"recipient": JANE, "description": "no"},
        ]
        assert store.reader.kept_mail(other.events[0].event_id) == "hello"
        assert sorted(state for _, state in listed(store, tenant)) == ["matched"] * 4
        due = {each.event_id for each in store.reader.due_deliveries(loop.no, 2**47, 9, [])}
        assert due == {each.event_id for each in (*in_text.events, *by_final.events)}
        assert eraser.rows("SELECT excerpt FROM attempts") == [("",)]

    def test_another_recipient_of_a_mail_to_the_person(self, store: Store) -> None:
        """The mail matched the person's message, and so its events about others belong to that message, too."""
        tenant = store.account()
        loop = store.active_loop(tenant, triggers=["failure"])
        store.append(tenant.message(7, recipient=JOHN))
        profile = {"fields": {"name": "John"}, "interests": ["golf"], "description": f"no {JOHN}"}
        made = returned(
            tenant,
            ReportState.MATCHED,
            {"recipient": JOHN, **profile},
            {"recipient": JANE, "code": "550", **profile},
            {"recipient": JOHN, "envelope": "b-1@example.net"},
            mime=MAIL,
            loop_nos=[loop.no],
        )
        record(store, made._replace(events=[each._replace(message_key=7) for each in made.events]))
        eraser = Eraser(store, message_steps)
        for _ in range(2):
            counts = eraser.erase(JOHN, tenant.no)
            assert (counts["events"], counts["deliveries"]) == (3, 2)

        about_john, about_jane, about_all = self.fields(store, made)
        assert ["erased" in each for each in (about_john, about_jane, about_all)] == [True, False, True]
        assert (about_jane["recipient"], about_jane["code"]) == (JANE, "550")
        assert not about_jane.keys() & {"fields", "interests", "description"}
        assert store.reader.kept_mail(made.events[-1].event_id) is None
        [due] = store.reader.due_deliveries(loop.no, 2**47, 9, [])
        assert due.event_id == made.events[1].event_id

    def test_reports_of_after_the_request_and_of_others_stay(self, store: Store, eraser: Eraser) -> None:
        """Whoever has the address later is a new person; other accounts are not searched."""
        tenant, other = store.account(), store.account()
        store.clock.ms = NOW_MS - 1
        of_other = returned(other, ReportState.UNMATCHED, {"recipient": JOHN})
        late = returned(tenant, ReportState.UNMATCHED, {"recipient": JOHN})
        record(store, of_other, late)

        assert self.erase(eraser, tenant)["events"] == 0
        store.clock.ms = NOW_MS
        assert self.erase(eraser, tenant)["events"] == 1
        assert self.fields(store, of_other)[0]["recipient"] == JOHN

    def test_all_pages_are_searched(self, store: Store, eraser: Eraser) -> None:
        """In all accounts at once, however many reports there are."""
        tenants = [store.account(), store.account()]
        for tenant in tenants:
            many = [
                returned(tenant, ReportState.UNMATCHED, {"recipient": JOHN if n % 7 == 0 else JANE}) for n in range(430)
            ]
            record(store, *many)
        id_ = store.run(eraser.request(JOHN, 0))
        eraser.begin_at(id_, "mails")

        assert store.run(eraser.run(id_))["mails"] == 2 * 62
        assert "john@" not in repr(store.log()).lower()

    def test_a_search_that_does_not_start_is_made_later(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is skipped, and what has been redacted counts once."""
        tenant = store.account()
        eraser = Eraser(store, mail_steps)
        record(store, returned(tenant, ReportState.UNMATCHED, {"recipient": JOHN}))
        monkeypatch.setattr(Searcher, "is_away", True)
        with pytest.raises(Unavailable):
            self.erase(eraser, tenant)
        monkeypatch.setattr(Searcher, "is_away", False)
        assert self.erase(eraser, tenant)["mails"] == 1
