"""Watchdog for connections: aborts those whose server does not answer in time."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import Connection

#: Seconds between two checks, while any connection is in use.
_CHECK_S: Final = 0.5


class ConnectionWatchdog:
    """Watches the deadlines of any number of connections with one thread, which sleeps while there are none.

    A frozen server, or one cut off behind a working proxy, enforces no time limits of its own while its TCP stack still
    acknowledges packets. Only the client can detect that.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._deadlines: dict[Connection[Any], float] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def within(self, connection: Connection[Any], seconds: float) -> Iterator[None]:
        """A context that aborts the connection if it takes longer; the driver then raises a lost connection."""
        with self._changed:
            self._deadlines[connection] = time.monotonic() + seconds
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="store-watch", daemon=True)
                self._thread.start()
            elif len(self._deadlines) == 1:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._deadlines.pop(connection, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._deadlines:
                    self._changed.wait()
                now_s = time.monotonic()
                for connection, deadline_s in list(self._deadlines.items()):
                    if deadline_s < now_s:
                        # Hold the lock: the connection is in use until it is popped, so its descriptor is still valid.
                        abort(connection)
                        del self._deadlines[connection]
            time.sleep(_CHECK_S)


#: Shared by all connections of the process.
WATCHDOG: Final = ConnectionWatchdog()


def abort(connection: Connection[Any]) -> None:
    """Shuts the connection down, so that a thread waiting for it fails at once."""
    with contextlib.suppress(OSError, psycopg.Error):
        # A second descriptor for the same socket: closing it does not close the driver's.
        copy = socket.socket(fileno=os.dup(connection.fileno()))
        try:
            copy.shutdown(socket.SHUT_RDWR)
        finally:
            copy.close()
