"""The real service as real processes, for end-to-end tests, fault tests and benchmarks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

from actors.process_setup.pdeathsig import killed_with_parent
from actors.settings.data_dir import runtime_dir_path
from tests.listening_socket import passing
from tests.paths import ROOT
from tests.ports import free_port

MARK = "FEEDBACK_LOOPS_TEST_RUN"

#: Text in the command line of each kind of process.
ROLES = {
    "front": "api.main",
    "gateway": "actors.gateway.main",
    "ledger": "ray::LedgerActor",
    "supervisor": "ray::SupervisorActor",
    "enricher": "ray::EnricherActor",
    "loop": "ray::FeedbackLoopActor",
    "host": "ray::LoopHostActor",
    "raylet": "raylet/raylet",
    "gcs": "gcs/gcs_server",
    "parser": "actors.returned_mail.parser_process",
    "serve": "api.cli.main serve",
}


def eventually(check: Callable[[], Any], timeout_s: float, what: str, interval_s: float = 0.05) -> Any:
    """Polls `check` until it returns a true value, and returns it. `what` describes the condition in the failure."""
    deadline = time.monotonic() + timeout_s
    while True:
        if found := check():
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(interval_s)


def marked(mark: str) -> list[psutil.Process]:
    """Every live process that carries `mark` in its environment: a run's whole tree, orphans too."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark:
                found.append(process)
    return found


def in_sessions(sessions: set[int]) -> list[psutil.Process]:
    """Every live process of these sessions. Ray's agents overwrite their environment, and the mark in it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) in sessions and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


class Service:
    """One `feedback-loops serve` on a data directory. `end` ends every process that it ever started."""

    def __init__(
        self, data_dir: Path, *, wrapper: Sequence[str] = (), host: str = "127.0.0.1", **environment: str
    ) -> None:
        """`wrapper` is the start of a command that runs the rest elsewhere, where `host` is a local address."""
        self.data_dir = data_dir
        self.wrapper = wrapper
        #: The version of the program that is started.
        self.code = ROOT
        #: The working directory; None: that of the program.
        self.directory: Path | None = None
        self.port = free_port()
        #: A listening socket to pass to `serve`, on `host` and `port`; None: it listens itself.
        self.held: socket.socket | None = None
        self.mark = uuid.uuid4().hex
        self._sessions: set[int] = set()
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self.environment = {
            "FEEDBACK_LOOPS_ALLOWED_HANDLER_NETWORKS": "127.0.0.0/8",
            "FEEDBACK_LOOPS_ADMIN_KEY": "test-admin-key",
            "FEEDBACK_LOOPS_HOST": host,
            **environment,
        }
        self.serve_process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=f"http://{host}:{self.port}", timeout=60, trust_env=False, verify=False)

    def start(self, *, wait: bool = True) -> Service:
        """Starts `serve`, and with `wait` waits until it is ready. It ends if the test process is killed."""
        command = [sys.executable, "-P", "-m", "api.cli.main", "serve", "--data-dir", str(self.data_dir)]
        wrapper, environment = self.wrapper, self.environment
        if self.held is None:
            command += ["--port", str(self.port)]
        else:
            wrapper = [*wrapper, *passing(self.held)]
            environment = {name: value for name, value in environment.items() if name != "FEEDBACK_LOOPS_HOST"}
        with self.log.open("ab") as log:
            self.serve_process = subprocess.Popen(
                killed_with_parent([*wrapper, *command], signal.SIGKILL),
                cwd=self.directory or self.code,
                env={**os.environ, "PYTHONPATH": str(self.code), **environment, MARK: self.mark},
                pass_fds=() if self.held is None else (self.held.fileno(),),
                stdout=log,
                stderr=log,
            )
        if wait:
            self.wait_ready()
        return self

    def is_ready(self) -> bool:
        try:
            return self.http.get("/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def problems(self) -> str:
        """The text of `/readyz`, as the operator sees it. Empty while nothing listens."""
        try:
            return self.http.get("/readyz", headers=self.admin, timeout=5).text
        except httpx.HTTPError:
            return ""

    @property
    def admin(self) -> dict[str, str]:
        """The headers of the operator."""
        return {"Authorization": f"Bearer {self.environment['FEEDBACK_LOOPS_ADMIN_KEY']}"}

    def wait_ready(self, timeout_s: float = 60) -> float:
        """Waits until `/readyz` succeeds, and returns the seconds."""
        began = time.monotonic()
        try:
            eventually(self.is_ready, timeout_s, "the service is ready")
        except AssertionError:
            sys.stderr.write(self.log.read_text()[-6000:])
            raise
        self._note_sessions()
        return time.monotonic() - began

    def terminate(self, timeout_s: float = 15) -> float:
        """Sends SIGTERM, and returns the seconds until the process ended."""
        began = time.monotonic()
        if self.serve_process is not None and self.serve_process.poll() is None:
            self.serve_process.send_signal(signal.SIGTERM)
            self.serve_process.wait(timeout_s)
        return time.monotonic() - began

    def end(self) -> None:
        """Ends every process, closes connections and removes files; for the end of a test."""
        self.kill()
        self.http.close()
        shutil.rmtree(runtime_dir_path(self.data_dir), ignore_errors=True)

    def kill(self) -> None:
        """kill -9 of the whole tree."""
        for _ in range(50):
            processes = self.tree()
            if not processes:
                break
            for process in processes:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(processes, timeout=0.2)
        if self.serve_process is not None:
            self.serve_process.wait(5)

    def tree(self) -> list[psutil.Process]:
        """Every live process that it started, Ray's agents and orphans too."""
        self._note_sessions()
        return list({*marked(self.mark), *in_sessions(self._sessions)})

    def _note_sessions(self) -> None:
        """Each child of the `serve` process starts a session, which its descendants belong to."""
        for process in marked(self.mark):
            with contextlib.suppress(OSError):
                self._sessions.add(os.getsid(process.pid))
        self._sessions.discard(os.getsid(0))

    def processes(self, role: str) -> list[psutil.Process]:
        """The live processes of one of `ROLES`."""
        sign = ROLES[role]
        if role == "serve":
            return (
                [psutil.Process(self.serve_process.pid)]
                if self.serve_process and self.serve_process.poll() is None
                else []
            )
        return [p for p in marked(self.mark) if sign in _command_line(p)]

    # --- the API

    def account(self) -> Account:
        answer = self.http.post(
            "/v1/accounts", json={"name": "Test"}, headers={"Authorization": "Bearer test-admin-key"}
        )
        assert answer.status_code == 201, answer.text
        return Account(self, answer.json()["api_key"])


def _usual_tags(_number: int) -> list[str]:
    return ["welcome", "spring"]


def _command_line(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


class Account:
    """An account of the service and its key."""

    def __init__(self, service: Service, key: str) -> None:
        self.service = service
        self.key = key
        self.headers = {"Authorization": f"Bearer {key}"}

    def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return self.service.http.request(method, path, headers=self.headers | arguments.pop("headers", {}), **arguments)

    def loop(self, sink: Sink, **settings: Any) -> dict[str, Any]:
        """A verified loop to the sink."""
        settings = {"url": sink.url, "triggers": ["click", "open"], **settings}
        answer = self.call("POST", "/v1/feedback-loops", json=settings)
        assert answer.status_code == 201, answer.text
        loop: dict[str, Any] = answer.json()
        sink.place(loop["verification"]["file_name"], loop["verification"]["file_content"])
        verified = self.call("POST", f"/v1/feedback-loops/{loop['id']}/verify")
        assert verified.status_code == 200, verified.text
        return loop

    def messages(self, specs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Registers many messages as NDJSON."""
        lines = "\n".join(json.dumps(spec) for spec in specs)
        answer = self.call("POST", "/v1/messages", content=lines, headers={"Content-Type": "application/x-ndjson"})
        assert answer.status_code == 201, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    def click_paths(
        self, count: int, per_call: int = 5000, first: int = 0, tags: Callable[[int], list[str]] = _usual_tags
    ) -> list[str]:
        """Paths of `count` tracked links, each in a separate message; the targets are numbered from `first`.

        `tags` returns the tags of the message with the link of a number.
        """
        paths = []
        for start in range(first, first + count, per_call):
            specs = (
                {
                    "recipient": f"person{n}@example.com",
                    "tags": tags(n),
                    "links": [f"https://shop.example/products?n={n}"],
                }
                for n in range(start, min(start + per_call, first + count))
            )
            for message in self.messages(specs):
                (link,) = message["links"].values()
                paths.append(httpx.URL(link).raw_path.decode())
        return paths


class Sink:
    """The benchmarks' cheap handler, in a separate process."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = free_port()
        self.control_port = free_port()
        self.url = f"http://{host}:{self.port}/hook"
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(
            base_url=f"http://{host}:{self.control_port}", timeout=10, trust_env=False, verify=False
        )

    def start(self) -> Sink:
        command = [sys.executable, "-m", "benchmarks.sink", "--host", self.host, "--port", str(self.port)]
        command = [*command, "--control-port", str(self.control_port)]
        self.process = subprocess.Popen(killed_with_parent(command, signal.SIGKILL), cwd=ROOT)
        eventually(self._answers, 10, "the sink answers")
        return self

    def _answers(self) -> bool:
        try:
            return self.http.get("/stats").status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        self.http.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def place(self, name: str, content: str) -> None:
        self.http.put(f"/{name}", content=content)

    def command(self, name: str) -> None:
        """`reset`, `accept`, or one of the faults that `benchmarks.sink` lists."""
        self.http.post(f"/{name}").raise_for_status()

    def stats(self) -> dict[str, int]:
        stats: dict[str, int] = self.http.get("/stats").json()
        return stats

    def arrivals(self) -> list[int]:
        """The monotonic time (ns) of each number's first arrival; 0 if it has not arrived."""
        return list(memoryview(self.http.get("/arrivals").content).cast("q"))


@contextlib.contextmanager
def running(data_dir: Path, *, wrapper: Sequence[str] = (), **environment: str) -> Iterator[tuple[Service, Sink]]:
    """A ready service and a sink; all their processes are ended afterwards."""
    sink = Sink()
    service = Service(data_dir, wrapper=wrapper, **environment)
    try:
        sink.start()
        service.start()
        yield service, sink
    finally:
        sink.stop()
        service.end()
