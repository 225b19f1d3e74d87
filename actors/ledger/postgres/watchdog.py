"""Breaks connections off on which nobody answers."""

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

#: Seconds between two looks, while there is something to look at.
_LOOK_S: Final = 0.5


class ConnectionWatchdog:
    """Keeps an eye on what takes long: one thread for any number of connections, which sleeps while there is nothing.

    A server that is frozen, or cut off behind a proxy that is not, keeps none of its own time limits, and its TCP
    answers: only from here can it be told that it does not.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._deadlines: dict[Connection[Any], float] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def within(self, connection: Connection[Any], seconds: float) -> Iterator[None]:
        """What is done within it fails with the driver's error of a lost connection when it takes any longer."""
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
                        # Within the lock: until it is popped the connection is in use, and its descriptor its own.
                        abort(connection)
                        del self._deadlines[connection]
            time.sleep(_LOOK_S)


#: A process has one.
WATCHDOG: Final = ConnectionWatchdog()


def abort(connection: Connection[Any]) -> None:
    """Ends the connection under whoever waits for it, in any thread."""
    with contextlib.suppress(OSError, psycopg.Error):
        # A descriptor of our own for the same socket: closing it leaves the driver's alone.
        copy = socket.socket(fileno=os.dup(connection.fileno()))
        try:
            copy.shutdown(socket.SHUT_RDWR)
        finally:
            copy.close()
