"""Clicks for fault tests: a steady stream from several people; each click is recorded with its answer."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CONNECT_TIMEOUT_S = 1.0
ANSWER_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Click:
    """One click. `status` is None without an answer."""

    number: int
    sent_ns: int
    #: When the answer arrived, or the request failed.
    answered_ns: int
    status: int | None


class Clicks:
    """Requests each path once, at `rate` per second, until the paths run out or `stop` is called.

    The targets are numbered from `first`. A broken connection leaves one click unanswered, and is opened again.
    No link is clicked twice, so only the service can cause an event that is recorded twice. With several hosts, each
    person moves on to the next host if the current one does not accept a connection within a second.
    """

    def __init__(
        self,
        port: int,
        paths: list[str],
        first: int,
        rate: float,
        people: int = 8,
        hosts: Callable[[], Sequence[str]] = lambda: ("127.0.0.1",),
    ) -> None:
        """Creates the threads, without starting them. `hosts` is called for each new connection."""
        self._port = port
        self._hosts = hosts
        #: The host of each person's request in flight.
        self._at: dict[int, str] = {}
        self._paths = paths
        self._first = first
        self._rate = rate
        self._turn = itertools.count()
        self._began = time.monotonic()
        self._stopped = threading.Event()
        self.done: list[Click] = []
        self._threads = [threading.Thread(target=self._person, args=(n,), daemon=True) for n in range(people)]

    @property
    def turns(self) -> int:
        """Number of paths used, of which the last ones may not have been requested. Valid after `finish`."""
        return min(next(self._turn), len(self._paths))

    def start(self) -> Clicks:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> list[Click]:
        """Waits for the clicks in flight, and returns all clicks."""
        self._stopped.set()
        return self.finish()

    def finish(self) -> list[Click]:
        """Waits until the paths have run out, and returns all clicks."""
        for thread in self._threads:
            thread.join(60)
        return self.done

    def is_at(self, host: str) -> bool:
        """Whether a request to the host is in flight. No new one starts once `hosts` no longer lists the host."""
        return host in self._at.copy().values()

    def _person(self, number: int) -> None:
        connection: http.client.HTTPConnection | None = None
        while (turn := next(self._turn)) < len(self._paths):
            if self._stopped.wait(max(0.0, self._began + turn / self._rate - time.monotonic())):
                break
            sent_ns, status = time.monotonic_ns(), None
            try:
                connection = self._admitted(number, connection)
                connection.request("GET", self._paths[turn], headers={"User-Agent": USER_AGENT})
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                if connection is not None:
                    connection.close()
                connection = None
            self._at.pop(number, None)
            self.done.append(Click(self._first + turn, sent_ns, time.monotonic_ns(), status))
        if connection is not None:
            connection.close()

    def _admitted(self, number: int, connection: http.client.HTTPConnection | None) -> http.client.HTTPConnection:
        """The connection, or a new one if its host is no longer in rotation."""
        if connection is not None:
            self._at[number] = connection.host
            if connection.host in self._hosts():
                return connection
            connection.close()
        return self._connected(number)

    def _connected(self, number: int) -> http.client.HTTPConnection:
        """A connection to the person's usual host, or to the next one that accepts it.

        Raises:
            OSError: No host accepts a connection.
        """
        hosts = self._hosts()
        for at in range(number, number + len(hosts)):
            connection = http.client.HTTPConnection(hosts[at % len(hosts)], self._port, timeout=CONNECT_TIMEOUT_S)
            self._at[number] = connection.host
            with contextlib.suppress(OSError):
                connection.connect()
                connection.sock.settimeout(ANSWER_TIMEOUT_S)
                return connection
        raise ConnectionRefusedError(f"none of {', '.join(hosts)} accepts a connection")
