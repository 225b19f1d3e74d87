"""Step of a repeated erasure: finds the person whose address has the digest, in the restored data.

The person is a recipient of messages, in a profile, or only in a report that matched no message, in whatever encoding.

Repeated erasures come in groups, and only after a restore. So the people of the store are read once for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from actors.ledger.dialect import Cursor
from actors.ledger.erasure.reports import ReportPosition, next_reports
from actors.ledger.erasure.step import Advance
from actors.ledger.erasure.store_access import ErasureStore
from actors.ledger.people import person_of
from actors.ledger.store_connection import StoreConnection
from domain.erasure import ALL_ACCOUNTS, RunningErasure, StepName, person_digest

_ACCOUNTS: Final = "SELECT no FROM accounts ORDER BY no"
#: Where people are, by account and in order. Erased messages have no person.
PEOPLE: Final = (
    "SELECT DISTINCT person FROM messages {by messages_to_recipient} WHERE {after} LIMIT $3",
    "SELECT DISTINCT person FROM profile_addresses WHERE {after} LIMIT $3",
)
_AFTER: Final = "account_no = $1 AND person > $2 ORDER BY person"
_PEOPLE_AT_ONCE: Final = 2000
_REPORTS_AT_ONCE: Final = 20
#: Later than any report.
_ALL_TIMES_MS: Final = 2**47
_FOUND: Final = "UPDATE erasures SET person = $2 WHERE no = $1 AND step = $3 AND requested_at_ms = $4"
_ABSENT: Final = (
    "UPDATE erasures SET completed_at_ms = $2 WHERE no = $1 AND step = $3 AND requested_at_ms = $4 AND person = ''"
)


def page_of(sql: str) -> str:
    """The query for a page of one of `PEOPLE`: account, last person, limit."""
    return sql.replace("{after}", _AFTER)


class AddressFinder(Protocol):
    """A search that no mail can hurt (`actors.returned_mail.searcher`)."""

    async def addresses(self, texts: list[str], mails: list[str]) -> list[str]: ...
    async def close(self) -> None: ...


class _Wanted:
    """The erasures whose people are to be found, and those that are."""

    def __init__(self, erasures: Sequence[RunningErasure], key: bytes) -> None:
        self._key = key
        self._by_digest: dict[bytes, list[RunningErasure]] = {}
        for erasure in erasures:
            if not erasure.person:
                self._by_digest.setdefault(erasure.digest, []).append(erasure)
        #: The person of each erasure, by the erasure's number.
        self.found: dict[int, str] = {}

    def compare(self, account_no: int, person: str) -> None:
        for erasure in self._by_digest.get(person_digest(self._key, person), ()):
            if erasure.account_no in {ALL_ACCOUNTS, account_no}:
                self.found[erasure.no] = person

    @property
    def is_complete(self) -> bool:
        return all(erasure.no in self.found for group in self._by_digest.values() for erasure in group)


class PeopleAction:
    """Finds the people of repeated erasures. An erasure of which the store has no one completes at once."""

    name = StepName.PEOPLE

    def __init__(self, store: ErasureStore, digest_key: Callable[[], bytes], finder: AddressFinder) -> None:
        self._store = store
        self._digest_key = digest_key
        self._finder = finder

    async def advance(self, erasures: Sequence[RunningErasure]) -> Advance:
        wanted = _Wanted(erasures, await asyncio.to_thread(self._digest_key))
        await asyncio.to_thread(self._search_people, wanted)
        if not wanted.is_complete:
            await self._search_reports(wanted)
            await self._finder.close()
        people = wanted.found
        now_ms = self._store.clock.now_ms()

        def write(cursor: Cursor) -> None:
            for erasure in erasures:
                if person := erasure.person or people.get(erasure.no):
                    params = (erasure.no, person, self.name.value, erasure.requested_at_ms)
                    cursor.execute(_FOUND, params)
                else:
                    cursor.execute(_ABSENT, (erasure.no, now_ms, self.name.value, erasure.requested_at_ms))

        await self._store.commits.run(write, len(erasures))
        found = [erasure._replace(person=erasure.person or people.get(erasure.no, "")) for erasure in erasures]
        return Advance([erasure for erasure in found if erasure.person])

    def _search_people(self, wanted: _Wanted) -> None:
        if not wanted.is_complete:
            for account_no, person in _people_of(self._store.connection):
                wanted.compare(account_no, person)

    async def _search_reports(self, wanted: _Wanted) -> None:
        """Searches the reports that were not matched."""
        after = ReportPosition()
        connection = self._store.connection
        while reports := await asyncio.to_thread(
            next_reports, connection, ALL_ACCOUNTS, _ALL_TIMES_MS, after, _REPORTS_AT_ONCE
        ):
            for report in reports:
                addresses = await self._finder.addresses(report.texts, report.mails)
                await asyncio.to_thread(_compare, wanted, report.position.account_no, addresses)
            if wanted.is_complete:
                return
            after = reports[-1].position


def _compare(wanted: _Wanted, account_no: int, addresses: Sequence[str]) -> None:
    for address in addresses:
        wanted.compare(account_no, person_of(address))


def _people_of(connection: StoreConnection) -> Iterator[tuple[int, str]]:
    """Everyone in the store, with the account. Reads in short queries, so that no other reader waits."""
    for (account_no,) in connection.rows(_ACCOUNTS):
        for sql in PEOPLE:
            person = ""
            page = page_of(sql)
            while rows := connection.rows(page, (account_no, person, _PEOPLE_AT_ONCE)):
                for (person,) in rows:
                    yield account_no, person
