"""Recording what came of attempts: in batches, and for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Final

from actors.ports import HttpResponse, LedgerWriter
from domain.delivery import AttemptOutcome, LaneHealth

log = logging.getLogger(__name__)

BATCH: Final = 256
#: How long an outcome waits for others. The delivery is made; only the record of it is a little later.
GATHER_S: Final = 0.01
FIRST_BACKOFF_S: Final = 0.05
MAX_BACKOFF_S: Final = 5.0
#: A success later than the one on record is news when it is later by this.
SUCCESS_NEWS_MS: Final = 1000


class OutcomeRecorder:
    """Hands outcomes to the ledger, and says which are recorded. One that cannot be recorded is tried again for ever.

    Recording is idempotent, so a batch whose fate is not known is simply sent again. How the handler does (`health`)
    goes with a batch when it has changed; that it did well once more is worth a record now and then.
    """

    def __init__(
        self,
        loop_no: int,
        ledger: LedgerWriter,
        health: Callable[[], LaneHealth],
        on_recorded: Callable[[Sequence[AttemptOutcome]], None],
        loop_id: str,
    ) -> None:
        self._loop_no = loop_no
        self._loop_id = loop_id
        self._ledger = ledger
        self._health = health
        self._on_recorded = on_recorded
        self._recorded_health = health()
        self._waiting: list[AttemptOutcome] = []
        self._wake = asyncio.Event()
        self._is_hurried = False
        #: Whether the ledger did not take what it was last given.
        self.is_stuck = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to record, in the background."""
        self._task = asyncio.create_task(self._record_forever(), name="record-outcomes")

    def add(self, outcome: AttemptOutcome) -> None:
        """Takes an outcome; never blocks."""
        self._waiting.append(outcome)
        self._wake.set()

    def note_health(self) -> None:
        """Has the health recorded when it has changed, outcomes or not; never blocks."""
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
            facts = {"action": "outcomes_lost", "loop_id": self._loop_id, "count": len(self._waiting)}
            log.warning("outcomes were not recorded", extra=facts)

    async def _record_forever(self) -> None:
        while self._waiting or not self._is_hurried:
            await self._wake.wait()
            if len(self._waiting) < BATCH and not self._is_hurried:
                await asyncio.sleep(GATHER_S)
            batch = self._waiting[:BATCH]
            await self._record(batch)
            del self._waiting[: len(batch)]
            self._on_recorded(batch)
            if not self._waiting and not self._is_hurried:
                self._wake.clear()

    async def _record(self, batch: Sequence[AttemptOutcome]) -> None:
        backoff_s = FIRST_BACKOFF_S
        health = self._health()
        changed = (self._loop_no, health) if self._has_news(health) else None
        while batch or changed:
            try:
                await self._ledger.record_outcomes(batch, changed)
            except Exception as exc:  # noqa: BLE001  whatever it is: an outcome forgotten is an event POSTed twice
                facts = {"action": "outcomes_wait", "loop_id": self._loop_id, "count": len(batch), "error": repr(exc)}
                log.warning("outcomes cannot be recorded now", extra=facts)
                self.is_stuck = True
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)
            else:
                self.is_stuck = False
                self._recorded_health = health if changed else self._recorded_health
                return

    def _has_news(self, health: LaneHealth) -> bool:
        known = self._recorded_health
        if health._replace(last_success_ms=known.last_success_ms) != known:
            return True
        return abs((health.last_success_ms or 0) - (known.last_success_ms or 0)) >= SUCCESS_NEWS_MS


def error_word(answer: HttpResponse) -> str | None:
    """The HTTP client's own code for what went wrong; `redirect` or `status` for an unsuccessful response; or None."""
    if answer.status is None or 200 <= answer.status < 300:
        return answer.error
    return "redirect" if 300 <= answer.status < 400 else "status"


def headers_text(head_start: bytes) -> str:
    """The start of an answer's headers, a line each, as safe to show as an excerpt; quick for what is ordinary."""
    text = head_start.decode("utf-8", "replace")
    return text if text.replace("\n", "").isprintable() else excerpt(head_start)


def answer_excerpt(answer: HttpResponse) -> str:
    """What is kept of an answer's body, as text that is safe to show. Of what is no answer, every byte can be told."""
    return excerpt(answer.body_start) if answer.status is not None else _escaped(answer.body_start)


def _escaped(raw: bytes) -> str:
    r"""Bytes as text: UTF-8 and line breaks as they are, all else as `\xNN`."""
    text = raw.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escape(c) for c in text)


def _escape(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode())


def excerpt(body_start: bytes) -> str:
    """The start of a body as text that is safe to show: UTF-8, what is no text or would steer a terminal replaced."""
    text = body_start.decode("utf-8", "replace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text.replace("\r\n", "\n"))
