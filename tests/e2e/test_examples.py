"""The sample handlers in `examples/` do what they say, as somebody would run them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_main_job import BROWSER, path_of, register
from tests.service import ROOT, Account, Service, eventually, free_port

EXAMPLES = ROOT / "examples"
#: How each is started, in its folder, and the path of its URL.
COMMANDS = {
    "handler.py": ([sys.executable, "handler.py", "{port}"], "/dir/script"),
    "handler.php": (["php", "-S", "127.0.0.1:{port}"], "/handler.php"),
    "handler.mjs": (["node", "handler.mjs", "{port}"], "/dir/script"),
    "handler.go": (["go", "run", "handler.go", "{port}"], "/dir/script"),
    "handler.rb": (["ruby", "handler.rb", "{port}"], "/dir/script"),
}


def example(name: str) -> Any:
    """Skipped where the language is not installed."""
    program = COMMANDS[name][0][0]
    marks = [pytest.mark.php] if program == "php" else []
    without = pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")
    return pytest.param(name, marks=[*marks, without])


@contextmanager
def running(command: Sequence[str], folder: Path, secret: str, log: Path) -> Iterator[None]:
    """The handler's process, from when it answers on."""
    port = command[-1].rpartition(":")[2]
    environment = os.environ | {"FEEDBACK_LOOP_SECRET": secret, "TMPDIR": str(folder)}
    with log.open("wb") as output:
        # `go run` has its program run by a child: all of the session is ended.
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        eventually(lambda: answers(f"http://127.0.0.1:{port}/nothing"), 60, "the handler answers")
        yield
    finally:
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


@pytest.mark.parametrize("name", [example(name) for name in COMMANDS])
def test_an_example_can_be_verified_and_takes_events(
    name: str, service: Service, account: Account, tmp_path: Path
) -> None:
    """With the verification file beside it its loop is verified; it shows an event once, and refuses forged ones."""
    port = free_port()
    command, path = COMMANDS[name]
    url = f"http://127.0.0.1:{port}{path}"
    folder, log = tmp_path / "handler", tmp_path / "handler.log"
    folder.mkdir()
    shutil.copy(EXAMPLES / name, folder)
    loop = account.call("POST", "/v1/feedback-loops", json={"url": url, "triggers": ["open"]}).json()
    proof = loop["verification"]
    (folder / proof["file_name"]).write_text(proof["file_content"])

    def delivered(attempts: int) -> Any:
        page = account.call("GET", f"/v1/feedback-loops/{loop['id']}/deliveries", params={"state": "delivered"}).json()
        return [d for d in page["data"] if len(d["attempts"]) == attempts]

    with running([part.format(port=port) for part in command], folder, loop["secret"], log):
        verified = account.call("POST", f"/v1/feedback-loops/{loop['id']}/verify")
        assert verified.status_code == 200, verified.text
        message = register(account, tags=["spring"])
        service.http.get(path_of(message["open_url"]), headers=BROWSER)
        (delivery,) = eventually(lambda: delivered(1), 20, "the handler took the event")
        account.call("POST", f"/v1/deliveries/{delivery['id']}/retry")
        eventually(lambda: delivered(2), 20, "the handler took it again")
        assert httpx.post(url, data={"event": "evt_1", "type": "open"}, trust_env=False).status_code == 401
        assert answers(f"http://127.0.0.1:{port}/feedback-loops-0.txt")

    assert log.read_text().count("open by john@example.com") + log.read_text().count("open john@example.com") == 1
