"""The API on fake actors, served by uvicorn on this machine, for tests of the commands."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx
import pytest
import uvicorn

from api.cli import main
from tests.unit.api.fake_api import ADMIN_KEY, Api, FakeClient


class CommandResult(NamedTuple):
    """Result of a command."""

    code: int
    out: str
    err: str


@dataclass
class RunningService:
    """A running service with one account."""

    api: Api
    url: str
    environment: dict[str, str]
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    @property
    def client(self) -> FakeClient:
        """The fake client of the actors."""
        return self.api.client

    def run(self, *arguments: str, **environment: str) -> CommandResult:
        """Runs `feedback-loops …` in this process."""
        for name, value in (self.environment | environment).items():
            self.monkeypatch.setenv(name, value)
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.main(list(arguments))
        shown = self.capsys.readouterr()
        return CommandResult(int(ended.value.code or 0), shown.out, shown.err)

    def request_json(self, method: str, path: str, **request: Any) -> Any:
        """The JSON response of the API itself."""
        headers = {"Authorization": f"Bearer {self.environment['FEEDBACK_LOOPS_API_KEY']}"}
        answer = httpx.request(method, self.url + path, headers=headers, trust_env=False, verify=False, **request)
        assert answer.is_success, answer.text
        return answer.json()

    def loop(self, triggers: Sequence[str] = ("click", "open"), *, active: bool = False) -> str:
        """The id of a new loop."""
        body = {"url": "https://h.example/script.php", "triggers": list(triggers)}
        loop_id = str(self.request_json("POST", "/v1/feedback-loops", json=body)["id"])
        if active:
            self.client.proved.add(loop_id)
            self.request_json("POST", f"/v1/feedback-loops/{loop_id}/verify")
        return loop_id


@contextmanager
def running_service(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    """A service on a free port, which stops at the end."""
    api = Api()
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    config = uvicorn.Config(
        api.app, http="httptools", ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        made = httpx.post(f"{url}/v1/accounts", json={"name": "x"}, headers=headers, trust_env=False, verify=False)
        environment = {"FEEDBACK_LOOPS_URL": url, "FEEDBACK_LOOPS_API_KEY": made.json()["api_key"]}
        yield RunningService(api, url, environment, capsys, monkeypatch)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
