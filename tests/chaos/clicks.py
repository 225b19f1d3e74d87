"""Clicks for fault tests: a steady stream from several people, each noted with what came back."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from dataclasses import dataclass

USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@dataclass(frozen=True, slots=True)
class Click:
    """One click. `status` is None when no answer came."""

    number: int
    sent_ns: int
    status: int | None


class Clicks:
    """Requests each path once, at `rate` a second, until they run out or `stop` is called.

    The targets hold numbers from `first`. A connection that breaks makes one click unanswered and is opened again.
    Nobody clicks twice, so an event recorded twice is the service's own doing.
    """

    def __init__(self, port: int, paths: list[str], first: int, rate: float, people: int = 8) -> None:
        self._port = port
        self._paths = paths
        self._first = first
        self._rate = rate
        self._turn = itertools.count()
        self._began = time.monotonic()
        self._stopped = threading.Event()
        self.done: list[Click] = []
        self._threads = [threading.Thread(target=self._person, daemon=True) for _ in range(people)]

    @property
    def turns(self) -> int:
        """How many of the paths are used up; some of them, at the end, without a request. For when all is finished."""
        return min(next(self._turn), len(self._paths))

    def start(self) -> Clicks:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> list[Click]:
        """Lets clicks in flight finish, and gives all."""
        self._stopped.set()
        return self.finish()

    def finish(self) -> list[Click]:
        """Waits until the paths have run out, and gives all clicks."""
        for thread in self._threads:
            thread.join(60)
        return self.done

    def _person(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while (turn := next(self._turn)) < len(self._paths):
            if self._stopped.wait(max(0.0, self._began + turn / self._rate - time.monotonic())):
                break
            connection = connection or http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            sent_ns, status = time.monotonic_ns(), None
            try:
                connection.request("GET", self._paths[turn], headers={"User-Agent": USER_AGENT})
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                connection.close()
                connection = None
            self.done.append(Click(self._first + turn, sent_ns, status))
        if connection is not None:
            connection.close()
