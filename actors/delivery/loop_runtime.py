"""Runtime of one feedback loop: its commands, and the delivery that follows its state."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from actors.commands.command import Command
from actors.commands.deliveries import CancelReplay, Replay, RetryDelivery, StartReplay
from actors.commands.handlers import HandlerTable
from actors.commands.loops import (
    ChangeLoop,
    DeleteLoop,
    GetSecret,
    Health,
    Loop,
    PauseLoop,
    ResumeLoop,
    RotateSecret,
    SampleResult,
    SendSample,
    VerificationReport,
    VerifyLoop,
)
from actors.delivery.lane_config import LaneConfig
from actors.delivery.loop_delivery import LoopDelivery, StoredProgress
from actors.delivery.loop_repository import LoopRepository, retry_until_available
from actors.delivery.proof_search import search_for_proof
from actors.delivery.sample_events import post_sample
from actors.delivery.services import DeliveryServices
from actors.delivery.telemetry import AttemptTelemetry
from actors.ports import ProofFetcher, UrlCheck
from domain.delivery import LaneHealth, OfferedDelivery
from domain.errors import Conflict, DomainError, InvalidInput, NotFound
from domain.feedback_loop import FeedbackLoop
from domain.signing import loop_secret, secret_text
from domain.values import LoopState, id_number

R = TypeVar("R")

log = logging.getLogger(__name__)


class LoopRuntime:
    """One loop: the only writer of its aggregate, and the only one that delivers to its handler.

    Commands run one at a time, and are answered when they are in the ledger. Delivery follows the ledger: only an
    active loop gets POSTs (I6), and none while the loop's state is unknown. The outbox is read when the loop starts,
    when something falls due, and on `nudge`. Many loops may share a process and its services.
    """

    handlers = HandlerTable()

    def __init__(
        self,
        loop_id: str,
        services: DeliveryServices,
        telemetry: AttemptTelemetry,
        *,
        proof_fetcher: ProofFetcher,
        url_check: UrlCheck,
        master_key: bytes,
    ) -> None:
        self._loop_id = loop_id
        self._services = services
        self._clock = services.clock
        self._telemetry = telemetry
        self._proof_fetcher = proof_fetcher
        self._url_check = url_check
        self._master_key = master_key
        self._repository = LoopRepository(loop_id, services.ledger, services.reader, self._follow)
        self._progress: StoredProgress
        #: None until the loop has been read from the ledger.
        self._delivery: LoopDelivery | None = None
        self._disabling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Loads the loop, waiting for the ledger if need be, and starts to deliver. Raises NotFound."""
        await retry_until_available(self._start, "a loop cannot be started now", self._loop_id)

    async def _start(self) -> None:
        # Before the loop, so that deliveries which are recorded meanwhile count as new.
        self._progress = await asyncio.to_thread(StoredProgress.read, self._services.reader, self._loop_id)
        await self._repository.load()

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to do, so that it can be stopped and started again when needed."""
        is_disabling = self._disabling is not None and not self._disabling.done()
        is_delivering = self._delivery is None or not self._delivery.is_idle
        return self._repository.is_settled and not (is_delivering or is_disabling)

    async def stop(self, drain_s: float) -> None:
        """Stops delivering, and records what was delivered, within about `drain_s` seconds."""
        self._repository.close()
        if self._disabling is not None:
            self._disabling.cancel()
        if self._delivery is not None:
            await self._delivery.stop(drain_s)

    def offer(self, deliveries: Sequence[OfferedDelivery]) -> None:
        """Accepts deliveries that were just recorded; never blocks, and may drop them (the outbox has them)."""
        if self._delivery is not None:
            self._delivery.lane.offer(deliveries)

    def nudge(self) -> None:
        """Reads the outbox soon; never blocks."""
        if self._delivery is not None:
            self._delivery.lane.nudge()

    async def handle(self, command: Command[R]) -> R:
        """Handles a command of this loop, and returns its answer (None for `RetryDelivery`)."""
        answer: R = await self.handlers.dispatch(self, command)
        return answer

    @handlers.add(VerifyLoop)
    async def verify(self, _command: VerifyLoop) -> VerificationReport:
        """Searches for the proof, and records the result. Raises Conflict when the URL is changed meanwhile."""
        target = await self._repository.change(_existing)
        search = await search_for_proof(self._proof_fetcher, target.url, target.verification_token)

        def record(loop: FeedbackLoop) -> Loop:
            if (loop.url, loop.verification_token) != (target.url, target.verification_token):
                raise Conflict("The URL was changed during the verification of the former one. Verify again.")
            now_ms = self._clock.now_ms()
            findings = [(f.location, f.matched, f.found) for f in search.findings]
            loop.note_attempt(search.location is not None, findings, now_ms)
            if search.location is not None:
                loop.verify(search.location, now_ms)
            return self._view(loop)

        view = await self._repository.change(record)
        if target.state is LoopState.UNVERIFIED and search.location is not None:
            view = self._forgiven(view)
        return VerificationReport(verified=search.location is not None, loop=view, findings=search.findings)

    @handlers.add(PauseLoop)
    async def pause(self, _command: PauseLoop) -> Loop:
        """Stops delivery. Raises Conflict when the loop is not active."""
        return await self._change(lambda loop: loop.pause(self._clock.now_ms()))

    @handlers.add(ResumeLoop)
    async def resume(self, _command: ResumeLoop) -> Loop:
        """Restarts delivery with a closed breaker. Raises Conflict when the loop is neither paused nor disabled."""
        return self._forgiven(await self._change(lambda loop: loop.resume(self._clock.now_ms())))

    async def disable(self, reason: str) -> Loop:
        """Gives up on the handler. Raises Conflict when the loop is neither active nor paused."""
        return await self._change(lambda loop: loop.disable(reason, self._clock.now_ms()))

    @handlers.add(ChangeLoop)
    async def change(self, command: ChangeLoop) -> Loop:
        """Changes settings, all or none; a new `url` makes the loop unverified.

        Raises InvalidInput with every invalid setting, or for an address that is not allowed (/url).
        """
        changes = command.changes
        settings = {name: value for name, value in changes.items() if name != "url"}
        url = changes.get("url")
        if "url" in changes:
            if not isinstance(url, str):
                raise InvalidInput("url must be a text", [("/url", "must be a text")])
            await self._url_check.check_url(url)

        def apply(loop: FeedbackLoop) -> None:
            loop.change(settings, self._clock.now_ms())
            if url is not None:
                loop.change_url(url, self._services.rng.randbytes(16).hex(), self._clock.now_ms())

        return await self._change(apply)

    @handlers.add(RotateSecret)
    async def rotate_secret(self, _command: RotateSecret) -> Loop:
        """Creates a new secret, which the returned loop contains; the former one also signs for 24 h."""

        def rotate(loop: FeedbackLoop) -> Loop:
            loop.rotate_secret(self._clock.now_ms())
            return self._view(loop, self._secret_text(loop))

        return await self._repository.change(rotate)

    @handlers.add(GetSecret)
    async def secret(self, _command: GetSecret) -> str:
        """The current secret, `whsec_…`."""
        return self._secret_text(await self._repository.change(_existing))

    @handlers.add(DeleteLoop)
    async def delete(self, _command: DeleteLoop) -> None:
        """Ends the loop. Attempts in flight finish; nothing else is delivered."""
        await self._change(lambda loop: loop.delete(self._clock.now_ms()))

    @handlers.add(StartReplay)
    async def replay(self, command: StartReplay) -> Replay:
        """Repeats deliveries in the background. Raises Conflict during another replay."""
        await self._repository.change(_existing)
        until_ms = self._clock.now_ms() if command.until_ms is None else command.until_ms
        return Replay.of(await self._started.replay(command.which, command.since_ms, until_ms))

    @handlers.add(CancelReplay)
    async def cancel_replay(self, command: CancelReplay) -> Replay:
        """Ends a replay; deliveries that it made due already are still delivered. A finished one stays as it is."""
        return Replay.of(await self._services.ledger.cancel_replay(_number("rpl", command.replay_id)))

    @handlers.add(RetryDelivery)
    async def retry_delivery(self, command: RetryDelivery) -> None:
        """Attempts a delivery now and restarts its retry schedule. Raises Conflict when that is not possible."""
        delivery_id = _number("dlv", command.delivery_id)
        loop = await self._repository.change(_existing)
        if not loop.may_receive:
            raise Conflict(f"The loop is {loop.state}. Deliveries can be retried only while it is active.")
        if self._started.lane.is_in_flight(delivery_id):
            raise Conflict("An attempt of this delivery is under way. Try again when it has ended.")
        await self._started.retry(delivery_id)

    @handlers.add(SendSample)
    async def send_sample(self, command: SendSample) -> SampleResult:
        """POSTs one sample event now and records nothing. `data` replaces the sample's fields.

        This also works for paused and disabled loops, so that a handler can be tested before its backlog is delivered.

        Raises Conflict when the loop is not verified (I6), InvalidInput for an unknown trigger or wrong `data`.
        """
        loop = await self._repository.change(_existing)
        if loop.state is LoopState.UNVERIFIED:
            raise Conflict("Only a verified loop can get samples. Verify it first.")
        result = await post_sample(self._lane_config(loop), self._services, command.type, command.data)
        if result.status is not None and 200 <= result.status < 300:
            self._started.lane.probe_now()  # the handler answers again, so the backlog need not wait
        return result

    async def _change(self, act: Callable[[FeedbackLoop], None]) -> Loop:
        def acted(loop: FeedbackLoop) -> Loop:
            act(loop)
            return self._view(loop)

        return await self._repository.change(acted)

    @property
    def _started(self) -> LoopDelivery:
        assert self._delivery is not None, "commands run after `start`"
        return self._delivery

    def _follow(self, loop: FeedbackLoop | None) -> None:
        """Applies the loop's settings, and delivers if it may receive; None: its state is unknown."""
        if loop is not None:
            config = self._lane_config(loop)
            if self._delivery is None:
                self._delivery = LoopDelivery(self._progress, config, self._services, self._telemetry, self._give_up)
            else:
                self._delivery.lane.update(config)
        if self._delivery is not None:
            self._delivery.set_active(is_active=loop is not None and loop.may_receive)

    def _forgiven(self, view: Loop) -> Loop:
        self._started.lane.forgive()
        return msgspec.structs.replace(view, health=Health.of(self._started.lane.health))

    def _give_up(self, reason: str) -> None:
        self._disabling = asyncio.create_task(self._disable_eventually(reason), name="disable")

    async def _disable_eventually(self, reason: str) -> None:
        # A loop that is disabled, unverified or deleted by then gets no POSTs either way.
        with contextlib.suppress(DomainError):
            await retry_until_available(lambda: self.disable(reason), "a loop cannot be disabled now", self._loop_id)
            facts = {"action": "loop_disabled", "loop_id": self._loop_id, "reason": reason}
            log.info("a loop was disabled", extra=facts)

    def _secret_text(self, loop: FeedbackLoop) -> str:
        return secret_text(loop_secret(self._master_key, self._loop_id, loop.secret_version))

    def _lane_config(self, loop: FeedbackLoop) -> LaneConfig:
        return LaneConfig.of(self._loop_id, loop, self._master_key, self._clock.now_ms())

    def _view(self, loop: FeedbackLoop, secret: str | None = None) -> Loop:
        health = LaneHealth() if self._delivery is None else self._delivery.lane.health
        return Loop.of(self._loop_id, loop, health, secret)


def _number(prefix: str, text: str) -> int:
    number = id_number(prefix, text)
    if number is None:
        raise NotFound(f"there is no {text}")
    return number


def _existing(loop: FeedbackLoop) -> FeedbackLoop:
    if loop.is_deleted:
        raise NotFound("The feedback loop was deleted.")
    return loop
