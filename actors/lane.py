"""A loop's delivery lane: takes what the loop is owed, POSTs it, and has the outcomes recorded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence
from typing import Final

from actors.backlog import Backlog
from actors.in_hand import InHand
from actors.ledger.reader_port import LedgerReader
from actors.outcomes import OutcomeRecorder, error_word, excerpt
from actors.ports import Clock, HttpAnswer, LedgerWriter, Sender
from actors.posts import LaneConfig, Posts
from domain.delivery import AttemptOutcome, OfferedDelivery
from domain.retry import RetrySchedule, decide
from domain.values import DeliveryState

log = logging.getLogger(__name__)

MAX_IN_HAND: Final = 1000
#: A worker that waits looks up this often: a pause, a new rate or a record may have changed what it waits for.
MAX_WAIT_S: Final = 0.5
RECORD_WAIT_S: Final = 0.02
#: Kept back from the time that `stop` may take, to record what came in last.
RECORDING_S: Final = 1.0


class Lane:
    """Delivers one loop's events: at least once (I4), bounded in memory and connections whatever the backlog (I5).

    A delivery in hand is not begun a second time before its outcome is recorded. Offers that do not fit are dropped:
    the outbox has them, and the lane comes for them when what it has in hand falls to half. Retries stay in the outbox
    until they are due. A new lane is paused until it is told to `resume`.

    An ordered lane has one POST under way, and keeps the one that failed until it is delivered or dead. (Of a backlog
    larger than `max_in_hand`, that one alone may lose its place when the process ends.)
    """

    def __init__(
        self,
        *,
        loop_no: int,
        config: LaneConfig,
        ledger: LedgerWriter,
        reader: LedgerReader,
        sender: Sender,
        clock: Clock,
        rng: random.Random,
        retry_schedule: RetrySchedule,
        timeout_s: float,
        disable_after_s: float,
        on_disable: Callable[[str], None],
        max_in_hand: int = MAX_IN_HAND,
    ) -> None:
        self._sender = sender
        self._clock = clock
        self._rng = rng
        self._schedule = retry_schedule
        self._timeout_s = timeout_s
        self._disable_after_s = disable_after_s
        self._on_disable = on_disable
        self._config = config
        self._posts = Posts(config, timeout_s)
        self._recorder = OutcomeRecorder(ledger, self._recorded)
        self._in_hand = InHand(max_in_hand)
        self._backlog = Backlog(loop_no, reader, clock, self._in_hand, self._dispatch)
        self._is_paused = True
        self._is_stopping = False
        self._in_hand.order(strictly=config.ordered)
        self._has_given_up = False
        self._failing_since_ms: int | None = None
        self._next_start_s = 0.0
        #: In an ordered lane, the delivery that failed and goes before all others; due when its outcome is recorded.
        self._head: OfferedDelivery | None = None
        self._head_due_ms: int | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []
        self._under_way = 0
        self._landed = asyncio.Event()

    @property
    def in_hand(self) -> int:
        """Deliveries queued, under way, or waiting to be recorded."""
        return len(self._in_hand)

    def start(self) -> None:
        """Begins to work, in the running event loop; paused."""
        self._recorder.start()
        self._backlog.start()

    def offer(self, deliveries: Sequence[OfferedDelivery]) -> None:
        """Takes recorded deliveries that are due, as far as there is room; never blocks."""
        if self._is_paused:
            return
        if self._config.ordered and self._backlog.may_hold_more:
            self._backlog.nudge()  # what is in the outbox goes first
            return
        now_ms = self._clock.now_ms()
        for delivery in deliveries:
            if delivery.due_at_ms > now_ms:
                self._backlog.read_by(delivery.due_at_ms)
            elif not (self._in_hand.is_outdated(delivery) or self._in_hand.take(delivery)):
                self._backlog.note()
        self._dispatch()

    def nudge(self) -> None:
        """Looks into the outbox soon; never blocks."""
        self._backlog.nudge()

    def update(self, config: LaneConfig) -> None:
        """Delivers as `config` says, from the next attempt on."""
        if config.ordered != self._config.ordered:
            self._in_hand.order(strictly=config.ordered)
            self._drop_head()
        self._config = config
        self._posts = Posts(config, self._timeout_s)
        self._next_start_s = 0.0
        self._wake(len(self._idle))  # those that are too many now go home
        self._dispatch()

    def pause(self) -> None:
        """Begins no attempt any more; those under way are finished and recorded. What was queued is in the outbox."""
        self._is_paused = True
        self._backlog.pause()
        self._in_hand.release_queue()
        self._drop_head()

    def resume(self) -> None:
        """Begins attempts again."""
        if self._is_paused and not self._is_stopping:
            self._is_paused = False
            self._has_given_up = False
            self._failing_since_ms = None
            self._backlog.resume()

    async def stop(self, drain_s: float) -> None:
        """Begins no attempt any more, and lets those under way land and be recorded, for about `drain_s` seconds.

        What does not land in time is delivered again by the lane that comes after.
        """
        ends_s = self._clock.monotonic_s() + drain_s
        self._is_stopping = True
        self.pause()
        if self._under_way:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(drain_s - RECORDING_S, drain_s / 2)):
                    await self._landed.wait()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(self._backlog.stop(), *self._workers, return_exceptions=True)
        await self._recorder.close(max(ends_s - self._clock.monotonic_s(), 0.0))

    # --- workers

    def _limit(self) -> int:
        return 1 if self._config.ordered else self._config.max_concurrency

    def _dispatch(self) -> None:
        """Wakes workers for what is queued, and starts more of them when all are busy."""
        missing = len(self._in_hand.queue) - self._wake(len(self._in_hand.queue))
        for _ in range(min(missing, self._limit() - len(self._workers))):
            worker = asyncio.create_task(self._work(), name="deliver")
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    def _wake(self, count: int) -> int:
        woken = 0
        while self._idle and woken < count:
            idle = self._idle.pop()
            if not idle.done():
                idle.set_result(None)
                woken += 1
        return woken

    async def _work(self) -> None:
        """Delivers one after the other. Long-lived: a task for each delivery would cost a tenth of a POST."""
        while len(self._workers) <= self._limit():
            if self._is_paused or not (self._in_hand.queue or self._head):
                idle = asyncio.get_running_loop().create_future()
                self._idle.append(idle)
                await idle
            elif (wait_s := self._wait_s()) > 0:
                await asyncio.sleep(min(wait_s, MAX_WAIT_S))
            else:
                await self._attempt(self._next())
        # At once, not when the task is done: the next one to look must not go as well.
        self._workers.discard(asyncio.current_task())

    def _wait_s(self) -> float:
        """Seconds before another attempt may begin."""
        if self._head is not None:
            if self._head_due_ms is None:
                return RECORD_WAIT_S
            if (early_ms := self._head_due_ms - self._clock.now_ms()) > 0:
                return early_ms / 1000
        return 0.0 if self._config.rate_limit is None else self._next_start_s - self._clock.monotonic_s()

    def _next(self) -> OfferedDelivery:
        if self._config.rate_limit is not None:
            gap_s = 1 / self._config.rate_limit
            # A start that was late by less than a gap is made up for, or the rate would never be reached.
            self._next_start_s = max(self._next_start_s, self._clock.monotonic_s() - gap_s) + gap_s
        if self._head is not None:
            head, self._head = self._head, None
            return head
        return self._in_hand.pop()

    async def _attempt(self, delivery: OfferedDelivery) -> None:
        at_ms = self._clock.now_ms()
        self._under_way += 1
        try:
            answer = await self._sender.post(self._posts.request(delivery.event_id, delivery.fields, at_ms))
        except Exception as exc:  # what cannot be sent must not end the worker, nor be tried without end
            log.exception("a delivery could not be sent", extra={"delivery_id": delivery.delivery_id})
            answer = HttpAnswer(None, "internal", repr(exc), b"", None, None, 0.0)
        finally:
            self._under_way -= 1
            if self._is_stopping and not self._under_way:
                self._landed.set()
        self._settle(delivery, at_ms, answer)

    def _settle(self, delivery: OfferedDelivery, at_ms: int, answer: HttpAnswer) -> None:
        now_ms = self._clock.now_ms()
        number = delivery.attempts + 1
        decision = decide(
            answer.status, answer.error, answer.retry_after, number, now_ms, self._schedule, self._rng.random()
        )
        outcome = AttemptOutcome(
            delivery.delivery_id,
            number,
            at_ms,
            round(answer.duration_s * 1000),
            answer.status,
            error_word(answer),
            excerpt(answer.body_start),
            answer.address,
            int(decision.state),
            decision.due_at_ms,
        )
        if self._config.ordered and decision.state is DeliveryState.PENDING and not self._is_paused:
            self._head, self._head_due_ms = delivery._replace(attempts=number), None
        self._recorder.add(outcome)
        self._judge(outcome, is_gone=decision.disable)

    def _judge(self, outcome: AttemptOutcome, *, is_gone: bool) -> None:
        """Gives up on the handler when it asked for that, or has failed for too long."""
        if outcome.state == DeliveryState.DELIVERED:
            self._failing_since_ms = None
            return
        now_ms = outcome.at_ms
        self._failing_since_ms = now_ms if self._failing_since_ms is None else self._failing_since_ms
        if is_gone:
            self._give_up("the handler answered 410 Gone, which asks for no more events")
        elif now_ms - self._failing_since_ms >= self._disable_after_s * 1000:
            self._give_up(f"every delivery has failed for {self._disable_after_s / 3600:.3g} hours")

    def _give_up(self, reason: str) -> None:
        self.pause()
        if not self._has_given_up:
            self._has_given_up = True
            self._on_disable(reason)

    def _drop_head(self) -> None:
        """Leaves the head to the outbox; one whose outcome is still to be recorded is released by that."""
        if self._head is not None and self._head_due_ms is not None:
            self._in_hand.release(self._head.delivery_id)
        self._head = None

    def _recorded(self, outcomes: Sequence[AttemptOutcome]) -> None:
        for outcome in outcomes:
            self._in_hand.remember(outcome.delivery_id, outcome.attempt_no)
            if self._head is not None and self._head.delivery_id == outcome.delivery_id:
                self._head_due_ms = outcome.due_at_ms
                continue
            self._in_hand.release(outcome.delivery_id)
            if outcome.state == DeliveryState.PENDING:
                self._backlog.read_by(outcome.due_at_ms)
        self._backlog.hasten()
