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
from actors.delivery.attempt_telemetry import AttemptTelemetry
from actors.delivery.dependencies import CommandServices
from actors.delivery.loop_repository import LoopRepository
from actors.delivery.loop_runtime import LoopRuntime
from domain.errors import Conflict, InvalidInput, NotFound, StoreUnavailable
from domain.event_catalogue.triggers import Trigger
from domain.handler_policy import HandlerPolicy
from domain.values import id_uuid
from domain.verification import dns_name, dns_value, file_content, file_locations
from tests.fakes import DELIVERED, LoopFixture, failed, header, loop_fixture
from tests.keys import FixedKeys
from tests.loop_commands import DELETE, GET_SECRET, PAUSE, RESUME, ROTATE_SECRET, VERIFY, change, sample
from tests.loops import TOKEN, URL
from tests.raw_handler import eventually


async def look_up(host: str) -> list[str]:
    return ["10.0.0.1"] if host == "inside.example" else ["93.184.216.34"]


def make_runtime(fixture: LoopFixture) -> LoopRuntime:
    return LoopRuntime(
        fixture.loop_id,
        fixture.services(),
        AttemptTelemetry(fixture.loop_id),
        CommandServices(fixture.proof_fetcher, HandlerResolver(HandlerPolicy(()), look_up), FixedKeys()),
    )


@asynccontextmanager
async def a_runtime(
    directory: Path, *, verified: bool = True, **settings: Any
) -> AsyncIterator[tuple[LoopRuntime, LoopFixture]]:
    """A started runtime, of a loop that is verified or not."""
    async with loop_fixture(directory, **settings) as fixture:
        runtime = make_runtime(fixture)
        await runtime.start()
        if verified:
            prove(fixture)
            assert (await runtime.handle(VERIFY)).verified
        try:
            yield runtime, fixture
        finally:
            fixture.ledger.is_away = False
            fixture.http_client.gate.set()
            await runtime.stop(1.0)


def prove(fixture: LoopFixture, url: str = URL, token: str = TOKEN) -> None:
    """Places the file at the root of the handler's server."""
    fixture.proof_fetcher.files[file_locations(url, token)[-1]] = file_content(token).encode() + b"\n"


async def disable(runtime: LoopRuntime, reason: str) -> None:
    """Disables the loop as the runtime does when its lane gives up."""
    await runtime._repository.change(lambda loop: loop.disable(reason, 1))


def topics(fixture: LoopFixture) -> list[str]:
    """The loop's events in the ledger, without the prefix."""
    uuid = id_uuid("fl", fixture.loop_id)
    assert uuid is not None
    return [e.topic.removeprefix("feedback-loop.") for e in fixture.reader.events_of(uuid)]


def stored_state(fixture: LoopFixture) -> str:
    row = fixture.reader.loop(fixture.loop_id)
    assert row is not None
    return row.state


# --- verification


def test_verification_by_file(tmp_path: Path) -> None:
    """The proof at the root makes the loop active; the report has a finding for each place tried."""

    async def main() -> None:
        async with a_runtime(tmp_path, verified=False) as (runtime, fixture):
            prove(fixture)
            report = await runtime.handle(VERIFY)

            assert report.verified
            assert (report.loop.state, report.loop.secret) == ("active", None)
            assert report.loop.verified_at_ms is not None
            assert [(f.location, f.matched) for f in report.findings] == [
                (file_locations(URL, TOKEN)[0], False),
                (file_locations(URL, TOKEN)[1], True),
            ]
            assert topics(fixture) == ["registered", "verification-attempted", "verified"]
            assert stored_state(fixture) == "active"

    asyncio.run(main())


def test_verification_by_dns(tmp_path: Path) -> None:
    """A TXT record is accepted when there is no file."""

    async def main() -> None:
        async with a_runtime(tmp_path, verified=False) as (runtime, fixture):
            fixture.proof_fetcher.records[str(dns_name(URL))] = [b"v=spf1 -all", dns_value(TOKEN).encode()]
            report = await runtime.handle(VERIFY)

            assert report.verified
            assert [f.matched for f in report.findings] == [False, False, True]
            assert report.findings[2].location == f"dns:{dns_name(URL)}"

    asyncio.run(main())


def test_verification_without_proof(tmp_path: Path) -> None:
    """Without the proof the loop stays unverified; the report has the finding at each place."""

    async def main() -> None:
        async with a_runtime(tmp_path, verified=False) as (runtime, fixture):
            fixture.proof_fetcher.files[file_locations(URL, TOKEN)[0]] = b"something else"
            report = await runtime.handle(VERIFY)

            assert not report.verified
            assert report.loop.state == "unverified"
            assert [f.found for f in report.findings] == [
                "a file, which is not the proof",
                "404 Not Found",
                "no TXT record",
            ]
            assert topics(fixture) == ["registered", "verification-attempted"]

    asyncio.run(main())


def test_a_url_changed_during_verification(tmp_path: Path) -> None:
    """A proof of the former URL does not count for the new one; other commands do not wait for the search."""

    async def main() -> None:
        async with a_runtime(tmp_path, verified=False) as (runtime, fixture):
            prove(fixture)
            fixture.proof_fetcher.gate.clear()
            verifying = asyncio.create_task(runtime.handle(VERIFY))
            await eventually(lambda: len(fixture.proof_fetcher.asked) == 2)
            await runtime.handle(change({"url": "https://other.example/x"}))
            fixture.proof_fetcher.gate.set()
            with pytest.raises(Conflict, match="Verify again"):
                await verifying

            assert stored_state(fixture) == "unverified"

    asyncio.run(main())


# --- only active loops get POSTs


def test_only_an_active_loop_gets_posts(tmp_path: Path) -> None:
    """Unverified, paused and disabled loops get no POSTs; once active again, they get everything."""

    async def main() -> None:
        async with a_runtime(tmp_path, verified=False) as (runtime, fixture):
            runtime.offer(await fixture.owe(2))
            runtime.nudge()
            with pytest.raises(Conflict, match="Verify"):
                await runtime.handle(sample("open", {}))
            prove(fixture)

            assert fixture.http_client.requests == []

            await runtime.handle(VERIFY)
            await eventually(lambda: fixture.pending() == 0)
            await runtime.handle(PAUSE)
            runtime.offer(await fixture.owe(2))
            runtime.nudge()
            await disable(runtime, "tired")
            runtime.nudge()

            assert len(fixture.http_client.requests) == 2

            # A repaired handler can be tested before its backlog is delivered.
            await runtime.handle(sample("open", {}))
            assert len(fixture.http_client.requests) == 3
            assert fixture.pending() == 2

            loop = await runtime.handle(RESUME)
            await eventually(lambda: fixture.pending() == 0)

            assert (loop.state, loop.disabled_reason) == ("active", None)
            assert len(set(fixture.http_client.events)) == 5

    asyncio.run(main())


def test_a_new_url_is_not_posted_to_before_it_is_verified(tmp_path: Path) -> None:
    """A new URL stops delivery and has a new token; once verified, delivery goes on, to the new URL."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, fixture):
            changed = await runtime.handle(change({"url": "https://other.example/x", "description": "new"}))
            runtime.offer(await fixture.owe(1))

            assert (changed.state, changed.url) == ("unverified", "https://other.example/x")
            assert changed.settings.description == "new"
            assert changed.verification_token != TOKEN
            assert len(changed.verification_token) == 96
            assert not (await runtime.handle(VERIFY)).verified

            prove(fixture, changed.url, changed.verification_token)
            assert (await runtime.handle(VERIFY)).verified
            await eventually(lambda: fixture.pending() == 0)

            assert [r.url for r in fixture.http_client.requests] == ["https://other.example/x"]

    asyncio.run(main())


def test_a_banned_address_is_refused(tmp_path: Path) -> None:
    """Private addresses and invalid URLs are refused with a pointer, and nothing is changed."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, fixture):
            for url in ("https://inside.example/x", "ftp://example.com/", 7):
                with pytest.raises(InvalidInput) as caught:
                    await runtime.handle(change({"url": url, "description": "new"}))

                assert caught.value.problems[0][0] == "/url"
            assert (await runtime.handle(change({}))).settings.description == ""
            assert stored_state(fixture) == "active"

    asyncio.run(main())


# --- commands and the ledger


def test_change(tmp_path: Path) -> None:
    """New settings are recorded and apply to the next POST; invalid ones change nothing and name their fields."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, fixture):
            changed = await runtime.handle(change({"format": "json", "max_concurrency": 3, "tags": ["a"]}))
            with pytest.raises(InvalidInput) as caught:
                await runtime.handle(change({"max_concurrency": 0, "colour": "red"}))
            runtime.offer(await fixture.owe(1))
            await eventually(lambda: fixture.pending() == 0)
            row = fixture.reader.loop(fixture.loop_id)

            assert {p for p, _ in caught.value.problems} == {"/max_concurrency", "/colour"}
            assert row is not None
            assert row.settings == changed.settings
            assert (changed.settings.format, changed.settings.max_concurrency) == ("json", 3)
            assert changed.settings.tags == ("a",)
            assert header(fixture.http_client.requests[0], "Content-Type") == "application/json"

    asyncio.run(main())


def test_illegal_transitions(tmp_path: Path) -> None:
    """A command that the state forbids raises Conflict and records nothing."""

    async def main() -> None:
        async with a_runtime(tmp_path, verified=False) as (runtime, fixture):
            for refused in (
                runtime.handle(PAUSE),
                runtime.handle(RESUME),
                disable(runtime, "x"),
            ):
                with pytest.raises(Conflict):
                    await refused

            assert topics(fixture) == ["registered"]

    asyncio.run(main())


def test_a_new_runtime_is_where_the_old_one_was(tmp_path: Path) -> None:
    """A new runtime has the state of the ledger, and delivers what is in the outbox."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, fixture):
            await runtime.handle(ROTATE_SECRET)
            secret = await runtime.handle(GET_SECRET)
            await runtime.handle(PAUSE)
            await fixture.owe(3)
            await runtime.stop(1.0)
            again = make_runtime(fixture)
            await again.start()

            assert await again.handle(GET_SECRET) == secret
            assert fixture.http_client.requests == []

            await again.handle(RESUME)
            await eventually(lambda: fixture.pending() == 0)
            await again.stop(1.0)

            assert len(fixture.http_client.requests) == 3

    asyncio.run(main())


def test_another_writer_wins(tmp_path: Path) -> None:
    """A command that loses the race is applied to the winner's state, or refused."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, fixture):
            other = LoopRepository(fixture.loop_id, fixture.ledger, fixture.reader, lambda _: None)

            def rotate(loop: Any) -> None:
                loop.rotate_secret(1, fixture.clock.now_ms())

            fixture.ledger.before_append = lambda: other.change(rotate)
            loop = await runtime.handle(PAUSE)

            assert loop.state == "paused"
            assert topics(fixture)[-2:] == ["secret-rotated", "paused"]

            fixture.ledger.before_append = lambda: other.change(lambda x: x.delete(fixture.clock.now_ms()))
            with pytest.raises(NotFound):
                await runtime.handle(RESUME)

    asyncio.run(main())


@pytest.mark.parametrize("is_written", [False, True])
def test_a_write_with_unknown_result(tmp_path: Path, is_written: bool) -> None:
    """After a write with unknown result nothing is POSTed until the loop is reloaded from the ledger."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, fixture):
            fixture.reader.is_away = True
            if is_written:
                fixture.ledger.loses_answers = True
            else:
                fixture.ledger.is_away = True
            with pytest.raises(StoreUnavailable):
                await runtime.handle(change({"description": "new"}))
            fixture.ledger.is_away = fixture.ledger.loses_answers = False
            runtime.offer(await fixture.owe(1))
            await asyncio.sleep(0.05)

            assert fixture.http_client.requests == []

            fixture.reader.is_away = False
            await eventually(lambda: fixture.pending() == 0)

            assert (await runtime.handle(change({}))).settings.description == ("new" if is_written else "")

    asyncio.run(main())


def test_start_waits_for_the_ledger(tmp_path: Path) -> None:
    """A runtime starts as soon as the ledger can be read; an unknown loop raises NotFound."""

    async def main() -> None:
        async with loop_fixture(tmp_path) as fixture:
            fixture.reader.is_away = True
            runtime = make_runtime(fixture)
            runtime.offer(await fixture.owe(1))
            runtime.nudge()
            starting = asyncio.create_task(runtime.start())
            await asyncio.sleep(0.05)
            fixture.reader.is_away = False
            await asyncio.wait_for(starting, 5)
            await runtime.stop(0.1)
            fixture.loop_id = "fl_" + "9" * 32
            with pytest.raises(NotFound):
                await make_runtime(fixture).start()

    asyncio.run(main())


# --- secrets


def test_rotation(tmp_path: Path) -> None:
    """Rotation returns the new secret once; POSTs verify with either secret."""

    async def main() -> None:
        async with a_runtime(tmp_path, format="json") as (runtime, fixture):
            old = await runtime.handle(GET_SECRET)
            loop = await runtime.handle(ROTATE_SECRET)
            runtime.offer(await fixture.owe(1))
            await eventually(lambda: fixture.pending() == 0)
            (request,) = fixture.http_client.requests

            assert loop.secret == await runtime.handle(GET_SECRET) != old
            for secret in (old, loop.secret):
                Webhook(secret).verify(request.body, dict(request.headers))
            assert (await runtime.handle(change({}))).secret is None

    asyncio.run(main())


# --- the end


def test_delete(tmp_path: Path) -> None:
    """A deleted loop gets no POSTs, and every command raises NotFound; stopping it twice is harmless."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, fixture):
            await runtime.handle(DELETE)
            runtime.offer([])
            settings, event = change({}), sample("open", {})
            commands: list[Command[Any]] = [VERIFY, PAUSE, RESUME, DELETE, GET_SECRET, ROTATE_SECRET, settings, event]
            for command in commands:
                with pytest.raises(NotFound):
                    await runtime.handle(command)
            await runtime.stop(0.5)

            assert topics(fixture)[-1] == "deleted"
            assert not fixture.http_client.is_closed  # all loops of the process share it

    asyncio.run(main())


def test_410_disables_the_loop(tmp_path: Path) -> None:
    """A response of 410 disables the loop, with a reason that its owner can see."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, fixture):
            fixture.http_client.answer = lambda _: failed(410)
            runtime.offer(await fixture.owe(3))
            await eventually(lambda: stored_state(fixture) == "disabled")
            loop = await runtime.handle(change({}))

            assert loop.state == "disabled"
            assert "410" in (loop.disabled_reason or "")

    asyncio.run(main())


def test_410_while_the_ledger_is_unavailable(tmp_path: Path) -> None:
    """The loop is disabled as soon as the ledger is available; until then nothing is POSTed."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, fixture):
            offers = await fixture.owe(1)
            fixture.http_client.answer = lambda _: failed(410)
            fixture.ledger.is_away = True
            runtime.offer(offers)
            await eventually(lambda: len(fixture.http_client.requests) == 1)
            await asyncio.sleep(0.15)
            fixture.ledger.is_away = False
            await eventually(lambda: stored_state(fixture) == "disabled")

            assert len(fixture.http_client.requests) == 1

    asyncio.run(main())


# --- headers

SECRET = "Bearer correct-horse-battery"


def test_headers_are_sent_and_shown_to_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Deliveries and samples have the headers; answers, read models, events and the log do not have their values."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, fixture):
            changed = await runtime.handle(change({"headers": {"Authorization": SECRET, "X-Id": "4711-secret"}}))
            await runtime.handle(sample("open", {}))
            runtime.offer(await fixture.owe(2))
            await eventually(lambda: fixture.pending() == 0)
            row = fixture.reader.loop(fixture.loop_id)
            requests = fixture.http_client.requests

            assert [header(r, "Authorization") for r in requests] == [SECRET] * 3
            assert [header(r, "X-Id") for r in requests] == ["4711-secret"] * 3
            assert row is not None
            assert changed.settings.headers == row.settings.headers == {"Authorization": "***", "X-Id": "***"}

        for file in tmp_path.rglob("*"):
            assert not file.is_file() or b"battery" not in file.read_bytes()
            assert not file.is_file() or b"4711-secret" not in file.read_bytes()

    asyncio.run(main())
    assert "battery" not in caplog.text


def test_headers_survive_a_restart(tmp_path: Path) -> None:
    """Another runtime opens what this one has sealed, and a change of other settings keeps it."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, fixture):
            await runtime.handle(change({"headers": {"Authorization": SECRET}}))
            await runtime.handle(change({"description": "new"}))
            events = topics(fixture)
            await runtime.handle(change({"headers": {"Authorization": SECRET}}))
            await runtime.handle(change({"headers": {"Authorization": "***"}}))
            assert topics(fixture) == events
            await runtime.stop(1.0)

            other = make_runtime(fixture)
            await other.start()
            await other.handle(sample("open", {}))
            await other.stop(1.0)

            assert header(fixture.http_client.requests[-1], "Authorization") == SECRET

    asyncio.run(main())


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"url": "https://example.com/other.php"}, ["Authorization", "X-Id"]),
        ({"url": "http://example.com:8443/"}, ["Authorization", "X-Id"]),
        ({"url": "https://EXAMPLE.com./x"}, ["Authorization", "X-Id"]),
        ({"url": "https://www.example.com/dir/script.php"}, []),
        ({"url": "https://other.example/", "description": "x"}, []),
        ({"url": "https://other.example/", "headers": {"X-Id": "2"}}, ["X-Id"]),
        ({"headers": {"X-Id": "***"}}, ["X-Id"]),
        ({"headers": {}}, []),
    ],
)
def test_headers_do_not_follow_to_another_host(tmp_path: Path, changes: dict[str, Any], kept: list[str]) -> None:
    """A URL on another host drops the headers, unless they are sent again; a new map replaces the old one."""

    async def main() -> None:
        async with a_runtime(tmp_path, verified=False) as (runtime, _):
            await runtime.handle(change({"headers": {"Authorization": SECRET, "X-Id": "1"}}))
            changed = await runtime.handle(change(changes))

            assert changed.settings.headers == dict.fromkeys(kept, "***")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"url": "https://other.example/", "headers": {"Authorization": "***"}}, "/headers/Authorization"),
        ({"headers": {"X-New": "***"}}, "/headers/X-New"),
        ({"headers": {"Host": "x"}}, "/headers/Host"),
        ({"headers": ["Authorization"]}, "/headers"),
    ],
)
def test_refused_headers_change_nothing(tmp_path: Path, changes: dict[str, Any], pointer: str) -> None:
    """The error points at the entry, and URL and headers stay as they were."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, fixture):
            await runtime.handle(change({"headers": {"Authorization": SECRET}}))
            with pytest.raises(InvalidInput) as caught:
                await runtime.handle(change(changes))
            await runtime.handle(sample("open", {}))

            assert [found for found, _ in caught.value.problems] == [pointer]
            assert header(fixture.http_client.requests[0], "Authorization") == SECRET
            assert fixture.http_client.requests[0].url == URL

    asyncio.run(main())


# --- samples


@pytest.mark.parametrize("trigger", list(Trigger))
def test_samples(tmp_path: Path, trigger: Trigger) -> None:
    """A sample of each trigger is signed and has the trigger's fields; nothing is recorded."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, fixture):
            result = await runtime.handle(sample(trigger, {"recipient": "me@example.com"}))
            (request,) = fixture.http_client.requests
            fields = dict(parse_qsl(request.body.decode()))

            assert (result.status, result.error, result.response_excerpt) == (200, None, "ok")
            assert fields["type"] == trigger
            assert fields["event"] == header(request, "webhook-id")
            assert fields["recipient"] == "me@example.com"
            assert fixture.ledger.recorded == []
            assert fixture.pending() == 0

    asyncio.run(main())


def test_sample_data(tmp_path: Path) -> None:
    """The caller's data replaces the sample's, except for event and type; invalid data raises InvalidInput."""

    async def main() -> None:
        async with a_runtime(tmp_path, format="json") as (runtime, fixture):
            await runtime.handle(sample("click", {"tags": ["x"], "event": "mine", "big": 2**80}))
            fields = msgspec.json.decode(fixture.http_client.requests[0].body)

            assert fields["tags"] == ["x"]
            assert fields["event"].startswith("evt_")
            for type_, data in (("nonsense", {}), ("open", {"x": object()})):
                with pytest.raises(InvalidInput):
                    await runtime.handle(sample(type_, data))

    asyncio.run(main())


def test_samples_that_fail(tmp_path: Path) -> None:
    """The result has an error code, and a sentence if there is one."""

    async def main() -> None:
        async with a_runtime(tmp_path) as (runtime, fixture):
            answers = iter([failed(302), failed(None, "dns")._replace(detail="x.example does not resolve"), DELIVERED])
            fixture.http_client.answer = lambda _: next(answers)
            results = [await runtime.handle(sample("open", {})) for _ in range(3)]

            assert [r.error for r in results] == ["redirect", "dns: x.example does not resolve", None]
            assert [r.status for r in results] == [302, None, 200]

    asyncio.run(main())
