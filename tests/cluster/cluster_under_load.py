"""Cluster under a steady load of clicks, spread over its front ends as by a load balancer."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

from tests.chaos.clicks import Clicks
from tests.chaos.service_under_load import Fault, Row, ServiceUnderLoad
from tests.cluster.cluster_fixture import Cluster
from tests.service import eventually

#: More loops than processes, so that most share a host; each click goes to exactly one loop.
LOOPS = 24


class ClusterUnderLoad(ServiceUnderLoad):
    """A `ServiceUnderLoad` on a cluster. Each click goes to a front end in rotation that accepts the connection."""

    def __init__(self, cluster: Cluster, rng: random.Random, rate: float) -> None:
        self.cluster = cluster
        super().__init__(cluster.edges[0], cluster.sink, None, rng, rate)

    def make_loops(self, url: str) -> list[str]:
        """See `ServiceUnderLoad.make_loops`."""
        return [self._loop_of(n, url) for n in range(LOOPS)]

    def _loop_of(self, number: int, url: str) -> str:
        loop_id: str = self.account.loop(self.sink, url=url, filters={"tags": self.tags(number)})["id"]
        return loop_id

    def delete_loops(self) -> None:
        """Deletes the loops, so that others get their processes."""
        for loop_id in self.loop_ids:
            answer = self.account.call("DELETE", f"/v1/feedback-loops/{loop_id}")
            assert answer.is_success, answer.text

    def tags(self, number: int) -> list[str]:
        """See `ServiceUnderLoad.tags`."""
        return [f"loop-{number % LOOPS}"]

    def round(self, fault: Fault) -> Row:
        """See `ServiceUnderLoad.round`."""
        self.cluster.wait_ready()
        row = super().round(fault)
        self.cluster.wait_ready()
        return row

    def clicks(self, paths: list[str], first: int, rate: float) -> Clicks:
        """See `ServiceUnderLoad.clicks`."""
        self.current = Clicks(self.service.port, paths, first, rate, people=16, hosts=lambda: self.cluster.in_rotation)
        return self.current

    @contextlib.contextmanager
    def out_of_rotation(self, host: str) -> Iterator[None]:
        """Takes a front end out of rotation, and waits until its clicks in flight are answered."""
        self.cluster.in_rotation = [other for other in self.cluster.in_rotation if other != host]
        eventually(lambda: not self.current.is_at(host), 10, f"the clicks at {host} are answered")
        try:
            yield
        finally:
            self.cluster.in_rotation = [edge.host for edge in self.cluster.edges]
