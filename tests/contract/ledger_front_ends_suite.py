"""Contract suites for the part of front ends in erasures. A store subclasses them with a fixture `store`."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import pytest

from actors.commands.front_end_erasures import ConfirmedErasure
from actors.installation.erasure_file import ErasureLine
from actors.installation.wrapping import new_ring
from actors.ledger.dialect import Cursor
from actors.ledger.erasure.port import ConfirmFrontEnd, FrontEndProblem, RequestErasure
from actors.ledger.erasure.steps.front_ends import FrontEndsAction
from actors.ledger.erasure.steps.people import PeopleAction
from actors.ledger.erasure.store import running
from domain.erasure import ALL_ACCOUNTS, RunningErasure, StepName, digest_key, person_digest
from domain.errors import Unavailable
from domain.key_ring import FrontEndKeys
from domain.reports.intake import ReportState
from tests.contract.erasure_mails_suite import Searcher, returned
from tests.contract.ledger_facts import NOW_MS, Store
from tests.contract.ledger_reports_suite import record

INSTALLATION = "ab" * 16
KEY = digest_key(INSTALLATION)
JOHN = "john@example.com"


def install(store: Store, *front_ends: str) -> None:
    """Gives the store an installation and front ends."""
    store.key_rings.create(new_ring(INSTALLATION, bytes(32), bytes, 1))
    for name in front_ends:
        store.key_rings.confirm(
            FrontEndKeys(front_end=f"id-{name}", name=name, generation=1, master="a" * 16, at_ms=NOW_MS)
        )


def request(store: Store, id_: str, account_no: int = ALL_ACCOUNTS, person: str = JOHN) -> str:
    wanted = RequestErasure(id=id_, account_no=account_no, person=person, digest=person_digest(KEY, person))
    return store.run(store.writer.change_erasures(wanted))


def work(store: Store, front_end: str, after: int = 0, last_id: str = "") -> list[str]:
    """The ids of the erasures that a front end has to confirm."""
    found = store.reader.front_end_work(front_end, after, last_id, 100)
    return [erasure.id for erasure in found.erasures]


def confirm(store: Store, front_end: str, *ids: str, outside: Sequence[str] = (), at_ms: int = NOW_MS) -> None:
    confirmed = [ConfirmedErasure(id=id_, requested_at_ms=at_ms) for id_ in ids]
    change = ConfirmFrontEnd(front_end=front_end, confirmed=confirmed, outside=list(outside))
    store.run(store.writer.change_erasures(change))


def execute(store: Store, sql: str, *params: Any) -> None:
    def act(cursor: Cursor) -> None:
        cursor.execute(sql, params)

    store.run(store.writer.erasure_store.commits.run(act, 1))


def at_step(store: Store, id_: str, step: StepName) -> None:
    execute(store, "UPDATE erasures SET step = $2 WHERE id = $1", id_, step.value)


def complete(store: Store, id_: str) -> None:
    execute(store, "UPDATE erasures SET step = 'bytes', person = '', completed_at_ms = $2 WHERE id = $1", id_, NOW_MS)


def running_now(store: Store) -> list[RunningErasure]:
    return running(store.writer.erasure_store.connection)


def done(store: Store, action: FrontEndsAction | PeopleAction) -> list[str]:
    """The ids of the erasures for which a step has ended."""
    group = [erasure for erasure in running_now(store) if erasure.step == action.name]
    return [erasure.id for erasure in asyncio.run(action.advance(group)).done]


class FrontEndsSuite:
    """Confirmations of front ends."""

    def test_an_erasure_waits_for_every_front_end(self, store: Store) -> None:
        """It names those that have not confirmed, with what holds them up, and goes on after the last."""
        install(store, "edge-1", "edge-2")
        request(store, "ers_1")
        action = FrontEndsAction(store.writer.erasure_store)
        at_step(store, "ers_1", StepName.FRONT_ENDS)
        assert done(store, action) == []
        confirm(store, "id-edge-1", "ers_1")
        store.run(store.writer.change_erasures(FrontEndProblem(front_end="id-edge-2", problem="its disk is full")))
        shown = store.reader.erasure(None, "ers_1")
        assert shown is not None
        assert shown.waiting_for == ["edge-2 (its disk is full)"]
        assert done(store, action) == []
        store.run(store.writer.change_erasures(FrontEndProblem(front_end="id-edge-2", problem="")))
        shown = store.reader.erasure(None, "ers_1")
        assert shown is not None
        assert shown.waiting_for == ["edge-2"]
        confirm(store, "id-edge-2", "ers_1")
        assert done(store, action) == ["ers_1"]

    def test_a_forgotten_front_end_is_not_waited_for(self, store: Store) -> None:
        """One that is gone for ever would hold up every erasure."""
        install(store, "edge-1", "edge-2")
        request(store, "ers_1")
        at_step(store, "ers_1", StepName.FRONT_ENDS)
        confirm(store, "id-edge-1", "ers_1")
        assert done(store, FrontEndsAction(store.writer.erasure_store)) == []
        assert store.key_rings.forget("id-edge-2")
        assert done(store, FrontEndsAction(store.writer.erasure_store)) == ["ers_1"]

    def test_a_front_end_is_asked_once_the_messages_are_redacted(self, store: Store) -> None:
        """Earlier it would still forward hits that are recorded in full."""
        install(store, "edge-1")
        request(store, "ers_1")
        for step in (StepName.PEOPLE, StepName.MESSAGES, StepName.EVENTS, StepName.PROFILES, StepName.HISTORIES):
            at_step(store, "ers_1", step)
            assert work(store, "id-edge-1") == []
        for step in (StepName.FRONT_ENDS, StepName.MAILS, StepName.LANES, StepName.BYTES):
            at_step(store, "ers_1", step)
            assert work(store, "id-edge-1") == ["ers_1"]

    def test_a_front_end_that_returns_is_asked_for_what_it_missed(self, store: Store) -> None:
        """Erasures that completed without it are in its journal still; nothing tells the address any more."""
        install(store, "edge-1")
        request(store, "ers_1")
        confirm(store, "id-edge-1", "ers_1")
        complete(store, "ers_1")
        assert work(store, "id-edge-1") == []
        (missed,) = store.reader.front_end_work("id-edge-2", 0, "", 100).erasures
        assert (missed.id, missed.person, missed.digest) == ("ers_1", "", person_digest(KEY, JOHN).hex())
        confirm(store, "id-edge-2", "ers_1")
        assert work(store, "id-edge-2") == []

    def test_what_is_settled_is_not_read_again(self, store: Store) -> None:
        """A poll costs the same however many erasures there were."""
        install(store, "edge-1")
        for n in (1, 2, 3):
            request(store, f"ers_{n}", person=f"{n}@example.com")
        assert store.reader.front_end_work("id-edge-1", 0, "", 100).settled == 0
        for n in (1, 2):
            confirm(store, "id-edge-1", f"ers_{n}")
            complete(store, f"ers_{n}")
        assert store.reader.front_end_work("id-edge-1", 0, "", 100).settled == 2
        at_step(store, "ers_3", StepName.FRONT_ENDS)
        assert work(store, "id-edge-1", after=2) == ["ers_3"]
        confirm(store, "id-edge-1", "ers_3")
        complete(store, "ers_3")
        assert store.reader.front_end_work("id-edge-1", 2, "", 100).settled == 3

    def test_a_confirmation_of_what_was_asked_earlier_does_not_count(self, store: Store) -> None:
        """The person came back and was erased again, while the front end worked on the first request."""
        install(store, "edge-1")
        request(store, "ers_1")
        at_step(store, "ers_1", StepName.FRONT_ENDS)
        store.clock.ms = NOW_MS + 1
        assert request(store, "ers_2") == "ers_1"
        at_step(store, "ers_1", StepName.FRONT_ENDS)
        confirm(store, "id-edge-1", "ers_1", at_ms=NOW_MS)
        assert work(store, "id-edge-1") == ["ers_1"]
        confirm(store, "id-edge-1", "ers_1", at_ms=NOW_MS + 1)
        assert work(store, "id-edge-1") == []

    def test_what_a_front_end_did_not_reach_is_shown(self, store: Store) -> None:
        """Each sentence once, whoever said it."""
        install(store, "edge-1", "edge-2")
        request(store, "ers_1")
        confirm(store, "id-edge-1", "ers_1", outside=["journal.corrupt-1 on edge-1."])
        confirm(store, "id-edge-2", "ers_1", outside=["journal.corrupt-1 on edge-1.", "another place"])
        shown = store.reader.erasure(None, "ers_1")
        assert shown is not None
        assert shown.outside == ["journal.corrupt-1 on edge-1.", "another place"]

    def test_an_older_store_is_recognised(self, store: Store) -> None:
        """A front end names the last erasure that it knows."""
        install(store, "edge-1")
        request(store, "ers_1")
        known = [store.reader.front_end_work("id-edge-1", 0, last, 100).knows_last for last in ("", "ers_1", "ers_2")]
        assert known == [True, True, False]

    def test_erased_messages_are_found_by_their_keys(self, store: Store) -> None:
        """Set-aside hits only know their message's key."""
        tenant = store.account()
        store.append(tenant.message(1), tenant.message(2))
        execute(store, "UPDATE messages SET erased_at_ms = $1 WHERE key = $2", NOW_MS, 2)
        assert store.reader.erased_among([1, 2, 3]) == [2]
        assert store.reader.erased_among([]) == []

    def test_running_erasures_are_counted_by_what_they_wait_for(self, store: Store) -> None:
        """With the time of the oldest; completed ones do not count."""
        install(store, "edge-1")
        for n in range(1, 5):
            store.clock.ms = NOW_MS + n
            request(store, f"ers_{n}", person=f"{n}@example.com")
        for n in (2, 3):
            at_step(store, f"ers_{n}", StepName.FRONT_ENDS)
        complete(store, "ers_1")
        found = sorted(store.reader.erasure_backlogs())
        assert found == [("front_ends", 2, NOW_MS + 2), ("service", 1, NOW_MS + 4)]

    def test_operators_see_what_waits(self, store: Store) -> None:
        """For each front end: how many erasures wait for it, and why."""
        install(store, "edge-1", "edge-2")
        request(store, "ers_1")
        at_step(store, "ers_1", StepName.FRONT_ENDS)
        confirm(store, "id-edge-1", "ers_1")
        store.run(store.writer.change_erasures(FrontEndProblem(front_end="id-edge-2", problem="its disk is full")))
        found = [(each.name, each.erasures, each.problem) for each in store.reader.front_end_states()]
        assert found == [("edge-1", 0, ""), ("edge-2", 1, "its disk is full")]


def repeated(id_: str, account: str | None = None, person: str = JOHN, until_ms: int = NOW_MS) -> ErasureLine:
    digest = person_digest(KEY, person).hex()
    return ErasureLine.until(until_ms, id=id_, account=account, digest=digest)


class RepeatSuite:
    """Erasures that are repeated after a restore."""

    def repeat(self, store: Store, *erasures: ErasureLine) -> int:
        return store.run(store.writer.repeat_erasures(erasures))

    def people(self, store: Store) -> dict[str, str]:
        """Runs the step that finds people. Returns those of the erasures that go on, which the next step gets, too."""
        action = PeopleAction(store.writer.erasure_store, store.reader.digest_key, Searcher())
        group = [erasure for erasure in running_now(store) if erasure.step == action.name]
        going_on = {erasure.id: erasure.person for erasure in asyncio.run(action.advance(group)).done}
        stored = {erasure.id: erasure.person for erasure in running_now(store)}
        assert going_on == {id_: person for id_, person in stored.items() if id_ in going_on}
        return going_on

    def test_the_person_is_found_by_the_digest(self, store: Store) -> None:
        """Among the recipients of messages, in the right account only; of all accounts if it was for all."""
        install(store)
        acme, other = store.account(), store.account()
        store.append(acme.message(1), other.message(2, recipient="Jane@Example.com"))
        erasures = [
            repeated("ers_1", acme.view.id),
            repeated("ers_2", acme.view.id, "jane@example.com"),
            repeated("ers_3", None, "jane@example.com", NOW_MS - 5),
        ]
        assert self.repeat(store, *erasures) == 3
        assert self.people(store) == {"ers_1": JOHN, "ers_3": "jane@example.com"}
        found = {erasure.id: erasure for erasure in running_now(store)}
        assert found["ers_3"].requested_at_ms == NOW_MS - 5
        absent = store.reader.erasure(None, "ers_2")
        assert absent is not None
        assert absent.state == "completed"

    def test_a_person_of_a_profile_only_is_found(self, store: Store) -> None:
        """Profiles hold addresses to which no message was sent."""
        install(store)
        tenant = store.account()
        execute(
            store,
            "INSERT INTO profile_addresses (account_no, person, originator_id) VALUES ($1, $2, $3)",
            *(tenant.no, JOHN, "ab" * 16),
        )
        self.repeat(store, repeated("ers_1", tenant.view.id))
        assert self.people(store) == {"ers_1": JOHN}

    def test_a_person_who_is_only_in_a_report_is_found(self, store: Store) -> None:
        """In the fields of a report that matched no message, or in the text of a mail."""
        install(store)
        tenant = store.account()
        of_john = returned(tenant, ReportState.UNMATCHED, {"recipient": "John@Example.com"})
        of_jane = returned(tenant, ReportState.UNREADABLE, {}, mime="Final-Recipient: rfc822;jane@example.com\n")
        record(store, of_john, of_jane)
        self.repeat(store, *(repeated(f"ers_{name}", None, f"{name}@example.com") for name in ("john", "jane", "jim")))
        assert self.people(store) == {"ers_john": JOHN, "ers_jane": "jane@example.com"}

    def test_a_person_who_is_only_in_an_encoded_part_is_found(self, store: Store) -> None:
        """Bounces often have the address in base64, in quoted-printable with a soft line break, or in encoded words."""
        install(store)
        tenant = store.account()
        mails = {
            "base64": f"Content-Transfer-Encoding: base64\n\n{b64encode(b'550 no base64@example.com').decode()}\n",
            "quoted": "Content-Transfer-Encoding: quoted-printable\n\n550 no quoted=40exam=\nple.com here\n",
            "header": "To: =?utf-8?B?aGVhZGVyQGV4YW1w?=\n =?utf-8?q?le=2Ecom?=\n\nhello\n",
            "path": "Return-Path: <bounce+path=example.com@lists.example>\n\nhello\n",
        }
        record(store, *(returned(tenant, ReportState.UNMATCHED, {}, mime=mail) for mail in mails.values()))
        self.repeat(store, *(repeated(f"ers_{name}", None, f"{name}@example.com") for name in (*mails, "nobody")))
        assert self.people(store) == {f"ers_{name}": f"{name}@example.com" for name in mails}

    def test_a_search_that_does_not_start_is_made_later(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody counts as absent before the reports were searched."""
        install(store)
        record(store, returned(store.account(), ReportState.UNMATCHED, {"recipient": JOHN}))
        self.repeat(store, repeated("ers_1"))
        monkeypatch.setattr(Searcher, "is_away", True)
        with pytest.raises(Unavailable):
            self.people(store)
        monkeypatch.setattr(Searcher, "is_away", False)
        assert self.people(store) == {"ers_1": JOHN}

    def test_known_erasures_are_not_repeated(self, store: Store) -> None:
        """Neither completed nor running ones, unless the person was erased again later than the store knows."""
        install(store)
        tenant = store.account()
        store.append(tenant.message(1))
        request(store, "ers_1", tenant.no)
        request(store, "ers_2", tenant.no, "jane@example.com")
        complete(store, "ers_2")
        jane = repeated("ers_2", tenant.view.id, "jane@example.com")
        assert self.repeat(store, repeated("ers_1", tenant.view.id), jane) == 0
        assert [erasure.step for erasure in running_now(store)] == [StepName.MESSAGES]
        later = repeated("ers_2", tenant.view.id, "jane@example.com", NOW_MS + 1)
        assert self.repeat(store, later) == 1
        assert {erasure.id: erasure.step for erasure in running_now(store)} == {
            "ers_1": StepName.MESSAGES,
            "ers_2": StepName.PEOPLE,
        }

    def test_one_of_several_erasures_of_a_person_runs(self, store: Store) -> None:
        """It covers all of them, and each id is known afterwards."""
        install(store)
        tenant = store.account()
        store.append(tenant.message(1))
        request(store, "ers_1", tenant.no)
        lines = [repeated(f"ers_{n}", tenant.view.id, until_ms=NOW_MS + n) for n in (2, 3)]
        assert self.repeat(store, *lines) == 2
        assert self.repeat(store, *lines) == 0
        (left,) = running_now(store)
        assert (left.id, left.requested_at_ms, left.step) == ("ers_1", NOW_MS + 3, StepName.PEOPLE)
        assert self.people(store) == {"ers_1": JOHN}

    def test_an_account_that_the_store_lacks_has_nothing_to_erase(self, store: Store) -> None:
        """It was opened after the backup."""
        install(store)
        assert self.repeat(store, repeated("ers_1", "acc_" + "0" * 32)) == 1
        assert self.repeat(store, repeated("ers_1", "acc_" + "0" * 32)) == 0
        assert running_now(store) == []

    def test_a_start_waits_until_events_and_profiles_are_redacted(self, store: Store) -> None:
        """For repeated erasures only, and the steps before that, which wait for no one."""
        install(store)
        request(store, "ers_0", person="other@example.com")
        self.repeat(store, repeated("ers_1"))
        counted = {}
        for step in StepName:
            at_step(store, "ers_1", step)
            counted[step] = store.reader.count_unredacted()
        assert [step for step, number in counted.items() if number] == [
            StepName.PEOPLE,
            StepName.MESSAGES,
            StepName.EVENTS,
            StepName.PROFILES,
            StepName.HISTORIES,
        ]
        complete(store, "ers_1")
        assert store.reader.count_unredacted() == 0

    def test_a_step_that_is_repeated_keeps_the_person(self, store: Store) -> None:
        """The messages may be redacted already, so that nobody is found by the digest any more."""
        install(store)
        tenant = store.account()
        store.append(tenant.message(1))
        self.repeat(store, repeated("ers_1", tenant.view.id))
        assert self.people(store) == {"ers_1": JOHN}
        execute(store, "UPDATE messages SET person = '', erased_at_ms = 1")
        assert self.people(store) == {"ers_1": JOHN}
