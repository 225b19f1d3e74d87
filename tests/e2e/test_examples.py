"""Sample handlers in `examples/`, started as a user would start them."""

from __future__ import annotations

import base64
import hmac
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from domain.event_catalogue.event_fields import example_of, fields_of
from domain.event_catalogue.triggers import EVENT_TYPES
from domain.payload import encode_form, encode_json
from tests.e2e.test_main_job import BROWSER, path_of, register
from tests.paths import ROOT
from tests.ports import free_port
from tests.service import Account, Service, eventually

EXAMPLES = ROOT / "examples"
#: The command of each example, run in its folder, and the path of its URL.
COMMANDS = {
    "handler.py": ([sys.executable, "handler.py", "{port}"], "/dir/script"),
    "handler.php": (["php", "-S", "127.0.0.1:{port}"], "/handler.php"),
    "handler.js": (["node", "handler.js", "{port}"], "/dir/script"),
    "handler.go": (["go", "run", "handler.go", "{port}"], "/dir/script"),
    "handler.rb": (["ruby", "handler.rb", "{port}"], "/dir/script"),
}
#: `go run` compiles first, and on a new machine also the standard library.
START_TIMEOUT_S = 200.0
#: Compiles faster without C and without optimization, and downloads no newer Go.
GO = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-gcflags=all=-N"}
pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def _can_run(name: str) -> Any:
    program = COMMANDS[name][0][0]
    reason = f"{program} is not installed"
    return pytest.param(name, marks=pytest.mark.skipif(shutil.which(program) is None, reason=reason))


every_example = pytest.mark.parametrize("name", [_can_run(name) for name in COMMANDS])


class Ended(Exception):
    """The example's process ended by itself; the text is its output."""


@contextmanager
def running(name: str, folder: Path, secret: str) -> Iterator[tuple[str, Path]]:
    """Runs the example in `folder`, and yields its URL and output file once it answers."""
    shutil.copy(EXAMPLES / name, folder)
    port = free_port()
    command, path = COMMANDS[name]
    environment = os.environ | {"FEEDBACK_LOOP_SECRET": secret, "TMPDIR": str(folder), **GO}
    log = folder / "handler.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [part.format(port=port) for part in command],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        nothing = f"http://127.0.0.1:{port}/nothing"
        eventually(lambda: answers(nothing) or process.poll() is not None, START_TIMEOUT_S, "the handler answers")
        if process.poll() is not None:
            raise Ended(log.read_text())
        yield f"http://127.0.0.1:{port}{path}", log
    finally:
        # `go run` has a child, so end the whole session.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, verify=False).status_code == 404
    except httpx.HTTPError:
        return False


def test_every_example_is_tested() -> None:
    """The tests below cover each file in `examples/`."""
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == set(COMMANDS)


@every_example
def test_an_example_can_be_verified_and_accepts_events(
    name: str, service: Service, account: Account, tmp_path: Path
) -> None:
    """An example's loop can be verified with a file next to the script, and a repeated event is shown once."""
    loop = account.call("POST", "/v1/feedback-loops", json={"url": "http://127.0.0.1:9/", "triggers": ["open"]}).json()

    def delivered(attempts: int) -> Any:
        page = account.call("GET", f"/v1/feedback-loops/{loop['id']}/deliveries", params={"state": "delivered"}).json()
        return [d for d in page["data"] if len(d["attempts"]) == attempts]

    with running(name, tmp_path, loop["secret"]) as (url, log):
        proof = account.call("PATCH", f"/v1/feedback-loops/{loop['id']}", json={"url": url}).json()["verification"]
        (tmp_path / proof["file_name"]).write_text(proof["file_content"])
        verified = account.call("POST", f"/v1/feedback-loops/{loop['id']}/verify")
        assert verified.status_code == 200, verified.text
        message = register(account, tags=["spring"])
        service.http.get(path_of(message["open_url"]), headers=BROWSER)
        (delivery,) = eventually(lambda: delivered(1), 20, "the handler accepted the event")
        account.call("POST", f"/v1/deliveries/{delivery['id']}/retry")
        eventually(lambda: delivered(2), 20, "the handler accepted it again")

    assert len(re.findall("open (?:by )?john@example.com", log.read_text())) == 1


@every_example
def test_an_example_refuses_other_senders(name: str, tmp_path: Path) -> None:
    """An example only accepts POSTs that the loop's secret signed within five minutes, even among other signatures.

    It answers every request: 401 without a valid signature, and 400 if the signed body is not an event.
    """
    now = int(time.time())
    good = signed(now)

    with running(name, tmp_path, SECRET) as (url, log):

        def status(body: bytes, signatures: bytes, time_s: object = now, content_type: str = FORM_TYPE) -> int:
            headers = {b"webhook-id": b"evt_1", b"webhook-timestamp": str(time_s).encode()}
            headers |= {b"webhook-signature": signatures, b"Content-Type": content_type.encode()}
            return httpx.post(url, content=body, headers=headers, trust_env=False, verify=False).status_code

        assert status(FORM, good) == 200
        assert status(FORM, signed(now, secret=OTHER) + b" " + good) == 200
        assert status(FORM, signed(now, secret=OTHER)) == 401
        assert status(FORM + b"&tags[]=more", good) == 401
        assert status(FORM, good[:-4]) == 401
        assert status(FORM, b"v1,caf\xc3\xa9 \xff" + good) == 401
        assert status(FORM, good, now - 60) == 401
        assert status(FORM, signed(now - 400), now - 400) == 401
        assert status(FORM, signed(now + 400), now + 400) == 401
        assert status(FORM, good, "9" * 5000) == 401
        unsigned = httpx.post(url, data={"event": "evt_1", "type": "open"}, trust_env=False, verify=False)
        assert unsigned.status_code == 401
        assert status_without_length(url, good, now) in {400, 401, 411}

        for body, content_type in NO_EVENTS:
            assert (body, status(body, signed(now, body), now, content_type)) == (body, 400)
        assert status(JSON.replace(b"evt_1", b"evt_2"), signed(now, JSON), now, "application/json") == 401
        assert status(JSON, signed(now, JSON), now, "application/json") == 200
        assert status(JANE, signed(now, JANE), now, "application/json") == 200

        root = url.rpartition("/")[0]
        assert answers(f"{root}/feedback-loops-0.txt")
        assert answers(f"{root}/feedback-loops-..%2Fhandler.log")

    # The event in both formats is the same event, which is shown once.
    shown = log.read_text()
    assert [len(re.findall(f"open (?:by )?{who}@example.com", shown)) for who in ("john", "jane")] == [1, 1], shown


@every_example
def test_an_example_accepts_nothing_without_a_secret(name: str, tmp_path: Path) -> None:
    """With an empty secret, which anyone could sign with, an example does not start, or refuses everything."""
    now, said = int(time.time()), "the handler refuses what the empty FEEDBACK_LOOP_SECRET signed"
    key = hmac.digest(b"", b"evt_1.%d." % now + FORM, "sha256")
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(now)}
    try:
        with running(name, tmp_path, "whsec_") as (url, _):
            signature = {"webhook-signature": "v1," + base64.b64encode(key).decode(), "Content-Type": FORM_TYPE}
            answer = httpx.post(url, content=FORM, headers=headers | signature, trust_env=False, verify=False)
            assert answer.status_code == 401
    except Ended as exc:
        said = str(exc)

    assert "FEEDBACK_LOOP_SECRET" in said


#: What an example shows of an event of each type.
SHOWN = {
    "open": "john.doe@example.com",
    "click": "john.doe@example.com",
    "delivery": "john.doe@example.com",
    "bounce": "john.doe@example.com: this address does not work",
    "failure": "john.doe@example.com: this address does not work",
    "abuse": "john.doe@example.com: send this person nothing more",
    "unsubscribe": "john.doe@example.com: send this person nothing more",
    "create": "profile 1/123",
    "update": "profile 1/123",
    "delete": "profile 1/123",
}


@every_example
def test_an_example_handles_each_trigger(name: str, tmp_path: Path) -> None:
    """It shows what happened to whom in both formats, and what a permanent failure or a complaint means."""
    now = int(time.time())

    with running(name, tmp_path, SECRET) as (url, log):

        def send(event: dict[str, Any]) -> None:
            for content_type, encode in ((FORM_TYPE, encode_form), ("application/json", encode_json)):
                body = encode(event | {"event": f"{event['event']} {content_type}"})
                headers = {"webhook-id": "evt_1", "webhook-timestamp": str(now), "Content-Type": content_type}
                headers["webhook-signature"] = signed(now, body).decode()
                answer = httpx.post(url, content=body, headers=headers, trust_env=False, verify=False)
                assert answer.status_code == 200, (event, answer.text)

        for type_ in EVENT_TYPES:
            send({field.name: example_of(type_, field) for field in fields_of(type_)} | {"event": f"evt_{type_}"})
        temporary = {"type": "failure", "timestamp": "now", "permanent": 0, "category": "address"}
        send(temporary | {"event": "evt_a"})
        send(temporary | {"event": "evt_b", "permanent": 1, "category": "policy"})
        lines = [line.rstrip() for line in log.read_text().splitlines()]

    for type_, subject in SHOWN.items():
        assert len([line for line in lines if line.endswith(f"2026-03-01 09:30:00 {type_} {subject}")]) == 2, lines
    assert len([line for line in lines if line.endswith("now failure nobody")]) == 4, lines


SECRET, OTHER = ("whsec_" + base64.b64encode(bytes([n]) * 24).decode() for n in (1, 2))
FORM_TYPE = "application/x-www-form-urlencoded"
FORM = b"event=evt_1&type=open&timestamp=2026-03-01+09%3A30%3A00&recipient=john%40example.com&tags[]=spring&tags[]=x"
JSON = b'{"event":"evt_1","type":"open","timestamp":"2026-03-01 09:30:00","recipient":"john@example.com","tags":["a"]}'
JANE = JSON.replace(b"evt_1", b"evt_2").replace(b"john", b"jane")
#: Bodies that are not events, even with a valid signature.
NO_EVENTS = [
    (b"", FORM_TYPE),
    (b"type=open&recipient=john%40example.com", FORM_TYPE),
    (b"event[]=evt_1&type=open", FORM_TYPE),
    (JSON, FORM_TYPE),
    (FORM, "application/json"),
    (b"", "application/json"),
    (b"null", "application/json"),
    (b'["event"]', "application/json"),
    (b'{"type":"open"}', "application/json"),
    (b'{"event":["evt_1"]}', "application/json; charset=utf-8"),
]


def signed(time_s: int, body: bytes = FORM, secret: str = SECRET) -> bytes:
    """The signature of `body` as `evt_1`, by Standard Webhooks' own library."""
    return Webhook(secret).sign("evt_1", datetime.fromtimestamp(time_s, UTC), body.decode()).encode()


def status_without_length(url: str, signature: bytes, time_s: int) -> int:
    """The status of the response to a POST without Content-Length."""
    parts = urlsplit(url)
    head = (
        b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Type: %b\r\nConnection: close\r\nwebhook-id: evt_1\r\n"
        b"webhook-timestamp: %d\r\nwebhook-signature: %b\r\n\r\n"
    ) % (parts.path.encode(), parts.netloc.encode(), FORM_TYPE.encode(), time_s, signature)
    with socket.create_connection((parts.hostname, parts.port or 80), 10) as connection:
        connection.sendall(head)
        answer = connection.makefile("rb").readline()
    return int(answer.split()[1])
