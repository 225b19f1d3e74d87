"""Step of an erasure: returned mails and reports that name the person, but matched none of the person's messages.

All reports of the last 30 days are searched, a few at a time, on a read connection. This takes a while, and holds up no
one: pending deliveries have ended by then. Each is searched in a process of its own, so that no mail delays the ledger.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Final, Protocol

from actors.ledger.dialect import Cursor
from actors.ledger.erasure import store as rows
from actors.ledger.erasure.reports import (
    RedactedReport,
    ReportPosition,
    next_reports,
    redact_report,
    without_person,
)
from actors.ledger.erasure.step import Advance
from actors.ledger.erasure.store_access import ErasureStore
from domain.erasure import Counts, RunningErasure, StepName

#: Reports that one query reads. Each may have a mail of half a megabyte.
REPORTS_AT_ONCE: Final = 20
#: Seconds between two pages, so that the ledger's process is mostly free for others.
PAUSE_S: Final = 0.005
#: Pages of reports after which the next erasure has its turn.
PAGES_AT_ONCE: Final = 20


class Searcher(Protocol):
    """A search that no mail can hurt (`actors.returned_mail.searcher`)."""

    async def finds(self, person: str, texts: list[str], mails: list[str]) -> bool: ...

    async def close(self) -> None: ...


class MailsAction:
    """Searches the reports of the last 30 days; retention removes the text of older ones."""

    name = StepName.MAILS

    def __init__(self, store: ErasureStore, searcher: Searcher) -> None:
        self._store = store
        self._searcher = searcher

    async def advance(self, erasures: Sequence[RunningErasure]) -> Advance:
        done = [erasure for erasure in erasures if await self._advance(erasure)]
        if len(done) == len(erasures):
            await self._searcher.close()
        return Advance(done, has_more=len(done) < len(erasures))

    async def _advance(self, erasure: RunningErasure) -> bool:
        """Whether the step has ended."""
        after = ReportPosition(*json.loads(erasure.position)) if erasure.position else ReportPosition()
        for _ in range(PAGES_AT_ONCE):
            reports = await asyncio.to_thread(
                next_reports,
                self._store.connection,
                erasure.account_no,
                erasure.requested_at_ms,
                after,
                REPORTS_AT_ONCE,
            )
            if not reports:
                return True
            for report in reports:
                if await self._searcher.finds(erasure.person, report.texts, report.mails):
                    await self._redact(erasure, without_person(report, erasure.person))
            after = reports[-1].position
            await asyncio.sleep(PAUSE_S)
        await self._keep(erasure, after)
        return False

    async def _redact(self, erasure: RunningErasure, report: RedactedReport) -> None:
        def redact(cursor: Cursor) -> None:
            counts = redact_report(cursor, erasure.no, report)
            rows.keep_progress(cursor, erasure, json.dumps(report.position), counts)

        await self._store.commits.run(redact, 1 + len(report.events))

    async def _keep(self, erasure: RunningErasure, after: ReportPosition) -> None:
        position = json.dumps(after)
        await self._store.commits.run(lambda cursor: rows.keep_progress(cursor, erasure, position, Counts()), 1)
