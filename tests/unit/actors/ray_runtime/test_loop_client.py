"""`RemoteLoopClient`: which commands it repeats when the process of a loop ends before it answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors.commands.accounts import Account
from actors.commands.loops import GetLoop, LoopCommand, PauseLoop, SendSample, VerifyLoop
from actors.loops.location_registry import LocationChanges, LocationRegistry
from actors.ray_runtime.calls import ActorClient
from actors.ray_runtime.loop_client import RemoteLoopClient
from domain.errors import Moved, Unavailable

ACCOUNT = Account(id="acc_1", no=1, name="shop")


class Hosts(ActorClient):
    """Two hosts. The loop moves to the second when the first one ends, during the first command."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[str] = []

    async def call(self, name: str, method: str, *args: Any, timeout_s: float = 30.0) -> Any:
        if method == "locate":
            return "loop-host/2" if self.received else "loop-host/1"
        self.received.append(name)
        if name == "loop-host/1":
            raise Unavailable("loop-host 1 is away", True)
        return "done"


def _call(hosts: Hosts, command: LoopCommand[Any]) -> Any:
    async def fetch(_incarnation: str, _version: int) -> LocationChanges:
        raise Unavailable("the supervisor is away")

    client = RemoteLoopClient(hosts, LocationRegistry(fetch, lambda _name: None))
    return asyncio.run(client.call("fl_1", command))


@pytest.mark.parametrize("command", [GetLoop, PauseLoop, VerifyLoop])
def test_an_idempotent_command_follows_its_loop(command: type[LoopCommand[Any]]) -> None:
    """Its caller does not notice that the process has ended."""
    hosts = Hosts()

    assert _call(hosts, command(account=ACCOUNT, loop_id="fl_1")) == "done"
    assert hosts.received == ["loop-host/1", "loop-host/2"]


def test_a_sample_is_not_sent_twice() -> None:
    """The process may have sent it before it ended, so the caller decides."""
    hosts = Hosts()

    with pytest.raises(Unavailable, match="loop-host 1 is away"):
        _call(hosts, SendSample(account=ACCOUNT, loop_id="fl_1", type="open"))
    assert hosts.received == ["loop-host/1"]


class SupervisorBehind(Hosts):
    """The loop is in the second host, and the supervisor learns so a second after it was asked."""

    knows_at = 0.0

    async def call(self, name: str, method: str, *args: Any, timeout_s: float = 30.0) -> Any:
        if method == "locate":
            now = asyncio.get_running_loop().time()
            self.knows_at = self.knows_at or now + 1.0
            return "loop-host/2" if now >= self.knows_at else "loop-host/1"
        self.received.append(name)
        if name == "loop-host/1":
            raise Moved("feedback loop fl_1 is in another process")
        return "done"


def test_a_command_waits_until_the_supervisor_knows_where_its_loop_is() -> None:
    """Even one that must not run twice, because where the loop is not, nothing was done."""
    hosts = SupervisorBehind()

    assert _call(hosts, SendSample(account=ACCOUNT, loop_id="fl_1", type="open")) == "done"
    assert hosts.received[-1] == "loop-host/2"
