"""A loop's delivery lane: takes what the loop is owed, POSTs it, and has the outcomes recorded."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Final

from actors.delivery.cpu_throttle import CpuThrottle
from actors.delivery.monotonic_clock import MonotonicWallClock
from actors.delivery.outbox_reader import OutboxReader
from actors.delivery.outcome_policy import OutcomePolicy
from actors.delivery.outcome_recorder import OutcomeRecorder
from actors.delivery.prefetch_buffer import PrefetchBuffer, SharedBytes
from actors.delivery.rate_limiter import RateLimiter
from actors.delivery.request_builder import EventTooLarge, LaneConfig, RequestBuilder
from actors.delivery.telemetry import AttemptTelemetry
from actors.delivery.worker_pool import WorkerPool
from actors.ledger.port import LedgerReader
from actors.ports import Clock, HttpClient, HttpResponse, LedgerWriter
from domain.breaker import Breaker, is_down
from domain.delivery import EVENT_TOO_LARGE, AttemptOutcome, LaneHealth, OfferedDelivery
from domain.retry import RetrySchedule, retry_after_s
from domain.values import DeliveryState, event_time_ms

MAX_IN_HAND: Final = 2000
#: Events younger than this are live, also when a burst of them had to go through the outbox.
LATE_MS: Final = 30_000
#: Kept back from the time that `stop` may take, to record what came in last.
RECORDING_S: Final = 1.0


class Lane:
    """Delivers one loop's events: at least once (I4), bounded in memory and connections whatever the backlog (I5).

    A delivery in hand is not begun a second time before its outcome is recorded. Live events are taken as they are
    offered; those that do not fit are dropped: the outbox has them, with the retries and all that is older, and the
    lane comes for them when it has room. Both go in turns. A new lane is paused until it is told to `resume`.

    An ordered lane takes everything from the outbox, in the order in which it was recorded, and has one POST under way:
    what failed goes before all others until it is delivered or dead, also when the lane has ended meanwhile.

    While the handler is down (`domain.breaker`) deliveries stay in the outbox, and none but a probe is attempted.
    """

    def __init__(
        self,
        *,
        loop_no: int,
        config: LaneConfig,
        ledger: LedgerWriter,
        reader: LedgerReader,
        http_client: HttpClient,
        clock: Clock,
        rng: random.Random,
        retry_schedule: RetrySchedule,
        timeout_s: float,
        disable_after_s: float,
        on_disable: Callable[[str], None],
        health: LaneHealth | None = None,
        newest_before: int = 0,
        max_in_hand: int = MAX_IN_HAND,
        shared_bytes: SharedBytes,
        notes: AttemptTelemetry | None = None,
        duty: CpuThrottle | None = None,
    ) -> None:
        """`health`: how the handler did when a lane before this one last said so.

        `duty`: when what comes out of the outbox has to rest, so that a backlog leaves room for others; None: never.

        `newest_before`: deliveries up to this id may have been attempted by lanes before; what is left of them is in
        the outbox, whatever offers that were long on their way may say.
        """
        self._http_client = http_client
        self._clock = clock
        self._time = MonotonicWallClock(clock)
        self._notes = notes or AttemptTelemetry(config.loop_id)
        self._rng = rng
        self._verdicts = OutcomePolicy(retry_schedule, rng)
        self._timeout_s = timeout_s
        self._disable_after_s = disable_after_s
        self._on_disable = on_disable
        self._newest_before = newest_before
        self._duty = duty
        self._config = config
        #: Whether an order or a rate is to be kept.
        self._is_bound = config.ordered or config.rate_limit is not None
        self._posts = RequestBuilder(config, timeout_s)
        self._pace = RateLimiter(config.rate_limit, clock.monotonic_s())
        self._breaker = Breaker(health or LaneHealth(), self._time.now_ms(), self._limit())
        if self._has_failed_too_long():  # and was resumed all the same: it is given its time anew
            self._breaker.forgive()
        self._recorder = OutcomeRecorder(loop_no, ledger, lambda: self._breaker.health, self._recorded, config.loop_id)
        self._in_hand = PrefetchBuffer(max_in_hand, shared_bytes)
        self._crew = WorkerPool(limit=self._limit, openings=self._openings, take=self._take, do=self._attempt)
        self._backlog = OutboxReader(
            loop_no,
            reader,
            self._time,
            self._in_hand,
            self._crew.dispatch,
            loop_id=config.loop_id,
            in_order=config.ordered,
        )
        self._is_paused = True
        self._is_stopping = False
        self._has_given_up = False
        #: What failed and is to be tried again, until that is recorded.
        self._failed: dict[int, OfferedDelivery] = {}
        self._under_way = 0
        #: Whether somebody wanted to begin while outcomes could not be recorded.
        self._is_held_back = False
        self._landed = asyncio.Event()

    @property
    def in_hand(self) -> int:
        """Deliveries queued, under way, or waiting to be recorded."""
        return len(self._in_hand)

    @property
    def health(self) -> LaneHealth:
        """How the handler does."""
        return self._breaker.health

    def is_begun(self, delivery_id: int) -> bool:
        """Whether an attempt of a delivery is under way, or waits to be recorded."""
        return self._in_hand.is_begun(delivery_id)

    def start(self) -> None:
        """Begins to work, in the running event loop; paused."""
        self._recorder.start()
        self._backlog.start()

    def offer(self, deliveries: Sequence[OfferedDelivery]) -> None:
        """Takes recorded deliveries that are due, as far as there is room; never blocks."""
        if self._is_paused:
            return
        if self._config.ordered:  # offers come as they come: only the outbox tells what was recorded first
            self._backlog.nudge()
            return
        now_ms = self._time.now_ms()
        for delivery in deliveries:
            if delivery.due_at_ms > now_ms:
                self._backlog.read_by(delivery.due_at_ms)
            elif delivery.delivery_id <= self._newest_before:
                self._backlog.nudge()
            elif not (self._in_hand.is_outdated(delivery) or self._in_hand.take_live(delivery)):
                self._backlog.note()
        self._crew.dispatch()

    def nudge(self) -> None:
        """Looks into the outbox soon; never blocks."""
        self._backlog.nudge()

    def retry_now(self, delivery: OfferedDelivery) -> None:
        """Attempts a delivery before all others, though the handler is thought to be down; an ordered lane in its turn.

        It was given back to the outbox, and no attempt of it is under way.
        """
        if self._is_paused or self._config.ordered:
            self._in_hand.release_queued(delivery.delivery_id)
            self._backlog.nudge()
            return
        self._in_hand.take_first(delivery)
        self._backlog.note()  # what was let go to make room
        self.probe_now()

    def probe_now(self) -> None:
        """Tries the handler again at once, if it is thought to be down."""
        self._breaker.ask_at_once(self._time.now_ms())
        self._crew.dispatch()

    def update(self, config: LaneConfig) -> None:
        """Delivers as `config` says, from the next attempt on."""
        if config.ordered != self._config.ordered:
            self._in_hand.release_queue()
            self._backlog.order(strictly=config.ordered)
        self._config = config
        self._posts = RequestBuilder(config, self._timeout_s)
        self._pace.rate = config.rate_limit
        self._breaker.enough = self._limit()
        self._is_bound = config.ordered or config.rate_limit is not None
        self._crew.fit()

    def pause(self) -> None:
        """Begins no attempt any more; those under way are finished and recorded. What was queued is in the outbox."""
        self._is_paused = True
        self._backlog.pause()
        self._in_hand.release_queue()
        self._verdicts.forget()

    def resume(self) -> None:
        """Begins attempts again."""
        if self._is_paused and not self._is_stopping:
            self._is_paused = False
            self._has_given_up = False
            self._backlog.resume()

    def forgive(self) -> None:
        """Forgets the handler's failures: it is to be tried as if it had none."""
        self._breaker.forgive()
        self._recorder.note_health()
        self._crew.dispatch()

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
        await asyncio.gather(self._backlog.stop(), self._crew.stop())
        await self._recorder.close(max(ends_s - self._clock.monotonic_s(), 0.0))

    # --- what may begin

    def _limit(self) -> int:
        return 1 if self._config.ordered else self._config.max_concurrency

    def _openings(self) -> int:
        """How many attempts there are to begin, as far as it is worth waking somebody for each."""
        openings = self._in_hand.queued
        if self._config.ordered or self._pace.rate is not None:
            openings = min(openings, 1)
        room = self._breaker.room(self._under_way)
        return openings if room is None else min(openings, room)

    def _take(self) -> OfferedDelivery | None:
        """The delivery whose attempt begins now. None: none may; if only the time forbids it, it is looked at then."""
        if self._is_paused or not self._in_hand.queued:
            return None
        if self._recorder.is_stuck:  # or a process that dies now would leave more and more to be repeated
            self._is_held_back = True
            return None
        if (self._is_bound or self._breaker.is_alert) and not self._may_begin():
            return None
        if self._duty is not None and self._is_late_next() and (rest_s := self._duty.rest_s()) > 0:
            self._crew.look_in(rest_s)
            return self._in_hand.pop_live() if self._in_hand.has_live else None
        return self._in_hand.pop()

    def _is_late_next(self) -> bool:
        """Whether what is next comes out of the outbox and is so old that a little later makes no difference."""
        if not self._in_hand.is_old_next:
            return False
        return self._clock.now_ms() - event_time_ms(self._in_hand.first().event_id) > LATE_MS

    def _may_begin(self) -> bool:
        if self._config.ordered and (self._under_way or self._failed):
            return False
        if self._breaker.room(self._under_way) == 0:
            return False
        if (wait_s := self._wait_s()) <= 0:
            return True
        self._crew.look_in(wait_s)
        return False

    def _wait_s(self) -> float:
        """Seconds before another attempt may begin; 0 or less: none."""
        wait_s = 0.0
        if self._pace.rate is not None:
            wait_s = self._pace.wait_s(self._clock.monotonic_s())
        if self._breaker.is_open:
            wait_s = max(wait_s, self._breaker.wait_ms(self._time.now_ms()) / 1000)
        if self._config.ordered:
            wait_s = max(wait_s, (self._in_hand.first().due_at_ms - self._time.now_ms()) / 1000)
        return wait_s

    # --- an attempt

    async def _attempt(self, delivery: OfferedDelivery) -> None:
        at_ms = self._clock.now_ms()
        self._under_way += 1
        self._notes.began()
        probe = self._breaker.begin() if self._breaker.is_open else 0
        if self._pace.rate is not None:
            now_s = self._clock.monotonic_s()
            self._pace.start(now_s)
            self._crew.look_in(max(self._pace.wait_s(now_s), 0.0))
        try:
            answer = await self._http_client.post(self._posts.request(delivery.event_id, delivery.fields, at_ms))
        except EventTooLarge as exc:
            answer = HttpResponse(None, EVENT_TOO_LARGE, str(exc), b"", None, None, 0.0)
        except Exception as exc:  # noqa: BLE001  what cannot be sent must not end the worker, nor be tried without end
            self._notes.not_sent(delivery, exc)
            answer = HttpResponse(None, "internal", repr(exc), b"", None, None, 0.0)
        finally:
            self._under_way -= 1
            self._notes.landed()
            if self._is_stopping and not self._under_way:
                self._landed.set()
        self._settle(delivery, at_ms, answer, probe)

    def _settle(self, delivery: OfferedDelivery, at_ms: int, answer: HttpResponse, probe: int) -> None:
        now_ms, was_alert, was_open = self._time.now_ms(), self._breaker.is_alert, self._breaker.is_open
        is_well = not (self._is_paused or self._breaker.is_open)
        verdict = self._verdicts.judge(delivery, at_ms, now_ms, answer, is_well=is_well)
        if verdict.again is not None:
            self._failed[delivery.delivery_id] = verdict.again
        self._recorder.add(verdict.outcome)
        self._notes.ended(delivery, verdict.outcome, answer.duration_s, now_ms)
        if verdict.outcome.state == DeliveryState.DELIVERED:
            self._breaker.succeed(now_ms)
        else:
            self._note_failure(answer, now_ms, probe, disable=verdict.disable)
        if was_alert:
            self._crew.dispatch()
        if self._breaker.is_open is not was_open:
            self._notes.breaker_changed(is_open=self._breaker.is_open)

    def _note_failure(self, answer: HttpResponse, now_ms: int, probe: int, *, disable: bool) -> None:
        """Tells the breaker, and gives up on the handler when it asked for that or has failed for too long."""
        asked_s = None if answer.retry_after is None else retry_after_s(answer.retry_after, now_ms)
        self._breaker.fail(
            now_ms,
            probe=probe,
            is_down=answer.error != EVENT_TOO_LARGE and is_down(answer.status),
            retry_after_s=asked_s or 0.0,
            jitter=self._rng.random(),
        )
        if disable:
            self._give_up("the handler answered 410 Gone, which asks for no more events")
        elif self._has_failed_too_long():
            self._give_up(f"every delivery has failed for {_duration(self._disable_after_s)}")

    def _has_failed_too_long(self) -> bool:
        return self._breaker.failing_for_ms >= self._disable_after_s * 1000

    def _give_up(self, reason: str) -> None:
        self.pause()
        if not self._has_given_up:
            self._has_given_up = True
            self._on_disable(reason)

    def _recorded(self, outcomes: Sequence[AttemptOutcome]) -> None:
        for outcome in outcomes:
            delivery_id = outcome.delivery_id
            self._in_hand.remember(delivery_id, outcome.attempt_no)
            if outcome.state == DeliveryState.PENDING:
                self._failure_recorded(self._failed.pop(delivery_id))
            else:
                self._in_hand.release(delivery_id)
        self._backlog.hasten()
        if self._is_held_back:
            self._is_held_back = False
            self._crew.dispatch()

    def _failure_recorded(self, delivery: OfferedDelivery) -> None:
        is_due = delivery.due_at_ms <= self._time.now_ms()
        if not self._is_paused and (self._config.ordered or is_due):
            self._in_hand.take_back(delivery)
            self._crew.dispatch()
        else:
            self._in_hand.release(delivery.delivery_id)
            self._backlog.read_by(delivery.due_at_ms)


def _duration(seconds: float) -> str:
    """A duration in words, in the largest unit that it is at least one of."""
    for unit, length_s in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= length_s:
            return f"{seconds / length_s:.3g} {unit}"
    return f"{seconds:.3g} seconds"
