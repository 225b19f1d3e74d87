"""Queries of front ends about erasures, and of operators about front ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from actors.commands.front_end_erasures import FrontEndErasure, FrontEndState, FrontEndWork
from actors.ledger.store_connection import StoreConnection
from actors.ports import ErasureBacklog
from domain.erasure import ALL_ACCOUNTS, StepName

_STEPS: Final = tuple(StepName)
#: Before the front ends' own step, what they forward may still be recorded.
_NOT_YET: Final = _STEPS[: _STEPS.index(StepName.FRONT_ENDS)]
_HAS_COME: Final = f"(e.completed_at_ms IS NOT NULL OR e.step NOT IN ({', '.join(repr(s.value) for s in _NOT_YET)}))"
_UNCONFIRMED: Final = (
    "NOT EXISTS (SELECT 1 FROM erasure_front_ends AS c WHERE c.erasure_no = e.no AND c.front_end = {front_end})"
)
WORK: Final = (
    "SELECT e.id, a.id, e.account_no, e.person, e.digest, e.requested_at_ms, e.keep_opt_out"  # noqa: S608 - constants
    " FROM erasures AS e"
    f" LEFT JOIN accounts AS a ON a.no = e.account_no WHERE e.no > $2 AND {_HAS_COME}"
    f" AND {_UNCONFIRMED.format(front_end='$1')} ORDER BY e.no LIMIT $3"
)
SETTLED: Final = (
    "SELECT coalesce((SELECT min(no) FROM erasures WHERE completed_at_ms IS NULL),"
    " (SELECT coalesce(max(no), 0) + 1 FROM erasures)) - 1"
)
UNREDACTED: Final = f"SELECT count(*) FROM erasures AS e WHERE e.is_repeat = 1 AND NOT {_HAS_COME}"  # noqa: S608 - constants
BACKLOGS: Final = (
    "SELECT CASE step WHEN $1 THEN 'front_ends' ELSE 'service' END AS waits_for, count(*), min(requested_at_ms)"
    " FROM erasures WHERE completed_at_ms IS NULL GROUP BY waits_for"
)
_KNOWS: Final = "SELECT 1 FROM erasures WHERE id = $1"
ERASED: Final = "SELECT key FROM messages WHERE key {in $1} AND erased_at_ms IS NOT NULL"
_FRONT_ENDS: Final = (
    "SELECT f.front_end, f.name, f.at_ms, p.problem, (SELECT count(*) FROM erasures AS e"  # noqa: S608 - constants
    f" WHERE e.completed_at_ms IS NULL AND {_HAS_COME} AND {_UNCONFIRMED.format(front_end='f.front_end')})"
    " FROM front_ends AS f LEFT JOIN front_end_problems AS p ON p.front_end = f.front_end"
    " ORDER BY f.name, f.front_end"
)


class FrontEndErasureQueries(StoreConnection):
    """The part of `LedgerReader` that reads front ends' part in erasures."""

    def front_end_work(self, front_end: str, after: int, last_id: str, limit: int) -> FrontEndWork:
        """The erasures that a front end has to confirm, as of one commit."""
        with self.snapshot() as cursor:
            found = cursor.execute(WORK, (front_end, after, limit)).fetchall()
            (settled,) = cursor.execute(SETTLED).fetchone()
            knows_last = not last_id or cursor.execute(_KNOWS, (last_id,)).fetchone() is not None
        erasures = [
            FrontEndErasure(
                id=id_,
                account=None if account_no == ALL_ACCOUNTS else account,
                account_no=account_no,
                person=person,
                digest=bytes(digest).hex(),
                requested_at_ms=requested_at_ms,
                keep_opt_out=bool(keep_opt_out),
            )
            for id_, account, account_no, person, digest, requested_at_ms, keep_opt_out in found
        ]
        return FrontEndWork(erasures=erasures, settled=settled, knows_last=knows_last)

    def count_unredacted(self) -> int:
        """Repeated erasures that have not come to the front ends: events and profiles may not be redacted yet."""
        found = self.row(UNREDACTED)
        return 0 if found is None else int(found[0])

    def erasure_backlogs(self) -> list[ErasureBacklog]:
        """The running erasures by what they wait for."""
        return [ErasureBacklog(*row) for row in self.rows(BACKLOGS, (StepName.FRONT_ENDS.value,))]

    def erased_among(self, keys: Sequence[int]) -> list[int]:
        """Which messages with these keys are erased."""
        return [key for (key,) in self.rows(ERASED, (self.many(keys),))] if keys else []

    def front_end_states(self) -> list[FrontEndState]:
        """Every known front end, and what it has to confirm."""
        return [
            FrontEndState(id=id_, name=name, confirmed_ms=at_ms, problem=problem or "", erasures=erasures)
            for id_, name, at_ms, problem, erasures in self.rows(_FRONT_ENDS)
        ]
