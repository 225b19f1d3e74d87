"""Connections between machines: the silent loss of a machine is detected within seconds."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from actors.ipc.connection import Connection
from actors.ipc.frames import SILENCE_S, FrameProtocol
from domain.errors import Unavailable
from tests.cluster.machine import Machine
from tests.cluster.network import Network, reason_to_skip
from tests.paths import ROOT

PORT = 9000
#: Answers every request except those of kind 40, which it never answers in time.
_SERVER = f"""
import asyncio, sys
from actors.ipc.server import FrameServer

async def answer(kind, body):
    if kind == 40:
        await asyncio.sleep(3600)
    return body

async def main():
    server = FrameServer(answer, b"k" * 32)
    serving = await asyncio.get_running_loop().create_server(server._accept, sys.argv[1], {PORT})
    await serving.serve_forever()

asyncio.run(main())
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with a frame server on it."""
    if reason := reason_to_skip():
        pytest.skip(reason)
    network = Network()
    made = Machine(1, network, tmp_path)
    try:
        made.boot()
        made.start([sys.executable, "-c", _SERVER, made.inside], {"PYTHONPATH": str(ROOT)}, tmp_path / "log")
        yield made
    finally:
        made.cut_power()
        network.remove()


def connector(host: str) -> Callable[[Callable[[], FrameProtocol]], Coroutine[Any, Any, None]]:
    async def connect(protocol: Callable[[], FrameProtocol]) -> None:
        await asyncio.get_running_loop().create_connection(protocol, host, PORT)

    return connect


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "with requests"])
def test_a_machine_without_power_is_detected(machine: Machine, runner: Callable[..., Any], is_busy: bool) -> None:
    """A request in flight fails within seconds, whether or not anything more is sent to the lost machine."""

    async def ask_until_it_fails() -> float:
        connection = Connection("the other machine", connector(machine.inside), lambda: b"k" * 32)
        while True:
            with contextlib.suppress(Unavailable):
                assert await connection.request(41, b"x", 5) == b"x"
                break
        asked = asyncio.create_task(connection.request(40, b"", 60))
        await connection.request(41, b"", 5)
        began_s = time.monotonic()
        await asyncio.to_thread(machine.cut_power)
        if is_busy:
            connection.send(41, b"are you there?")
        with pytest.raises(Unavailable):
            await asked
        took_s = time.monotonic() - began_s
        await connection.close()
        return took_s

    assert runner(ask_until_it_fails()) < SILENCE_S + 4
