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
class Stage:
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
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
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
            yield Stage(service, account, handler, other, loops, slowest_s)
    finally:
        other.stop()
        service.end()


@pytest.fixture
def shared(stage: Stage) -> list[str]:
    """The tags of all loops but the first, and nothing has come for them yet."""
    stage.handler.got.clear()
    return list(stage.loops)[1:]


def test_loops_share_what_the_budget_allows(stage: Stage, shared: list[str]) -> None:
    """A loop is made at once; the first gets a process of its own, all others share one, and each is delivered to."""

    def processes() -> tuple[int, int]:
        return len(stage.service.processes("loop")), len(stage.service.processes("host"))

    assert stage.slowest_s < CREATED_S
    eventually(lambda: processes() == (1, 1), 20, "a process for the first, and one for the others")
    stage.open_each(list(stage.loops))
    stage.wait_for(shared, 1)
    eventually(lambda: stage.other.stats()["posts"] == 1, 10, "the first loop's event")
    assert set(stage.arrivals().values()) == {1}


def test_commands_reach_a_loop_that_shares_a_process(stage: Stage, shared: list[str]) -> None:
    """A paused loop is owed what the others get, and gets it when it is resumed; a sample goes out at once."""
    resting = shared[7]
    stage.tell(resting, "pause")
    stage.open_each(shared)
    stage.wait_for([tag for tag in shared if tag != resting], 1)
    assert stage.arrivals()[stage.loops[resting]] == 0

    stage.tell(resting, "resume")
    stage.wait_for([resting], 1)
    answer = stage.account.call("POST", f"/v1/feedback-loops/{stage.loops[resting]}/test", json={"type": "open"})
    assert (answer.status_code, answer.json()["status"]) == (200, 200)


def test_a_hanging_handler_leaves_those_that_share_its_process_alone(stage: Stage, shared: list[str]) -> None:
    """While a handler hangs with all its loop may have under way, the others of the process get their events."""
    moved = shared[0]
    path = f"/v1/feedback-loops/{stage.loops[moved]}"
    proof = stage.account.call("PATCH", path, json={"url": stage.other.url}).json()["verification"]
    stage.other.place(proof["file_name"], proof["file_content"])
    stage.tell(moved, "verify")
    stage.other.tell("hang")
    try:
        stage.open_each([moved] * 40)
        began_s = time.monotonic()
        stage.open_each(shared[1:])
        stage.wait_for(shared[1:], 1)
        took_s = time.monotonic() - began_s
    finally:
        stage.other.tell("accept")

    print(f"{len(shared) - 1} events beside a handler that hangs: {took_s:.2f} s")
    assert took_s < 4.0  # the handler's time-out is 5 s


def test_a_killed_process_loses_nothing(stage: Stage, shared: list[str]) -> None:
    """kill -9 of the process that loops share, between and during events: each event comes, late or not."""
    others = shared[1:]
    stage.open_each(others)
    [host] = stage.service.processes("host")
    host.kill()
    stage.open_each(others)
    stage.wait_for(others, 2)
    [again] = stage.service.processes("host")

    assert again.pid != host.pid


def test_the_supervisor_is_not_needed_to_deliver_and_finds_all_again(stage: Stage, shared: list[str]) -> None:
    """With the supervisor just killed events come; when it is back loops are found where they were."""
    others = shared[1:]
    [supervisor] = stage.service.processes("supervisor")
    [host] = stage.service.processes("host")
    supervisor.kill()
    stage.open_each(others)
    stage.wait_for(others, 1)
    eventually(stage.service.is_ready, 20, "the supervisor is back")
    stage.tell(others[0], "pause")
    stage.tell(others[0], "resume")
    loop = stage.account.loop(stage.other, triggers=["click"])

    assert stage.account.call("DELETE", f"/v1/feedback-loops/{loop['id']}").is_success
    assert [process.pid for process in stage.service.processes("host")] == [host.pid]
