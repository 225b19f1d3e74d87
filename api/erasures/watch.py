"""Watch of a front end over erasures: does its part of each, and confirms it.

Its part: everything that the journal held is forwarded, a new file takes the journal's place, and the files of erasures
have a line. Each step may be repeated, so a front end that is killed begins again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from actors.commands.front_end_erasures import (
    ConfirmedErasure,
    ConfirmErasures,
    FrontEndErasure,
    NoteFrontEndProblem,
    ReadFrontEndErasures,
    RepeatErasures,
)
from actors.gateway.client import Client
from actors.installation.erasure_file import ErasureLine
from actors.installation.key_file import KeyFile
from api.erasures.files import ErasureFiles
from api.erasures.renewals import JournalRenewals, RenewableJournal
from api.erasures.set_aside_entries import entries_to_drop
from domain.errors import FeedbackLoopsError, StoreUnavailable

log = logging.getLogger(__name__)

#: Erasures that one command repeats.
_LINES_AT_ONCE: Final = 200
#: Seconds between two looks for erasures.
PERIOD_S: Final = 1.0
#: Seconds between two looks whether a wait is over.
_POLL_S: Final = 0.1
#: Seconds after which a wait is reported.
_PATIENCE_S: Final = 10.0


class ErasureWatch:
    """Background task that does a front end's part of erasures."""

    def __init__(
        self,
        client: Client,
        journal: RenewableJournal,
        key_file: KeyFile,
        files: ErasureFiles,
        period_s: float = PERIOD_S,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._client = client
        self._journal = journal
        self._renewals = JournalRenewals(journal)
        self._key_file = key_file
        self._files = files
        self._period_s = period_s
        self._patience_s = patience_s
        self._front_end = ""
        self._settled = 0
        self._last_id: str | None = None
        #: The problem that the ledger shows; None: that of an earlier start, if any.
        self._problem: str | None = None
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts to look for erasures."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="erasures")

    async def stop(self) -> None:
        """Stops looking for erasures. What is not confirmed is repeated after the next start."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
            self._watching = None

    async def check(self) -> bool:
        """Does this front end's part of the erasures that it has not confirmed. Returns whether there were any.

        Raises:
            FeedbackLoopsError: it is not done; call this again.
        """
        if not self._front_end:
            self._front_end = await asyncio.to_thread(self._known_front_end)
        if self._last_id is None:
            await self._repeat()
        command = ReadFrontEndErasures(front_end=self._front_end, after=self._settled, last_id=self._last_id or "")
        work = await self._client.call(command)
        if not work.knows_last:
            self._settled = 0
            await self._repeat()
            return True
        if work.erasures:
            await self._erase(work.erasures)
            return True
        self._settled = work.settled
        if self._last_id:
            await self._renewals.renew_sometimes()
        return False

    def _known_front_end(self) -> str:
        front_end, ring = self._key_file.read()
        if ring is None:
            raise StoreUnavailable("the data directory has no keys yet")
        return front_end

    async def _repeat(self) -> None:
        """Sends the erasures of the files, in case an older store was restored."""
        lines = await asyncio.to_thread(self._files.read)
        missing = 0
        for first in range(0, len(lines), _LINES_AT_ONCE):
            chunk = lines[first : first + _LINES_AT_ONCE]
            missing += await self._client.call(RepeatErasures(erasures=chunk))
        if missing:
            facts = {"action": "erasures_repeated", "erasures": missing}
            log.warning("the store lacks erasures, which start again: a backup from before was restored", extra=facts)
        # Each file may lack what the other has: a restored data directory, or a new place for the one elsewhere.
        await asyncio.to_thread(self._files.add, lines)
        self._last_id = lines[-1].id if lines else ""

    async def _erase(self, erasures: Sequence[FrontEndErasure]) -> None:
        await self._wait_until(self._has_imported, "it has not put all spilled hits into its journal")
        noted_seq = self._journal.last_seq
        await self._wait_until(
            partial(self._renewals.is_forwarded, noted_seq), "it has not forwarded what its journal held"
        )
        renewed_seq = await self._renewals.last_forwarded(noted_seq)
        entries = await asyncio.to_thread(self._journal.set_aside_hits)
        dropped = await entries_to_drop(entries, erasures, self._client, self._journal.spool.read)
        await self._renewals.renew(renewed_seq, dropped)
        outside = await asyncio.to_thread(self._files.left_behind)
        await asyncio.to_thread(self._files.add, [_line(erasure) for erasure in erasures])
        confirmed = [ConfirmedErasure(id=each.id, requested_at_ms=each.requested_at_ms) for each in erasures]
        command = ConfirmErasures(front_end=self._front_end, confirmed=confirmed, outside=outside)
        await self._client.call(command)
        self._last_id = erasures[-1].id
        facts = {"action": "erasures_confirmed", "erasures": len(erasures), "set_aside": len(dropped)}
        log.info("this front end holds no more data of people who were erased", extra=facts)

    async def _has_imported(self) -> bool:
        try:
            return not await asyncio.to_thread(self._files.has_spilled)
        except OSError as exc:
            raise StoreUnavailable(f"spilled hits cannot be read: {exc.strerror or exc}") from exc

    async def _wait_until(self, is_done: Callable[[], Awaitable[bool]], problem: str) -> None:
        """Waits however long it takes, and reports the problem after a while."""
        ends_s = asyncio.get_running_loop().time() + self._patience_s
        while not await is_done():
            if asyncio.get_running_loop().time() > ends_s:
                await self._note(problem)
            await asyncio.sleep(_POLL_S)

    async def _watch(self) -> None:
        while True:
            try:
                has_more = await self.check()
                await self._note("")
            except FeedbackLoopsError as exc:
                has_more = False
                await self._note(str(exc))
            except Exception as exc:  # noqa: BLE001 - the log shows its type only, because errors may quote data
                has_more = False
                facts = {"action": "erasures_failed", "error": type(exc).__name__}
                log.error("unexpected error in a front end's part of an erasure", extra=facts)  # noqa: TRY400
            if not has_more:
                await asyncio.sleep(self._period_s)

    async def _note(self, problem: str) -> None:
        """Reports a problem where the erasure shows which front end it waits for."""
        if problem == self._problem or not self._front_end:
            return
        try:
            await self._client.call(NoteFrontEndProblem(front_end=self._front_end, problem=problem))
        except FeedbackLoopsError:  # the next round tries again, and `/readyz` shows what is wrong
            return
        self._problem = problem
        if problem:
            log.warning("erasures wait for this front end", extra={"action": "erasures_wait", "problem": problem})


def _line(erasure: FrontEndErasure) -> ErasureLine:
    return ErasureLine.until(
        erasure.requested_at_ms,
        id=erasure.id,
        account=erasure.account,
        digest=erasure.digest,
        keep_opt_out=erasure.keep_opt_out,
    )
