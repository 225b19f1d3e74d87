"""Queries for erasures, and for what stays recognisable of the erased."""

from __future__ import annotations

import json
from collections.abc import Collection
from itertools import islice
from typing import Final

from actors.commands.command import Page
from actors.commands.erasures import Erasure, ErasureCounts, ListErasures
from actors.installation.key_file import ring_of
from actors.ledger.key_ring_store import LOAD
from actors.ledger.queries.pagination import Number, decode_cursor, page_of
from actors.ledger.store_connection import Row, StoreConnection
from domain.erasure import StepName, digest_key, reference_digest
from domain.errors import StoreUnavailable

_COLUMNS: Final = (
    "no, id, requested_at_ms, completed_at_ms, step, outside, held_up_by, messages, events, deliveries, profiles, mails"
)
_ONE: Final = f"SELECT {_COLUMNS} FROM erasures WHERE id = $1"  # noqa: S608 - constants only
_LISTED: Final = f"SELECT {_COLUMNS} FROM erasures WHERE no < $1{{more}} ORDER BY no DESC LIMIT $2"  # noqa: S608
_OF_ACCOUNT: Final = " AND account_no = ${number}"
#: All erasures have smaller numbers.
_LAST_NO: Final = 2**63 - 1
_WAITING_FOR: Final = (
    "SELECT f.name, p.problem FROM front_ends AS f LEFT JOIN front_end_problems AS p ON p.front_end = f.front_end"
    " WHERE NOT EXISTS"
    " (SELECT 1 FROM erasure_front_ends AS e WHERE e.erasure_no = $1 AND e.front_end = f.front_end)"
    " ORDER BY f.name, f.front_end"
)

#: The step `lanes` does little but wait for these.
ATTEMPTS: Final = "deliveries (attempts are under way)"
_ANY_REFERENCE: Final = "SELECT 1 FROM erased_references LIMIT 1"
ERASED_REFERENCES: Final = (
    "SELECT digest, message_key FROM erased_references WHERE account_no = $1 AND digest IN ({marks})"
)
#: Parameters of one statement. Every build of SQLite allows this many.
_CHUNK: Final = 500
_IN_ACCOUNT: Final = "account_no IN ($1, 0)"
ERASED_SINCE: Final = f"SELECT digest FROM erasures WHERE {_IN_ACCOUNT} AND requested_at_ms >= $2"  # noqa: S608


class ErasureQueries(StoreConnection):
    """The part of `LedgerReader` that reads erasures."""

    _digest_key: bytes | None = None

    def digest_key(self) -> bytes:
        """The key of the digests of this installation.

        Raises:
            StoreUnavailable: the store belongs to no installation yet.
        """
        if self._digest_key is None:
            found = self.row(LOAD)
            if found is None:
                raise StoreUnavailable("the store belongs to no installation yet")
            self._digest_key = digest_key(ring_of(found[0]).installation)
        return self._digest_key

    def erased_message_keys(self, references: Collection[tuple[int, str]]) -> dict[tuple[int, str], int]:
        """The key of the erased message of each reference, (account_no, text), that belonged to one."""
        found: dict[tuple[int, str], int] = {}
        if self.row(_ANY_REFERENCE) is None:  # as a rule
            return found
        for account_no in {no for no, _ in references}:
            by_digest = {
                reference_digest(self.digest_key(), no, reference): reference
                for no, reference in references
                if no == account_no
            }
            left = iter(by_digest)
            while chunk := list(islice(left, _CHUNK)):
                marks = ", ".join(f"${number}" for number in range(2, len(chunk) + 2))
                rows = self.rows(ERASED_REFERENCES.format(marks=marks), (account_no, *chunk))
                found |= {(account_no, by_digest[bytes(digest)]): int(key) for digest, key in rows}
        return found

    def erased_since(self, account_no: int, at_ms: int) -> set[bytes]:
        """The digests of the people who were erased in this account at this time or later."""
        return {bytes(digest) for (digest,) in self.rows(ERASED_SINCE, (account_no, at_ms))}

    def erasure(self, account_no: int | None, erasure_id: str) -> Erasure | None:
        """An erasure that the account asked for; any, if `account_no` is None."""
        more, params = ("", ()) if account_no is None else (_OF_ACCOUNT.format(number=2), (account_no,))
        found = self.row(_ONE + more, (erasure_id, *params))
        return self._view(found) if found else None

    def list_erasures(self, query: ListErasures) -> Page[Erasure]:
        """Erasures that the account asked for, newest first; all, without an account.

        Raises:
            InvalidInput: the cursor is invalid.
        """
        before = _LAST_NO if query.cursor is None else decode_cursor(query.cursor, tuple[Number])[0]
        more, params = ("", ()) if query.account is None else (_OF_ACCOUNT.format(number=3), (query.account.no,))
        found = self.rows(_LISTED.format(more=more), (before, query.limit + 1, *params))
        return page_of(found, query.limit, self._view, lambda row: [row[0]])

    def _view(self, row: Row) -> Erasure:
        no, id_, requested_at_ms, completed_at_ms, step, outside, held_up_by, *counts = row
        is_running = completed_at_ms is None
        return Erasure(
            id=id_,
            state="running" if is_running else "completed",
            requested_at_ms=requested_at_ms,
            completed_at_ms=completed_at_ms,
            step=step,
            counts=ErasureCounts(**dict(zip(ErasureCounts.__struct_fields__, counts, strict=True))),
            waiting_for=self._waiting_for(no, step, json.loads(held_up_by)) if is_running else [],
            outside=json.loads(outside),
        )

    def _waiting_for(self, no: int, step: str, noted: list[str]) -> list[str]:
        """The things that an erasure waits for in its step. `noted`: by the step itself."""
        if step == StepName.FRONT_ENDS:
            noted = [*(_waiting(*found) for found in self.rows(_WAITING_FOR, (no,))), *noted]
        if step == StepName.LANES and not noted:
            return [ATTEMPTS]
        return noted


def _waiting(name: str, problem: str | None) -> str:
    return f"{name} ({problem})" if problem else name
