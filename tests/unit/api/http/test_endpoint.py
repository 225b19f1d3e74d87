"""Requirements on every request to the API: a known path and method, a key, and a readable body of a known type."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors.commands.accounts import Account, Authenticate, CreateAccount
from actors.commands.loops import CreateLoop, ListLoops
from api.http import ndjson, operation
from api.http.authentication import USE_NOTED_S, Authenticator, key_hash
from api.http.body import KIB, MAX_JSON_TOKENS, MIB, run_in_thread_if_long
from api.http.key_list import FRESH_S, KeyList
from api.http.operation import Access
from api.http.problem_types import PROBLEM_TYPES, STORE_UNAVAILABLE
from api.http.problems import BY_ERROR, ProblemError, problem_of
from api.http.strict_json import read_json
from domain import errors as e
from tests.unit.api.fake_api import ADMIN_KEY, Api, FakeClient, pointers, problem, run

LOOPS = "/v1/feedback-loops"
GOOD = b'{"url":"https://h.example/","triggers":["open"]}'
JSON = {"Content-Type": "application/json"}


def test_an_unknown_parameter_is_answered_with_the_names_that_exist() -> None:
    """The names are those of the URL: `for`, although Python calls it differently."""

    async def scenario() -> None:
        async with Api() as api:
            answer = await api.call("GET", "/readyz?four=tracking")
            document = problem(answer, 422, "invalid-input")
            assert pointers(document) == ["/four"]
            assert "(known here: for)" in document["errors"][0]["detail"]

    run(scenario())


# --- paths and methods


@pytest.mark.parametrize("path", ["/v1", "/v1/nothing", "/v1/feedback-loops/", "/v1//messages", "/%00"])
def test_an_unknown_path_is_a_problem(path: str) -> None:
    """The answer is a 404 problem document and never a redirect."""

    async def scenario() -> None:
        async with Api() as api:
            problem(await api.call("GET", path), 404, "not-found")

    run(scenario())


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", LOOPS, "GET, HEAD, POST"),
        ("GET", f"{LOOPS}/check", "POST"),
        ("POST", f"{LOOPS}/fl_1", "DELETE, GET, HEAD, PATCH"),
        ("OPTIONS", "/healthz", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_a_problem_with_the_allowed_ones(method: str, path: str, allowed: str) -> None:
    """405 has an Allow header (RFC 9110 section 15.5.6)."""

    async def scenario() -> None:
        async with Api() as api:
            answer = await api.call(method, path)

            problem(answer, 405, "method-not-allowed")
            assert answer.headers["allow"] == allowed

    run(scenario())


def test_head_answers_like_get_without_the_body() -> None:
    """HEAD has the status and headers of GET."""

    async def scenario() -> None:
        async with Api() as api:
            get, head = [await api.call(method, LOOPS) for method in ("GET", "HEAD")]

            assert head.status_code == 200
            assert head.headers == get.headers
            assert head.content == b""

    run(scenario())


def test_answers_are_not_cached_or_sniffed() -> None:
    """Answers may hold secrets."""

    async def scenario() -> None:
        async with Api() as api:
            answer = await api.call("GET", LOOPS)

            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"

    run(scenario())


# --- keys


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer unknown", f"Bearer {'x' * 600}", f"Bearer {ADMIN_KEY}"],
)
def test_every_operation_needs_a_known_key(authorization: str | None) -> None:
    """The answer is 401 with a challenge, whatever else is wrong with the request."""

    async def scenario() -> None:
        async with Api() as api:
            headers = {} if authorization is None else {"Authorization": authorization}
            answer = await api.http.post(f"{LOOPS}?x=1", headers=headers, content=b"{")

            problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"].startswith('Bearer realm="feedback-loops"')

    run(scenario())


def test_accounts_need_the_admin_key() -> None:
    """An account's own key is not enough, and the answer names the key that is needed."""

    async def scenario() -> None:
        async with Api() as api:
            found = problem(await api.call("POST", "/v1/accounts", json={"name": "x"}), 401, "unauthorized")

            assert "admin key" in found["detail"]

    run(scenario())


def test_an_account_s_key_is_shown_once_and_only_its_hash_is_sent_on() -> None:
    """The answer is 201 with id, name and key; the actors get only the key's SHA-256."""

    async def scenario() -> None:
        async with Api() as api:
            answer = await api.call("POST", "/v1/accounts", key=ADMIN_KEY, json={"name": "Ünï"})

            assert answer.status_code == 201
            made = answer.json()
            assert set(made) == {"id", "name", "api_key"}
            assert made["api_key"].startswith("flk_")
            assert len(made["api_key"]) == 47
            assert api.client.called(CreateAccount)[-1] == CreateAccount(name="Ünï", key_hash=key_hash(made["api_key"]))
            for name in ("", " \n", None, "x" * 201):
                answer = await api.call("POST", "/v1/accounts", key=ADMIN_KEY, json={"name": name})
                assert pointers(problem(answer, 422, "invalid-input")) == ["/name"]

    run(scenario())


def test_a_listed_key_is_looked_up_once_a_minute() -> None:
    """While the list of keys is fresh it decides, and a key's use is recorded about once a minute."""
    now_s = 100.0

    async def scenario() -> None:
        nonlocal now_s
        client = FakeClient()
        client.accounts[key_hash("known")] = Account(no=1, id="acc_1", name="")
        keys = KeyList(client, None, lambda: now_s)
        await keys.renew()
        authenticator = Authenticator(client, ADMIN_KEY, keys, lambda: now_s)

        async def asked(key: str) -> int:
            with contextlib.suppress(ProblemError):
                await authenticator.account_for(Access.ACCOUNT, f"bearer {key}")
            for _ in range(3):  # the use is recorded in the background
                await asyncio.sleep(0)
            return len(client.called(Authenticate))

        assert [await asked("known"), await asked("known")] == [1, 1]
        now_s += FRESH_S
        assert await asked("known") == 2
        now_s += USE_NOTED_S
        await keys.renew()
        assert [await asked("known"), await asked("known")] == [3, 3]
        assert [await asked("unknown"), await asked("unknown")] == [4, 5]

    run(scenario())


def test_a_failed_look_up_is_not_a_wrong_key() -> None:
    """If the actors are unavailable, the answer is 503 and not 401."""

    async def scenario() -> None:
        async with Api() as api:
            stranger = await api.new_key()
            api.client.failures[Authenticate].append(e.Unavailable("the gateway is away"))
            answer = await api.call("GET", LOOPS, key=stranger)

            problem(answer, 503, "unavailable")
            assert answer.headers["retry-after"] == "1"

    run(scenario())


# --- bodies


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "Expecting value"),
        (b"{", "line 1, column 2"),
        (b"{} {}", "Extra data"),
        (b'{"url":"\xff"}', "UTF-8"),
        (b"\xef\xbb\xbf\xef\xbb\xbf{}", "Expecting value"),
        (b'{"url":NaN}', "NaN"),
        (b'{"url":-Infinity}', "-Infinity"),
        (b'{"rate_limit":1e999}', "too large"),
        (b'{"max_concurrency":99999999999999999999}', "beyond 64 bits"),
        (b'{"max_concurrency":9223372036854775808}', "beyond 64 bits"),
        (b'{"max_concurrency":' + b"9" * 5000 + b"}", "beyond 64 bits"),
        (b'{"url":"a","url":"b"}', "'url' is in one object twice"),
        (b'{"filters":{"tags":[],"tags":[]}}', "'tags' is in one object twice"),
        (b'{"url":"\\ud800"}', "surrogate"),
        (b'{"url":"a\nb"}', "control character"),
        (b"[" * 33 + b"]" * 33, "deeper than 32"),
        (b"[" * 20_000 + b"]" * 20_000, "deeper than 32"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "deeper than 32"),
    ],
)
def test_a_malformed_body_is_refused_with_the_place(content: bytes, says: str) -> None:
    """The answer is 400 with a detail that locates the fault; ambiguous bodies are refused too."""

    async def scenario() -> None:
        async with Api() as api:
            answer = await api.call("POST", LOOPS, content=content, headers=JSON)

            assert says in problem(answer, 400, "malformed-request")["detail"]

    run(scenario())


def test_nesting_up_to_the_limit_is_read() -> None:
    """JSON of 32 levels is read, and its errors are reported like those of any other input."""

    async def scenario() -> None:
        async with Api() as api:
            answer = await api.call("POST", LOOPS, content=b"[" * 32 + b"]" * 32, headers=JSON)

            problem(answer, 422, "invalid-input")

    run(scenario())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_a_body_of_an_unknown_type_is_refused(headers: dict[str, str]) -> None:
    """The answer is 415 and names the accepted types."""

    async def scenario() -> None:
        async with Api() as api:
            found = problem(await api.call("POST", LOOPS, content=GOOD, headers=headers), 415, "unsupported-media-type")
            assert "Content-" in found["detail"]

    run(scenario())


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", "application/json; charset=utf-8", 'application/json;charset="UTF-8"'],
)
def test_the_json_type_may_be_spelled_in_several_ways(content_type: str) -> None:
    """Case and a UTF-8 charset make no difference."""

    async def scenario() -> None:
        async with Api() as api:
            answer = await api.call("POST", LOOPS, content=GOOD, headers={"Content-Type": content_type})

            assert answer.status_code == 201

    run(scenario())


def test_a_post_without_a_body_accepts_none_or_an_empty_object() -> None:
    """Any other content is refused with an explanation."""

    async def scenario() -> None:
        async with Api() as api:
            path = f"{LOOPS}/{(await api.loop(active=True))['id']}/rotate-secret"

            assert (await api.call("POST", path)).status_code == 200
            assert (await api.call("POST", path, json={})).status_code == 200
            assert (await api.call("POST", path, headers={"Content-Type": "text/plain"})).status_code == 200
            assert pointers(problem(await api.call("POST", path, json={"a": 1}), 422, "invalid-input")) == ["/a"]
            problem(await api.call("POST", path, content=b"a=1"), 415, "unsupported-media-type")

    run(scenario())


LIMITS = [
    ("POST", "/v1/accounts", "application/json", 256 * KIB, "256 KiB"),
    ("POST", LOOPS, "application/json", 256 * KIB, "256 KiB"),
    ("PATCH", f"{LOOPS}/fl_1", "application/merge-patch+json", 256 * KIB, "256 KiB"),
    ("POST", f"{LOOPS}/fl_1/test", "application/json", 256 * KIB, "256 KiB"),
    ("POST", f"{LOOPS}/fl_1/pause", "application/json", 256 * KIB, "256 KiB"),
    ("PUT", "/v1/databases/d/profiles/p", "application/json", 128 * KIB, "128 KiB"),
    ("POST", "/v1/messages", "application/json", 3 * MIB, "3 MiB"),
    ("POST", "/v1/messages", "application/x-ndjson", 16 * MIB, "16 MiB"),
]


@pytest.mark.parametrize(("method", "path", "content_type", "most", "words"), LIMITS)
@pytest.mark.parametrize("is_announced", [True, False])
def test_an_oversized_body_is_refused_early(
    is_announced: bool, method: str, path: str, content_type: str, most: int, words: str
) -> None:
    """The answer is 413 with the operation's limit, based on the announced length or on the bytes so far."""
    passed = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal passed
        for _ in range(4 * most // (64 * KIB)):
            passed += 64 * KIB
            yield bytes(64 * KIB)

    async def scenario() -> None:
        async with Api() as api:
            headers = {"Content-Type": content_type} | ({"Content-Length": str(most + 1)} if is_announced else {})
            key = ADMIN_KEY if path == "/v1/accounts" else api.key
            answer = await api.call(method, path, key=key, content=body(), headers=headers)

            assert words in problem(answer, 413, "body-too-large")["detail"]
            assert passed <= most + 64 * KIB

    run(scenario())


@pytest.mark.parametrize(("method", "path", "content_type", "most", "words"), LIMITS)
def test_a_body_as_large_as_the_limit_is_read(
    method: str,
    path: str,
    content_type: str,
    most: int,
    words: str,
) -> None:
    """Its errors are then reported like those of any other body."""

    async def scenario() -> None:
        async with Api() as api:
            key = ADMIN_KEY if path == "/v1/accounts" else api.key
            headers = {"Content-Type": content_type}
            answer = await api.call(method, path, key=key, content=b'"%b"' % (b"x" * (most - 2)), headers=headers)

            assert answer.status_code in {201, 422}

    run(scenario())


def test_json_that_takes_long_to_read_is_refused_unread() -> None:
    """413 counts the brackets and commas of a body, or of a line; a mail's style sheet may have many of them."""
    style = "a{}," * (MAX_JSON_TOKENS // 2)
    message = {"recipient": "j@example.com", "html": f"<style>{style}</style>"}

    async def scenario() -> None:
        async with Api() as api:
            for mark in (b"[],", b"{},", b"1,"):
                content = b"[%b1]" % (mark * MAX_JSON_TOKENS)
                found = problem(await api.call("POST", LOOPS, content=content, headers=JSON), 413, "body-too-large")
                assert str(MAX_JSON_TOKENS) in found["detail"]
            lines = {"Content-Type": "application/x-ndjson"}
            dense, ordinary = b"[%b1]" % (b"1," * 300_000), json.dumps(message).encode()
            answer = await api.call("POST", "/v1/messages", content=b"%b\n%b" % (dense, ordinary), headers=lines)
            refused, passed = [json.loads(line) for line in answer.text.splitlines()]
            assert (refused["status"], "html" in passed) == (413, True)
            assert (await api.call("POST", "/v1/messages", json=message)).status_code == 201

    run(scenario())


def test_a_line_may_be_as_long_as_one_message() -> None:
    """A longer line is answered with a problem that names the limit, and the other lines are accepted."""
    long = json.dumps({"recipient": "j@example.com", "html": "x" * 3 * MIB}).encode()

    async def scenario() -> None:
        async with Api() as api:
            headers = {"Content-Type": "application/x-ndjson"}
            content = long + b'\n{"recipient":"j@example.com"}'
            answer = await api.call("POST", "/v1/messages", content=content, headers=headers)
            refused, passed = [json.loads(line) for line in answer.text.splitlines()]

            assert (refused["status"], "open_url" in passed) == (413, True)
            assert "3 MiB" in refused["detail"]

    run(scenario())


@pytest.mark.parametrize(("size", "is_beside"), [(64 * KIB, False), (64 * KIB + 1, True)])
def test_a_long_body_is_read_off_the_event_loop(size: int, is_beside: bool) -> None:
    """A thread reads it, so that tracking hits are answered meanwhile; errors are still raised."""

    def read() -> bool:
        if threading.current_thread() is threading.main_thread():
            return False
        raise KeyError("beside")

    async def scenario() -> None:
        if is_beside:
            with pytest.raises(KeyError, match="beside"):
                await run_in_thread_if_long(size, read)
        else:
            assert not await run_in_thread_if_long(size, read)

    run(scenario())


@pytest.mark.parametrize(
    ("path", "content_type", "content"),
    [
        (LOOPS, "application/json", b'{"description":"%b"}' % (b"x" * 100 * KIB)),
        ("/v1/messages", "application/json", b'{"mailing":"%b"}' % (b"x" * 100 * KIB)),
        ("/v1/messages", "application/x-ndjson", b'{"mailing":"%b"}' % (b"x" * 100 * KIB)),
    ],
)
def test_long_json_is_never_read_on_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, path: str, content_type: str, content: bytes
) -> None:
    """This holds for bodies and lines of more than 64 KiB."""
    threads: list[str] = []

    def noted(body: bytes) -> Any:
        if len(body) > 64 * KIB:
            threads.append(threading.current_thread().name)
        return read_json(body)

    monkeypatch.setattr(operation, "read_json", noted)
    monkeypatch.setattr(ndjson, "read_json", noted)

    async def scenario() -> None:
        async with Api() as api:
            await api.call("POST", path, content=content, headers={"Content-Type": content_type})

    run(scenario())
    assert [name.rpartition("_")[0] for name in threads] == ["long-bodies"]


def test_a_length_that_is_not_a_number_is_malformed() -> None:
    """Digits of other scripts, which int() would read, are refused too."""

    async def scenario() -> None:
        async with Api() as api:
            for length in ("-1", "1x", "1" * 30):
                answer = await api.call("POST", LOOPS, content=GOOD, headers=JSON | {"Content-Length": length})
                problem(answer, 400, "malformed-request")

    run(scenario())


def test_a_client_that_disconnects_is_harmless() -> None:
    """Nothing is sent and no command runs."""
    sent: list[Any] = []

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def scenario() -> None:
        async with Api() as api:
            headers = [(b"authorization", f"Bearer {api.key}".encode()), (b"content-type", b"application/json")]
            scope = {"type": "http", "method": "POST", "path": LOOPS, "query_string": b"", "headers": headers}
            await api.app(scope, gone, send)

            assert sent == []
            assert not api.client.called(CreateLoop)

    run(scenario())


@pytest.mark.parametrize("limit", ["1_0", "%205", "5%20", "5.0", "%2B5", "0x5", "\u0665", "1e1", "true", ""])
def test_a_count_in_a_query_is_digits(limit: str) -> None:
    """Spellings that only Python reads as a number are refused."""

    async def scenario() -> None:
        async with Api() as api:
            found = problem(await api.call("GET", f"{LOOPS}?limit={limit}"), 422, "invalid-input")

            assert found["errors"] == [{"pointer": "/limit", "detail": "must be a whole number"}]
            assert (await api.call("GET", f"{LOOPS}?limit=5")).status_code == 200

    run(scenario())


# --- errors


def every_error(cls: type[e.FeedbackLoopsError] = e.FeedbackLoopsError) -> list[type[e.FeedbackLoopsError]]:
    return [cls, *(found for child in cls.__subclasses__() for found in every_error(child))]


@pytest.mark.parametrize("cls", every_error(), ids=lambda cls: cls.__name__)
def test_every_error_of_the_domain_has_a_status(cls: type[e.FeedbackLoopsError]) -> None:
    """No error class falls through to the unexpected error by oversight."""
    more: dict[type, tuple[Any, ...]] = {
        e.IdempotencyConflict: (True,),
        e.StaleRoutes: (1,),
        e.UnknownIntake: ([0],),
    }
    error = cls("why", *more.get(cls, ()))
    found = problem_of(error, is_known=True)

    assert found.detail == (found.kind.advice if found.kind is STORE_UNAVAILABLE else "why")
    assert (found.kind.status == 500) == (cls in {e.FeedbackLoopsError, e.InternalError})
    assert found.kind in PROBLEM_TYPES.values()
    nearest = next(parent for parent in cls.__mro__ if parent in BY_ERROR)
    assert (nearest is e.FeedbackLoopsError) == (cls is e.FeedbackLoopsError)


@pytest.mark.parametrize(
    ("error", "status", "slug", "retry_after"),
    [
        (e.NotFound("no"), 404, "not-found", None),
        (e.Conflict("no"), 409, "conflict", None),
        (e.ConcurrentWrite("no"), 409, "concurrent-write", "1"),
        (e.StoreUnavailable("no"), 503, "store-unavailable", "1"),
        (e.Overloaded("no", 12.3), 503, "overloaded", "13"),
        (e.TemporaryConflict("no", 3599.5), 409, "temporary-conflict", "3600"),
        (e.Unavailable("no", True), 503, "unavailable", "1"),
        (e.FeedbackLoopsError("no"), 500, "internal-error", None),
    ],
)
def test_errors_of_the_actors_become_problems(
    error: Exception, status: int, slug: str, retry_after: str | None
) -> None:
    """Each has its status, and Retry-After if a retry may help."""

    async def scenario() -> None:
        async with Api() as api:
            api.client.failures[ListLoops].append(error)
            answer = await api.call("GET", LOOPS)

            expected = STORE_UNAVAILABLE.advice if slug == STORE_UNAVAILABLE.slug else "no"
            assert problem(answer, status, slug)["detail"] == expected
            assert answer.headers.get("retry-after") == retry_after

    run(scenario())


def test_store_details_appear_only_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The driver's message has address and port, which accounts must not see."""

    async def scenario() -> None:
        async with Api() as api:
            api.client.failures[ListLoops].append(e.StoreUnavailable("no connection to 10.1.2.3 port 5432"))
            answer = await api.call("GET", LOOPS)

            problem(answer, 503, "store-unavailable")
            assert "10.1.2.3" not in answer.text
            assert "10.1.2.3" in str([vars(record) for record in caplog.records])

    run(scenario())


def test_an_unexpected_error_reveals_nothing_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The answer is a 500 problem; the details appear only in the log."""

    async def scenario() -> None:
        async with Api() as api:
            api.client.failures[ListLoops].append(RuntimeError("the secret is 42"))
            answer = await api.call("GET", LOOPS)

            problem(answer, 500, "internal-error")
            assert "42" not in answer.text

    run(scenario())
    assert "the secret is 42" in caplog.text


def test_every_problem_type_leads_to_its_explanation() -> None:
    """`type` is a URL of a page with advice."""

    async def scenario() -> None:
        async with Api() as api:
            for kind in PROBLEM_TYPES.values():
                page = await api.http.get(kind.type)
                assert page.status_code == 200
                assert kind.title.replace("'", "&#x27;") in page.text
            problem(await api.http.get("/problems/none"), 404, "not-found")

    run(scenario())


# --- the application around it


def test_tracking_paths_go_straight_to_their_application() -> None:
    """The path arrives unchanged, and no key is needed."""

    async def scenario() -> None:
        async with Api() as api:
            answer = await api.http.get("/c/token", follow_redirects=False)

            assert (answer.status_code, answer.headers["location"]) == (302, "/c/token")

    run(scenario())


def test_the_lifespan_starts_and_stops_in_a_safe_order() -> None:
    """The forwarder stops while the client is still open, and the journal closes last."""

    async def scenario() -> None:
        async with Api() as api:
            incoming: asyncio.Queue[dict[str, str]] = asyncio.Queue()
            outgoing: asyncio.Queue[Any] = asyncio.Queue()
            running = asyncio.ensure_future(api.app({"type": "lifespan"}, incoming.get, outgoing.put))
            await incoming.put({"type": "lifespan.startup"})
            assert (await outgoing.get())["type"] == "lifespan.startup.complete"
            assert api.client.is_open
            await incoming.put({"type": "lifespan.shutdown"})
            assert (await outgoing.get())["type"] == "lifespan.shutdown.complete"
            await running

            stop = ["journal written", "forwarder stopped within 3 s", "journal closed"]
            assert api.steps == ["forwarder started", *stop]
            assert not api.client.is_open

    run(scenario())
