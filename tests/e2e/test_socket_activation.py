"""Socket activation: a parent process keeps the listening socket, and a full restart refuses no click."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.chaos.clicks import USER_AGENT
from tests.listening_socket import held_socket
from tests.service import Service, Sink, eventually

RATE: float = 40
#: A stop may take 10 s, and a start until clicks are answered as long on a busy machine.
ANSWER_TIMEOUT_S = 60


async def click(port: int, path: str) -> str:
    """The status of one click on a new connection, or the name of the error."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.closing(writer):
                head = f"GET {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: {USER_AGENT}\r\nConnection: close\r\n\r\n"
                writer.write(head.encode())
                answer = await reader.read()
                return answer.partition(b"\r\n")[0].decode() or "closed without an answer"
    except OSError as exc:
        return type(exc).__name__


class Clicks(threading.Thread):
    """Clicks on each path once, at a steady rate, however long each answer takes."""

    def __init__(self, port: int, paths: list[str]) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.paths = iter(paths)
        self.is_stopping = threading.Event()
        self.answers: Counter[str] = Counter()

    def run(self) -> None:
        asyncio.run(self._click())

    async def _click(self) -> None:
        began = time.monotonic()
        tasks = []
        for turn, path in enumerate(self.paths):
            if self.is_stopping.is_set():
                break
            await asyncio.sleep(began + turn / RATE - time.monotonic())
            tasks.append(asyncio.create_task(click(self.port, path)))
        self.answers.update(await asyncio.gather(*tasks))


@pytest.fixture
def activated(tmp_path: Path) -> Iterator[Service]:
    """A service on a socket that this process keeps open; not started."""
    service = Service(tmp_path / "data")
    try:
        with held_socket(service.port) as service.held:
            yield service
    finally:
        service.end()


def test_a_full_restart_refuses_no_click(activated: Service, sink: Sink) -> None:
    """While the service stops and starts under 40 clicks/s, each click is answered, recorded and POSTed once."""
    service = activated.start()
    assert holders(service) == {"serve", "front"}
    account = service.account()
    account.loop(sink)
    clicks = Clicks(service.port, account.click_paths(4000))
    clicks.start()
    eventually(lambda: sink.stats()["unique"] >= RATE, 30, "clicks arrive")

    service.terminate()
    assert service.serve_process is not None
    assert service.serve_process.returncode == 0
    assert not service.tree()
    service.start()
    done = sink.stats()["unique"] + RATE
    eventually(lambda: sink.stats()["unique"] >= done, 30, "clicks arrive after the restart")
    clicks.is_stopping.set()
    clicks.join(ANSWER_TIMEOUT_S)

    assert list(clicks.answers) == ["HTTP/1.1 302 Found"], clicks.answers
    count = clicks.answers.total()
    eventually(lambda: sum(map(bool, sink.arrivals())) == count, 30, "every click is POSTed")


def holders(service: Service) -> set[str]:
    """The kinds of processes that have the listening socket open."""
    assert service.held is not None
    sign = f"socket:[{os.fstat(service.held.fileno()).st_ino}]"
    found = {process.pid for process in service.tree() if sign in _open_files(process)}
    named = {role: {process.pid for process in service.processes(role)} for role in ("serve", "front")}
    kinds = {role for role, pids in named.items() if pids & found}
    return kinds | {str(pid) for pid in found - set().union(*named.values())}


def _open_files(process: psutil.Process) -> set[str]:
    found = set()
    for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return found
