"""`actors.delivery.loop_runtime`, on the real ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from standardwebhooks import Webhook

from actors.adapters.resolver import HandlerResolver
from actors.commands.command import Command
from actors.delivery.loop_repository import LoopRepository
from actors.delivery.loop_runtime import LoopRuntime
from actors.delivery.telemetry import AttemptTelemetry
from domain.errors import Conflict, InvalidInput, NotFound, StoreUnavailable
from domain.handler_policy import HandlerPolicy
from domain.values import Trigger, id_uuid
from domain.verification import dns_name, dns_value, file_content, file_locations
from tests.fakes import DELIVERED, World, a_world, failed, header
from tests.loop_commands import DELETE, GET_SECRET, PAUSE, RESUME, ROTATE_SECRET, VERIFY, change, sample
from tests.loops import URL
from tests.raw_handler import eventually

MASTER = b"m" * 32


async def look_up(host: str) -> list[str]:
    return ["10.0.0.1"] if host == "inside.example" else ["93.184.216.34"]


def make_runtime(world: World) -> LoopRuntime:
    return LoopRuntime(
        world.loop_id,
        world.services(),
        AttemptTelemetry(world.loop_id),
        proof_fetcher=world.proof_fetcher,
        url_check=HandlerResolver(HandlerPolicy(()), look_up),
        master_key=MASTER,
    )


@asynccontextmanager
async def a_runtime(
    directory: Path, *, verified: bool = True, **settings: Any
) -> AsyncIterator[tuple[LoopRuntime, World]]:
    """A runtime that runs, of a loop that is verified or not."""
    async with a_world(directory, **settings) as world:
        runtime = make_runtime(world)
        await runtime.start()
        if verified:
            prove(world)
            assert (await runtime.verify(VERIFY)).verified
        try:
            yield runtime, world
        finally:
            world.ledger.is_away = False
            world.http_client.gate.set()
            await runtime.stop(1.0)


def prove(world: World, url: str = URL, token: str = "token-1") -> None:
    """Places the file at the root of the handler's server."""
    world.proof_fetcher.files[file_locations(url, token)[-1]] = file_content(token).encode() + b"\n"


def topics(world: World) -> list[str]:
    """The loop's events in the ledger, without the prefix."""
    uuid = id_uuid("fl", world.loop_id)
    assert uuid is not None
    return [e.topic.removeprefix("feedback-loop.") for e in world.reader.events_of(uuid)]


def stored_state(world: World) -> str:
    row = world.reader.loop(world.loop_id)
    assert row is not None
    return row.state


# --- verification


def test_verify(tmp_path: Path) -> None:
    """The proof at the root makes the loop active; the report has a finding for each place tried."""

    async def main() -> None:
        async with a_runtime(tmp_path, verified=False) as (runtime, world):
            prove(world)
            report = await runtime.verify(VERIFY)

            assert report.verified
            assert (report.loop.state, report.loop.secret) == ("active", None)
            assert report.loop.verified_at_ms is not None
            assert [(f.location, f.matched) for f in report.findings] == [
                (file_locations(URL, "token-1")[0], False),
                (file_locations(URL, "token-1")[1], True),
            ]
            assert topics(world) == ["registered", "verification-attempted", "verified"]
            assert stored_state(world) == "active"

    asyncio.run(main())


def test_verify_by_dns(tmp_path: Path) -> None:
    """A TXT record proves the same when there is no file."""

    async def main() -> None:
        async with a_runtime(tmp_path, verified=False) as (runtime, world):
            world.proof_fetcher.records[str(dns_name(URL))] = [b"v=spf1 -all", dns_value("token-1").encode()]
            report = await runtime.verify(VERIFY)

            assert report.verified
            assert [f.matched for f in report.findings] == [False, False, True]
            assert report.findings[2].location == f"dns:{dns_name(URL)}"

    asyncio.run(main())


def test_verify_without_proof(tmp_path: Path) -> None:
    """Without the proof the loop stays as it is, the attempt is kept, and every place has its sentence."""

    async def main() -> None:
        async with a_runtime(tmp_path, verified=False) as (runtime, world):
            world.proof_fetcher.files[file_locations(URL, "token-1")[0]] = b"something else"
            report = await runtime.verify(VERIFY)

            assert not report.verified
            assert report.loop.state == "unverified"
            assert [f.found for f in report.findings] == [
                "a file, which is not the proof",
                "404 Not Found",
                "no TXT record",
            ]
            assert topics(world) == ["registered", "verification-attempted"]

    asyncio.run(main())


def test_a_url_changed_during_verification(tmp_path: Path) -> None:
    """A proof found for the former URL is worth nothing for the new one; other commands do not wait for the search."""

    async def main() -> None:
        async with a_runtime(tmp_path, verified=False) as (runtime, world):
            prove(world)
            world.proof_fetcher.gate.clear()
            verifying = asyncio.create_task(runtime.verify(VERIFY))
            await eventually(lambda: len(world.proof_fetcher.asked) == 2)
            await runtime.change(change({"url": "https://other.example/x"}))
            world.proof_fetcher.gate.set()
            with pytest.raises(Conflict, match="Verify again"):
                await verifying

            assert stored_state(world) == "unverified"

    asyncio.run(main())


# --- nothing is sent to who has not proved it


def test_only_an_active_loop_is_delivered_to(tmp_path: Path) -> None:
    """Unverified, paused and disabled loops get no POST, and nothing is lost: active again they get it all."""

    async def main() -> None:
        async with a_runtime(tmp_path, verified=False) as (runtime, world):
            runtime.offer(await world.owe(2))
            runtime.nudge()
            with pytest.raises(Conflict, match="Verify"):
                await runtime.send_sample(sample("open", {}))
            prove(world)

            assert world.http_client.requests == []

            await runtime.verify(VERIFY)
            await eventually(lambda: world.pending() == 0)
            await runtime.pause(PAUSE)
            runtime.offer(await world.owe(2))
            runtime.nudge()
            await runtime.disable("tired")
            runtime.nudge()

            assert len(world.http_client.requests) == 2

            await runtime.send_sample(
                sample("open", {})
            )  # A repaired handler can be tested before its backlog is delivered.
            assert len(world.http_client.requests) == 3
            assert world.pending() == 2

            loop = await runtime.resume(RESUME)
            await eventually(lambda: world.pending() == 0)

            assert (loop.state, loop.disabled_reason) == ("active", None)
            assert len(set(world.http_client.events)) == 5

    asyncio.run(main())


def test_a_new_url_is_not_posted_to_before_it_is_verified(tmp_path: Path) -> None:
    """Changing the URL stops delivery, with a token of its own; verifying lets it go on, to the new URL."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, world):
            changed = await runtime.change(change({"url": "https://other.example/x", "description": "new"}))
            runtime.offer(await world.owe(1))

            assert (changed.state, changed.url) == ("unverified", "https://other.example/x")
            assert changed.settings.description == "new"
            assert changed.verification_token != "token-1"
            assert len(changed.verification_token) == 32
            assert not (await runtime.verify(VERIFY)).verified

            prove(world, changed.url, changed.verification_token)
            assert (await runtime.verify(VERIFY)).verified
            await eventually(lambda: world.pending() == 0)

            assert [r.url for r in world.http_client.requests] == ["https://other.example/x"]

    asyncio.run(main())


def test_an_address_that_is_not_allowed(tmp_path: Path) -> None:
    """A URL at a private address, and one that is none, are refused with a pointer; nothing at all is changed."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, world):
            for url in ("https://inside.example/x", "ftp://example.com/", 7):
                with pytest.raises(InvalidInput) as caught:
                    await runtime.change(change({"url": url, "description": "new"}))

                assert caught.value.problems[0][0] == "/url"
            assert (await runtime.change(change({}))).settings.description == ""
            assert stored_state(world) == "active"

    asyncio.run(main())


# --- commands and the ledger


def test_change(tmp_path: Path) -> None:
    """New settings are in the ledger and hold for the next POST; wrong ones change nothing and name their fields."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, world):
            changed = await runtime.change(change({"format": "json", "max_concurrency": 3, "tags": ["a"]}))
            with pytest.raises(InvalidInput) as caught:
                await runtime.change(change({"max_concurrency": 0, "colour": "red"}))
            runtime.offer(await world.owe(1))
            await eventually(lambda: world.pending() == 0)
            row = world.reader.loop(world.loop_id)

            assert {p for p, _ in caught.value.problems} == {"/max_concurrency", "/colour"}
            assert row is not None
            assert row.settings == changed.settings
            assert (changed.settings.format, changed.settings.max_concurrency) == ("json", 3)
            assert changed.settings.tags == ("a",)
            assert header(world.http_client.requests[0], "Content-Type") == "application/json"

    asyncio.run(main())


def test_illegal_transitions(tmp_path: Path) -> None:
    """A command that the state forbids is a Conflict, and leaves no trace."""

    async def main() -> None:
        async with a_runtime(tmp_path, verified=False) as (runtime, world):
            for refused in (runtime.pause(PAUSE), runtime.resume(RESUME), runtime.disable("x")):
                with pytest.raises(Conflict):
                    await refused

            assert topics(world) == ["registered"]

    asyncio.run(main())


def test_a_new_runtime_is_where_the_old_one_was(tmp_path: Path) -> None:
    """A runtime started anew knows what the ledger knows, and delivers what the outbox holds."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, world):
            await runtime.rotate_secret(ROTATE_SECRET)
            secret = await runtime.secret(GET_SECRET)
            await runtime.pause(PAUSE)
            await world.owe(3)
            await runtime.stop(1.0)
            again = make_runtime(world)
            await again.start()

            assert await again.secret(GET_SECRET) == secret
            assert world.http_client.requests == []

            await again.resume(RESUME)
            await eventually(lambda: world.pending() == 0)
            await again.stop(1.0)

            assert len(world.http_client.requests) == 3

    asyncio.run(main())


def test_somebody_else_was_first(tmp_path: Path) -> None:
    """A command that lost the race is carried out on what the winner left, or refused by it."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, world):
            other = LoopRepository(world.loop_id, world.ledger, world.reader, lambda _: None)

            def rotate(loop: Any) -> None:
                loop.rotate_secret(world.clock.now_ms())

            world.ledger.before_append = lambda: other.change(rotate)
            loop = await runtime.pause(PAUSE)

            assert loop.state == "paused"
            assert topics(world)[-2:] == ["secret-rotated", "paused"]

            world.ledger.before_append = lambda: other.change(lambda x: x.delete(world.clock.now_ms()))
            with pytest.raises(NotFound):
                await runtime.resume(RESUME)

    asyncio.run(main())


@pytest.mark.parametrize("is_written", [False, True])
def test_the_ledger_does_not_answer(tmp_path: Path, is_written: bool) -> None:
    """After a write whose fate is unknown nothing is POSTed until the ledger has told; then memory is as the ledger."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, world):
            world.reader.is_away = True
            if is_written:
                world.ledger.loses_answers = True
            else:
                world.ledger.is_away = True
            with pytest.raises(StoreUnavailable):
                await runtime.change(change({"description": "new"}))
            world.ledger.is_away = world.ledger.loses_answers = False
            runtime.offer(await world.owe(1))
            await asyncio.sleep(0.05)

            assert world.http_client.requests == []

            world.reader.is_away = False
            await eventually(lambda: world.pending() == 0)

            assert (await runtime.change(change({}))).settings.description == ("new" if is_written else "")

    asyncio.run(main())


def test_start_waits_for_the_ledger(tmp_path: Path) -> None:
    """A runtime that starts while the ledger cannot be read is there as soon as it can; one of no loop is NotFound."""

    async def main() -> None:
        async with a_world(tmp_path) as world:
            world.reader.is_away = True
            runtime = make_runtime(world)
            runtime.offer(await world.owe(1))
            runtime.nudge()
            starting = asyncio.create_task(runtime.start())
            await asyncio.sleep(0.05)
            world.reader.is_away = False
            await asyncio.wait_for(starting, 5)
            await runtime.stop(0.1)
            world.loop_id = "fl_" + "9" * 32
            with pytest.raises(NotFound):
                await make_runtime(world).start()

    asyncio.run(main())


# --- secrets


def test_rotation(tmp_path: Path) -> None:
    """Rotating gives the new secret once; POSTs verify with both, and a receiver of either is served."""

    async def main() -> None:
        async with a_runtime(tmp_path, format="json") as (runtime, world):
            old = await runtime.secret(GET_SECRET)
            loop = await runtime.rotate_secret(ROTATE_SECRET)
            runtime.offer(await world.owe(1))
            await eventually(lambda: world.pending() == 0)
            (request,) = world.http_client.requests

            assert loop.secret == await runtime.secret(GET_SECRET) != old
            for secret in (old, loop.secret):
                Webhook(secret).verify(request.body, dict(request.headers))
            assert (await runtime.change(change({}))).secret is None

    asyncio.run(main())


# --- the end


def test_delete(tmp_path: Path) -> None:
    """A deleted loop gets nothing any more, and every command is NotFound; stopping it twice is no matter."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, world):
            await runtime.delete(DELETE)
            runtime.offer([])
            settings, event = change({}), sample("open", {})
            commands: list[Command[Any]] = [VERIFY, PAUSE, RESUME, DELETE, GET_SECRET, ROTATE_SECRET, settings, event]
            for command in commands:
                with pytest.raises(NotFound):
                    await runtime.handle(command)
            await runtime.stop(0.5)

            assert topics(world)[-1] == "deleted"
            assert not world.http_client.is_closed  # it is everybody's in the process

    asyncio.run(main())


def test_410_disables_the_loop(tmp_path: Path) -> None:
    """A handler that answers 410 has its loop disabled in the ledger, for a reason its owner is shown."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, world):
            world.http_client.answer = lambda _: failed(410)
            runtime.offer(await world.owe(3))
            await eventually(lambda: stored_state(world) == "disabled")
            loop = await runtime.change(change({}))

            assert loop.state == "disabled"
            assert "410" in (loop.disabled_reason or "")

    asyncio.run(main())


def test_410_while_the_ledger_is_away(tmp_path: Path) -> None:
    """The loop is disabled as soon as the ledger is back; until then nothing is POSTed."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, world):
            offers = await world.owe(1)
            world.http_client.answer = lambda _: failed(410)
            world.ledger.is_away = True
            runtime.offer(offers)
            await eventually(lambda: len(world.http_client.requests) == 1)
            await asyncio.sleep(0.15)
            world.ledger.is_away = False
            await eventually(lambda: stored_state(world) == "disabled")

            assert len(world.http_client.requests) == 1

    asyncio.run(main())


# --- samples


@pytest.mark.parametrize("trigger", list(Trigger))
def test_samples(tmp_path: Path, trigger: Trigger) -> None:
    """A sample of every trigger goes out signed, with the trigger's fields, and is recorded nowhere."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, world):
            result = await runtime.send_sample(sample(trigger, {"recipient": "me@example.com"}))
            (request,) = world.http_client.requests
            fields = dict(parse_qsl(request.body.decode()))

            assert (result.status, result.error, result.response_excerpt) == (200, None, "ok")
            assert fields["type"] == trigger
            assert fields["event"] == header(request, "webhook-id")
            assert fields["recipient"] == "me@example.com"
            assert world.ledger.recorded == []
            assert world.pending() == 0

    asyncio.run(main())


def test_sample_data(tmp_path: Path) -> None:
    """The caller's data replaces the sample's, but for what a receiver checks; wrong data is invalid input."""

    async def main() -> None:
        async with a_runtime(tmp_path, format="json") as (runtime, world):
            await runtime.send_sample(sample("click", {"tags": ["x"], "event": "mine", "big": 2**80}))
            fields = msgspec.json.decode(world.http_client.requests[0].body)

            assert fields["tags"] == ["x"]
            assert fields["event"].startswith("evt_")
            for type_, data in (("nonsense", {}), ("open", {"x": object()})):
                with pytest.raises(InvalidInput):
                    await runtime.send_sample(sample(type_, data))

    asyncio.run(main())


def test_samples_that_fail(tmp_path: Path) -> None:
    """What went wrong comes as a word, and a sentence where there is one."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, world):
            answers = iter([failed(302), failed(None, "dns")._replace(detail="x.example does not resolve"), DELIVERED])
            world.http_client.answer = lambda _: next(answers)
            results = [await runtime.send_sample(sample("open", {})) for _ in range(3)]

            assert [r.error for r in results] == ["redirect", "dns: x.example does not resolve", None]
            assert [r.status for r in results] == [302, None, 200]

    asyncio.run(main())
