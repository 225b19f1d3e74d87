"""Runner of erasures: one step after the other, each a little at a time."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Final

from actors.ledger.dialect import Cursor
from actors.ledger.erasure import store as rows
from actors.ledger.erasure.step import Advance, ErasureAction, ErasureStep, Found
from actors.ledger.erasure.store_access import ErasureStore
from domain.erasure import RunningErasure
from domain.errors import FeedbackLoopsError

#: Rows that one transaction redacts. This bounds how long other writes wait.
ROWS_AT_ONCE: Final = 100
#: Transactions of one erasure before the others get their turn.
BATCHES_AT_ONCE: Final = 20
#: Seconds between two transactions, so that the writer is mostly free for others.
PAUSE_S: Final = 0.005


class Batches:
    """An `ErasureStep` as an `ErasureAction`: finds rows on a read connection, and redacts them through the writer."""

    def __init__(self, step: ErasureStep, store: ErasureStore, limit: int = ROWS_AT_ONCE) -> None:
        self.name = step.name
        self._step = step
        self._store = store
        self._limit = limit

    async def advance(self, erasures: Sequence[RunningErasure]) -> Advance:
        done = [erasure for erasure in erasures if await self._advance(erasure)]
        return Advance(done, has_more=len(done) < len(erasures))

    async def _advance(self, erasure: RunningErasure) -> bool:
        """Whether the step has ended."""
        for _ in range(BATCHES_AT_ONCE):
            found = await asyncio.to_thread(self._step.find, self._store.connection, erasure, self._limit)
            if not found.rows:
                return True

            def redact(cursor: Cursor, erasure: RunningErasure = erasure, found: Found = found) -> None:
                counts = self._step.apply(cursor, erasure, found.rows)
                rows.keep_progress(cursor, erasure, found.position, counts)

            await self._store.commits.run(redact, len(found.rows))
            erasure = erasure._replace(position=found.position)
            await asyncio.sleep(PAUSE_S)
        return False


class ErasureRunner:
    """Carries erasures to their end. For one caller at a time; a process that continues another's work loses nothing.

    `actions`: one for each step, in the order in which they run.
    """

    def __init__(self, actions: Sequence[ErasureAction], store: ErasureStore) -> None:
        self._actions = list(actions)
        self._store = store
        #: Whether an erasure was running at the last look.
        self.is_busy = True

    async def advance(self) -> bool:
        """Advances every running erasure. Returns whether there is more to do at once.

        Raises:
            FeedbackLoopsError: a step cannot go on now; the others have. Try again later.
        """
        running = await asyncio.to_thread(rows.running, self._store.connection)
        self.is_busy = bool(running)
        names = [action.name for action in self._actions]
        by_step: dict[str, list[RunningErasure]] = {name: [] for name in names}
        for erasure in running:
            # Every step may run again, so the step of another version does no harm.
            by_step.get(erasure.step, by_step[names[0]]).append(erasure)
        has_more = False
        problems: list[FeedbackLoopsError] = []
        for number, action in enumerate(self._actions):
            if group := by_step[action.name]:
                try:
                    advance = await action.advance(group)
                except FeedbackLoopsError as exc:
                    problems.append(exc)
                    with contextlib.suppress(FeedbackLoopsError):
                        await self._note_waits(group, [f"the service ({exc})"])
                    continue
                has_more = has_more or advance.has_more
                done = {erasure.no for erasure in advance.done}
                await self._note_waits([each for each in group if each.no not in done], advance.waits_for)
                moved = await self._go_on(advance.done, number)
                if number + 1 < len(names):
                    by_step[names[number + 1]] += moved
        if problems:
            raise problems[0]
        return has_more

    async def _note_waits(self, erasures: Sequence[RunningErasure], waits_for: Sequence[str]) -> None:
        """Keeps what these erasures wait for, if it has changed."""
        text = json.dumps(waits_for, ensure_ascii=False)
        if changed := [erasure for erasure in erasures if erasure.held_up_by != text]:
            await self._store.commits.run(lambda cursor: rows.note_waits(cursor, changed, text), len(changed))

    async def _go_on(self, done: Sequence[RunningErasure], number: int) -> list[RunningErasure]:
        """Goes on with the step after the one with this number; returns the erasures that have gone on."""
        if not done:
            return []
        if number + 1 == len(self._actions):
            now_ms = self._store.clock.now_ms()
            return await self._store.commits.run(lambda cursor: rows.complete(cursor, done, now_ms), len(done))
        name = self._actions[number + 1].name
        return await self._store.commits.run(lambda cursor: rows.go_on(cursor, done, name), len(done))
