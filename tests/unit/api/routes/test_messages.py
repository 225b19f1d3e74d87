"""Messages, profiles, events and health through the HTTP API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from actors.commands.events import EventView, ListEvents
from actors.commands.messages import RegisterMessages
from actors.commands.service import CheckReadiness
from api.messages import ndjson
from api.observability.readiness import STARTING, TIMEOUT_S, ReadinessProbe
from domain.errors import StoreUnavailable, Unavailable
from tests.unit.api.fake_api import NOW_MS, Api, pointers, problem, run

MESSAGES = "/v1/messages"
NDJSON = {"Content-Type": "application/x-ndjson"}
GOOD: dict[str, Any] = {"recipient": "john@example.com"}


async def post_lines(api: Api, lines: Sequence[Any], **headers: str) -> list[dict[str, Any]]:
    """The answer's lines; everything but bytes is sent as JSON."""
    body = b"\n".join(line if isinstance(line, bytes) else msgspec.json.encode(line) for line in lines)
    answer = await api.call("POST", MESSAGES, content=body, headers=NDJSON | headers)
    assert answer.status_code == 201, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def targets(api: Api, urls: dict[str, str]) -> dict[str, str]:
    """The target of each tracked URL, by original URL."""
    return {url: api.tokens.read("click", tracked.rpartition("/c/")[2]).target for url, tracked in urls.items()}


# --- one message


def test_a_message_gets_its_tracking_urls() -> None:
    """Every URL's token holds the account and the message, and every link leads to its original."""

    async def scenario() -> None:
        async with Api() as api:
            links = ["https://a.example/?q=é&x=1", "http://b.example/", "https://a.example/?q=é&x=1"]
            body: dict[str, Any] = GOOD | {"id": "m-1", "tags": ["t"], "mailing": "9", "links": links}
            body |= {"profile": {"database": "1", "id": "123"}}
            answer = await api.call("POST", MESSAGES, json=body)

            assert answer.status_code == 201
            made = answer.json()
            assert set(made) == {"id", "open_url", "unsubscribe_url", "links"}
            assert made["id"] == "m-1"
            assert targets(api, made["links"]) == {link: link for link in links}
            no, key = 1, api.client.messages[1, "m-1"].key
            assert made["open_url"] == f"https://t.example/o/{api.tokens.open(no, key)}"
            assert made["unsubscribe_url"] == f"https://t.example/u/{api.tokens.unsubscribe(no, key)}"
            (command,) = api.client.called(RegisterMessages)
            (spec,) = command.messages
            assert (spec.database, spec.profile, spec.mailing, spec.links) == ("1", "123", "9", links[:2])

    run(scenario())


def test_html_is_returned_with_tracked_links_and_the_pixel() -> None:
    """The document's own links are registered with the given ones; the rest is unchanged."""

    async def scenario() -> None:
        async with Api() as api:
            html = '<body>\n<a  HREF="https://a.example/?x=1&amp;y=2">é</a><a href="mailto:x@y">m</a></body>\r\n'
            body = GOOD | {"html": html, "links": ["https://b.example/"]}
            made = (await api.call("POST", MESSAGES, json=body)).json()

            assert list(made["links"]) == ["https://b.example/", "https://a.example/?x=1&y=2"]
            tracked = made["links"]["https://a.example/?x=1&y=2"]
            before, _, rest = made["html"].partition(tracked)
            assert before == '<body>\n<a  HREF="'
            link, _, pixel = rest.partition("<img")
            assert link == '">é</a><a href="mailto:x@y">m</a>'
            assert f'src="{made["open_url"]}"' in pixel
            assert pixel.endswith("></body>\r\n")

    run(scenario())


def test_long_html_is_rewritten_the_same() -> None:
    """The result is the same although the work runs in a thread; a document over the limit gets a 422."""

    async def scenario() -> None:
        async with Api() as api:
            html = "<p>text</p>" * 10_000 + '<a href="https://a.example/">a</a>'
            made = (await api.call("POST", MESSAGES, json=GOOD | {"html": html})).json()

            assert made["html"].startswith(html[:100_000])
            assert f'<a href="{made["links"]["https://a.example/"]}">a</a>' in made["html"]
            answer = await api.call("POST", MESSAGES, json=GOOD | {"html": html * 20})
            assert pointers(problem(answer, 422, "invalid-input")) == ["/html"]

    run(scenario())


def test_tracked_links_in_html_stay() -> None:
    """Links of a document that comes a second time are not wrapped again."""

    async def scenario() -> None:
        async with Api() as api:
            html = '<a href="https://a.example/">a</a>'
            once = (await api.call("POST", MESSAGES, json=GOOD | {"html": html})).json()
            twice = (await api.call("POST", MESSAGES, json=GOOD | {"html": once["html"]})).json()

            assert twice["links"] == {}

    run(scenario())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ["/recipient"]),
        ({"recipient": "john"}, ["/recipient"]),
        ({"recipient": None}, ["/recipient"]),
        ({"recipient": "a@b\r\nBcc: x@y"}, ["/recipient"]),
        (GOOD | {"id": None}, ["/id"]),
        (GOOD | {"id": 7}, ["/id"]),
        (GOOD | {"id": ""}, ["/id"]),
        (GOOD | {"id": "a\nb"}, ["/id"]),
        (GOOD | {"id": "x" * 201}, ["/id"]),
        (GOOD | {"tags": "a"}, ["/tags"]),
        (GOOD | {"tags": ["a", 1, "x" * 101]}, ["/tags/1", "/tags/2"]),
        (GOOD | {"tags": ["a"] * 51}, ["/tags"]),
        (GOOD | {"tags": ["\u0000"]}, ["/tags/0"]),
        (GOOD | {"profile": {"database": "1"}}, ["/profile/id"]),
        (GOOD | {"profile": {"database": "1", "id": 2}}, ["/profile/id"]),
        (GOOD | {"profile": None, "mailing": None, "html": None}, ["/mailing", "/profile", "/html"]),
        (GOOD | {"links": ["https://a/", "ftp://a/", "javascript:alert(1)", 3]}, ["/links/1", "/links/2", "/links/3"]),
        (GOOD | {"links": [f"https://a/{n}" for n in range(1001)]}, ["/links"]),
        (GOOD | {"links": ["https://a/" + "x" * 8192]}, ["/links/0"]),
        (GOOD | {"html": "".join(f"<a href=https://a/{n}>" for n in range(1001))}, ["/html"]),
        (GOOD | {"html": f"<a href='https://a/{'x' * 8192}'>"}, ["/html"]),
        (GOOD | {"subject": "Hi"}, ["/subject"]),
    ],
)
def test_every_wrong_field_of_a_message_is_named(body: Any, expected: list[str]) -> None:
    """A single message and one line of many have the same problem, and the line gets it as its answer."""

    async def scenario() -> None:
        async with Api() as api:
            found = problem(await api.call("POST", MESSAGES, json=body), 422, "invalid-input")
            (line,) = await post_lines(api, [body])

            assert pointers(found) == expected
            assert line == found
            assert api.client.messages == {}

    run(scenario())


def test_an_id_belongs_to_one_content() -> None:
    """The same message again gets the same answer, another one under the id a conflict."""

    async def scenario() -> None:
        async with Api() as api:
            first = await api.call("POST", MESSAGES, json=GOOD | {"id": "m"})
            again = await api.call("POST", MESSAGES, json=GOOD | {"id": "m"})
            other = await api.call("POST", MESSAGES, json=GOOD | {"id": "m", "tags": ["x"]})

            assert again.json() == first.json()
            problem(other, 409, "conflict")

    run(scenario())


def test_a_message_is_read_with_its_history() -> None:
    """It has the content and URLs of its registration, and its events; the id may contain a slash."""

    async def scenario() -> None:
        async with Api() as api:
            event = EventView(id="evt_1", type="open", time_ms=NOW_MS, fields=msgspec.Raw(b'{"ip":"192.0.2.1"}'))
            api.client.events.append(event)
            body = GOOD | {"id": "<a/b?é@x>", "tags": ["t"], "links": ["https://a.example/"]}
            made = (await api.call("POST", MESSAGES, json=body)).json()
            found = await api.call("GET", f"{MESSAGES}/%3Ca%2Fb%3F%C3%A9%40x%3E")

            assert found.json() == {
                "id": "<a/b?é@x>",
                "recipient": "john@example.com",
                "tags": ["t"],
                "mailing": None,
                "profile": None,
                "open_url": made["open_url"],
                "unsubscribe_url": made["unsubscribe_url"],
                "links": made["links"],
                "created_at": "2026-01-01T00:00:00.123Z",
                "history": [
                    {
                        "id": "evt_1",
                        "type": "open",
                        "time": "2026-01-01T00:00:00.123Z",
                        "fields": {"ip": "192.0.2.1"},
                    }
                ],
            }
            stranger = await api.new_key()
            problem(await api.call("GET", f"{MESSAGES}/%3Ca%2Fb%3F%C3%A9%40x%3E", key=stranger), 404, "not-found")
            problem(await api.call("GET", f"{MESSAGES}/%FF"), 422, "invalid-input")
            problem(await api.call("GET", f"{MESSAGES}/%00"), 422, "invalid-input")

    run(scenario())


# --- many messages


def test_lines_are_answered_in_order_and_bad_ones_do_not_stop_others() -> None:
    """Each line gets its tracking URLs or a problem; blank lines are ignored."""

    async def scenario() -> None:
        async with Api() as api:
            lines = [
                GOOD | {"id": "1"},
                b"{",
                GOOD | {"id": "2", "links": ["https://a.example/2"]},
                b"",
                b'{"recipient":"\xff"}',
                b" \r",
                GOOD | {"id": "3", "extra": 1},
                GOOD | {"id": "1", "tags": ["other"]},
                b'{"recipient":"a@b.example","id":"4"}\r',
                b'{"recipient":"a@b.example","recipient":"c@d.example"}',
                b"",
            ]
            answers = await post_lines(api, lines)

            assert [a.get("id") or a["status"] for a in answers] == ["1", 400, "2", 400, 422, 409, "4", 400]
            assert list(answers[2]["links"]) == ["https://a.example/2"]
            assert len(api.client.messages) == 3

    run(scenario())


def test_many_lines_are_registered_in_chunks_two_at_a_time() -> None:
    """A command has at most 500 messages, two run at once, and the order is kept."""

    async def scenario() -> None:
        async with Api() as api:
            gate = api.client.gates[RegisterMessages] = asyncio.Event()
            posting = asyncio.create_task(post_lines(api, [GOOD | {"id": str(n)} for n in range(2_250)]))
            while api.client.running[RegisterMessages] < 2:
                await asyncio.sleep(0)
            for _ in range(1_000):
                await asyncio.sleep(0)
            gate.set()
            answers = await posting

            assert [a["id"] for a in answers] == [str(n) for n in range(2_250)]
            commands = api.client.called(RegisterMessages)
            assert [len(x.messages) for x in commands] == [500, 500, 500, 500, 250]
            assert api.client.most_running[RegisterMessages] == 2

    run(scenario())


def test_registering_many_does_not_block_other_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparing and answering lines regularly yields to the event loop."""
    monkeypatch.setattr(ndjson, "_TURN_S", 0)

    async def scenario() -> None:
        async with Api() as api:
            turns = 0
            is_over = False

            async def count() -> None:
                nonlocal turns
                while not is_over:
                    turns += 1
                    await asyncio.sleep(0)

            counting = asyncio.create_task(count())
            await post_lines(api, [GOOD] * 2_000)
            is_over = True
            await counting

            assert turns >= 2_000

    run(scenario())


def test_an_error_of_the_service_ends_the_request() -> None:
    """If the store is unavailable the answer is 503; a repetition with the same key registers everything once."""

    async def scenario() -> None:
        async with Api() as api:
            lines = "\n".join(json.dumps(GOOD) for _ in range(1200))
            headers = NDJSON | {"Idempotency-Key": "k"}
            api.client.failures[RegisterMessages] += [StoreUnavailable("away")]
            first = await api.call("POST", MESSAGES, content=lines, headers=headers)
            problem(first, 503, "store-unavailable")
            again = await api.call("POST", MESSAGES, content=lines, headers=headers)

            assert again.status_code == 201
            assert len(again.text.splitlines()) == 1200
            assert len(api.client.messages) == 1200

    run(scenario())


def test_a_body_without_lines_or_with_too_many_is_refused() -> None:
    """The answer is 422 with the limit."""

    async def scenario() -> None:
        async with Api() as api:
            for body in (b"", b"\n \r\n", b"{}\n" * (ndjson.MAX_LINES + 1), b"\n" * 1_000_000):
                found = problem(await api.call("POST", MESSAGES, content=body, headers=NDJSON), 422, "invalid-input")
                assert "line" in found["detail"]
            assert not api.client.called(RegisterMessages)

    run(scenario())


# --- profiles


def test_a_profile_is_made_replaced_and_read() -> None:
    """The answer is 201 the first time and 200 afterwards; fields come back unchanged; a name may contain a slash."""

    async def scenario() -> None:
        async with Api() as api:
            path = "/v1/databases/a%2Fb/profiles/1%2E5"
            fields = {"name": "Jöhn", "n": 1.5, "big": 2**63 - 1, "list": [1, None, {"a": True}], "map": {}}
            made = await api.call("PUT", path, json={"fields": fields, "interests": ["x"]})
            replaced = await api.call("PUT", path, json={"fields": {}})
            found = await api.call("GET", path)

            assert (made.status_code, replaced.status_code, found.status_code) == (201, 200, 200)
            assert made.json() == {
                "database": "a/b",
                "id": "1.5",
                "fields": fields,
                "interests": ["x"],
                "created_at": "2026-01-01T00:00:00.123Z",
                "modified_at": "2026-01-01T00:00:00.123Z",
            }
            assert found.json() == replaced.json() | {"fields": {}, "interests": []}
            problem(await api.call("GET", path, key=await api.new_key()), 404, "not-found")

    run(scenario())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ["/fields"]),
        ({"fields": None, "interests": None}, ["/fields", "/interests"]),
        ({"fields": [], "interests": [1]}, ["/fields", "/interests/0"]),
        ({"fields": {}, "name": "x"}, ["/name"]),
    ],
)
def test_every_wrong_field_of_a_profile_is_named(body: Any, expected: list[str]) -> None:
    """One answer lists all errors with their pointers."""

    async def scenario() -> None:
        async with Api() as api:
            answer = await api.call("PUT", "/v1/databases/1/profiles/2", json=body)

            assert pointers(problem(answer, 422, "invalid-input")) == expected

    run(scenario())


# --- events


def test_events_are_listed_by_filters() -> None:
    """Filters reach the command correctly, and `next` continues."""

    async def scenario() -> None:
        async with Api() as api:
            api.client.events += [
                EventView(id=f"evt_{n}", type="click", time_ms=NOW_MS, fields=msgspec.Raw(b'{"first":1}'))
                for n in range(3)
            ]
            query = {"type": "click", "message": "m", "recipient": "j@x", "since": "2026-01-01T00:00:00Z", "limit": "2"}
            page = (await api.call("GET", "/v1/events", params=query)).json()
            rest = (await api.call("GET", "/v1/events", params=query | {"cursor": page["next"]})).json()

            (command, _) = api.client.called(ListEvents)
            assert (command.message_id, command.recipient, command.since_ms) == ("m", "j@x", NOW_MS - 123)
            assert [e["id"] for e in page["data"] + rest["data"]] == ["evt_0", "evt_1", "evt_2"]
            assert page["data"][0]["fields"] == {"first": 1}
            assert rest["next"] is None
            answer = await api.call("GET", "/v1/events", params={"type": "opened", "until": "yesterday"})
            assert pointers(problem(answer, 422, "invalid-input")) == ["/type", "/until"]

    run(scenario())


# --- health


def test_liveness_needs_no_actors() -> None:
    """It answers without a key even if the actors are unavailable."""

    async def scenario() -> None:
        async with Api() as api:
            before = len(api.client.calls)
            answer = await api.http.get("/healthz")

            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
            assert len(api.client.calls) == before

    run(scenario())


def test_readiness_lists_every_problem() -> None:
    """The answer is 200 without problems, and otherwise 503 with those of the journal and the actors."""

    async def scenario() -> None:
        async with Api() as api:
            assert (await api.http.get("/readyz")).json() == {"status": "ready"}
            api.journal.problem = "the disk is full"
            api.client.problems = ["no supervisor"]
            answer = await api.http.get("/readyz")
            assert problem(answer, 503, "not-ready")["problems"] == ["the disk is full", "no supervisor"]
            assert answer.headers["retry-after"] == "1"

            api.client.failures[CheckReadiness].append(Unavailable("the gateway is away"))
            found = problem(await api.http.get("/readyz"), 503, "not-ready")
            assert found["problems"] == ["the disk is full", "the gateway is away"]

    run(scenario())


def test_readiness_has_a_short_timeout() -> None:
    """Silent actors are a problem and do not make the probe hang."""

    async def scenario() -> None:
        async with Api() as api:
            api.client.gates[CheckReadiness] = asyncio.Event()
            readiness = ReadinessProbe(api.client, api.journal, "http://here", timeout_s=0.01)
            starting, found = await readiness.problems()

            assert "still starting" in starting
            assert "did not answer" in found
            assert TIMEOUT_S < 1

    run(scenario())


def test_readiness_is_announced_once(caplog: pytest.LogCaptureFixture) -> None:
    """The log has one line with the URL once nothing is missing; afterwards no problem mentions the start."""

    async def scenario() -> None:
        async with Api() as api:
            readiness = ReadinessProbe(api.client, api.journal, "http://here")
            api.client.problems = ["no supervisor"]
            assert await readiness.problems() == [STARTING, "no supervisor"]
            announcing = asyncio.create_task(readiness.announce())
            api.client.problems = []
            await asyncio.wait_for(announcing, 5)
            api.client.problems = ["no supervisor"]
            assert await readiness.problems() == ["no supervisor"]

    with caplog.at_level("INFO", "api.observability.readiness"):
        run(scenario())
    assert [(record.message, vars(record)["url"]) for record in caplog.records] == [("ready", "http://here")]


def test_the_log_line_precedes_the_first_successful_probe(caplog: pytest.LogCaptureFixture) -> None:
    """Even if a probe is the first to find the service ready, the log has the line by then, and only once."""

    async def scenario() -> None:
        async with Api() as api:
            readiness = ReadinessProbe(api.client, api.journal, "http://here")
            assert await readiness.problems() == []
            assert [record.message for record in caplog.records] == ["ready"]
            await asyncio.wait_for(readiness.announce(), 5)

    with caplog.at_level("INFO", "api.observability.readiness"):
        run(scenario())
    assert [record.message for record in caplog.records] == ["ready"]
