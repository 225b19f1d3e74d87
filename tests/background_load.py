"""Base of loads: requests of several kinds, which go on while a test does something else."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import httpx

from tests.service import Account, eventually


class BackgroundLoad(ABC):
    """Sends requests within its `with` block: those of each kind one after the other, by a thread for each kind.

    A request that fails or is not answered is not sent again.
    """

    def __init__(self, account: Account, kinds: Sequence[str], pause_s: float) -> None:
        """`pause_s`: between two requests of a kind."""
        self.account = account
        #: How much of each kind was accepted.
        self.accepted: Counter[str] = Counter()
        self._kinds = kinds
        self._pause_s = pause_s
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._send_all, args=(kind,), daemon=True) for kind in kinds]

    @abstractmethod
    def send(self, http: httpx.Client, kind: str, number: int) -> int:
        """Sends the request of a kind with this number, from 0. Returns how much was accepted."""

    def wait_for_more(self, count: int, timeout_s: float = 60) -> None:
        """Waits until so much more of each kind is accepted."""
        before = self.accepted.copy()
        what = f"{count} more of each kind are accepted: {before}"
        eventually(lambda: all(self.accepted[kind] >= before[kind] + count for kind in self._kinds), timeout_s, what)

    def _send_all(self, kind: str) -> None:
        number = 0
        base_url = self.account.service.http.base_url
        with httpx.Client(base_url=base_url, timeout=10, trust_env=False, verify=False) as http:
            while not self._stopped.wait(self._pause_s):
                with suppress(httpx.HTTPError):
                    self.accepted[kind] += self.send(http, kind, number)
                number += 1

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
