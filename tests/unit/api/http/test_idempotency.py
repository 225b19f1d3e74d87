"""Idempotency-Key: a repeated POST gets the same answer and runs once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from actors.commands.loops import CreateLoop
from actors.commands.messages import Rejection
from actors.commands.service import ClaimKey, KeepAnswer, StoredAnswer
from api.http import idempotency
from domain import errors as e
from tests.unit.api.fake_api import ADMIN_KEY, Api, problem, run

LOOPS = "/v1/feedback-loops"
BODY = {"url": "https://h.example/", "triggers": ["open"]}
NDJSON = "application/x-ndjson"


async def post(api: Api, name: str, body: Any = None, path: str = LOOPS, **more: Any) -> httpx.Response:
    return await api.call("POST", path, json=BODY if body is None else body, headers={"Idempotency-Key": name}, **more)


def is_replayed(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("idempotency-replayed") == "true")


def test_a_repeated_request_gets_the_same_answer() -> None:
    """Status, headers and body are those of the first answer, and the command ran once."""

    async def scenario() -> None:
        async with Api() as api:
            first, second = await post(api, "k"), await post(api, "k")

            assert (is_replayed(first), is_replayed(second)) == (False, True)
            assert (second.status_code, second.content) == (201, first.content)
            assert second.headers["location"] == first.headers["location"]
            assert len(api.client.called(CreateLoop)) == 1

    run(scenario())


def test_a_kept_answer_does_not_show_its_secret() -> None:
    """The ledger's copy cannot be read without the installation key."""

    async def scenario() -> None:
        async with Api() as api:
            secret = (await post(api, "k")).json()["secret"]
            made = await post(api, "k", {"name": "x"}, "/v1/accounts", key=ADMIN_KEY)

            kept = b"".join(answer.body for _, answer in api.client.answers.values() if answer)
            assert len(api.client.answers) == 2
            assert secret.encode() not in kept
            assert made.json()["api_key"].encode() not in kept

    run(scenario())


def test_an_answer_sealed_with_another_key_is_explained() -> None:
    """After its key was dropped, an old idempotency key gets a 422 with an explanation."""

    async def scenario() -> None:
        async with Api() as api:
            await post(api, "k")
            ((name, (fingerprint, _)),) = api.client.answers.items()
            other = StoredAnswer(status=201, content_type="application/json", body=b"sealed otherwise")
            api.client.answers[name] = (fingerprint, other)

            problem(await post(api, "k"), 422, "idempotency-key-reused")

    run(scenario())


def test_concurrent_requests_with_one_key_run_once() -> None:
    """A second request during the first gets a conflict with Retry-After; later it gets the stored answer."""

    async def scenario() -> None:
        async with Api() as api:
            gate = api.client.gates[CreateLoop] = asyncio.Event()
            first = asyncio.create_task(post(api, "k"))
            await api.client.entered[CreateLoop].wait()
            second = await post(api, "k")

            problem(second, 409, "idempotency-key-in-progress")
            assert second.headers["retry-after"] == "1"
            gate.set()
            assert (await first).status_code == 201
            assert is_replayed(await post(api, "k"))
            assert len(api.client.called(CreateLoop)) == 1

    run(scenario())


def test_many_at_once_make_one_loop() -> None:
    """One of twenty requests with the same key runs, and the others are asked to wait."""

    async def scenario() -> None:
        async with Api() as api:
            answers = await asyncio.gather(*(post(api, "k") for _ in range(20)))

            assert sorted({a.status_code for a in answers}) == [201, 409]
            assert len(api.client.called(CreateLoop)) == 1

    run(scenario())


def test_a_key_belongs_to_one_request() -> None:
    """Another body, path, query or type with the key gets a 422; the same key of another account is independent."""

    async def scenario() -> None:
        async with Api() as api:
            await post(api, "k")
            problem(await post(api, "k", BODY | {"ordered": True}), 422, "idempotency-key-reused")
            problem(await post(api, "k", {}, f"{LOOPS}/check"), 422, "idempotency-key-reused")
            other = await post(api, "k", key=await api.new_key())

            assert other.status_code == 201
            assert not is_replayed(other)
            one_line = json.dumps({"recipient": "a@b.example"})
            for content_type, expected in (("application/json", 201), (NDJSON, 422)):
                headers = {"Idempotency-Key": "m", "Content-Type": content_type}
                answer = await api.call("POST", "/v1/messages", content=one_line, headers=headers)
                assert answer.status_code == expected

    run(scenario())


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "a\tb", "é".encode().decode("latin-1")])
def test_an_invalid_key_is_refused(key: str) -> None:
    """A key is 1 to 255 visible ASCII characters; otherwise nothing runs."""

    async def scenario() -> None:
        async with Api() as api:
            headers = httpx.Headers([(b"Idempotency-Key", key.encode("latin-1"))])
            answer = await api.http.post(
                LOOPS, json=BODY, headers=[*headers.raw, (b"Authorization", f"Bearer {api.key}".encode())]
            )

            problem(answer, 400, "malformed-request")
            assert not api.client.called(CreateLoop)

    run(scenario())


def test_two_keys_are_refused() -> None:
    """The request is ambiguous."""

    async def scenario() -> None:
        async with Api() as api:
            headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b"), ("Authorization", f"Bearer {api.key}")]
            problem(await api.http.post(LOOPS, json=BODY, headers=headers), 400, "malformed-request")

    run(scenario())


def test_an_invalid_request_uses_up_no_key() -> None:
    """Checks that need no actors come before the claim of the key."""

    async def scenario() -> None:
        async with Api() as api:
            problem(await post(api, "k", {"url": "x"}), 422, "invalid-input")
            problem(await post(api, "k", path=f"{LOOPS}?a=1"), 422, "invalid-input")

            assert not api.client.called(ClaimKey)
            assert (await post(api, "k")).status_code == 201

    run(scenario())


def test_a_refusal_by_the_actors_is_kept() -> None:
    """A refusal that depends on the request only stays the answer for this key."""

    async def scenario() -> None:
        async with Api() as api:
            api.client.failures[CreateLoop].append(e.InvalidInput.at("/url", "leads nowhere"))
            first, again = [await post(api, "k") for _ in range(2)]

            assert problem(first, 422, "invalid-input") == problem(again, 422, "invalid-input")
            assert is_replayed(again)

    run(scenario())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (e.StoreUnavailable("away"), 503),
        (e.Unavailable("away", True), 503),
        (e.Overloaded("full"), 503),
        (e.ConcurrentWrite("raced"), 409),
        (e.StaleRoutes("raced", 1), 503),
        (e.NotMigrated("later"), 503),
        (e.UnknownIntake("later", []), 503),
        (e.Moved("elsewhere"), 503),
        (e.InternalError("a bug"), 500),
        (e.TemporaryConflict("wait"), 409),
        (e.Conflict("another state"), 409),
        (RuntimeError("a bug"), 500),
    ],
)
def test_a_retryable_error_frees_the_key(error: Exception, status: int) -> None:
    """The same request with the same key runs again with the same seed, so that nothing is created twice."""

    async def scenario() -> None:
        async with Api() as api:
            api.client.failures[CreateLoop].append(error)
            assert (await post(api, "k")).status_code == status
            assert (await post(api, "k")).status_code == 201

            seeds = [command.seed for command in api.client.called(CreateLoop)]
            assert len(seeds) == 2
            assert len(set(seeds)) == 1
            assert seeds[0] is not None

    run(scenario())


def test_a_temporary_problem_of_a_line_frees_the_key() -> None:
    """Lines that succeeded get the same message again; without such a problem, the answer is kept."""

    async def scenario() -> None:
        async with Api() as api:
            lines = "\n".join(json.dumps({"recipient": f"{n}@b.example"}) for n in range(2)) + "\nnot JSON"
            headers = {"Idempotency-Key": "k", "Content-Type": NDJSON}
            temporary = Rejection(error="TemporaryConflict", detail="wait", problems=[])
            api.client.rejections = {"1@b.example": temporary}
            answers = []
            for _ in range(3):
                answers.append(await api.call("POST", "/v1/messages", content=lines, headers=headers))
                api.client.rejections = {}

            first, second, third = ([json.loads(line) for line in a.text.splitlines()] for a in answers)
            assert [is_replayed(a) for a in answers] == [False, False, True]
            assert (first[1]["type"], first[1]["status"]) == ("/problems/temporary-conflict", 409)
            assert second[0] == first[0]
            assert second[1]["id"].startswith("msg_")
            assert third == second
            assert len(api.client.messages) == 2

    run(scenario())


def test_a_proof_that_was_not_found_frees_the_key() -> None:
    """The file may be there the next time."""

    async def scenario() -> None:
        async with Api() as api:
            loop_id = (await api.loop())["id"]
            path = f"{LOOPS}/{loop_id}/verify"
            problem(await api.call("POST", path, headers={"Idempotency-Key": "k"}), 422, "not-verified")
            api.client.proved.add(loop_id)

            assert (await api.call("POST", path, headers={"Idempotency-Key": "k"})).status_code == 200

    run(scenario())


def test_an_answer_that_cannot_be_stored_is_still_sent() -> None:
    """The command has run; a repetition after the claim has expired creates nothing twice."""

    async def scenario() -> None:
        async with Api() as api:
            api.client.failures[KeepAnswer].append(e.StoreUnavailable("away"))
            first = await post(api, "k")
            assert first.status_code == 201
            problem(await post(api, "k"), 409, "idempotency-key-in-progress")
            api.client.lease_is_over = True

            assert (await post(api, "k")).json() == first.json()
            assert len(api.client.loops) == 1

    run(scenario())


def test_without_a_claim_nothing_runs() -> None:
    """If the store is unavailable, the request does not run unprotected."""

    async def scenario() -> None:
        async with Api() as api:
            api.client.failures[ClaimKey].append(e.StoreUnavailable("away"))

            problem(await post(api, "k"), 503, "store-unavailable")
            assert not api.client.called(CreateLoop)

    run(scenario())


def test_messages_without_an_id_get_the_same_one_when_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ids derive from the key, so this holds even if the answer was too large to store."""
    monkeypatch.setattr(idempotency, "_MAX_KEPT_BYTES", 100)

    async def scenario() -> None:
        async with Api() as api:
            lines = "\n".join(json.dumps({"recipient": f"{n}@b.example"}) for n in range(3))
            headers = {"Idempotency-Key": "k", "Content-Type": NDJSON}
            first, second = [await api.call("POST", "/v1/messages", content=lines, headers=headers) for _ in range(2)]

            assert not is_replayed(second)
            assert first.text == second.text
            assert len(api.client.messages) == 3

    run(scenario())


def test_other_methods_ignore_the_key() -> None:
    """PUT, PATCH and DELETE can be repeated anyway; the header is ignored."""

    async def scenario() -> None:
        async with Api() as api:
            path = f"{LOOPS}/{(await api.loop())['id']}"
            for _ in range(2):
                answer = await api.call("PATCH", path, json={}, headers={"Idempotency-Key": "k"})
                assert (answer.status_code, is_replayed(answer)) == (200, False)
            assert not api.client.called(ClaimKey)

    run(scenario())


def test_an_answer_is_kept_with_its_messages() -> None:
    """So that an erasure finds it. The key may reveal a person, too, and is only kept as a digest."""

    async def scenario() -> None:
        async with Api() as api:
            one = {"recipient": "john@example.com"}
            lines = "".join(
                f"{json.dumps({'recipient': each})}\n" for each in ("john@example.com", "no", "jane@example.com")
            )
            assert (await post(api, "john@example.com", one, "/v1/messages")).status_code == 201
            headers = {"Idempotency-Key": "lines", "Content-Type": NDJSON}
            await api.call("POST", "/v1/messages", content=lines, headers=headers)
            await post(api, "loop")
            kept = api.client.called(KeepAnswer)
            registered = [message.key for message in api.client.messages.values()]

            assert [len(each.message_keys) for each in kept] == [1, 2, 0]
            assert sorted(key for each in kept for key in each.message_keys) == sorted(registered)
            assert all("john" not in each.key for each in [*kept, *api.client.called(ClaimKey)])

    run(scenario())
