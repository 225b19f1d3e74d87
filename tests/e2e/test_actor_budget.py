"""More loops than processes: fifty loops share the processes of the actor budget without affecting each other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.handler import Handler
from tests.service import Account, Service, Sink, eventually

pytestmark = pytest.mark.ray

LOOPS = 50
#: Maximum time to create a loop, even if a process is started for it.
CREATED_S = 2.0
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


@dataclass
class SharedHosts:
    """A service with two processes for fifty loops of one account, and the handlers of the loops."""

    service: Service
    account: Account
    handler: Handler
    #: The handler of only the first loop.
    other: Sink
    #: Loop ids by tag.
    loops: dict[str, str]
    slowest_s: float

    def open_each(self, tags: list[str]) -> None:
        """Opens one message per tag, each of which goes to one loop."""
        messages = self.account.messages({"recipient": f"{tag}@example.com", "tags": [tag]} for tag in tags)
        for message in messages:
            assert self.service.http.get(httpx.URL(message["open_url"]).raw_path.decode(), headers=BROWSER).is_success

    def arrivals(self) -> Counter[str]:
        """Number of events that have arrived, by loop id; a repeated event counts once."""
        events = {(got.headers["x-feedback-loop"], got.headers["webhook-id"]) for got in self.handler.got}
        return Counter(loop_id for loop_id, _ in events)

    def wait_for(self, tags: list[str], count: int, timeout_s: float = 20) -> None:
        """Waits until each of these loops has received `count` events."""
        wanted = [self.loops[tag] for tag in tags]

        def have_arrived() -> bool:
            arrivals = self.arrivals()
            return all(arrivals[loop_id] >= count for loop_id in wanted)

        eventually(have_arrived, timeout_s, f"{count} events for each loop")

    def command(self, tag: str, action: str) -> None:
        assert self.account.call("POST", f"/v1/feedback-loops/{self.loops[tag]}/{action}").is_success


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedHosts]:
    """A service with fifty verified loops."""
    folder: Path = tmp_path_factory.mktemp("budget")
    service = Service(folder / "data", FEEDBACK_LOOPS_ACTOR_BUDGET="2", FEEDBACK_LOOPS_DELIVERY_TIMEOUT="5")
    other = Sink()
    try:
        with Handler() as handler:
            other.start()
            account = service.start().account()
            loops, slowest_s = {}, 0.0
            for n in range(LOOPS):
                settings: dict[str, Any] = {"triggers": ["open"], "filters": {"tags": [f"loop-{n}"]}}
                settings["url"] = other.url if n == 0 else handler.url
                began_s = time.monotonic()
                loop = account.call("POST", "/v1/feedback-loops", json=settings).json()
                slowest_s = max(slowest_s, time.monotonic() - began_s)
                proof = loop["verification"]
                other.place(proof["file_name"], proof["file_content"])
                handler.files[f"/dir/{proof['file_name']}"] = proof["file_content"].encode()
                assert account.call("POST", f"/v1/feedback-loops/{loop['id']}/verify").is_success
                loops[f"loop-{n}"] = loop["id"]
            yield SharedHosts(service, account, handler, other, loops, slowest_s)
    finally:
        other.stop()
        service.end()


@pytest.fixture
def shared(hosts: SharedHosts) -> list[str]:
    """Tags of all loops except the first; their handler has no events yet."""
    hosts.handler.got.clear()
    return list(hosts.loops)[1:]


def test_loops_share_what_the_budget_allows(hosts: SharedHosts, shared: list[str]) -> None:
    """Loops are created quickly; the first gets its own process, all others share one, and all get their events."""

    def processes() -> tuple[int, int]:
        return len(hosts.service.processes("loop")), len(hosts.service.processes("host"))

    assert hosts.slowest_s < CREATED_S
    eventually(lambda: processes() == (1, 1), 20, "two processes run")
    hosts.open_each(list(hosts.loops))
    hosts.wait_for(shared, 1)
    eventually(lambda: hosts.other.stats()["posts"] == 1, 10, "the first loop's event")
    assert set(hosts.arrivals().values()) == {1}


def test_commands_reach_a_loop_that_shares_a_process(hosts: SharedHosts, shared: list[str]) -> None:
    """A paused loop gets its events when it is resumed, and a sample event is sent at once."""
    resting = shared[7]
    hosts.command(resting, "pause")
    hosts.open_each(shared)
    hosts.wait_for([tag for tag in shared if tag != resting], 1)
    assert hosts.arrivals()[hosts.loops[resting]] == 0

    hosts.command(resting, "resume")
    hosts.wait_for([resting], 1)
    answer = hosts.account.call("POST", f"/v1/feedback-loops/{hosts.loops[resting]}/test", json={"type": "open"})
    assert (answer.status_code, answer.json()["status"]) == (200, 200)


def test_a_hanging_handler_leaves_those_that_share_its_process_alone(hosts: SharedHosts, shared: list[str]) -> None:
    """While all POSTs of one loop hang, the other loops of its process get their events."""
    moved = shared[0]
    path = f"/v1/feedback-loops/{hosts.loops[moved]}"
    proof = hosts.account.call("PATCH", path, json={"url": hosts.other.url}).json()["verification"]
    hosts.other.place(proof["file_name"], proof["file_content"])
    hosts.command(moved, "verify")
    hosts.other.command("hang")
    try:
        hosts.open_each([moved] * 40)
        began_s = time.monotonic()
        hosts.open_each(shared[1:])
        hosts.wait_for(shared[1:], 1)
        took_s = time.monotonic() - began_s
    finally:
        hosts.other.command("accept")

    print(f"{len(shared) - 1} events next to a hanging handler: {took_s:.2f} s")
    assert took_s < 4.0  # the timeout of POSTs is 5 s


def test_a_killed_process_loses_nothing(hosts: SharedHosts, shared: list[str]) -> None:
    """After kill -9 of the shared process, between and during events, every event arrives."""
    others = shared[1:]
    hosts.open_each(others)
    [host] = hosts.service.processes("host")
    host.kill()
    hosts.open_each(others)
    hosts.wait_for(others, 2)
    [again] = hosts.service.processes("host")

    assert again.pid != host.pid


def test_events_are_delivered_without_the_supervisor(hosts: SharedHosts, shared: list[str]) -> None:
    """Events arrive right after the supervisor is killed; once it is back, it finds the loops in their processes."""
    others = shared[1:]
    [supervisor] = hosts.service.processes("supervisor")
    [host] = hosts.service.processes("host")
    supervisor.kill()
    hosts.open_each(others)
    hosts.wait_for(others, 1)
    eventually(hosts.service.is_ready, 20, "the supervisor is back")
    hosts.command(others[0], "pause")
    hosts.command(others[0], "resume")
    loop = hosts.account.loop(hosts.other, triggers=["click"])

    assert hosts.account.call("DELETE", f"/v1/feedback-loops/{loop['id']}").is_success
    assert [process.pid for process in hosts.service.processes("host")] == [host.pid]
