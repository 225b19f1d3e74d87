"""`POST /v1/events`: validated, journaled, then answered; without the ledger too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from actors.commands.accounts import Authenticate
from actors.commands.intake import encode_batch, read_batch
from actors.commands.reports import ReadApiKeys
from api.app import create_app
from api.http.authentication import key_hash
from api.http.key_list import FILE, KeyList
from domain import errors as e
from domain.reports.intake import Report
from domain.reports.validation import MAX_BODY_BYTES
from tests.keys import FixedKeys
from tests.unit.api.fake_api import (
    Api,
    FakeForwarder,
    FakeSettings,
    FakeTracking,
    pointers,
    problem,
    run,
)

EVENTS = "/v1/events"
LINES = {"Content-Type": "application/x-ndjson"}
GOOD = {"type": "delivery", "message": "m-1"}


def journaled(api: Api) -> list[Report]:
    """The reports in the journal."""
    if not api.journal.reports:
        return []
    entries = read_batch(encode_batch(api.journal.reports)).entries
    return [entry for entry in entries if isinstance(entry, Report)]


def test_reports_are_in_the_journal_before_the_answer() -> None:
    """An object is one entry, an array one for each; each has its own id, the account and the key."""

    async def scenario() -> None:
        async with Api() as api:
            answer = await api.call("POST", EVENTS, json=GOOD)
            assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "errors": []})
            answer = await api.call("POST", EVENTS, json=[GOOD, GOOD | {"event": "e"}])
            assert (answer.status_code, answer.json()) == (202, {"accepted": 2, "errors": []})
            found = journaled(api)

        assert [json.loads(report.body) for report in found] == [GOOD, GOOD, GOOD | {"event": "e"}]
        assert len({report.event_id for report in found}) == 3
        assert [report.digest == found[0].digest for report in found] == [True, True, False]
        assert {(report.account_no, report.source) for report in found} == {(1, "api")}
        assert {report.key_hash.hex() for report in found} == {key_hash(api.key)}

    run(scenario())


def test_a_refused_array_journals_nothing() -> None:
    """Every problem is named by its place in the array; limits are those of the contract."""

    async def scenario() -> None:
        async with Api() as api:
            answer = await api.call("POST", EVENTS, json=[GOOD, {"type": "open"}, GOOD | {"code": 7}])
            assert pointers(problem(answer, 422, "invalid-input")) == ["/1/type", "/1/message", "/2/code"]
            bad: list[Any] = [[], "x", 7, None, [GOOD] * 10_001, [[GOOD]]]
            headers = {"Content-Type": "application/json"}
            for body in bad:
                problem(await api.call("POST", EVENTS, content=json.dumps(body), headers=headers), 422, "invalid-input")
            problem(await api.call("POST", EVENTS, content="{", headers=headers), 400, "malformed-request")
            large = b'[{"type":"bounce","message":"m","mime":"' + b"x" * MAX_BODY_BYTES + b'"}]'
            problem(await api.call("POST", EVENTS, content=large, headers=headers), 413, "body-too-large")
            problem(await api.call("POST", EVENTS, data={"type": "bounce"}), 415, "unsupported-media-type")
            assert api.journal.reports == []
            marked = b"\xef\xbb\xbf" + json.dumps([GOOD]).encode()
            answer = await api.call("POST", EVENTS, content=marked, headers={"Content-Type": "application/json"})
            assert answer.json() == {"accepted": 1, "errors": []}
            api.journal.reports.clear()
            answer = await api.call("POST", EVENTS, json=[GOOD] * 10_000)
            assert answer.json() == {"accepted": 10_000, "errors": []}
            assert len(api.journal.reports) == 10_000

    run(scenario())


def test_lines_are_accepted_one_by_one() -> None:
    """Bad lines are listed by number with pointers; blank lines count; a byte order mark is ignored."""

    async def scenario() -> None:
        async with Api() as api:
            lines = [
                b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
                b"",
                b"{",
                b'{"type": "x", "message": "m"}',
                b"[]",
                json.dumps(GOOD).encode() + b"\r",
                b'{"a": 1, "a": 2}',
            ]
            answer = await api.call("POST", EVENTS, content=b"\n".join(lines), headers=LINES)
            assert answer.status_code == 202
            assert answer.json()["accepted"] == len(journaled(api)) == 2
            assert [(each["line"], each["pointer"]) for each in answer.json()["errors"]] == [
                (3, ""),
                (4, "/type"),
                (5, ""),
                (7, ""),
            ]
            for body in (b"", b"\n \n", b"{}\n" * 10_001):
                problem(await api.call("POST", EVENTS, content=body, headers=LINES), 422, "invalid-input")
            answer = await api.call("POST", EVENTS, content=b"nothing\n", headers=LINES)
            assert (answer.status_code, answer.json()["accepted"]) == (202, 0)

    run(scenario())


def test_a_journal_that_cannot_write_refuses_reports() -> None:
    """The answer is 503 with Retry-After, never 202."""

    async def scenario() -> None:
        async with Api() as api:
            api.journal.problem = "the disk is full"
            for headers in ({"Content-Type": "application/json"}, LINES):
                answer = await api.call("POST", EVENTS, content=json.dumps(GOOD), headers=headers)
                problem(answer, 503, "unavailable")
                assert answer.headers["retry-after"] == "1"
            assert api.journal.reports == []

    run(scenario())


def test_an_idempotency_key_is_ignored() -> None:
    """A repeat is recognised by its content, which needs no ledger here."""

    async def scenario() -> None:
        async with Api() as api:
            for _ in range(2):
                answer = await api.call("POST", EVENTS, json=GOOD, headers={"Idempotency-Key": "k"})
                assert answer.json() == {"accepted": 1, "errors": []}
            assert len(api.journal.reports) == 2

    run(scenario())


def test_listed_keys_work_without_the_ledger(tmp_path: Path) -> None:
    """After a restart with the ledger away, a listed key reports; an unknown one gets 503, and other calls too."""

    async def scenario() -> None:
        async with Api() as api:
            await KeyList(api.client, tmp_path).renew()
            assert api.key not in (tmp_path / FILE).read_text()
            assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
            settings = FakeSettings()
            settings.data_dir = tmp_path
            api.client.failures[Authenticate] = [e.Unavailable("no gateway") for _ in range(20)]
            api.app = create_app(
                settings,
                api.client,
                api.tokens,
                FakeTracking(),
                api.journal,
                FakeForwarder(api.steps),
                installation_keys=FixedKeys(),
            )
            api.http._transport = api.http._transport.__class__(app=api.app)  # type: ignore[call-arg]
            answer = await api.call("POST", EVENTS, json=GOOD)
            assert answer.json() == {"accepted": 1, "errors": []}
            answer = await api.call("POST", EVENTS, json=GOOD, key="flk_unknown")
            problem(answer, 503, "unavailable")
            assert answer.headers["retry-after"] == "1"
            problem(await api.call("GET", "/v1/events"), 503, "unavailable")
            api.client.failures[Authenticate] = []
            problem(await api.call("POST", EVENTS, json=GOOD, key="flk_unknown"), 401, "unauthorized")
            assert len(api.journal.reports) == 1

    run(scenario())


def test_the_list_of_keys_follows_the_ledger(tmp_path: Path) -> None:
    """A new key is in the next renewal, and a revoked one is not; a failed renewal changes nothing."""

    async def scenario() -> None:
        async with Api() as api:
            keys = KeyList(api.client, tmp_path, renewal_s=0.001)
            keys.start()
            second = await api.new_key()
            while keys.account(key_hash(second)) is None:
                await api.client.entered[ReadApiKeys].wait()
                api.client.entered[ReadApiKeys].clear()
            assert keys.is_fresh
            del api.client.accounts[key_hash(second)]
            while keys.account(key_hash(second)) is not None:
                await api.client.entered[ReadApiKeys].wait()
                api.client.entered[ReadApiKeys].clear()
            await keys.stop()
            assert KeyList(api.client, tmp_path).account(key_hash(api.key)) is not None
            assert KeyList(api.client, tmp_path).account(key_hash(second)) is None
            (tmp_path / FILE).write_text("[{")
            assert KeyList(api.client, tmp_path).account(key_hash(api.key)) is None

    run(scenario())
