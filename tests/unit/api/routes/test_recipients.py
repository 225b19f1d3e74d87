"""What is kept about people, and erasures, through the HTTP API."""

from __future__ import annotations

import json
import logging
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from actors.commands.erasures import EraseRecipient
from actors.commands.recipients import ExportRecipient
from api.schemas.recipients import KINDS
from domain.errors import InvalidInput, StoreUnavailable
from tests.unit.api.fake_api import ADMIN_KEY, Api, pointers, problem, run
from tests.unit.api.sample_person import EMAIL, EVENT, records

PATH = f"/v1/recipients/{quote(EMAIL, safe='')}"


def lines_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_an_export_has_a_line_for_each_record() -> None:
    """Each kind has its own line, as its own path shows it; the last line counts them."""

    async def scenario() -> None:
        async with Api() as api:
            api.client.people[1, EMAIL] = records()
            *lines, end = lines_of(await api.call("GET", PATH))

            assert end == {"record": "end", "lines": 11}
            assert {line["record"] for line in lines} | {"end", "problem"} == set(KINDS)
            by_record = {line["record"]: line for line in lines}
            assert by_record["message"]["recipient"] == EMAIL
            assert by_record["message"]["links"].keys() == {"https://shop.example/?who=john"}
            assert by_record["message"]["reference"] == "ref@mail.example"
            assert by_record["event"]["fields"] == {"ip": "192.0.2.7"}
            assert by_record["returned_mail"] == {"record": "returned_mail", "event": EVENT, "mime": "To: john\r\n"}
            assert by_record["delivery"]["feedback_loop"] == "fl_1"
            assert by_record["delivery"]["attempts"][0]["response_excerpt"] == EMAIL
            assert by_record["subprofile"]["profile"] == "123"
            assert by_record["profile_version"]["fields"] == {"city": "Delft"}
            assert by_record["opt_out"]["opted_out_at"] == "2026-02-02T02:40:00.000Z"
            assert by_record["erasure"]["id"] == "ers_1"
            assert [command.cursor for command in api.client.called(ExportRecipient)] == [
                None,
                "2",
                "4",
                "6",
                "8",
                "10",
            ]

    run(scenario())


def test_the_longest_recipient_can_be_exported_and_erased() -> None:
    """A path takes every address that a message can be registered for; a longer one is refused by name."""
    longest = f"{'l' * 64}@{'d' * 255}"

    async def scenario() -> None:
        async with Api() as api:
            registered = await api.call("POST", "/v1/messages", json={"recipient": longest})
            assert registered.status_code == 201, registered.text
            for method, status in (("GET", 200), ("DELETE", 202)):
                answer = await api.call(method, f"/v1/recipients/{quote(longest)}")
                assert answer.status_code == status, answer.text
                too_long = await api.call(method, f"/v1/recipients/{quote(longest + 'd')}")
                assert pointers(problem(too_long, 422, "invalid-input")) == ["/email"]

    run(scenario())


def test_an_unknown_person_has_an_empty_export() -> None:
    """There is no 404, so that nobody needs to guess."""

    async def scenario() -> None:
        async with Api() as api:
            assert lines_of(await api.call("GET", "/v1/recipients/a%40b.example")) == [{"record": "end", "lines": 0}]
            document = problem(await api.call("GET", "/v1/recipients/nobody"), 422, "invalid-input")
            assert pointers(document) == ["/email"]
            problem(await api.call("GET", PATH, key="wrong"), 401, "unauthorized")

    run(scenario())


def test_an_error_of_the_first_page_has_its_status() -> None:
    """The response begins once the first page has been read."""

    async def scenario() -> None:
        async with Api() as api:
            api.client.failures[ExportRecipient] = [StoreUnavailable("away")]
            problem(await api.call("GET", PATH), 503, "store-unavailable")

    run(scenario())


def test_an_erasure_is_for_an_account_or_for_all() -> None:
    """An account's key erases in its account; the admin key in all, and only if that is asked for."""

    async def scenario() -> None:
        async with Api() as api:
            answer = await api.call("DELETE", PATH, params={"keep_opt_out": "true"})
            assert answer.status_code == 202, answer.text
            assert EMAIL not in answer.text
            assert answer.json()["state"] == "running"
            everywhere = await api.call("DELETE", PATH, key=ADMIN_KEY, params={"accounts": "all"})
            assert everywhere.status_code == 202
            own, every = api.client.called(EraseRecipient)
            assert (own.account.no, own.email, own.keep_opt_out) == (1, EMAIL, True)
            assert (every.account, every.keep_opt_out) == (None, False)

            for key, query in ((None, {"accounts": "all"}), (ADMIN_KEY, {})):
                document = problem(await api.call("DELETE", PATH, key=key, params=query), 422, "invalid-input")
                assert pointers(document) == ["/accounts"]
            problem(await api.call("DELETE", PATH, key="wrong"), 401, "unauthorized")

    run(scenario())


def test_erasures_are_listed_and_shown() -> None:
    """An account sees its own erasures, the admin key all; neither sees an address."""

    async def scenario() -> None:
        async with Api() as api:
            made = (await api.call("DELETE", PATH)).json()
            other = await api.new_key("Other")
            shown = await api.call("GET", f"/v1/erasures/{made['id']}")
            assert shown.json() == made
            assert [each["id"] for each in (await api.call("GET", "/v1/erasures")).json()["data"]] == [made["id"]]
            assert (await api.call("GET", "/v1/erasures", key=other)).json()["data"] == []
            problem(await api.call("GET", f"/v1/erasures/{made['id']}", key=other), 404, "not-found")
            assert (await api.call("GET", f"/v1/erasures/{made['id']}", key=ADMIN_KEY)).json() == made
            assert EMAIL not in shown.text

    run(scenario())


def test_no_log_line_has_the_address(caplog: pytest.LogCaptureFixture) -> None:
    """Neither a request nor any of its failures logs the path or the address, in any form."""
    caplog.set_level(logging.DEBUG)
    forms = (EMAIL, quote(EMAIL, safe=""), quote(EMAIL), EMAIL.partition("@")[0])

    async def scenario() -> None:
        async with Api() as api:
            for error in (RuntimeError("broken"), StoreUnavailable("away"), InvalidInput.at("/email", "is wrong")):
                for kind, method in ((ExportRecipient, "GET"), (EraseRecipient, "DELETE")):
                    api.client.failures[kind] = [error]
                    if isinstance(error, RuntimeError):
                        continue
                    answer = await api.call(method, PATH)
                    assert answer.is_error
                    assert not any(form in answer.text for form in forms)
            await api.call("GET", PATH)
            await api.call("DELETE", PATH, key="wrong")
            await api.call("PATCH", PATH)

    run(scenario())
    own = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    text = "\n".join(f"{record.getMessage()} {vars(record)}" for record in own)
    assert not any(form in text for form in forms)
