"""The core of a feedback loop's actor: its verification state, its subscription set, and its delivery lane."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random as randoms
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from actors.commands.deliveries import Replay
from actors.commands.loops import Loop, SampleResult, VerificationReport
from actors.delivery.cpu_throttle import CpuThrottle
from actors.delivery.delivering import DISABLE_AFTER_S, Delivering, LoopLedger
from actors.delivery.lane_config import lane_config
from actors.delivery.loop_repository import LoopRepository, persistently
from actors.delivery.loop_views import health_view, loop_view, replay_view
from actors.delivery.prefetch_buffer import SharedBytes
from actors.delivery.proof_search import search_for_proof
from actors.delivery.request_builder import LaneConfig, RequestBuilder
from actors.delivery.sample_posts import sample_request, sample_result
from actors.delivery.telemetry import AttemptTelemetry
from actors.ledger.port import LedgerReader
from actors.ports import Clock, HttpClient, ProofFetcher
from domain.delivery import OfferedDelivery
from domain.errors import Conflict, DomainError, InvalidInput, NotFound
from domain.feedback_loop import FeedbackLoop
from domain.retry import RetrySchedule
from domain.signing import loop_secret, secret_text
from domain.values import LoopState, Trigger

log = logging.getLogger(__name__)

_REMEDY: Final = "Verify or resume it first; its backlog then goes on."


class UrlCheck(Protocol):
    """Whether a handler may have this URL."""

    async def check_url(self, url: str) -> None:
        """Raises InvalidInput (/url) when the address is not allowed."""
        ...


class LoopRuntime:
    """One loop: alone in changing it, and in delivering to it.

    Commands are carried out one after the other, and answered when they are in the ledger. What delivers follows the
    ledger: it POSTs to an active loop and to no other (I6), and to none while it is not known how the loop stands. It
    looks into the outbox when it starts, when something falls due, and when it is nudged.

    Many may share a process, and in it the HTTP client and `shared_bytes`.
    """

    def __init__(
        self,
        *,
        loop_id: str,
        ledger: LoopLedger,
        reader: LedgerReader,
        http_client: HttpClient,
        proof_fetcher: ProofFetcher,
        resolver: UrlCheck,
        clock: Clock,
        master_key: bytes,
        retry_schedule: RetrySchedule,
        delivery_timeout_s: float,
        random: randoms.Random,
        shared_bytes: SharedBytes,
        disable_after_s: float = DISABLE_AFTER_S,
        notes: AttemptTelemetry | None = None,
        duty: CpuThrottle | None = None,
    ) -> None:
        self._loop_id = loop_id
        self._ledger = ledger
        self._http_client = http_client
        self._proof_fetcher = proof_fetcher
        self._resolver = resolver
        self._clock = clock
        self._master_key = master_key
        self._timeout_s = delivery_timeout_s
        self._random = random
        self._delivering = Delivering(
            loop_id=loop_id,
            ledger=ledger,
            reader=reader,
            http_client=http_client,
            clock=clock,
            retry_schedule=retry_schedule,
            timeout_s=delivery_timeout_s,
            random=random,
            shared_bytes=shared_bytes,
            disable_after_s=disable_after_s,
            on_disable=self._give_up,
            notes=notes or AttemptTelemetry(loop_id),
            duty=duty,
        )
        self._stored = LoopRepository(loop_id, ledger, reader, self._follow, self._delivering.hold)
        self._giving_up: asyncio.Task[None] | None = None

    # --- life

    async def start(self) -> None:
        """Rebuilds the loop from the ledger, waiting for a ledger that is away, and begins to deliver.

        Raises:
            NotFound: there is no such loop.
        """
        await persistently(self._start, "a loop cannot be started now", self._loop_id)

    async def _start(self) -> None:
        await self._delivering.look_up()
        await self._stored.load()

    @property
    def is_at_rest(self) -> bool:
        """Whether it has nothing to do and nothing in hand: it could be stopped, and started again when needed."""
        is_giving_up = self._giving_up is not None and not self._giving_up.done()
        return self._stored.is_certain and self._delivering.is_at_rest and not is_giving_up

    async def stop(self, drain_s: float) -> None:
        """Delivers no more, and records what has been delivered, within about `drain_s` seconds."""
        self._stored.close()
        if self._giving_up is not None:
            self._giving_up.cancel()
        await self._delivering.stop(drain_s)

    # --- deliveries

    def offer(self, deliveries: Sequence[OfferedDelivery]) -> None:
        """Takes what enrichment has just recorded; never blocks, and may drop it (the outbox has it)."""
        self._delivering.offer(deliveries)

    def nudge(self) -> None:
        """Has the outbox looked into; never blocks."""
        self._delivering.nudge()

    # --- commands

    async def verify(self) -> VerificationReport:
        """Looks for the proof, and takes note of what was found.

        Raises:
            Conflict: the URL was changed meanwhile, so that it proves nothing.
        """
        sought = await self._stored.change(_existing)
        search = await search_for_proof(self._proof_fetcher, sought.url, sought.verification_token)

        def note(loop: FeedbackLoop) -> Loop:
            if (loop.url, loop.verification_token) != (sought.url, sought.verification_token):
                raise Conflict("The URL was changed while the proof of the former one was looked for. Verify again.")
            now_ms = self._clock.now_ms()
            findings = [(f.location, f.matched, f.found) for f in search.findings]
            loop.note_attempt(search.location is not None, findings, now_ms)
            if search.location is not None:
                loop.verify(search.location, now_ms)
            return self._view(loop)

        view = await self._stored.change(note)
        if sought.state is LoopState.UNVERIFIED and search.location is not None:
            view = self._forgiven(view)
        return VerificationReport(verified=search.location is not None, loop=view, findings=search.findings)

    async def pause(self) -> Loop:
        """Holds deliveries back. Raises Conflict when the loop is not active."""
        return await self._do(lambda loop: loop.pause(self._clock.now_ms()))

    async def resume(self) -> Loop:
        """Lets deliveries go on, the handler's failures forgotten. Raises Conflict when neither paused nor disabled."""
        return self._forgiven(await self._do(lambda loop: loop.resume(self._clock.now_ms())))

    async def disable(self, reason: str) -> Loop:
        """Gives up on the handler. Raises Conflict when the loop is neither active nor paused."""
        return await self._do(lambda loop: loop.disable(reason, self._clock.now_ms()))

    async def change(self, changes: dict[str, Any]) -> Loop:
        """Gives settings new values, all or none; a new `url` makes the loop unverified.

        Raises:
            InvalidInput: with every setting that is wrong, or an address that is not allowed (/url).
        """
        settings = {name: value for name, value in changes.items() if name != "url"}
        url = changes.get("url")
        if "url" in changes:
            if not isinstance(url, str):
                raise InvalidInput("url must be a text", [("/url", "must be a text")])
            await self._resolver.check_url(url)

        def apply(loop: FeedbackLoop) -> None:
            loop.change(settings, self._clock.now_ms())
            if url is not None:
                loop.change_url(url, self._random.randbytes(16).hex(), self._clock.now_ms())

        return await self._do(apply)

    async def rotate_secret(self) -> Loop:
        """Begins a new secret, which the answer holds; the one before signs beside it for 24 h."""

        def rotate(loop: FeedbackLoop) -> Loop:
            loop.rotate_secret(self._clock.now_ms())
            return self._view(loop, self._secret_text(loop))

        return await self._stored.change(rotate)

    async def secret(self) -> str:
        """The current secret, `whsec_…`."""
        return self._secret_text(await self._stored.change(_existing))

    async def delete(self) -> None:
        """Ends the loop. What is under way lands; nothing else is delivered any more."""
        await self._do(lambda loop: loop.delete(self._clock.now_ms()))

    # --- once more

    async def replay(self, which: str, since_ms: int, until_ms: int) -> Replay:
        """Has the deliveries of that time (`which`: `dead` or `all`) delivered again, in the background.

        Raises:
            Conflict: another replay of the loop is running.
        """
        await self._stored.change(_existing)
        return replay_view(await self._delivering.replay(which, since_ms, until_ms))

    async def cancel_replay(self, replay_id: int) -> Replay:
        """Ends a replay; what was given back already is delivered all the same. One that has ended stays as it is."""
        return replay_view(await self._ledger.cancel_replay(replay_id))

    async def retry_delivery(self, delivery_id: int) -> None:
        """Attempts a delivery now, whatever its state; its retry schedule begins anew.

        Raises:
            Conflict: the loop is not active, or an attempt of the delivery is under way.
        """
        loop = await self._stored.change(_existing)
        if not loop.may_receive:
            raise Conflict(f"Only an active loop's deliveries can be retried; this one is {loop.state}. {_REMEDY}")
        if self._delivering.is_begun(delivery_id):
            raise Conflict("An attempt of this delivery is under way. Try again when it has ended.")
        await self._delivering.retry(delivery_id)

    # --- samples

    async def send_sample(self, type: str, data: dict[str, Any]) -> SampleResult:  # noqa: A002  the contract's name
        """POSTs one sample event now; it is recorded nowhere. `data` takes the place of the sample's fields.

        A loop that is paused or disabled can be tried so before its backlog is let loose on it.

        Raises:
            Conflict: the loop is not verified (I6).
            InvalidInput: there is no such trigger, or `data` is not JSON.
        """
        loop = await self._stored.change(_existing)
        if loop.state is LoopState.UNVERIFIED:
            raise Conflict("Only a verified loop is sent samples. Verify it first.")
        if type not in set(Trigger):
            problem = f"must be one of {', '.join(Trigger)}"
            raise InvalidInput(f"type {problem}", [("/type", problem)])
        now_ms = self._clock.now_ms()
        event_id = self._new_event_id(now_ms)
        posts = RequestBuilder(self._lane_config(loop), self._timeout_s)
        request = sample_request(posts, Trigger(type), event_id, now_ms, data)
        answer = await self._http_client.post(request)
        if answer.status is not None and 200 <= answer.status < 300:
            self._delivering.probe_now()  # it is well again: what waits need not wait any longer
        return sample_result(self._loop_id, answer)

    async def _do(self, act: Callable[[FeedbackLoop], None]) -> Loop:
        def acted(loop: FeedbackLoop) -> Loop:
            act(loop)
            return self._view(loop)

        return await self._stored.change(acted)

    # --- what follows

    def _follow(self, loop: FeedbackLoop) -> None:
        self._delivering.follow(self._lane_config(loop), may_receive=loop.may_receive)

    def _forgiven(self, view: Loop) -> Loop:
        self._delivering.forgive()
        return msgspec.structs.replace(view, health=health_view(self._delivering.health))

    def _give_up(self, reason: str) -> None:
        self._giving_up = asyncio.create_task(self._disable_in_the_end(reason), name="disable")

    async def _disable_in_the_end(self, reason: str) -> None:
        # A loop that is disabled, unverified or gone by then is sent nothing either way.
        with contextlib.suppress(DomainError):
            await persistently(lambda: self.disable(reason), "a loop cannot be disabled now", self._loop_id)
            facts = {"action": "loop_disabled", "loop_id": self._loop_id, "reason": reason}
            log.info("a loop was disabled", extra=facts)

    def _secret_text(self, loop: FeedbackLoop) -> str:
        return secret_text(loop_secret(self._master_key, self._loop_id, loop.secret_version))

    def _lane_config(self, loop: FeedbackLoop) -> LaneConfig:
        return lane_config(self._loop_id, loop, self._master_key, self._clock.now_ms())

    def _new_event_id(self, now_ms: int) -> bytes:
        """A UUIDv7 (RFC 9562 5.7)."""
        value = now_ms << 80 | 7 << 76 | self._random.getrandbits(12) << 64 | 2 << 62 | self._random.getrandbits(62)
        return value.to_bytes(16, "big")

    def _view(self, loop: FeedbackLoop, secret: str | None = None) -> Loop:
        return loop_view(self._loop_id, loop, self._delivering.health, secret)


def _existing(loop: FeedbackLoop) -> FeedbackLoop:
    if loop.is_deleted:
        raise NotFound("The feedback loop was deleted.")
    return loop
