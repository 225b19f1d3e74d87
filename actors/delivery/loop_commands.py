"""Commands of one feedback loop, from the account's users and from the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from actors.adapters.sealed_headers import HeaderSealer
from actors.commands.deliveries import CancelReplay, Replay, RetryDelivery, StartReplay
from actors.commands.handlers import HandlerTable
from actors.commands.loop_keys import FollowKey
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
from actors.delivery.dependencies import CommandServices, DeliveryServices
from actors.delivery.lane_config import LaneConfig
from actors.delivery.loop_delivery import LoopDelivery
from actors.delivery.loop_keys import LoopKeys
from actors.delivery.loop_repository import LoopRepository
from actors.delivery.proof_search import search_for_proof
from actors.delivery.sample_events import post_sample
from domain.errors import Conflict, InvalidInput, NotFound, TemporaryConflict
from domain.feedback_loop import FeedbackLoop
from domain.signing import loop_secret, secret_text
from domain.values import HandlerUrl, LoopState, id_number
from domain.verification import TOKEN_BYTES


class LoopCommands:
    """Handles the commands of one loop. Changes run one at a time, and are answered when they are in the ledger."""

    handlers = HandlerTable()

    def __init__(
        self,
        loop_id: str,
        repository: LoopRepository,
        delivery: LoopDelivery,
        services: DeliveryServices,
        command_services: CommandServices,
        keys: LoopKeys,
    ) -> None:
        self._loop_id = loop_id
        self._repository = repository
        self._delivery = delivery
        self._services = services
        self._clock = services.clock
        self._proof_fetcher = command_services.proof_fetcher
        self._url_check = command_services.url_check
        self._keys = keys

    @handlers.add(VerifyLoop)
    async def verify(self, _command: VerifyLoop) -> VerificationReport:
        """Searches for the proof, and records the result. Raises Conflict when the URL is changed meanwhile."""
        target = await self._repository.change(_existing)
        search = await search_for_proof(self._proof_fetcher, target.url, target.verification_token)

        def record(loop: FeedbackLoop) -> Loop:
            if (loop.url, loop.verification_token) != (target.url, target.verification_token):
                raise TemporaryConflict("The URL was changed during the verification of the former one. Verify again.")
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

    @handlers.add(ChangeLoop)
    async def change(self, command: ChangeLoop) -> Loop:
        """Changes settings, all or none; a new `url` makes the loop unverified, and forgets the old one's failures.

        Raises InvalidInput with every invalid setting, or for an address that is not allowed (/url).
        """
        changes = command.changes
        settings = {name: value for name, value in changes.items() if name != "url"}
        url = changes.get("url")
        if "url" in changes:
            if not isinstance(url, str):
                raise InvalidInput.at("/url", "must be a text")
            await self._url_check.check_url(url)

        def apply(loop: FeedbackLoop) -> None:
            loop.change(self._with_sealed_headers(loop, settings, url), self._clock.now_ms())
            if url is not None:
                loop.change_url(url, self._services.rng.randbytes(TOKEN_BYTES).hex(), self._clock.now_ms())

        former_url = (await self._repository.change(_existing)).url
        view = await self._change(apply)
        return view if view.url == former_url else self._forgiven(view)

    def _with_sealed_headers(
        self, loop: FeedbackLoop, settings: Mapping[str, object], url: str | None
    ) -> Mapping[str, object]:
        """The settings with sealed headers. A `url` on another host drops the headers, unless they are sent again."""
        stored = loop.settings.headers
        is_elsewhere = url is not None and _host(url) != _host(loop.url)
        if "headers" not in settings:
            return {**settings, "headers": {}} if is_elsewhere and stored else settings
        sent: Any = settings["headers"]
        sealer = HeaderSealer(self._keys.current, self._loop_id)
        headers = sealer.sealed(sent, stored, self._services.rng.randbytes, may_keep=not is_elsewhere)
        return {**settings, "headers": headers}

    @handlers.add(RotateSecret)
    async def rotate_secret(self, command: RotateSecret) -> Loop:
        """Creates a new secret, which the returned loop contains.

        Raises TemporaryConflict when too many former secrets still sign.
        """

        def rotate(loop: FeedbackLoop) -> Loop:
            loop.rotate_secret(self._keys.current.signing, self._clock.now_ms(), revoke=command.revoke)
            return self._view(loop, self._secret_text(loop))

        await self._keys.refresh()
        return await self._repository.change(rotate)

    @handlers.add(FollowKey)
    async def follow_key(self, command: FollowKey) -> None:
        """Derives the loop's secret from another installation key, and seals its headers with it."""
        await self._keys.refresh()

        def follow(loop: FeedbackLoop) -> None:
            if self._keys.current.signing != command.key_id:
                raise TemporaryConflict("The installation's keys have changed meanwhile.")
            loop.follow_key(command.key_id, self._clock.now_ms())
            sealer = HeaderSealer(self._keys.current, self._loop_id)
            headers = sealer.resealed(loop.settings.headers, self._services.rng.randbytes)
            loop.change({"headers": headers}, self._clock.now_ms())

        await self._change(follow)

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
        return Replay.of(await self._delivery.replay(command.which, command.since_ms, until_ms))

    @handlers.add(CancelReplay)
    async def cancel_replay(self, command: CancelReplay) -> Replay:
        """Cancels a replay; deliveries that it already made due are still made. A finished replay does not change."""
        return Replay.of(await self._services.ledger.cancel_replay(_number("rpl", command.replay_id)))

    @handlers.add(RetryDelivery)
    async def retry_delivery(self, command: RetryDelivery) -> None:
        """Attempts a delivery now and restarts its retry schedule. Raises Conflict when that is not possible."""
        delivery_id = _number("dlv", command.delivery_id)
        loop = await self._repository.change(_existing)
        if not loop.may_receive:
            raise Conflict(f"The loop is {loop.state}. Deliveries can be retried only while it is active.")
        if self._delivery.lane.is_in_flight(delivery_id):
            raise TemporaryConflict("An attempt of this delivery is in progress. Try again when it has ended.")
        await self._delivery.retry(delivery_id)

    @handlers.add(SendSample)
    async def send_sample(self, command: SendSample) -> SampleResult:
        """POSTs one sample event now and records nothing. `data` replaces the sample's fields.

        This also works for paused and disabled loops, so that a handler can be tested before its backlog is delivered.

        Raises Conflict when the loop is not verified (I6), InvalidInput for an unknown trigger or wrong `data`.
        """
        loop = await self._repository.change(_existing)
        if loop.state is LoopState.UNVERIFIED:
            raise Conflict("Samples are only sent to verified loops. Verify this one first.")
        config = LaneConfig.of(self._loop_id, loop, self._keys.current, self._clock.now_ms())
        result = await post_sample(config, self._services, command.type, command.data)
        if result.status is not None and 200 <= result.status < 300:
            self._delivery.lane.restart_failure_clock()
            self._delivery.lane.probe_now()  # the handler answers again, so the backlog need not wait
        return result

    async def _change(self, act: Callable[[FeedbackLoop], None]) -> Loop:
        def acted(loop: FeedbackLoop) -> Loop:
            act(loop)
            return self._view(loop)

        return await self._repository.change(acted)

    def _forgiven(self, view: Loop) -> Loop:
        self._delivery.lane.forgive()
        return msgspec.structs.replace(view, health=Health.of(self._delivery.lane.health))

    def _secret_text(self, loop: FeedbackLoop) -> str:
        return secret_text(loop_secret(self._keys.current, loop.secrets.key_id, loop.secrets.version))

    def _view(self, loop: FeedbackLoop, secret: str | None = None) -> Loop:
        return Loop.of(self._loop_id, loop, self._delivery.lane.health, secret)


def _host(url: str) -> str:
    return HandlerUrl(url).host.rstrip(".")


def _number(prefix: str, text: str) -> int:
    number = id_number(prefix, text)
    if number is None:
        raise NotFound(f"there is no {text}")
    return number


def _existing(loop: FeedbackLoop) -> FeedbackLoop:
    if loop.is_deleted:
        raise NotFound("The feedback loop was deleted.")
    return loop
