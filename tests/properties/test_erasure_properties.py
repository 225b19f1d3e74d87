"""Erasure of one person among others: no byte of them is left in the ledger's files, and nothing else goes."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.ledger.erasure.runner import Batches, ErasureRunner
from actors.ledger.erasure.step import ErasureAction
from actors.ledger.erasure.steps.bytes import BytesAction
from actors.ledger.erasure.steps.events import EventsStep
from actors.ledger.erasure.steps.messages import MessagesStep
from actors.ledger.sqlite.checkpoint import SQLiteByteClearing
from domain.erasure import StepName
from tests.contract.ledger_erasure_suite import request, rows
from tests.contract.ledger_facts import NOW_MS, Store, event, failed, outcome
from tests.contract.ledger_front_ends_suite import install
from tests.contract.ledger_reports_suite import record, report
from tests.contract.sqlite_store import sqlite_stores

PEOPLE = ("zoe.quux@example.com", "yan.korr@example.com", "xia.lumm@example.com")
SPELLINGS = (str, str.upper, lambda text: f" {text.title()} ".strip())
#: Facts about a person that occur in no other row.
FACTS = ("agent of {0}", "203.0.113.{1}", "name of {0}", "https://shop.example/?for={0}", "ref-{1}@{0}", "mime of {0}")

Operation = tuple[str, int, int]
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["message", "hit", "report", "outcome", "failure", "drop", "replay"]),
        st.integers(0, len(PEOPLE) - 1),
        st.integers(0, 7),
    ),
    min_size=5,
    max_size=60,
)


def facts_of(number: int) -> list[str]:
    return [fact.format(PEOPLE[number], number) for fact in FACTS]


class History:
    """A ledger with what happened to several people."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.tenant = store.account()
        self.loop = store.active_loop(self.tenant)
        self.messages: dict[int, list[int]] = {number: [] for number in range(len(PEOPLE))}
        self.deliveries: list[int] = []
        self.attempts: dict[int, int] = {}
        self.reports = 0

    def apply(self, operation: Operation) -> None:
        getattr(self, operation[0])(*operation[1:])

    def message(self, person: int, variant: int) -> None:
        key = 1 + sum(map(len, self.messages.values()))
        spelling = SPELLINGS[variant % len(SPELLINGS)]
        facts = facts_of(person)
        made = self.tenant.message(
            key, recipient=spelling(PEOPLE[person]), links=[facts[3]], reference=f"{key}{facts[4]}"
        )
        self.store.append(made)
        self.messages[person].append(key)

    def hit(self, person: int, variant: int) -> None:
        if self.messages[person]:
            key = self.messages[person][variant % len(self.messages[person])]
            agent, ip, name, link, *_ = facts_of(person)
            fields = {
                "recipient": PEOPLE[person],
                "useragent": agent,
                "ip": ip,
                "fields": {"n": name},
                "original": link,
            }
            taken = self.store.reader.taken_firsts([(key, variant)])
            made = event(self.tenant, key, [self.loop.no], fields=fields, first_key=None if taken else variant)
            [ids] = self.store.record(made).delivery_ids
            self.deliveries += ids

    def report(self, person: int, variant: int) -> None:
        if self.messages[person]:
            key = self.messages[person][variant % len(self.messages[person])]
            self.reports += 1
            digest = self.reports.to_bytes(32, "big")
            made = report(self.tenant, digest, 1 + variant % 3, mime=facts_of(person)[5] * 100, loop_nos=[self.loop.no])
            events = [each._replace(message_key=key) for each in made.events]
            recorded = record(self.store, made._replace(events=events))
            self.deliveries += [id_ for ids in recorded.delivery_ids for id_ in ids]

    def outcome(self, person: int, variant: int) -> None:
        self._attempt(person, variant, outcome)

    def failure(self, person: int, variant: int) -> None:
        self._attempt(person, variant, lambda id_, no, **more: failed(id_, no, NOW_MS)._replace(**more))

    def _attempt(self, person: int, variant: int, make: Any) -> None:
        """An attempt whose handler repeats whatever person its event is about."""
        for delivery_id in self.deliveries[variant::5][:2]:
            owner = self._owner(delivery_id)
            if owner is not None:
                no = self.attempts[delivery_id] = self.attempts.get(delivery_id, 0) + 1
                self.store.outcomes(
                    make(delivery_id, no, excerpt=f"hello {PEOPLE[owner]}", response_headers=f"x: {PEOPLE[owner]}")
                )

    def _owner(self, delivery_id: int) -> int | None:
        sql = "SELECT e.message_key FROM deliveries AS d JOIN events AS e ON e.event_id = d.event_id WHERE d.id = $1"
        found = rows(self.store, sql, delivery_id)
        return next((person for person, keys in self.messages.items() if found and found[0][0] in keys), None)

    def drop(self, _person: int, variant: int) -> None:
        self.store.drop(deliveries=NOW_MS + variant, attempts=NOW_MS + variant)

    def replay(self, _person: int, _variant: int) -> None:
        self.store.replay_to_the_end(self.store.replay(self.loop.no, "all"))

    def erase(self, person: int, path: Path) -> None:
        """All steps that concern the ledger."""
        access, key = self.store.writer.erasure_store, self.store.reader.digest_key
        actions: list[ErasureAction] = [
            *(Batches(MessagesStep(key), access, limit=3), Batches(EventsStep(), access, limit=3)),
            Batches(MessagesStep(key, StepName.LATE_MESSAGES), access),
            Batches(EventsStep(StepName.LATE_EVENTS), access),
            BytesAction(access, SQLiteByteClearing(path)),
        ]
        request(self.store, self.tenant, PEOPLE[person])

        async def to_the_end() -> None:
            runner = ErasureRunner(actions, access)
            while await runner.advance():
                pass

        self.store.run(to_the_end())
        assert rows(self.store, "SELECT count(*) FROM erasures WHERE completed_at_ms IS NULL") == [(0,)]

    def counts(self) -> dict[str, Any]:
        """Everything that must be the same before and after."""
        tables = ("messages", "message_tags", "events", "attempts", "deliveries", "reports", "event_minutes")
        counted = {table: rows(self.store, f"SELECT count(*) FROM {table}") for table in tables}
        by_type = rows(self.store, "SELECT type, message_key, count(*) FROM events GROUP BY type, message_key")
        return counted | {"types": by_type, "minutes": self.store.reader.event_minutes(self.tenant.no, 0)}


@contextmanager
def history(directory: Path) -> Iterator[History]:
    with sqlite_stores(directory) as store:
        install(store)
        yield History(store)


def encodings(text: str) -> list[bytes]:
    raw = text.encode()
    return [
        raw,
        raw.upper(),
        raw.lower(),
        raw.hex().encode(),
        base64.b64encode(raw)[:-4],
        quote(text, safe="").encode(),
    ]


def found_in(directory: Path, texts: list[str]) -> list[str]:
    """The texts of which any encoding is in a file of the ledger."""
    data = b"".join(file.read_bytes() for file in directory.iterdir())
    return [text for text in texts if any(each in data for each in encodings(text))]


@settings(max_examples=25, deadline=None)
@given(operations=OPERATIONS, person=st.integers(0, len(PEOPLE) - 1))
def test_nothing_of_an_erased_person_is_left(operations: list[Operation], person: int) -> None:
    """Whatever has happened, the files have no byte of the person, the same counts, and everything about the others."""
    with tempfile.TemporaryDirectory() as name, history(directory := Path(name)) as made:
        for number in range(len(PEOPLE)):
            made.message(number, 0)
            made.hit(number, 0)
        for operation in operations:
            made.apply(operation)
        others = {number: found_in(directory, [PEOPLE[number], *facts_of(number)]) for number in range(len(PEOPLE))}
        before = made.counts()
        made.erase(person, directory / "ledger-0.sqlite")

        assert found_in(directory, [PEOPLE[person], *facts_of(person)]) == []
        assert made.counts() == before
        for number in set(others) - {person}:
            # Retention, which a history may contain, drops the texts of handlers only.
            assert set(others[number]) - set(found_in(directory, [PEOPLE[number], *facts_of(number)])) == set()
