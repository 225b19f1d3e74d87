"""Step of a repeated erasure: finds the person whose address has the digest, in the restored data.

The person is a recipient of messages, in a profile, or only in the text of a report that matched no message.

Repeated erasures come in groups, and only after a restore. So the people of the store are read once for all of them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

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
#: The parts of what may be an address (RFC 5321). Long ones are none.
_LOCAL: Final = re.compile(r"[^\s<>()\[\],;:\"'@]{1,64}\Z")
_DOMAIN: Final = re.compile(r"[^\s<>()\[\],;:\"'@]{1,255}")
_FOUND: Final = "UPDATE erasures SET person = $2 WHERE no = $1 AND step = $3 AND requested_at_ms = $4"
_ABSENT: Final = (
    "UPDATE erasures SET completed_at_ms = $2 WHERE no = $1 AND step = $3 AND requested_at_ms = $4 AND person = ''"
)


def page_of(sql: str) -> str:
    """The query for a page of one of `PEOPLE`: account, last person, limit."""
    return sql.replace("{after}", _AFTER)


class PeopleAction:
    """Finds the people of repeated erasures. An erasure of which the store has no one completes at once."""

    name = StepName.PEOPLE

    def __init__(self, store: ErasureStore, digest_key: Callable[[], bytes]) -> None:
        self._store = store
        self._digest_key = digest_key

    async def advance(self, erasures: Sequence[RunningErasure]) -> Advance:
        key = await asyncio.to_thread(self._digest_key)
        people = await asyncio.to_thread(self._people, erasures, key)
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

    def _people(self, erasures: Sequence[RunningErasure], key: bytes) -> dict[int, str]:
        """The person of each erasure whose person the store has, by the erasure's number."""
        wanted: dict[bytes, list[RunningErasure]] = {}
        for erasure in erasures:
            if not erasure.person:
                wanted.setdefault(erasure.digest, []).append(erasure)
        found: dict[int, str] = {}
        connection = self._store.connection
        for source in (_people_of, _people_in_reports) if wanted else ():
            for account_no, person in source(connection):
                for erasure in wanted.get(person_digest(key, person), ()):
                    if erasure.account_no in {ALL_ACCOUNTS, account_no}:
                        found[erasure.no] = person
            if all(erasure.person or erasure.no in found for erasure in erasures):
                break
        return found


def _people_of(connection: StoreConnection) -> Iterator[tuple[int, str]]:
    """Everyone in the store, with the account. Reads in short queries, so that no other reader waits."""
    for (account_no,) in connection.rows(_ACCOUNTS):
        for sql in PEOPLE:
            person = ""
            page = page_of(sql)
            while rows := connection.rows(page, (account_no, person, _PEOPLE_AT_ONCE)):
                for (person,) in rows:
                    yield account_no, person


def _people_in_reports(connection: StoreConnection) -> Iterator[tuple[int, str]]:
    """Everyone whose address is in a report that was not matched, as far as it is not encoded."""
    after = ReportPosition()
    while reports := next_reports(connection, ALL_ACCOUNTS, _ALL_TIMES_MS, after, _REPORTS_AT_ONCE):
        for report in reports:
            addresses = {address for text in (*report.texts, *report.mails) for address in _addresses(text)}
            for address in addresses:
                yield report.position.account_no, person_of(address)
        after = reports[-1].position


def _addresses(text: str) -> Iterator[str]:
    at = text.find("@")
    while at >= 0:
        local, domain = _LOCAL.search(text, max(0, at - 64), at), _DOMAIN.match(text, at + 1)
        if local and domain:
            yield f"{local[0]}@{domain[0]}"
        at = text.find("@", at + 1)
