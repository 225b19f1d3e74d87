"""Feedback loops through the HTTP API."""

from __future__ import annotations

from typing import Any

import pytest

from actors.commands.loops import ChangeLoop, CreateLoop, ListLoops, SampleResult, SendSample
from domain import verification
from domain.errors import InvalidInput
from domain.event_catalogue.triggers import Trigger
from tests.unit.api.fake_api import Api, pointers, problem, run

LOOPS = "/v1/feedback-loops"


def test_a_new_loop_has_the_contract_s_fields() -> None:
    """Every field of the contract has its default, and the secret is shown only this once."""

    async def scenario() -> None:
        async with Api() as api:
            loop = await api.loop()
            again = (await api.call("GET", f"{LOOPS}/{loop['id']}")).json()

            (command,) = api.client.called(CreateLoop)
            token = api.client.loops[loop["id"]][1].verification_token
            secret = loop.pop("secret")
            assert secret.startswith("whsec_")
            assert loop == again
            assert command.seed is None
            assert loop == {
                "id": loop["id"],
                "url": "https://h.example/dir/script.php",
                "triggers": ["click", "open"],
                "state": "unverified",
                "disabled_reason": None,
                "format": "form",
                "filters": {"tags": [], "databases": [], "collections": []},
                "rate_limit": None,
                "max_concurrency": 16,
                "ordered": False,
                "signature": "none",
                "description": "",
                "headers": {},
                "created_at": "2026-01-01T00:00:00.123Z",
                "verified_at": None,
                "health": {
                    "breaker": "closed",
                    "failing_since": None,
                    "last_success_at": None,
                    "last_failure_at": None,
                    "last_error": None,
                    "failures": 0,
                    "waiting": 0,
                    "next_attempt_at": None,
                    "next_probe_at": None,
                },
                "verification": {
                    "file_name": verification.file_name(token),
                    "file_content": verification.file_content(token),
                    "locations": [
                        f"https://h.example/dir/{verification.file_name(token)}",
                        f"https://h.example/{verification.file_name(token)}",
                    ],
                    "dns": {
                        "name": "_feedback-loops.h.example",
                        "type": "TXT",
                        "value": verification.dns_value(token),
                    },
                },
            }

    run(scenario())


def test_a_loop_is_created_as_requested() -> None:
    """Every setting of the request is kept."""
    settings: dict[str, Any] = {
        "triggers": [t.value for t in Trigger],
        "format": "json",
        "filters": {"tags": ["a"], "databases": ["1"], "collections": ["é/~"]},
        "rate_limit": 2,
        "max_concurrency": 3,
        "ordered": True,
        "signature": "none",
        "description": "two\nlines",
    }

    async def scenario() -> dict[str, Any]:
        async with Api() as api:
            return await api.loop(**settings)

    loop = run(scenario())
    assert settings == {name: loop[name] for name in settings}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ["/url", "/triggers"]),
        ({"url": "ftp://x", "triggers": []}, ["/url", "/triggers"]),
        ({"url": "https://u:p@x/", "triggers": ["open", "open"]}, ["/url", "/triggers"]),
        ({"url": 1, "triggers": "open"}, ["/url", "/triggers"]),
        ({"url": "https://x/", "triggers": ["opened", "open", 3]}, ["/triggers/0", "/triggers/2"]),
        ({"url": "https://x/", "triggers": ["open"], "a/b~c": 1}, ["/a~1b~0c"]),
        ({"url": "https://x/", "triggers": ["open"], "filters": {"tag": []}}, ["/filters/tag"]),
        (
            {"url": "https://x/", "triggers": ["open"], "filters": {"tags": [1, "", "\u0007"]}},
            ["/filters/tags/0", "/filters/tags/1", "/filters/tags/2"],
        ),
        ({"url": "https://x/", "triggers": ["open"], "filters": None}, ["/filters"]),
        ({"url": "https://x/", "triggers": ["open"], "format": None}, ["/format"]),
        ({"url": "https://x/", "triggers": ["open"], "max_concurrency": "16"}, ["/max_concurrency"]),
        ({"url": "https://x/", "triggers": ["open"], "max_concurrency": 16.0}, ["/max_concurrency"]),
        (
            {"url": "https://x/", "triggers": ["open"], "max_concurrency": 0, "rate_limit": 0},
            ["/rate_limit", "/max_concurrency"],
        ),
        ({"url": "https://x/", "triggers": ["open"], "ordered": 1, "rate_limit": True}, ["/rate_limit", "/ordered"]),
        ({"url": "https://x/", "triggers": ["open"], "signature": "cavage"}, ["/signature"]),
        ({"url": "https://x/", "triggers": ["open"], "signature": None}, ["/signature"]),
        ([], [""]),
        ("text", [""]),
    ],
)
def test_every_wrong_field_is_named(body: Any, expected: list[str]) -> None:
    """One answer lists all errors, each with its pointer, and the actors get no command."""

    async def scenario() -> None:
        async with Api() as api:
            answer = await api.call("POST", LOOPS, json=body)

            assert pointers(problem(answer, 422, "invalid-input")) == expected
            assert not api.client.called(CreateLoop)

    run(scenario())


def test_an_unsupported_signature_is_explained() -> None:
    """The answer lists the values that this version supports."""

    async def scenario() -> None:
        async with Api() as api:
            body = {"url": "https://x/", "triggers": ["open"], "signature": "rfc9421"}
            found = problem(await api.call("POST", LOOPS, json=body), 422, "invalid-input")

            assert "must be none" in found["errors"][0]["detail"]

    run(scenario())


def test_a_refusal_by_the_actors_keeps_its_pointers() -> None:
    """A check that only the actors can do (of a banned address) is answered like any other invalid field."""

    async def scenario() -> None:
        async with Api() as api:
            refusal = InvalidInput("url is at a private address", [("/url", "is at a private address")])
            api.client.failures[CreateLoop].append(refusal)
            answer = await api.call("POST", LOOPS, json={"url": "http://10.0.0.1/", "triggers": ["open"]})

            found = problem(answer, 422, "invalid-input")
            assert found["errors"] == [{"pointer": "/url", "detail": "is at a private address"}]

    run(scenario())


def test_a_patch_changes_only_the_fields_it_has() -> None:
    """Only those fields reach the command; null is a value where the model allows it."""

    async def scenario() -> None:
        async with Api() as api:
            loop = await api.loop(rate_limit=5, filters={"tags": ["a"], "databases": ["b"]})
            path = f"{LOOPS}/{loop['id']}"
            body: dict[str, Any] = {"rate_limit": None, "filters": {"tags": []}, "description": "new"}
            changed = await api.call("PATCH", path, json=body)

            assert changed.status_code == 200
            assert api.client.called(ChangeLoop)[0].changes == {
                "rate_limit": None,
                "description": "new",
                "tags": [],
            }
            assert changed.json()["filters"] == {"tags": [], "databases": ["b"], "collections": []}
            assert "secret" not in changed.json()
            unchanged = await api.call(
                "PATCH", path, content=b"{}", headers={"Content-Type": "application/merge-patch+json"}
            )
            assert unchanged.json() == changed.json()

    run(scenario())


def test_a_patched_url_makes_the_loop_unverified() -> None:
    """The new URL needs a new proof."""

    async def scenario() -> None:
        async with Api() as api:
            loop = await api.loop(active=True)
            changed = (await api.call("PATCH", f"{LOOPS}/{loop['id']}", json={"url": "https://other.example/"})).json()

            assert changed["state"] == "unverified"
            assert changed["verified_at"] is None
            assert changed["verification"]["file_name"] != loop["verification"]["file_name"]

    run(scenario())


@pytest.mark.parametrize("field", ["url", "triggers", "format", "filters", "ordered", "signature", "description"])
def test_a_patch_refuses_null_where_it_is_no_value(field: str) -> None:
    """Null does not mean "unchanged"; leaving the field out does."""

    async def scenario() -> None:
        async with Api() as api:
            loop = await api.loop()
            answer = await api.call("PATCH", f"{LOOPS}/{loop['id']}", json={field: None})

            assert pointers(problem(answer, 422, "invalid-input")) == [f"/{field}"]

    run(scenario())


def test_lists_are_paged_by_cursor() -> None:
    """Following `next` returns every loop once, in order; a foreign cursor gets a 422."""

    async def scenario() -> None:
        async with Api() as api:
            made = [(await api.loop())["id"] for _ in range(5)]
            found: list[str] = []
            query: dict[str, Any] = {"limit": 2}
            while True:
                page = (await api.call("GET", LOOPS, params=query)).json()
                found += [loop["id"] for loop in page["data"]]
                if page["next"] is None:
                    break
                query["cursor"] = page["next"]

            assert found == made
            assert [x.limit for x in api.client.called(ListLoops)] == [2, 2, 2]
            answer = await api.call("GET", LOOPS, params={"cursor": "x"})
            assert pointers(problem(answer, 422, "invalid-input")) == ["/cursor"]

    run(scenario())


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/limit"),
        ("limit=201", "/limit"),
        ("limit=a", "/limit"),
        ("limit=1&limit=2", "/limit"),
        ("size=3", "/size"),
        ("cursor=", "/cursor"),
        ("cursor=a%00b", "/cursor"),  # PostgreSQL cannot even look for it
        ("%FF=1", ""),
    ],
)
def test_wrong_query_parameters_are_named(query: str, pointer: str) -> None:
    """An unknown, repeated or out-of-range parameter gets a 422 that names it."""

    async def scenario() -> None:
        async with Api() as api:
            assert pointers(problem(await api.call("GET", f"{LOOPS}?{query}"), 422, "invalid-input")) == [pointer]

    run(scenario())


def test_a_deleted_loop_is_gone() -> None:
    """DELETE answers 204 without a body; afterwards the loop is not found."""

    async def scenario() -> None:
        async with Api() as api:
            path = f"{LOOPS}/{(await api.loop())['id']}"
            gone = await api.call("DELETE", path)

            assert (gone.status_code, gone.content) == (204, b"")
            problem(await api.call("GET", path), 404, "not-found")

    run(scenario())


def test_the_verification_file_is_an_attachment() -> None:
    """Its name and content are those of the loop's verification block."""

    async def scenario() -> None:
        async with Api() as api:
            loop = await api.loop()
            file = await api.call("GET", f"{LOOPS}/{loop['id']}/verification-file")

            assert file.text == loop["verification"]["file_content"]
            assert file.headers["content-type"] == "text/plain; charset=utf-8"
            name = loop["verification"]["file_name"]
            assert file.headers["content-disposition"] == f'attachment; filename="{name}"'

    run(scenario())


def test_a_failed_verification_lists_its_findings() -> None:
    """422 has one entry per place tried; once the proof is there, the answer is 200 with the active loop."""

    async def scenario() -> None:
        async with Api() as api:
            loop = await api.loop()
            path = f"{LOOPS}/{loop['id']}/verify"
            found = problem(await api.call("POST", path), 422, "not-verified")

            places = [*loop["verification"]["locations"], "dns:_feedback-loops.h.example"]
            assert found["errors"] == [{"pointer": p, "detail": "404 Not Found"} for p in places]
            assert found["locations"] == [{"location": p, "matched": False, "found": "404 Not Found"} for p in places]
            api.client.proved.add(loop["id"])
            verified = await api.call("POST", path, json={})
            assert (verified.status_code, verified.json()["state"]) == (200, "active")

    run(scenario())


def test_a_sample_is_sent_only_to_an_active_loop() -> None:
    """An unverified loop gets a conflict with advice; an active one gets the handler's response."""

    async def scenario() -> None:
        async with Api() as api:
            path = f"{LOOPS}/{(await api.loop())['id']}/test"
            found = problem(await api.call("POST", path, json={"type": "click"}), 409, "conflict")
            assert "Verify it first" in found["detail"]

            active = await api.loop(active=True)
            data = {"fields": {"a": [1, None]}}
            answer = await api.call("POST", f"{LOOPS}/{active['id']}/test", json={"type": "open", "data": data})
            assert answer.json() == {"status": 200, "duration_ms": 12, "response_excerpt": "OK", "error": None}
            assert api.client.called(SendSample)[-1].data == data

    run(scenario())


def test_check_now_tests_every_active_loop() -> None:
    """The answer has one entry per active loop, with its id and any error."""

    async def scenario() -> None:
        async with Api() as api:
            await api.loop()
            good, bad = [(await api.loop(active=True))["id"] for _ in range(2)]
            api.client.samples[bad] = SampleResult(
                loop_id=bad, status=None, duration_ms=3, response_excerpt="", error="timeout"
            )
            checked = (await api.call("POST", f"{LOOPS}/check")).json()

            assert [(x["feedback_loop"], x["error"]) for x in checked["data"]] == [(good, None), (bad, "timeout")]
            assert checked["next"] is None

    run(scenario())


def test_pause_and_resume() -> None:
    """Each answers with the loop in its new state, or with a conflict that has advice."""

    async def scenario() -> None:
        async with Api() as api:
            path = f"{LOOPS}/{(await api.loop(active=True))['id']}"

            assert (await api.call("POST", f"{path}/pause")).json()["state"] == "paused"
            found = problem(await api.call("POST", f"{path}/pause"), 409, "conflict")
            assert "Resume it first" in found["detail"]
            assert (await api.call("POST", f"{path}/resume")).json()["state"] == "active"

    run(scenario())


def test_the_secret_is_rotated_and_read() -> None:
    """Rotation answers with the loop and its new secret, which can then be read."""

    async def scenario() -> None:
        async with Api() as api:
            loop = await api.loop()
            path = f"{LOOPS}/{loop['id']}"
            rotated = (await api.call("POST", f"{path}/rotate-secret")).json()

            assert rotated["secret"] != loop["secret"]
            assert (await api.call("GET", f"{path}/secret")).json() == {"secret": rotated["secret"]}

    run(scenario())


def test_the_fifth_secret_has_to_wait() -> None:
    """The refusal says for how long, and frees its key; revoking the former secrets is possible at once."""

    async def scenario() -> None:
        async with Api() as api:
            path = f"{LOOPS}/{(await api.loop())['id']}/rotate-secret"
            for _ in range(3):
                assert (await api.call("POST", path)).status_code == 200
            for _ in range(2):
                refused = await api.call("POST", path, headers={"Idempotency-Key": "k"})
                problem(refused, 409, "temporary-conflict")
                assert refused.headers["retry-after"] == "86400"
                assert "idempotency-replayed" not in refused.headers
            assert (await api.call("POST", f"{path}?revoke=true")).json()["secret"].startswith("whsec_")
            problem(await api.call("POST", f"{path}?revoke=perhaps"), 422, "invalid-input")

    run(scenario())


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"description": "mine"}),
        ("DELETE", "", None),
        ("GET", "/verification-file", None),
        ("POST", "/verify", {}),
        ("POST", "/test", {"type": "open"}),
        ("POST", "/pause", {}),
        ("POST", "/resume", {}),
        ("POST", "/rotate-secret", {}),
        ("GET", "/secret", None),
        ("GET", "/deliveries", None),
        ("POST", "/replay", {"since": "2026-01-01T00:00:00Z"}),
        ("GET", "/replays", None),
        ("GET", "/replays/rpl_1", None),
        ("DELETE", "/replays/rpl_1", None),
    ],
)
def test_another_account_s_loop_is_not_found(method: str, path: str, body: Any) -> None:
    """The answer equals that for a loop that never existed, apart from the id."""

    async def scenario() -> None:
        async with Api() as api:
            loop = await api.loop(active=True)
            stranger = await api.new_key("Stranger")
            theirs = await api.call(method, f"{LOOPS}/{loop['id']}{path}", key=stranger, json=body)
            nobodys = await api.call(method, f"{LOOPS}/fl_0{path}", key=stranger, json=body)

            problem(theirs, 404, "not-found")
            assert theirs.text.replace(loop["id"], "fl_0") == nobodys.text
            assert (await api.call("GET", LOOPS, key=stranger)).json()["data"] == []

    run(scenario())
