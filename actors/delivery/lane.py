"""Delivery lane of one loop: POSTs due deliveries and queues their outcomes for recording."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from actors.delivery.attempt_telemetry import AttemptTelemetry
from actors.delivery.dependencies import DeliveryServices
from actors.delivery.failure_clock import FailureClock
from actors.delivery.lane_config import LaneConfig
from actors.delivery.monotonic_clock import MonotonicWallClock
from actors.delivery.outbox_reader import OutboxReader
from actors.delivery.outcome_policy import OutcomePolicy
from actors.delivery.outcome_recorder import OutcomeRecorder
from actors.delivery.prefetch_buffer import CAPACITY, PrefetchBuffer
from actors.delivery.request_builder import EventTooLarge, RequestBuilder
from actors.delivery.returned_mail import kept_mail
from actors.delivery.scheduler import Scheduler
from actors.delivery.stale_deliveries import StaleDeliveries
from actors.delivery.worker_pool import WorkerPool
from actors.ports import HttpResponse
from domain.breaker import Breaker
from domain.delivery import EVENT_TOO_LARGE, AttemptOutcome, LaneHealth, OfferedDelivery
from domain.values import DeliveryState

#: Part of the time for `stop` that is reserved for recording the last outcomes.
RECORDING_S: Final = 0.7


class Lane:
    """Delivers one loop's events: at least once (I4), bounded in memory and connections whatever the backlog (I5).

    Offered live events are buffered. Those that do not fit are read from the outbox later, like retries and
    the backlog; the two take turns. A delivery is attempted again only after its last outcome is recorded.

    An ordered lane reads everything from the outbox in the order of recording, and has one POST in flight. A failed
    delivery goes first until it is delivered or dead, even across a restart. While the handler is down
    (`domain.breaker`), the lane only sends probes. A new lane is paused until `resume`.
    """

    def __init__(
        self,
        loop_no: int,
        config: LaneConfig,
        services: DeliveryServices,
        telemetry: AttemptTelemetry,
        on_disable: Callable[[str], None],
        *,
        health: LaneHealth,
        newest_before: int,
        buffer_size: int = CAPACITY,
    ) -> None:
        """`on_disable` gets the reason why the lane gave up on the handler. `health`: recorded by an earlier lane.

        `newest_before`: earlier lanes may have attempted deliveries up to this id, so offers of them are ignored.
        """
        self._settings = config.settings
        self._clock = services.clock
        self._http_client = services.http_client
        self._ledger_reader = services.reader
        self._timeout_s = services.policy.timeout_s
        self._telemetry = telemetry
        self._on_disable = on_disable
        self._newest_before = newest_before
        self._wall_clock = MonotonicWallClock(services.clock)
        self._requests = RequestBuilder(config, self._timeout_s)
        self._buffer = PrefetchBuffer(buffer_size, services.shared_bytes)
        self._breaker = Breaker(health, self._wall_clock.now_ms(), config.concurrency)
        self._policy = OutcomePolicy(services.policy, self._breaker, services.rng)
        self._recorder = OutcomeRecorder(loop_no, config.loop_id, services.ledger, self._breaker, self._recorded)
        self._failure_clock = FailureClock(
            loop_no, services, self._breaker, self._buffer, self._recorder, self._give_up
        )
        self._outbox = OutboxReader(loop_no, config, services.reader, self._wall_clock, self._buffer, self._dispatch)
        self._pool = WorkerPool(self._work, config.concurrency)
        self._scheduler = Scheduler(
            config, services, self._breaker, self._buffer, self._recorder, self._wall_clock, self._dispatch
        )
        #: Deliveries that are attempted or recorded with what was read before `forget_queued`.
        self._stale = StaleDeliveries()
        self._in_flight = 0
        self._is_stopping = False
        self._has_given_up = False

    @property
    def buffered(self) -> int:
        """Deliveries queued, in flight, or waiting to be recorded."""
        return len(self._buffer)

    @property
    def health(self) -> LaneHealth:
        """Health of the handler."""
        return self._breaker.health

    def is_in_flight(self, delivery_id: int) -> bool:
        """Whether an attempt of a delivery is in flight or waits to be recorded."""
        return self._buffer.is_in_flight(delivery_id)

    def start(self) -> None:
        """Starts the lane's tasks in the running event loop; paused."""
        self._recorder.start()
        self._outbox.start()
        self._failure_clock.start()

    def offer(self, deliveries: Sequence[OfferedDelivery]) -> None:
        """Buffers recorded deliveries that are due, as far as there is room; never blocks."""
        if self._scheduler.is_paused:
            return
        if self._settings.ordered:  # offers arrive in any order; only the outbox has the order of recording
            self._outbox.nudge()
            return
        now_ms = self._wall_clock.now_ms()
        for delivery in deliveries:
            if delivery.due_at_ms > now_ms:
                self._outbox.read_at(delivery.due_at_ms)
            elif delivery.delivery_id <= self._newest_before:
                self._outbox.nudge()
            elif not (self._buffer.is_outdated(delivery) or self._buffer.add_live(delivery)):
                self._outbox.note_more()
        self._dispatch()

    def nudge(self) -> None:
        """Reads the outbox soon; never blocks."""
        self._outbox.nudge()

    def retry_now(self, delivery: OfferedDelivery) -> None:
        """Attempts a due delivery ahead of all others, even if the breaker is open; an ordered lane keeps its order.

        Does nothing if the delivery was attempted after it had been read from the ledger.
        """
        if self._buffer.is_outdated(delivery):
            return
        if self._scheduler.is_paused or self._settings.ordered:
            self._buffer.release_queued(delivery.delivery_id)
            self._outbox.nudge()
            return
        self._buffer.add_first(delivery)
        self._outbox.note_more()  # others may have been dropped to make room
        self.probe_now()

    def probe_now(self) -> None:
        """Probes the handler at once if the breaker is open."""
        self._breaker.probe_at_once(self._wall_clock.now_ms())
        self._dispatch()

    def update(self, config: LaneConfig) -> None:
        """Applies new settings from the next attempt on."""
        if config.settings.ordered != self._settings.ordered:
            self._buffer.release_queue()
            self._outbox.set_order(strict=config.settings.ordered)
        self._settings = config.settings
        self._requests = RequestBuilder(config, self._timeout_s)
        self._breaker.max_concurrency = config.concurrency
        self._scheduler.configure(config)
        self._pool.resize(config.concurrency)
        self._dispatch()

    def pause(self) -> None:
        """Stops starting attempts; those in flight finish and are recorded. Queued deliveries stay in the outbox."""
        self._scheduler.is_paused = True
        self._outbox.pause()
        self._failure_clock.pause()
        self._buffer.release_queue()

    def resume(self) -> None:
        """Starts attempts again."""
        if self._scheduler.is_paused and not self._is_stopping:
            self._scheduler.is_paused = False
            self._has_given_up = False
            self._outbox.resume()
            self._failure_clock.resume()

    def forgive(self) -> None:
        """Closes the breaker and forgets the handler's failures."""
        self._breaker.forgive()
        self.restart_failure_clock()
        self._dispatch()

    def restart_failure_clock(self) -> None:
        """Restarts the time after which the loop is disabled."""
        self._failure_clock.restart()
        self._recorder.record_health()

    async def forget_queued(self) -> None:
        """Forgets what was read or offered so far, because the ledger has changed it: the outbox is read again.

        Returns when attempts that began before are recorded. Offers of deliveries that exist now are ignored for good.
        """
        newest_id = await asyncio.to_thread(self._ledger_reader.newest_delivery_id)
        self._newest_before = max(self._newest_before, newest_id)
        self._read_again()
        await self._stale.gone(self._buffer.ids)

    def _read_again(self) -> None:
        self._buffer.release_queue()
        self._outbox.set_order(strict=self._settings.ordered)

    async def flush(self) -> None:
        """Returns when the outcomes and the health so far are recorded."""
        await self._recorder.flush()

    async def stop(self, drain_s: float) -> None:
        """Stops starting attempts. Those not finished and recorded within `drain_s` seconds are repeated later."""
        ends_s = self._clock.monotonic_s() + drain_s
        self._is_stopping = True
        self.pause()
        self._scheduler.stop()
        await asyncio.gather(
            self._failure_clock.stop(), self._outbox.stop(), self._pool.stop(max(drain_s - RECORDING_S, drain_s / 2))
        )
        await self._recorder.close(max(ends_s - self._clock.monotonic_s(), 0.0))
        self._stale.clear()

    def _dispatch(self) -> None:
        """Wakes as many workers as can start an attempt now."""
        self._pool.wake(self._scheduler.openings(self._in_flight))

    async def _work(self) -> None:
        """Makes one attempt after the other until the pool shrinks."""
        while not self._pool.has_surplus:
            delivery = self._scheduler.next(self._in_flight)
            if delivery is None:
                await self._pool.idle()
            else:
                await self._attempt(delivery)
        self._pool.leave()
        self._dispatch()

    async def _attempt(self, delivery: OfferedDelivery) -> None:
        at_ms = self._clock.now_ms()
        self._in_flight += 1
        self._telemetry.started()
        probe = self._breaker.begin() if self._breaker.is_open else 0
        if self._scheduler.is_rate_limited:
            self._scheduler.take_rate_slot()
        try:
            mail = await kept_mail(self._ledger_reader, delivery)
            request = self._requests.build(delivery.event_id, delivery.fields, at_ms, mail)
            response = await self._http_client.post(request)
        except EventTooLarge as exc:
            response = HttpResponse(None, EVENT_TOO_LARGE, str(exc), b"", None, None, 0.0)
        except Exception as exc:  # noqa: BLE001  an event that cannot be sent must neither end the worker nor block others
            self._telemetry.not_sent(delivery, exc)
            # The text of the error may quote the event.
            response = HttpResponse(None, "internal", type(exc).__name__, b"", None, None, 0.0)
        finally:
            self._in_flight -= 1
            self._telemetry.finished()
        self._settle(delivery, at_ms, response, probe)

    def _settle(self, delivery: OfferedDelivery, at_ms: int, response: HttpResponse, probe: int) -> None:
        now_ms, was_alert, was_open = self._wall_clock.now_ms(), self._breaker.is_alert, self._breaker.is_open
        result = self._policy.judge(delivery, at_ms, now_ms, response, probe)
        if result.retry is not None:
            self._buffer.failed[delivery.delivery_id] = result.retry
            self._failure_clock.note_failure()
        elif self._failure_clock.is_running and not self._breaker.failures:
            self._failure_clock.restart()
        self._recorder.add(result.outcome)
        self._telemetry.completed(delivery, result.outcome, response.duration_s, now_ms)
        if result.disable_reason is not None:
            self._give_up(result.disable_reason)
        if was_alert:
            self._dispatch()
        if self._breaker.is_open is not was_open:
            self._telemetry.breaker_changed(is_open=self._breaker.is_open)

    def _give_up(self, reason: str) -> None:
        self.pause()
        if not self._has_given_up:
            self._has_given_up = True
            self._on_disable(reason)

    def _recorded(self, outcomes: Sequence[AttemptOutcome]) -> None:
        for outcome in outcomes:
            delivery_id = outcome.delivery_id
            self._buffer.remember(delivery_id, outcome.attempt_no)
            is_stale = self._stale.discard(delivery_id)
            if outcome.state == DeliveryState.PENDING and is_stale:
                self._leave(self._buffer.failed.pop(delivery_id))
            elif outcome.state == DeliveryState.PENDING:
                self._retry(self._buffer.failed.pop(delivery_id))
            else:
                self._buffer.release(delivery_id)
        self._outbox.refill()
        if self._failure_clock.is_running:
            self._failure_clock.note_recorded()
        if self._scheduler.is_held_back:
            self._scheduler.is_held_back = False
            self._dispatch()

    def _retry(self, delivery: OfferedDelivery) -> None:
        """Queues a failed delivery again if it is due or has to go first; otherwise leaves it to the outbox."""
        is_due = delivery.due_at_ms <= self._wall_clock.now_ms()
        if not self._scheduler.is_paused and (self._settings.ordered or is_due):
            self._buffer.requeue(delivery)
            self._dispatch()
        else:
            self._buffer.release(delivery.delivery_id)
            self._outbox.read_at(delivery.due_at_ms)

    def _leave(self, delivery: OfferedDelivery) -> None:
        """Leaves a failed delivery to the outbox. In an ordered lane it still goes before those read meanwhile."""
        self._buffer.release(delivery.delivery_id)
        if self._settings.ordered:
            self._read_again()
        else:
            self._outbox.read_at(delivery.due_at_ms)
