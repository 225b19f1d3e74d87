"""Recording what came of attempts: in batches, and for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Final

from actors.ports import HttpAnswer, LedgerWriter
from domain.delivery import AttemptOutcome

log = logging.getLogger(__name__)

BATCH: Final = 256
#: How long an outcome waits for others. The delivery is made; only the record of it is a little later.
GATHER_S: Final = 0.01
FIRST_BACKOFF_S: Final = 0.05
MAX_BACKOFF_S: Final = 5.0


class OutcomeRecorder:
    """Hands outcomes to the ledger, and says which are recorded. One that cannot be recorded is tried again for ever.

    Recording is idempotent, so a batch whose fate is not known is simply sent again.
    """

    def __init__(self, ledger: LedgerWriter, on_recorded: Callable[[Sequence[AttemptOutcome]], None]) -> None:
        self._ledger = ledger
        self._on_recorded = on_recorded
        self._waiting: list[AttemptOutcome] = []
        self._wake = asyncio.Event()
        self._is_hurried = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to record, in the background."""
        self._task = asyncio.create_task(self._record_forever(), name="record-outcomes")

    def add(self, outcome: AttemptOutcome) -> None:
        """Takes an outcome; never blocks."""
        self._waiting.append(outcome)
        self._wake.set()

    async def close(self, within_s: float) -> None:
        """Returns when all is recorded, or gives up after `within_s`: what is lost is delivered again."""
        self._is_hurried = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=within_s)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._waiting:
            log.warning("outcomes were not recorded", extra={"count": len(self._waiting)})

    async def _record_forever(self) -> None:
        while self._waiting or not self._is_hurried:
            await self._wake.wait()
            if len(self._waiting) < BATCH and not self._is_hurried:
                await asyncio.sleep(GATHER_S)
            batch = self._waiting[:BATCH]
            if batch:
                await self._record(batch)
                del self._waiting[: len(batch)]
                self._on_recorded(batch)
            if not self._waiting and not self._is_hurried:
                self._wake.clear()

    async def _record(self, batch: Sequence[AttemptOutcome]) -> None:
        backoff_s = FIRST_BACKOFF_S
        while True:
            try:
                await self._ledger.record_outcomes(batch)
            except Exception as exc:  # noqa: BLE001  whatever it is: an outcome forgotten is an event POSTed twice
                log.warning("outcomes cannot be recorded now", extra={"count": len(batch), "error": repr(exc)})
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)
            else:
                return


def error_word(answer: HttpAnswer) -> str | None:
    """The word for what went wrong: the sender's own, `redirect` or `status` for an answer but no success, or None."""
    if answer.status is None or 200 <= answer.status < 300:
        return answer.error
    return "redirect" if 300 <= answer.status < 400 else "status"


def excerpt(body_start: bytes) -> str:
    """The start of a body as text that is safe to show: UTF-8, what is no text or would steer a terminal replaced."""
    text = body_start.decode("utf-8", "replace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text.replace("\r\n", "\n"))
