"""More loops than processes: fifty of them share what the budget allows, each as if it were alone."""

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
#: What the API may take to make a loop, whatever has to be started for it.
CREATED_S = 2.0
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


@dataclass
class SharedHosts:
    """A service whose loops may take two processes; fifty loops of one account, by their tags, and where they POST."""

    service: Service
    account: Account
    handler: Handler
    #: The handler of the first loop alone.
    other: Sink
    loops: dict[str, str]
    slowest_s: float

    def open_each(self, tags: list[str]) -> None:
        """One open for each loop."""
        messages = self.account.messages({"recipient": f"{tag}@example.com", "tags": [tag]} for tag in tags)
        for message in messages:
            assert self.service.http.get(httpx.URL(message["open_url"]).raw_path.decode(), headers=BROWSER).is_success

    def arrivals(self) -> Counter[str]:
        """Events that have come, by loop; one that came twice counts once."""
        events = {(got.headers["x-feedback-loop"], got.headers["webhook-id"]) for got in self.handler.got}
        return Counter(loop_id for loop_id, _ in events)

    def wait_for(self, tags: list[str], count: int, timeout_s: float = 20) -> None:
        """Returns when each of these loops has had so many events."""
        wanted = [self.loops[tag] for tag in tags]

        def have_come() -> bool:
            arrivals = self.arrivals()
            return all(arrivals[loop_id] >= count for loop_id in wanted)

        eventually(have_come, timeout_s, f"{count} events for each loop")

    def tell(self, tag: str, action: str) -> None:
        assert self.account.call("POST", f"/v1/feedback-loops/{self.loops[tag]}/{action}").is_success


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedHosts]:
    """All loops made and verified, one after the other."""
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
    """The tags of all loops but the first, and nothing has come for them yet."""
    hosts.handler.got.clear()
    return list(hosts.loops)[1:]


def test_loops_share_what_the_budget_allows(hosts: SharedHosts, shared: list[str]) -> None:
    """A loop is made at once; the first gets a process of its own, all others share one, and each is delivered to."""

    def processes() -> tuple[int, int]:
        return len(hosts.service.processes("loop")), len(hosts.service.processes("host"))

    assert hosts.slowest_s < CREATED_S
    eventually(lambda: processes() == (1, 1), 20, "a process for the first, and one for the others")
    hosts.open_each(list(hosts.loops))
    hosts.wait_for(shared, 1)
    eventually(lambda: hosts.other.stats()["posts"] == 1, 10, "the first loop's event")
    assert set(hosts.arrivals().values()) == {1}


def test_commands_reach_a_loop_that_shares_a_process(hosts: SharedHosts, shared: list[str]) -> None:
    """A paused loop is owed what the others get, and gets it when it is resumed; a sample goes out at once."""
    resting = shared[7]
    hosts.tell(resting, "pause")
    hosts.open_each(shared)
    hosts.wait_for([tag for tag in shared if tag != resting], 1)
    assert hosts.arrivals()[hosts.loops[resting]] == 0

    hosts.tell(resting, "resume")
    hosts.wait_for([resting], 1)
    answer = hosts.account.call("POST", f"/v1/feedback-loops/{hosts.loops[resting]}/test", json={"type": "open"})
    assert (answer.status_code, answer.json()["status"]) == (200, 200)


def test_a_hanging_handler_leaves_those_that_share_its_process_alone(hosts: SharedHosts, shared: list[str]) -> None:
    """While a handler hangs with all its loop may have under way, the others of the process get their events."""
    moved = shared[0]
    path = f"/v1/feedback-loops/{hosts.loops[moved]}"
    proof = hosts.account.call("PATCH", path, json={"url": hosts.other.url}).json()["verification"]
    hosts.other.place(proof["file_name"], proof["file_content"])
    hosts.tell(moved, "verify")
    hosts.other.tell("hang")
    try:
        hosts.open_each([moved] * 40)
        began_s = time.monotonic()
        hosts.open_each(shared[1:])
        hosts.wait_for(shared[1:], 1)
        took_s = time.monotonic() - began_s
    finally:
        hosts.other.tell("accept")

    print(f"{len(shared) - 1} events beside a handler that hangs: {took_s:.2f} s")
    assert took_s < 4.0  # the handler's time-out is 5 s


def test_a_killed_process_loses_nothing(hosts: SharedHosts, shared: list[str]) -> None:
    """kill -9 of the process that loops share, between and during events: each event comes, late or not."""
    others = shared[1:]
    hosts.open_each(others)
    [host] = hosts.service.processes("host")
    host.kill()
    hosts.open_each(others)
    hosts.wait_for(others, 2)
    [again] = hosts.service.processes("host")

    assert again.pid != host.pid


def test_the_supervisor_is_not_needed_to_deliver_and_finds_all_again(hosts: SharedHosts, shared: list[str]) -> None:
    """With the supervisor just killed events come; when it is back loops are found where they were."""
    others = shared[1:]
    [supervisor] = hosts.service.processes("supervisor")
    [host] = hosts.service.processes("host")
    supervisor.kill()
    hosts.open_each(others)
    hosts.wait_for(others, 1)
    eventually(hosts.service.is_ready, 20, "the supervisor is back")
    hosts.tell(others[0], "pause")
    hosts.tell(others[0], "resume")
    loop = hosts.account.loop(hosts.other, triggers=["click"])

    assert hosts.account.call("DELETE", f"/v1/feedback-loops/{loop['id']}").is_success
    assert [process.pid for process in hosts.service.processes("host")] == [host.pid]
