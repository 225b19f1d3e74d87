"""The sample handlers in `examples/` do what they say, as somebody would run them."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from tests.e2e.test_main_job import BROWSER, path_of, register
from tests.service import ROOT, Account, Service, eventually, free_port

EXAMPLES = ROOT / "examples"
#: How each is started, in its folder, and the path of its URL.
COMMANDS = {
    "handler.py": ([sys.executable, "handler.py", "{port}"], "/dir/script"),
    "handler.php": (["php", "-S", "127.0.0.1:{port}"], "/handler.php"),
    "handler.js": (["node", "handler.js", "{port}"], "/dir/script"),
    "handler.go": (["go", "run", "handler.go", "{port}"], "/dir/script"),
    "handler.rb": (["ruby", "handler.rb", "{port}"], "/dir/script"),
}
#: `go run` compiles first; the standard library too, where it never did.
START_TIMEOUT_S = 200.0
#: That goes faster without C, and nothing newer is downloaded.
GO = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def _can_run(name: str) -> Any:
    program = COMMANDS[name][0][0]
    reason = f"{program} is not installed"
    return pytest.param(name, marks=pytest.mark.skipif(shutil.which(program) is None, reason=reason))


every_example = pytest.mark.parametrize("name", [_can_run(name) for name in COMMANDS])


@contextmanager
def running(name: str, folder: Path, secret: str) -> Iterator[tuple[str, Path]]:
    """The example's process in `folder`, from when it answers on: its URL, and its output."""
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
        eventually(lambda: answers(f"http://127.0.0.1:{port}/nothing"), START_TIMEOUT_S, "the handler answers")
        yield f"http://127.0.0.1:{port}{path}", log
    finally:
        # `go run` has a child: the whole session ends.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 404
    except httpx.HTTPError:
        return False


def test_every_example_is_tested() -> None:
    """Each file in `examples/` is started by the test below."""
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == set(COMMANDS)


@every_example
def test_an_example_can_be_verified_and_takes_events(
    name: str, service: Service, account: Account, tmp_path: Path
) -> None:
    """With the verification file beside it its loop is verified, and an event that comes twice is shown once."""
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
        (delivery,) = eventually(lambda: delivered(1), 20, "the handler took the event")
        account.call("POST", f"/v1/deliveries/{delivery['id']}/retry")
        eventually(lambda: delivered(2), 20, "the handler took it again")

    assert len(re.findall("open (?:by )?john@example.com", log.read_text())) == 1


@every_example
def test_an_example_refuses_what_we_did_not_send(name: str, tmp_path: Path) -> None:
    """It takes what the loop's secret signed within five minutes, beside another signature too, and nothing else."""
    secret, other = ("whsec_" + base64.b64encode(bytes([n]) * 24).decode() for n in (1, 2))
    now = int(time.time())

    def status(time_s: int, signatures: Sequence[str], body: bytes = _BODY) -> int:
        headers = {"webhook-id": "evt_1", "webhook-timestamp": str(time_s), "webhook-signature": " ".join(signatures)}
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return httpx.post(url, content=body, headers=headers | form, trust_env=False).status_code

    with running(name, tmp_path, secret) as (url, _):
        assert status(now, [signed(secret, now)]) == 200
        assert status(now, [signed(other, now), signed(secret, now)]) == 200
        assert status(now, [signed(other, now)]) == 401
        assert status(now, [signed(secret, now)], _BODY + b"&tags[]=more") == 401
        assert status(now, [signed(secret, now)[:-4]]) == 401
        assert status(now - 60, [signed(secret, now)]) == 401
        assert status(now - 400, [signed(secret, now - 400)]) == 401
        assert status(now + 400, [signed(secret, now + 400)]) == 401
        assert httpx.post(url, data={"event": "evt_1", "type": "open"}, trust_env=False).status_code == 401
        root = url.rpartition("/")[0]
        assert answers(f"{root}/feedback-loops-0.txt")
        assert answers(f"{root}/feedback-loops-..%2Fhandler.log")


_BODY = b"event=evt_1&type=open&timestamp=2026-03-01+09%3A30%3A00&recipient=john%40example.com"


def signed(secret: str, time_s: int) -> str:
    """The signature of `_BODY` as `evt_1`, by Standard Webhooks' own library."""
    return Webhook(secret).sign("evt_1", datetime.fromtimestamp(time_s, UTC), _BODY.decode())
