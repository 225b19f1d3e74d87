"""Upgrade of a cluster to another version, with a watch on the status pages of its front ends meanwhile."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.chaos.service_under_load import Allowed, Fault, ServiceUnderLoad
from tests.cluster.cluster_fixture import Cluster
from tests.cluster.cluster_under_load import ClusterUnderLoad
from tests.cluster.edge_node import PORT, EdgeNode
from tests.cluster.faults import LATE_S
from tests.service import eventually

#: Seconds between two requests of all pages.
POLL_S = 0.3
OTHERS = "feedback_loops_processes_of_another_version{"
#: Line that a gateway adds once it has collected the metrics of all processes.
COLLECTED = 'feedback_loops_processes{process="gateway"} 1.0'


@dataclass(frozen=True, slots=True)
class PageResponse:
    """One response of a page."""

    at_s: float
    host: str
    page: str
    #: 0 without a response.
    status: int
    text: str
    took_s: float


class PageWatch:
    """Polls `/metrics` and `/readyz` of every front end in rotation."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._stopped = threading.Event()
        self.responses: list[PageResponse] = []

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Polls until the block ends."""
        watch = threading.Thread(target=self._watch, daemon=True)
        watch.start()
        try:
            yield
        finally:
            self._stopped.set()
            watch.join(30)

    def _watch(self) -> None:
        with httpx.Client(timeout=10, trust_env=False, verify=False) as client:
            while not self._stopped.wait(POLL_S):
                for host, page in itertools.product(self._cluster.in_rotation, ("/metrics", "/readyz")):
                    self.responses.append(self._get(client, host, page))

    def _get(self, client: httpx.Client, host: str, page: str) -> PageResponse:
        began_s, status, text = time.monotonic(), 0, ""
        with contextlib.suppress(httpx.HTTPError):
            answer = client.get(f"http://{host}:{PORT}{page}")
            status, text = answer.status_code, answer.text
        return PageResponse(began_s, host, page, status, text, time.monotonic() - began_s)

    def failures(self) -> list[PageResponse]:
        """Responses of `/metrics` without the actors' metrics, and those of `/readyz` without a status."""
        return [
            response
            for response in self.responses
            if not (COLLECTED in response.text if response.page == "/metrics" else response.status in {200, 503})
        ]

    def unready_s(self) -> float:
        """The longest observed time for which one front end was not ready."""
        longest = 0.0
        for host in {response.host for response in self.responses}:
            since_s: float | None = None
            for response in self.responses:
                if (response.host, response.page) == (host, "/readyz"):
                    since_s = None if response.status == 200 else since_s or response.at_s
                    longest = max(longest, 0.0 if since_s is None else response.at_s + response.took_s - since_s)
        return longest


class Upgrade(Fault):
    """Every machine gets another version of the program, and then each front end in turn is restarted.

    Ray's nodes keep running; processes that they start from then on run the new version.
    """

    def __init__(self, cluster: Cluster, name: str, code: Path, allowed: Allowed | None = None) -> None:
        super().__init__(name, allowed or Allowed(recovery_s=LATE_S, repeats=True, delay_s=LATE_S))
        self._cluster = cluster
        self._code = code
        self.margin_s = 90.0
        self.pages = PageWatch(cluster)

    def begin(self, load: ServiceUnderLoad) -> None:
        assert isinstance(load, ClusterUnderLoad)
        with self.pages.watched():
            self._upgrade(load)
            eventually(self._is_renewed, 60, "every actor was replaced")

    def _upgrade(self, load: ClusterUnderLoad) -> None:
        for machine in self._cluster.machines:
            machine.install(self._code)
        for edge in self._cluster.edges:
            with load.out_of_rotation(edge.host):
                edge.terminate()
                edge.start()

    def _is_renewed(self) -> bool:
        return all(" action=renewed" in edge.recent_log() for edge in self._cluster.edges)


class UpgradeMachines(Upgrade):
    """Each machine in turn is taken out of rotation with its Ray node while the new version is installed.

    The head, which has no front end, is the last. Its loops wait until it is back.
    """

    def __init__(self, cluster: Cluster, name: str, code: Path, recovery_s: float) -> None:
        super().__init__(cluster, name, code, Allowed(recovery_s=recovery_s, repeats=True))
        self.margin_s = 150.0

    def _upgrade(self, load: ClusterUnderLoad) -> None:
        for edge in self._cluster.edges:
            with load.out_of_rotation(edge.host):
                edge.terminate()
                self._replace(edge)
                edge.start()
        self._cluster.ray.stop_node(self._cluster.head)
        self._cluster.head.install(self._code)
        self._cluster.ray.start(self._cluster.head)
        self._cluster.ray.wait_for(self._cluster.head)
        self._cluster.wait_ready()

    def _replace(self, edge: EdgeNode) -> None:
        self._cluster.ray.stop_node(edge.machine)
        edge.machine.install(self._code)
        self._cluster.ray.start(edge.machine)


def has_one_version(edge: EdgeNode) -> bool:
    """Whether a front end reports that every actor runs its own version."""
    lines = edge.http.get("/metrics").text.splitlines()
    found = [float(line.split()[-1]) for line in lines if line.startswith(OTHERS)]
    return bool(found) and not any(found)
