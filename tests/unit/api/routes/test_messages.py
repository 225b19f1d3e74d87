"""Messages, profiles, events and health through the HTTP API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.commands.events import EventView, ListEvents
from actors.commands.messages import RegisterMessages
from actors.commands.service import CheckReadiness
from api.http import ndjson
from api.messages import registration
from api.messages.html_links import HtmlLinks, find_links
from api.messages.html_rewriter import rewrite_html
from api.observability.readiness import STARTING, TIMEOUT_S, ReadinessProbe
from domain.errors import StoreUnavailable
from tests.unit.api.fake_api import NOW_MS, Api, FakeSettings, pointers, problem, run

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


def test_html_that_was_rewritten_before_gets_links_for_its_new_message() -> None:
    """Tracked links of another message lead to the same targets for this one; those of other accounts are links."""

    async def scenario() -> None:
        async with Api() as api:
            html = '<a href="https://a.example/">a</a>'
            once = (await api.call("POST", MESSAGES, json=GOOD | {"html": html})).json()
            leave = f"<a href='{once['unsubscribe_url'].replace('https', 'HTTPS')}'>"
            twice = (await api.call("POST", MESSAGES, json=GOOD | {"html": once["html"] + leave})).json()
            other_account = await api.new_key()
            theirs = (await api.call("POST", MESSAGES, json=GOOD | {"html": once["html"]}, key=other_account)).json()

            assert targets(api, twice["links"]) == {"https://a.example/": "https://a.example/"}
            assert twice["links"] != once["links"]
            assert f'<a href="{twice["links"]["https://a.example/"]}">' in twice["html"]
            assert f"<a href='{twice['unsubscribe_url']}'>" in twice["html"]
            tracked = once["links"]["https://a.example/"]
            assert targets(api, theirs["links"]) == {tracked: tracked}

    run(scenario())


def test_a_former_pixel_of_the_account_is_replaced() -> None:
    """Each message has one pixel, its own, wherever the former ones were; pictures of others stay."""

    async def scenario() -> None:
        async with Api() as api:
            once = (await api.call("POST", MESSAGES, json=GOOD | {"id": "m"})).json()
            other = (await api.call("POST", MESSAGES, json=GOOD)).json()
            theirs = (await api.call("POST", MESSAGES, json=GOOD, key=await api.new_key())).json()
            kept = f'<p><img src="https://x.example/o/x"><img src=relative><img alt=""><img src="{theirs["open_url"]}">'
            former = f"<IMG alt='' src={once['open_url']}><img src='{other['open_url'].replace('https', 'HTTPS')}' />"
            html = f"{former}{kept}<img src='{once['open_url']}.'></p>"
            again = (await api.call("POST", MESSAGES, json=GOOD | {"id": "m", "html": html})).json()

            assert again["html"] == f'{kept}</p><img src="{once["open_url"]}" width="1" height="1" alt="">'

    run(scenario())


def test_the_same_message_with_its_rewritten_html_is_the_same() -> None:
    """Its links stay as they are, so registering it again is no conflict."""

    async def scenario() -> None:
        async with Api() as api:
            body = GOOD | {"id": "m", "html": '<a href="https://a.example/?b&amp;c">a</a>'}
            once = (await api.call("POST", MESSAGES, json=body)).json()
            again = (await api.call("POST", MESSAGES, json=body | {"html": once["html"]})).json()

            assert again["links"] == once["links"]
            assert again["html"] == once["html"]

    run(scenario())


@pytest.mark.parametrize(
    ("href", "target"),
    [
        ("https://a.example/&#127;", "https://a.example/%7F"),
        ("https://a.example/&#xFFFE;", "https://a.example/\ufffe"),
        (f"https://a.example/&#{'9' * 4301};", "https://a.example/\ufffd"),
        (f"https://a.example/&#x{'9' * 4301};", "https://a.example/\ufffd"),
        (f"https://a.example/&#{'0' * 4301}65;", "https://a.example/A"),
        ("https:/a.example/x", "https://a.example/x"),
        ("https:a.example/x", "https://a.example/x"),
        ("http:///a.example/x", "http://a.example/x"),
    ],
)
def test_links_are_read_as_by_browsers(href: str, target: str) -> None:
    """The tracked link leads to where a browser would go, and nothing else changes."""

    async def scenario() -> None:
        async with Api() as api:
            answer = await api.call("POST", MESSAGES, json=GOOD | {"html": f"<p><a href='{href}'>a</a>"})
            assert answer.status_code == 201, answer.text
            made = answer.json()

            assert targets(api, made["links"]) == {target: target}
            assert made["html"].startswith(f"<p><a href='{made['links'][target]}'>a</a><img ")
            assert "untracked" not in made

    run(scenario())


def test_links_relative_to_a_base() -> None:
    """They are tracked as the URLs that they mean; without a base, they are listed."""

    async def scenario() -> None:
        async with Api() as api:
            html = '<a href="x?é"><base href="https://a.example/b/c"><a href="//b.example">'
            made = (await api.call("POST", MESSAGES, json=GOOD | {"html": html})).json()
            without = (await api.call("POST", MESSAGES, json=GOOD | {"html": html.replace("base", "b")})).json()

            assert list(targets(api, made["links"])) == ["https://a.example/b/x?%C3%A9", "https://b.example/"]
            assert '<base href="https://a.example/b/c">' in made["html"]
            assert without["links"] == {}
            assert [link["href"] for link in without["untracked"]] == ["x?é", "//b.example"]

    run(scenario())


def test_links_that_cannot_be_tracked_are_left_alone_and_listed() -> None:
    """They do not stop the message; a link to something else than the web is not listed."""

    async def scenario() -> None:
        async with Api() as api:
            hrefs = [
                "http://",
                "http://#",
                "https:// x",
                "https://a.example/".ljust(8193, "x"),
                "/y",
                "http://x:65536/",
            ]
            ordinary = ["mailto:a@b", "#top", "tel:1", ""]
            html = "".join(f'<a href="{href}">' for href in [*hrefs, *ordinary, *hrefs])
            made = (await api.call("POST", MESSAGES, json=GOOD | {"html": html})).json()

            assert made["html"].startswith(html + "<img ")
            assert made["links"] == {}
            assert [link["href"] for link in made["untracked"]] == hrefs
            assert all(link["detail"] for link in made["untracked"])
            (line,) = await post_lines(api, [GOOD | {"html": html}])
            assert line["untracked"] == made["untracked"]

    run(scenario())


def test_the_limit_of_a_link_is_in_bytes_as_requested() -> None:
    """However a link exceeds it, the text says what is counted, for links in HTML and for given ones."""

    async def scenario() -> None:
        async with Api() as api:
            for link in (
                "https://a.example/" + "x" * 8192,
                "https://a.example/" + "é" * 1400,
                "https://a/" + "é" * 5000,
            ):
                body = GOOD | {"html": f"<a href='{link}'>"}
                (untracked,) = (await api.call("POST", MESSAGES, json=body)).json()["untracked"]
                answer = problem(await api.call("POST", MESSAGES, json=GOOD | {"links": [link]}), 422, "invalid-input")
                details = {untracked["detail"], answer["errors"][0]["detail"]}
                assert details == {"must be at most 8192 bytes long when percent-encoded"}

    run(scenario())


def test_links_beyond_the_limit_are_left_alone_and_listed() -> None:
    """A message has at most 1,000 different links, those of `links` first, and lists at most 1,000 others."""

    async def scenario() -> None:
        async with Api() as api:
            urls = [f"https://a.example/{n}" for n in range(2002)]
            html = "".join(f"<a href='{url}'>" for url in urls[1:])
            made = (await api.call("POST", MESSAGES, json=GOOD | {"html": html, "links": urls[:1]})).json()

            assert list(made["links"]) == urls[:1000]
            assert [link["href"] for link in made["untracked"]] == urls[1000:2000]
            assert made["html"].count("https://a.example/") == 1002

    run(scenario())


def test_given_links_are_read_like_those_in_html() -> None:
    """White space around them is removed, and the answer has them by their own spelling."""

    async def scenario() -> None:
        async with Api() as api:
            first = (await api.call("POST", MESSAGES, json=GOOD | {"links": ["https://a.example/"]})).json()
            (tracked,) = first["links"].values()
            links = [" https://a.example/ \n", "http:///b.example/c", "https:d.example", tracked]
            made = (await api.call("POST", MESSAGES, json=GOOD | {"id": "m", "links": links})).json()
            found = (await api.call("GET", f"{MESSAGES}/m")).json()

            assert targets(api, made["links"]) == {
                "https://a.example/": "https://a.example/",
                "http:///b.example/c": "http://b.example/c",
                "https:d.example": "https://d.example/",
                tracked: "https://a.example/",
            }
            assert targets(api, found["links"]) == {
                target: target for target in ("https://a.example/", "http://b.example/c", "https://d.example/")
            }

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
        (
            GOOD | {"links": ["https://a/", "http://", "https:// x", "/x", "", "#", "https://a:65536/"]},
            [*("/links/1", "/links/2", "/links/3", "/links/4", "/links/5", "/links/6")],
        ),
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
            assert line.items() >= found.items()
            assert api.client.messages == {}

    run(scenario())


def test_an_id_belongs_to_one_content() -> None:
    """The same message again gets the same answer, another one under the id a conflict."""

    async def scenario() -> None:
        async with Api() as api:
            first = await api.call("POST", MESSAGES, json=GOOD | {"id": "m"})
            again = await api.call("POST", MESSAGES, json=GOOD | {"id": "m"})
            other = await api.call("POST", MESSAGES, json=GOOD | {"id": "m", "tags": ["x"]})

            assert (first.status_code, again.status_code) == (201, 200)
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
                "reference": None,
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
    """Each line gets its number with its tracking URLs or a problem; a blank line gets only its number."""

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

            assert [a["line"] for a in answers] == list(range(1, 11))
            assert [a.get("status") for a in answers] == [None, 400, None, None, 400, None, 422, 409, None, 400]
            assert [a.get("id") for a in answers] == ["1", None, "2", None, None, None, "3", "1", "4", None]
            assert [answers[3], answers[5]] == [{"line": 4}, {"line": 6}]
            assert [("open_url" in a) for a in answers] == [n in {1, 3, 9} for n in range(1, 11)]
            assert list(answers[2]["links"]) == ["https://a.example/2"]
            assert len(api.client.messages) == 3

    run(scenario())


def test_an_unexpected_error_in_a_line_does_not_affect_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line gets a problem that says nothing internal, whether it fails before or after it is registered."""

    def find(document: str) -> HtmlLinks:
        if document == "find":
            raise ZeroDivisionError("secret")
        return find_links(document)

    def rewrite(document: str, *args: Any) -> str:
        if document == "rewrite":
            raise ZeroDivisionError("secret")
        return rewrite_html(document, *args)

    monkeypatch.setattr(registration, "find_links", find)
    monkeypatch.setattr(registration, "rewrite_html", rewrite)

    async def scenario() -> None:
        async with Api() as api:
            lines = [GOOD | {"id": html, "html": html} for html in ("a", "find", "b", "rewrite", "c")]
            answers = await post_lines(api, lines, **{"Idempotency-Key": "k"})

            assert [answer.get("status", answer["id"]) for answer in answers] == ["a", 500, "b", 500, "c"]
            assert "secret" not in json.dumps(answers)

            monkeypatch.undo()
            again = await post_lines(api, lines, **{"Idempotency-Key": "k"})
            assert [answer["id"] for answer in again] == ["a", "find", "b", "rewrite", "c"]

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


LINES = st.lists(
    st.sampled_from([b"", b" ", b"\t\r", b"{", b"[]", b"null", b'{"id": 5}', b'{"id": "bad"}', b"{}\r"])
    | st.just(msgspec.json.encode(GOOD)),
    min_size=1,
    max_size=12,
)


@given(lines=LINES, end=st.sampled_from([b"", b"\n", b"\r\n"]), mark=st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_every_line_has_an_answer_with_its_number(lines: list[bytes], end: bytes, mark: bytes) -> None:
    """Whatever the lines, with or without a byte order mark and a line break at the end."""
    body = mark + b"\n".join(lines) + end

    async def scenario() -> None:
        async with Api() as api:
            answer = await api.call("POST", MESSAGES, content=body, headers=NDJSON)
            if not b"".join(lines).strip():
                assert answer.status_code == 422
                return
            sent = lines if lines[-1] or end else lines[:-1]
            answers = [json.loads(line) for line in answer.text.splitlines()]
            assert [a["line"] for a in answers] == list(range(1, len(sent) + 1))
            for line, found in zip(sent, answers, strict=True):
                expected = "id" if b"recipient" in line else "status"
                assert expected in found if line.strip() else found == {"line": found["line"]}
                assert (found.get("id") == "bad") == (b"bad" in line)

    run(scenario())


def test_blank_lines_count_and_the_last_line_break_does_not() -> None:
    """20,000 lines are accepted, with or without a line break at the end; one more is refused."""

    async def scenario() -> None:
        async with Api() as api:
            for body in (b"\n" * (ndjson.MAX_LINES - 1) + b"{}", b"\n" * (ndjson.MAX_LINES - 1) + b"{}\n"):
                answer = await api.call("POST", MESSAGES, content=body, headers=NDJSON)
                answers = answer.text.splitlines()
                assert (len(answers), answers[0], answers[-2]) == (20_000, '{"line":1}', '{"line":19999}')
                assert json.loads(answers[-1])["status"] == 422
            for body in (b"\n" * ndjson.MAX_LINES + b"{}", b"{}" + b"\n" * (ndjson.MAX_LINES + 1)):
                problem(await api.call("POST", MESSAGES, content=body, headers=NDJSON), 422, "invalid-input")

    run(scenario())


def test_a_body_without_lines_or_with_too_many_is_refused() -> None:
    """The answer is 422 with the limit."""

    async def scenario() -> None:
        async with Api() as api:
            for body in (b"", b"\xef\xbb\xbf", b"\n \r\n", b"{}\n" * (ndjson.MAX_LINES + 1), b"\n" * 1_000_000):
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


def test_readiness_has_a_short_timeout() -> None:
    """Silent actors are a problem and do not make the probe hang."""

    async def scenario() -> None:
        async with Api() as api:
            api.client.gates[CheckReadiness] = asyncio.Event()
            readiness = ReadinessProbe(api.client, api.journal, "http://here", timeout_s=0.01)
            starting, found = map(str, await readiness.problems())

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
            assert list(map(str, await readiness.problems())) == [STARTING, "no supervisor"]
            announcing = asyncio.create_task(readiness.announce())
            api.client.problems = []
            await asyncio.wait_for(announcing, 5)
            api.client.problems = ["no supervisor"]
            assert list(map(str, await readiness.problems())) == ["no supervisor"]

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


def test_no_message_is_registered_with_dead_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """One message or many: 409 with the setting's name, which frees an Idempotency-Key."""
    monkeypatch.setattr(FakeSettings, "public_url_problem", "the public URL is http://0.0.0.0:8080")

    async def scenario() -> None:
        async with Api() as api:
            refused = problem(await api.call("POST", MESSAGES, json=GOOD), 409, "temporary-conflict")
            assert "FEEDBACK_LOOPS_PUBLIC_URL" in refused["detail"]
            lines = await api.call("POST", MESSAGES, content=msgspec.json.encode(GOOD), headers=NDJSON)
            problem(lines, 409, "temporary-conflict")
            assert not api.client.called(RegisterMessages)
            assert (await api.call("GET", MESSAGES)).status_code == 200

    run(scenario())
