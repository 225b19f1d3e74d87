"""`feedback-loops deliveries`, `replay` and `events`, against a service over HTTP."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec
import pytest

from actors.commands.deliveries import AttemptView, DeliveryView, GetReplay, ListDeliveries, StartReplay
from actors.commands.events import EventView, ListEvents
from api.cli.command_group import moment
from api.cli.commands import events, replay
from api.events import sse
from domain.errors import StoreUnavailable
from tests.paths import ROOT
from tests.unit.api.cli.fake_service import RunningService, running_service
from tests.unit.api.fake_api import NOW_MS

ATTEMPT = AttemptView(
    no=1,
    at_ms=NOW_MS,
    duration_ms=7,
    status=500,
    error="status",
    response_excerpt="oh no",
    address="192.0.2.1",
    response_bytes=5,
)


@pytest.fixture
def service(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    monkeypatch.setattr(sse, "POLL_S", 0.005)
    monkeypatch.setattr(replay, "POLL_S", 0.005)
    monkeypatch.setattr(events, "FIRST_WAIT_S", 0.01)
    with running_service(capsys, monkeypatch) as running:
        yield running


def delivery(n: int, state: str = "dead") -> DeliveryView:
    return DeliveryView(
        id=f"dlv_{n}",
        event=f"evt_{n}",
        type="click",
        state=state,
        created_at_ms=NOW_MS,
        next_attempt_at_ms=None,
        attempts=[ATTEMPT],
    )


def event(n: int, kind: str = "open", **fields: object) -> EventView:
    raw = msgspec.Raw(json.dumps({"recipient": "a@b.example", **fields}).encode())
    return EventView(id=f"evt_{NOW_MS:012x}7{n:019x}", type=kind, time_ms=NOW_MS, fields=raw)


def eventually(is_so: Callable[[], bool]) -> None:
    """Waits until the condition is true."""
    deadline_s = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def test_deliveries_are_listed_across_pages(service: RunningService) -> None:
    """Filters reach the service, --limit counts across pages, and the command reports when rows are left out."""
    loop_id = service.loop()
    service.client.deliveries[loop_id] = [delivery(n) for n in range(300)]
    table = service.run("deliveries", "list", loop_id, "--limit", "250", "--state", "dead", "--type", "click")
    command = service.client.called(ListDeliveries)[-1]

    lines = table.out.splitlines()
    assert (len(lines), lines[1].split()[0], lines[250].split()[0]) == (252, "dlv_0", "dlv_249")
    assert "500 status" in lines[1]
    assert "--limit" in lines[251]
    assert (command.state, command.type, command.limit) == ("dead", "click", 50)
    listed = json.loads(service.run("deliveries", "list", loop_id, "--json", "--since", "2020-01-01T00:00:00Z").out)
    assert [d["id"] for d in listed] == [f"dlv_{n}" for n in range(50)]
    assert service.run("deliveries", "list", loop_id, "--state", "pending").out == "No such deliveries.\n"


def test_a_delivery_is_shown_and_retried(service: RunningService) -> None:
    """Every attempt shows its response, its address and the start of the body."""
    service.client.deliveries[service.loop()] = [delivery(1)]
    shown, retried = service.run("deliveries", "show", "dlv_1"), service.run("deliveries", "retry", "dlv_1")

    for word in ("dead", "500 status", "7 ms", "192.0.2.1", "oh no (5 bytes)"):
        assert word in shown.out
    assert "pending" in retried.out
    assert service.run("deliveries", "retry", "dlv_2").code == 1


def test_bytes_that_are_not_a_response_are_shown(service: RunningService) -> None:
    """Bytes that are not a response appear in the attempt's row, and do not count as a body."""
    change = {"status": None, "error": "protocol", "response_excerpt": r"SSH-2.0\x1b", "response_bytes": 0}
    nothing = msgspec.structs.replace(ATTEMPT, **change)
    service.client.deliveries[service.loop()] = [msgspec.structs.replace(delivery(1), attempts=[nothing])]

    shown = service.run("deliveries", "show", "dlv_1").out

    assert r"SSH-2.0\x1b" in shown
    assert "bytes)" not in shown


def test_a_replay_is_followed_to_its_end(service: RunningService) -> None:
    """The command ends with the replay, whatever the service does meanwhile, and shows the result."""
    loop_id = service.loop()
    service.client.deliveries[loop_id] = [delivery(1)]
    service.client.failures[GetReplay] = [StoreUnavailable("away")]

    def finish() -> None:
        eventually(lambda: len(service.client.called(GetReplay)) > 3)
        service.client.advance_replay(loop_id, "rpl_1", done=1, state="done")

    finishing = threading.Thread(target=finish)
    finishing.start()
    shown = service.run("replay", "start", loop_id, "--since", "1d", "--state", "all", "--json")
    finishing.join()
    (command,) = service.client.called(StartReplay)

    assert (shown.code, json.loads(shown.out)["state"], json.loads(shown.out)["done"]) == (0, "done", 1)
    assert command.which == "all"
    assert abs(command.since_ms - (time.time() - 86_400) * 1000) < 60_000
    assert "1 of 1" in service.run("replay", "list", loop_id).out


def test_a_replay_is_detached_and_cancelled(service: RunningService) -> None:
    """--detach ends at once and prints how to watch the replay; a watched replay that is cancelled ends with 1."""
    loop_id = service.loop()
    detached = service.run("replay", "start", loop_id, "--since", "2026-01-01T00:00:00Z", "--detach")
    assert (detached.code, f"replay watch {loop_id} rpl_1" in detached.out) == (0, True)
    second = service.run("replay", "start", loop_id, "--since", "1h")
    assert (second.code, "Another replay" in second.err) == (1, True)

    assert "cancelled" in service.run("replay", "cancel", loop_id, "rpl_1").out
    assert service.run("replay", "watch", loop_id, "rpl_1").code == 1
    assert service.run("replay", "start", loop_id, "--since", "soon").code == 2


def test_ctrl_c_leaves_a_replay_running(service: RunningService) -> None:
    """The progress bar ends but the replay continues, and the command prints how to watch and cancel it."""
    loop_id = service.loop()
    command = [sys.executable, "-m", "api.cli.main", "replay", "start", loop_id, "--since", "1h"]
    process = subprocess.Popen(
        command, env=service.environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    eventually(lambda: len(service.client.called(GetReplay)) > 0)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "rpl_1 continues in the background" in stderr
    assert f"replay cancel {loop_id} rpl_1" in stderr
    assert "Traceback" not in stderr
    assert service.client.replays[loop_id][0].state == "running"


def test_events_are_shown_as_they_arrive(service: RunningService) -> None:
    """Each new event is one line without terminal control characters; --count ends the command."""

    def record() -> None:
        eventually(lambda: len(service.client.called(ListEvents)) > 2)
        service.client.events = [event(2, "click", original="https://x.example/\x1b[2J"), event(1)]

    recording = threading.Thread(target=record)
    recording.start()
    shown = service.run("events", "tail", "--recipient", "a@b.example", "--count", "2")
    recording.join()

    first, second = shown.out.splitlines()
    assert [word in first for word in ("open", "a@b.example")] == [True, True]
    assert [word in second for word in ("click", "original=https://x.example/\\x1b[2J")] == [True, True]
    assert service.client.called(ListEvents)[0].recipient == "a@b.example"


def test_a_tail_continues_after_a_lost_connection(service: RunningService) -> None:
    """When the service ends the stream, the command reconnects with the last id and misses nothing."""

    def record() -> None:
        eventually(lambda: len(service.client.called(ListEvents)) > 2)
        service.client.events = [event(1)]
        eventually(lambda: service.client.called(ListEvents)[-1].after == event(1).id)
        service.client.failures[ListEvents] = [RuntimeError("the stream breaks")]
        service.client.events = [event(3), event(2), event(1)]

    recording = threading.Thread(target=record)
    recording.start()
    shown = service.run("events", "tail", "--count", "3", "--json")
    recording.join()

    assert [json.loads(line)["id"] for line in shown.out.splitlines()] == [event(n).id for n in (1, 2, 3)]
    assert shown.code == 0


def test_a_tail_without_a_service_ends(service: RunningService) -> None:
    """A wrong URL is reported at once and not retried for ever."""
    assert service.run("events", "tail", "--url", "http://127.0.0.1:9").code == 3
    assert service.run("events", "tail", "--key", "flk_x").code == 1


def test_a_stream_is_parsed_by_the_standard() -> None:
    """Comments and unknown fields are skipped, data lines are joined, and an id applies until the next one."""
    lines = [": hello", "", "id: 1", "event: x", "data: a", "data:b", "", "retry: 5", "data: c", "", "data: cut off"]

    assert list(events.server_events(lines)) == [("1", "a\nb"), ("1", "c")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T09:30:00Z", "2026-03-01T09:30:00.000Z"),
        ("2026-03-01T09:30:00.5+02:00", "2026-03-01T07:30:00.500Z"),
        ("90s", "2026-02-28T23:58:30.000Z"),
        ("30m", "2026-02-28T23:30:00.000Z"),
        ("12h", "2026-02-28T12:00:00.000Z"),
        ("7d", "2026-02-22T00:00:00.000Z"),
    ],
)
def test_times_are_absolute_or_relative(text: str, expected: str) -> None:
    """Both become RFC 3339 in UTC."""
    assert moment(text, lambda: datetime(2026, 3, 1, tzinfo=UTC)) == expected


@pytest.mark.parametrize("text", ["", "soon", "7", "7w", "2026-03-01T09:30:00", "999999999d", "-1h"])
def test_an_invalid_time_is_refused(text: str) -> None:
    """A time without an offset is also refused, because it is ambiguous."""
    with pytest.raises(argparse.ArgumentTypeError, match="must be a time"):
        moment(text)
