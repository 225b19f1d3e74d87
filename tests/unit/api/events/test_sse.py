"""The live event log, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import msgspec
import pytest

from actors.commands.accounts import Authenticate
from actors.commands.events import EventView, ListEvents
from api.events import sse, tail
from domain.errors import NotFound, Overloaded, StoreUnavailable
from tests.unit.api.fake_api import NOW_MS, Api, problem, run

STREAM = "/v1/events/stream"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "POLL_S", 0.001)
    monkeypatch.setattr(sse, "LOOK_BACK_S", 0.005)


def event(n: int, kind: str = "open", at_ms: int = NOW_MS) -> EventView:
    """The event with number `n` of its millisecond."""
    fields = msgspec.Raw(json.dumps({"type": kind, "n": n}).encode())
    return EventView(id=f"evt_{at_ms:012x}7{n:019x}", type=kind, time_ms=at_ms, fields=fields)


def ids(text: str) -> list[str]:
    return [line.removeprefix("id: ") for line in text.splitlines() if line.startswith("id: ")]


def record(api: Api, *events: EventView) -> None:
    api.client.events = sorted([*api.client.events, *events], key=lambda e: e.id, reverse=True)


async def wait_for_reads(api: Api, times: int) -> None:
    """Waits until the stream has read the ledger that many more times."""
    until = len(api.client.called(ListEvents)) + times
    async with asyncio.timeout(10):
        while len(api.client.called(ListEvents)) < until:
            await asyncio.sleep(0)


def test_new_events_are_streamed() -> None:
    """Earlier events are left out; each event is a block with its id, its type and its JSON on one line."""

    async def scenario() -> None:
        async with Api() as api:
            record(api, event(1))
            stream = asyncio.create_task(api.stream(STREAM, lambda text: len(ids(text)) == 2))
            await wait_for_reads(api, 3)
            record(api, event(2, "click"))
            await wait_for_reads(api, 3)
            record(api, event(3))
            answer = await stream

            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/event-stream"
            assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")
            blocks = answer.text.split("\n\n")
            assert blocks[0].startswith(": ")
            assert blocks[1].splitlines()[:2] == [f"id: {event(2).id}", "event: click"]
            assert json.loads(blocks[1].splitlines()[2].removeprefix("data: ")) == {
                "id": event(2).id,
                "type": "click",
                "time": "2026-01-01T00:00:00.123Z",
                "fields": {"type": "click", "n": 2},
            }
            assert ids(answer.text) == [event(2).id, event(3).id]

    run(scenario())


def test_an_event_recorded_out_of_order_is_not_missed() -> None:
    """Hits are recorded only roughly in order, but each event is streamed once."""

    async def scenario() -> None:
        async with Api() as api:
            record(api, event(1), event(5))
            stream = asyncio.create_task(api.stream(STREAM, lambda text: event(9).id in text))
            await wait_for_reads(api, 3)
            for n in (8, 3, 7, 2):
                record(api, event(n))
                await wait_for_reads(api, 30)
            record(api, event(9))
            answer = await stream

            assert ids(answer.text) == [event(n).id for n in (8, 3, 7, 2, 9)]

    run(scenario())


def test_remembered_ids_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of events, a tail holds a page and a limited number of ids; no event is
    missed or repeated.
    """
    monkeypatch.setattr(tail, "PAGE", 10)
    monkeypatch.setattr(tail, "REMEMBERED", 20)

    async def scenario() -> None:
        async with Api() as api:
            (account,) = api.client.accounts.values()
            follower = tail.EventTail(api.client, ListEvents(account=account))
            record(api, *(event(n) for n in range(500)))
            await follower.begin(event(99).id)
            seen: list[str] = []
            for _ in range(200):
                events, is_more = await follower.read()
                seen += [e.id for e in events]
                assert len(follower._known) <= 20
                if not is_more:
                    follower.look_back()

            assert seen == [event(n).id for n in range(100, 500)]

    run(scenario())


def test_old_ids_are_forgotten() -> None:
    """The stream looks back for half a minute and no further."""

    async def scenario() -> None:
        async with Api() as api:
            (account,) = api.client.accounts.values()
            follower = tail.EventTail(api.client, ListEvents(account=account))
            record(api, event(1), event(2, at_ms=NOW_MS + 20_000))
            await follower.begin(None)
            assert follower._known == {event(1).id, event(2, at_ms=NOW_MS + 20_000).id}
            record(api, event(3, at_ms=NOW_MS + 40_000))
            assert len((await follower.read())[0]) == 1
            follower.look_back()

            assert await follower.read() == ([], False)
            assert len(follower._known) == 2

    run(scenario())


def test_a_client_resumes_with_last_event_id() -> None:
    """With Last-Event-ID the stream sends everything after that event in order, however much it is."""

    async def scenario() -> None:
        async with Api() as api:
            record(api, *(event(n) for n in range(1, 300)))
            answer = await api.stream(STREAM, lambda text: event(299).id in text, Last_Event_ID=event(10).id)

            assert ids(answer.text) == [event(n).id for n in range(11, 300)]

    run(scenario())


def test_filters_are_passed_on() -> None:
    """Type, message and recipient reach the command; unknown filters are refused."""

    async def scenario() -> None:
        async with Api() as api:
            stream = asyncio.create_task(
                api.stream(f"{STREAM}?type=click&message=m&recipient=a%40b.example", lambda text: "id: " in text)
            )
            await wait_for_reads(api, 3)
            record(api, event(1, "open"), event(2, "click"))
            answer = await stream
            (command, *_) = api.client.called(ListEvents)

            assert (command.type, command.message_id, command.recipient) == ("click", "m", "a@b.example")
            assert ids(answer.text) == [event(2).id]
            problem(await api.call("GET", f"{STREAM}?since=2026-01-01T00:00:00Z"), 422, "invalid-input")
            problem(await api.call("GET", STREAM, key="flk_unknown"), 401, "unauthorized")

    run(scenario())


def test_a_quiet_stream_sends_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without events a regular comment keeps proxies from closing the connection."""
    monkeypatch.setattr(sse, "HEARTBEAT_S", 0.003)

    async def scenario() -> None:
        async with Api() as api:
            answer = await api.stream(STREAM, lambda text: text.count(": nothing new\n\n") == 3)

            assert ids(answer.text) == []

    run(scenario())


def test_an_unavailable_ledger_is_waited_for() -> None:
    """Events recorded meanwhile follow once the ledger is back; a permanent error ends the stream."""

    async def scenario() -> None:
        async with Api() as api:
            stream = asyncio.create_task(api.stream(STREAM, lambda _: False))
            await wait_for_reads(api, 2)
            api.client.failures[ListEvents] = [StoreUnavailable("away")] * 3
            record(api, event(1))
            await wait_for_reads(api, 6)
            api.client.failures[ListEvents] = [NotFound("the account is gone")]
            answer = await stream

            assert ids(answer.text) == [event(1).id]

    run(scenario())


def test_an_error_at_the_start_is_a_problem_document() -> None:
    """A ledger that cannot be read at the start is answered with 503."""

    async def scenario() -> None:
        async with Api() as api:
            api.client.failures[ListEvents] = [StoreUnavailable("away")]

            problem(await api.call("GET", STREAM), 503, "store-unavailable")

    run(scenario())


@pytest.mark.parametrize("bound", ["MAX_STREAMS", "MAX_OF_ACCOUNT"])
def test_the_number_of_streams_is_limited(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """One stream too many is asked to come back later; a client that disconnects frees its place."""
    monkeypatch.setattr(sse, bound, 1)

    async def scenario() -> None:
        async with Api() as api:
            first = asyncio.create_task(api.stream(STREAM, lambda text: "id: " in text))
            await wait_for_reads(api, 2)
            refused = await api.call("GET", STREAM)
            problem(refused, 503, "overloaded")
            assert refused.headers["retry-after"] == "10"
            record(api, event(1))
            await first
            assert (await api.stream(STREAM, bool)).status_code == 200

    run(scenario())


def test_no_account_uses_up_all_streams() -> None:
    """An account at its limit leaves room for others, and its own places are freed one by one."""
    count = sse.StreamLimiter()
    places = [count.take(1) for _ in range(sse.MAX_OF_ACCOUNT)]
    count.take(2)
    with pytest.raises(Overloaded, match="of this account"):
        count.take(1)
    places.pop()()
    count.take(1)


def test_streams_opened_at_the_same_moment_obey_the_limit() -> None:
    """Of forty streams that start together, as many get a place as the limit allows; the others get 503."""

    async def scenario() -> None:
        async with Api() as api:
            api.client.gates[ListEvents] = asyncio.Event()
            streams = [asyncio.create_task(api.stream(STREAM, lambda text: "id: " in text)) for _ in range(40)]
            await asyncio.wait(streams, return_when=asyncio.FIRST_COMPLETED)
            api.client.gates[ListEvents].set()
            await wait_for_reads(api, 2 * sse.MAX_OF_ACCOUNT)
            record(api, event(1))
            statuses = Counter([answer.status_code for answer in await asyncio.gather(*streams)])

            assert statuses == {200: sse.MAX_OF_ACCOUNT, 503: 40 - sse.MAX_OF_ACCOUNT}

    run(scenario())


@pytest.mark.parametrize("how", ["HEAD", "an error at the start", "a client that leaves at once"])
def test_a_stream_that_never_starts_gives_its_place_back(how: str) -> None:
    """However a request for a stream ends, it does not count afterwards."""

    async def scenario() -> None:
        async with Api() as api:
            for _ in range(sse.MAX_OF_ACCOUNT + 1):
                if how == "HEAD":
                    assert (await api.call("HEAD", STREAM)).status_code == 200
                elif how == "an error at the start":
                    api.client.failures[ListEvents] = [StoreUnavailable("away")]
                    problem(await api.call("GET", STREAM), 503, "store-unavailable")
                else:
                    assert (await api.stream(STREAM, lambda _: True)).status_code == 200

    run(scenario())


@pytest.mark.parametrize("backlog", [0, 5_000])
def test_a_stream_ends_when_its_key_is_revoked(monkeypatch: pytest.MonkeyPatch, backlog: int) -> None:
    """Nothing follows the check that finds the key revoked, whether the stream is quiet or sends a long backlog."""
    monkeypatch.setattr(sse, "ACCESS_CHECK_S", 0)

    async def scenario() -> None:
        async with Api() as api:
            record(api, event(0), *(event(n) for n in range(1, backlog + 1)))
            is_revoked = False

            def revoke(text: str) -> bool:
                nonlocal is_revoked
                if not is_revoked and ("id: " in text or not backlog):
                    is_revoked = True
                    api.client.accounts.clear()
                return False

            answer = await api.stream(STREAM, revoke, Last_Event_ID=event(0).id)

            assert answer.text.endswith('event: end\ndata: {"detail":"the API key was revoked"}\n\n')
            assert len(ids(answer.text)) <= min(backlog, tail.PAGE)
            again = await api.stream(STREAM, lambda _: False, Last_Event_ID=event(0).id)
            assert again.status_code == 401

    run(scenario())


def test_a_key_that_cannot_be_looked_up_is_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store is down, a stream waits and sends nothing; it goes on with a valid key."""
    monkeypatch.setattr(sse, "ACCESS_CHECK_S", 0)

    async def scenario() -> None:
        async with Api() as api:
            stream = asyncio.create_task(api.stream(STREAM, lambda text: "id: " in text))
            await wait_for_reads(api, 2)
            api.client.failures[Authenticate] = [StoreUnavailable("away")] * 3
            async with asyncio.timeout(10):
                while api.client.failures[Authenticate]:
                    await asyncio.sleep(0)
            assert not stream.done()
            record(api, event(1))

            assert ids((await stream).text) == [event(1).id]

    run(scenario())


def _unknown(at_ms: int) -> str:
    return event(77, at_ms=at_ms).id


@pytest.mark.parametrize(
    ("last_id", "first"),
    [
        pytest.param(_unknown(NOW_MS - 1_000), 1, id="expired: before the oldest event"),
        pytest.param(_unknown(NOW_MS + 15), 2, id="unknown: between two events"),
        pytest.param(_unknown(NOW_MS + 1_000), 3, id="unknown: after the newest event"),
        pytest.param("evt_" + "0" * 32, 1, id="the least id"),
        pytest.param("evt_" + "f" * 32, 3, id="the greatest id"),
    ],
)
def test_a_lost_last_event_is_reported(last_id: str, first: int) -> None:
    """A client that resumes after an event that is not in the log learns it first. Then it gets all later events, or
    new ones if there are none.
    """
    events = [event(n, at_ms=NOW_MS + 10 * n) for n in (1, 2, 3)]

    async def scenario() -> None:
        async with Api() as api:
            record(api, *events[:2])
            reads = asyncio.create_task(wait_for_reads(api, 4))
            stream = asyncio.create_task(api.stream(STREAM, lambda t: events[2].id in t, Last_Event_ID=last_id))
            await reads
            record(api, events[2])
            answer = await stream
            blocks = [block.splitlines() for block in answer.text.split("\n\n")]

            assert blocks[1][0] == "event: gap"
            assert json.loads(blocks[1][1].removeprefix("data: "))["last_event_id"] == last_id
            assert answer.text.count("event: gap") == 1
            assert ids(answer.text) == [known.id for known in events[first - 1 :]]

    run(scenario())


@pytest.mark.parametrize("last_id", ["7", "evt_unknown", "-1", "*", "a" * 2000, "evt_" + "0" * 31])
def test_an_id_of_another_form_is_unknown(last_id: str) -> None:
    """It gets the stream, which begins with a gap: a browser would give up after an error."""

    async def scenario() -> None:
        async with Api() as api:
            record(api, event(1))
            answer = await api.stream(STREAM, lambda text: "event: gap" in text, Last_Event_ID=last_id)

            assert answer.status_code == 200
            assert ids(answer.text) == []

    run(scenario())


def test_an_event_of_another_account_is_unknown() -> None:
    """Its id gives the same answer as an id that nobody has."""

    async def scenario() -> None:
        async with Api() as api:
            record(api, event(1))
            api.client.events_of = 2
            answer = await api.stream(STREAM, lambda text: "event: gap" in text, Last_Event_ID=event(1).id)

            assert "event: gap" in answer.text

    run(scenario())


def test_head_opens_no_stream() -> None:
    """HEAD is answered with the stream's headers at once."""

    async def scenario() -> Any:
        async with Api() as api:
            return await api.call("HEAD", STREAM)

    answer = run(scenario())
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "text/event-stream", b"")
