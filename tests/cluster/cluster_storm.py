"""A cluster under a steady load of clicks, to all of its front ends, as a load balancer spreads them."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

from tests.chaos.clicks import Clicks
from tests.chaos.storm import Fault, Row, Storm
from tests.cluster.town import Town
from tests.service import eventually

#: More than have processes of their own, so that most share hosts; each click is owed to one of them.
LOOPS = 24


class ClusterStorm(Storm):
    """A `Storm` on a cluster. Each click goes to a front end in rotation that takes the connection."""

    def __init__(self, town: Town, rng: random.Random, rate: float) -> None:
        self.town = town
        super().__init__(town.edges[0], town.sink, None, rng, rate)

    def make_loops(self, url: str) -> list[str]:
        """See `Storm.make_loops`."""
        return [self._loop_of(n, url) for n in range(LOOPS)]

    def _loop_of(self, number: int, url: str) -> str:
        loop_id: str = self.account.loop(self.sink, url=url, filters={"tags": self.tags(number)})["id"]
        return loop_id

    def tags(self, number: int) -> list[str]:
        """See `Storm.tags`."""
        return [f"loop-{number % LOOPS}"]

    def round(self, fault: Fault) -> Row:
        """See `Storm.round`."""
        self.town.wait_ready()
        row = super().round(fault)
        self.town.wait_ready()
        return row

    def clicks(self, paths: list[str], first: int, rate: float) -> Clicks:
        """See `Storm.clicks`."""
        self.current = Clicks(self.service.port, paths, first, rate, people=16, hosts=lambda: self.town.in_rotation)
        return self.current

    @contextlib.contextmanager
    def out_of_rotation(self, host: str) -> Iterator[None]:
        """Nobody is sent to this front end, and those who were there have their answers."""
        self.town.in_rotation = [other for other in self.town.in_rotation if other != host]
        eventually(lambda: not self.current.is_at(host), 10, "those who were there have gone")
        try:
            yield
        finally:
            self.town.in_rotation = [edge.host for edge in self.town.edges]
