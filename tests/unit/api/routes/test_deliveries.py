"""Deliveries and replays through the HTTP API."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.commands.deliveries import AttemptView, DeliveryView, ListDeliveries, RetryDelivery, StartReplay
from actors.commands.loops import Health
from domain.errors import Conflict
from tests.unit.api.fake_api import NOW_MS, Api, pointers, problem, run

LOOPS = "/v1/feedback-loops"
SINCE = "2026-01-01T00:00:00Z"
ATTEMPT = AttemptView(
    no=1,
    at_ms=NOW_MS,
    duration_ms=7,
    status=500,
    error="status",
    response_excerpt="no",
    address="192.0.2.1",
    response_bytes=2,
    response_headers="Server: nginx\nX-Time: 12:30\nX-Cu",
)
DELIVERY = DeliveryView(
    id="dlv_1",
    event="evt_1",
    type="click",
    state="pending",
    created_at_ms=NOW_MS,
    next_attempt_at_ms=NOW_MS + 5000,
    attempts=[ATTEMPT],
)


def test_deliveries_are_listed_with_their_attempts() -> None:
    """Filters reach the command correctly; times are RFC 3339 with milliseconds."""

    async def scenario() -> None:
        async with Api() as api:
            loop = await api.loop()
            api.client.deliveries[loop["id"]] = [DELIVERY, msgspec.structs.replace(DELIVERY, id="dlv_2")]
            query = {
                "state": "pending",
                "type": "click",
                "since": "2026-01-01T01:00:00+01:00",
                "until": "2026-01-01T00:00:00.1239999Z",
                "limit": 1,
            }
            path = f"{LOOPS}/{loop['id']}/deliveries"
            none = (await api.call("GET", path, params=query)).json()
            query["until"] = "2026-01-01T00:00:00.124Z"
            page = (await api.call("GET", path, params=query)).json()

            command = api.client.called(ListDeliveries)[-1]
            assert (command.since_ms, command.until_ms) == (NOW_MS - 123, NOW_MS + 1)
            assert none["data"] == []
            assert page["next"] == "1"
            assert page["data"] == [
                {
                    "id": "dlv_1",
                    "event": "evt_1",
                    "type": "click",
                    "state": "pending",
                    "created_at": "2026-01-01T00:00:00.123Z",
                    "next_attempt_at": "2026-01-01T00:00:05.123Z",
                    "attempts": [
                        {
                            "number": 1,
                            "time": "2026-01-01T00:00:00.123Z",
                            "status": 500,
                            "duration_ms": 7,
                            "error": "status",
                            "response_headers": [
                                {"name": "Server", "value": "nginx"},
                                {"name": "X-Time", "value": "12:30"},
                                {"name": "X-Cu", "value": ""},
                            ],
                            "response_excerpt": "no",
                            "response_bytes": 2,
                            "address": "192.0.2.1",
                        }
                    ],
                }
            ]

    run(scenario())


@pytest.mark.parametrize("text", ["2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "1767225600", "x", ""])
def test_a_time_that_is_not_rfc_3339_is_refused(text: str) -> None:
    """A time without an offset, or with an invalid month, is ambiguous."""

    async def scenario() -> None:
        async with Api() as api:
            path = f"{LOOPS}/{(await api.loop())['id']}/deliveries"
            answer = await api.call("GET", path, params={"since": text})

            assert pointers(problem(answer, 422, "invalid-input")) == ["/since"]

    run(scenario())


def test_a_delivery_is_read_and_retried_by_its_id() -> None:
    """A retried delivery is pending and due, and keeps its attempts; another account's is not found."""

    async def scenario() -> None:
        async with Api() as api:
            dead = msgspec.structs.replace(DELIVERY, state="dead", next_attempt_at_ms=None)
            api.client.deliveries[(await api.loop())["id"]] = [dead]
            before = (await api.call("GET", "/v1/deliveries/dlv_1")).json()
            answer = await api.call("POST", "/v1/deliveries/dlv_1/retry")
            stranger = await api.new_key("Stranger")

            assert answer.status_code == 200
            assert (before["state"], before["next_attempt_at"]) == ("dead", None)
            assert answer.json() == before | {"state": "pending", "next_attempt_at": "2026-01-01T00:00:00.123Z"}
            for method, path in (("GET", "/v1/deliveries/dlv_1"), ("POST", "/v1/deliveries/dlv_1/retry")):
                problem(await api.call(method, path, key=stranger), 404, "not-found")
            problem(await api.call("POST", "/v1/deliveries/dlv_2/retry"), 404, "not-found")

    run(scenario())


def test_a_delivery_in_flight_is_not_retried() -> None:
    """During an attempt the answer is a conflict with the reason."""

    async def scenario() -> None:
        async with Api() as api:
            api.client.failures[RetryDelivery] = [Conflict("An attempt is under way. Wait for what comes of it.")]
            document = problem(await api.call("POST", "/v1/deliveries/dlv_1/retry"), 409, "conflict")

            assert "under way" in document["detail"]

    run(scenario())


def test_a_replay_is_started_followed_and_cancelled() -> None:
    """The answer is 202 with the progress URL, the progress is the actors', and a cancelled replay keeps it."""

    async def scenario() -> None:
        async with Api() as api:
            loop_id = (await api.loop())["id"]
            api.client.deliveries[loop_id] = [DELIVERY]
            started = await api.call("POST", f"{LOOPS}/{loop_id}/replay", json={"since": SINCE})
            location = started.headers["location"]

            assert started.status_code == 202
            assert location == f"{LOOPS}/{loop_id}/replays/rpl_1"
            assert started.json() == {
                "id": "rpl_1",
                "state": "running",
                "which": "dead",
                "since": "2026-01-01T00:00:00.000Z",
                "until": "2026-01-01T00:00:00.123Z",
                "count": 1,
                "count_is_estimate": False,
                "done": 0,
                "created_at": "2026-01-01T00:00:00.123Z",
            }
            api.client.advance_replay(loop_id, "rpl_1", done=1)
            assert (await api.call("GET", location)).json() == started.json() | {"done": 1}
            cancelled = await api.call("DELETE", location)
            assert cancelled.status_code == 200
            assert cancelled.json() == started.json() | {"done": 1, "state": "cancelled"}
            listed = (await api.call("GET", f"{LOOPS}/{loop_id}/replays")).json()
            assert listed == {"data": [cancelled.json()], "next": None}
            problem(await api.call("GET", f"{LOOPS}/{loop_id}/replays/rpl_2"), 404, "not-found")

    run(scenario())


def test_the_fields_of_a_replay_reach_the_actors() -> None:
    """Times and state arrive correctly; a second replay during the first is a conflict."""

    async def scenario() -> None:
        async with Api() as api:
            path = f"{LOOPS}/{(await api.loop())['id']}/replay"
            body = {"since": SINCE, "until": "2026-01-01T02:00:00+01:00", "state": "all"}
            assert (await api.call("POST", path, json=body)).status_code == 202
            (command,) = api.client.called(StartReplay)

            assert (command.which, command.since_ms) == ("all", NOW_MS - 123)
            assert command.until_ms == NOW_MS - 123 + 3_600_000
            problem(await api.call("POST", path, json=body), 409, "temporary-conflict")
            api.client.advance_replay(path.split("/")[3], "rpl_1", state="done")
            assert (await api.call("POST", path, json={"since": SINCE, "state": "missed"})).json()["which"] == "missed"

    run(scenario())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ["/since"]),
        ({"since": None}, ["/since"]),
        ({"since": 1767225600}, ["/since"]),
        ({"since": "yesterday", "until": "now", "state": "pending"}, ["/since", "/until", "/state"]),
        ({"since": SINCE, "until": None}, ["/until"]),
        ({"since": SINCE, "which": "all"}, ["/which"]),
    ],
)
def test_every_wrong_field_of_a_replay_is_named(body: Any, expected: list[str]) -> None:
    """Nothing is started, and each wrong field has its pointer."""

    async def scenario() -> None:
        async with Api() as api:
            path = f"{LOOPS}/{(await api.loop())['id']}/replay"
            assert pointers(problem(await api.call("POST", path, json=body), 422, "invalid-input")) == expected
            assert api.client.called(StartReplay) == []

    run(scenario())


def test_a_time_that_is_null_is_refused_in_clear_words() -> None:
    """The text says that null is what is wrong."""

    async def scenario() -> None:
        async with Api() as api:
            path = f"{LOOPS}/{(await api.loop())['id']}/replay"
            answer = problem(await api.call("POST", path, json={"since": None, "until": None}), 422, "invalid-input")
            assert pointers(answer) == ["/since", "/until"]
            assert all(error["detail"].startswith("must not be null; leave it out") for error in answer["errors"])

    run(scenario())


def test_a_loop_shows_the_health_of_its_handler() -> None:
    """`health` has the breaker and its times, wherever the loop is shown."""

    async def scenario() -> None:
        async with Api() as api:
            loop_id = (await api.loop())["id"]
            api.client.health[loop_id] = Health(
                breaker="open",
                failing_since_ms=NOW_MS,
                last_success_ms=NOW_MS - 1,
                last_failure_ms=NOW_MS + 1,
                failures=7,
                next_probe_ms=NOW_MS + 2,
                last_error="tls: the certificate has expired",
                waiting=9,
                next_attempt_ms=NOW_MS + 2,
            )
            one = (await api.call("GET", f"{LOOPS}/{loop_id}")).json()
            listed = (await api.call("GET", LOOPS)).json()["data"]

            assert listed == [one]
            assert one["health"] == {
                "breaker": "open",
                "failing_since": "2026-01-01T00:00:00.123Z",
                "last_success_at": "2026-01-01T00:00:00.122Z",
                "last_failure_at": "2026-01-01T00:00:00.124Z",
                "last_error": "tls: the certificate has expired",
                "failures": 7,
                "waiting": 9,
                "next_attempt_at": "2026-01-01T00:00:00.125Z",
                "next_probe_at": "2026-01-01T00:00:00.125Z",
            }

    run(scenario())
