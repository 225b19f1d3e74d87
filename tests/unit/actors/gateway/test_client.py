"""Client and dispatcher on a real socket: requests arrive, and answers and errors come back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.commands import protocol as wire
from actors.commands.accounts import Account, Authenticate, CreateAccount
from actors.commands.command import Command
from actors.commands.intake import encode_entry
from actors.commands.loops import ListLoops
from actors.commands.service import CheckReadiness, Readiness
from actors.gateway.client import GatewayClient
from actors.gateway.dispatcher import Dispatcher
from actors.ipc.server import FrameServer
from actors.ipc.socket_key import make_key
from domain.errors import InvalidInput, StoreUnavailable, Unavailable
from domain.tracking import TrackingHit

HIT = TrackingHit(b"\x01" * 16, "click", 1, 2, 3, "https://a.example/?n=é", "192.0.2.1", "UA", "", "")


async def refuse_intake(_body: bytes) -> None:
    raise StoreUnavailable("the ledger is away")


def client_and_gateway(tmp_path: Path, record: Any, handle: Any) -> tuple[GatewayClient, FrameServer, Path]:
    path = tmp_path / "gateway.sock"
    dispatcher = Dispatcher("not open")
    dispatcher.open(record, handle)
    return GatewayClient(path), FrameServer(dispatcher.handle, make_key(path)), path


def test_every_command_has_an_answer_type_and_survives_the_wire() -> None:
    """Each command is found by its name, and its answer can be decoded."""
    for name, cls in wire.COMMANDS.items():
        assert cls.__name__ == name
        msgspec.json.Decoder(wire._answer_types[cls])


def test_answers_and_errors_come_back(tmp_path: Path) -> None:
    """A call returns the typed answer, or raises the error with its attributes."""

    async def handle(command: Command[Any]) -> object:
        if isinstance(command, CreateAccount):
            return Account(no=7, id="acc_1", name=command.name)
        raise InvalidInput("bad", [("/url", "is bad")])

    async def scenario() -> None:
        client, gateway, path = client_and_gateway(tmp_path, refuse_intake, handle)
        await gateway.listen_at(path)
        account = await client.call(CreateAccount(name="Ada", key_hash="00"))
        assert account == Account(no=7, id="acc_1", name="Ada")
        with pytest.raises(InvalidInput) as refused:
            await client.call(ListLoops(account=account))
        assert refused.value.problems == [("/url", "is bad")]
        with pytest.raises(StoreUnavailable):
            await client.record_intake([encode_entry(HIT)])
        await client.close()
        await gateway.stop(0.1)

    asyncio.run(scenario())


def test_calls_run_concurrently(tmp_path: Path) -> None:
    """A slow call does not hold back a quick one on the same connection."""
    release = asyncio.Event()

    async def handle(command: Command[Any]) -> object:
        if isinstance(command, CheckReadiness):
            await release.wait()
            return Readiness(problems=[])
        return None

    async def scenario() -> None:
        client, gateway, path = client_and_gateway(tmp_path, refuse_intake, handle)
        await gateway.listen_at(path)
        slow = asyncio.create_task(client.call(CheckReadiness()))
        assert await client.call(Authenticate(key_hash="")) is None
        assert not slow.done()
        release.set()
        assert (await slow).problems == []
        await client.close()
        await gateway.stop(0.1)

    asyncio.run(scenario())


def test_a_gateway_that_dies_fails_its_calls_and_is_found_again(tmp_path: Path) -> None:
    """Calls in flight raise Unavailable when the connection breaks; later ones reach the next gateway."""
    entered = asyncio.Event()

    async def hang(_command: Command[Any]) -> object:
        entered.set()
        await asyncio.Event().wait()
        return None

    async def answer(_command: Command[Any]) -> object:
        return None

    async def scenario() -> None:
        client, gateway, path = client_and_gateway(tmp_path, refuse_intake, hang)
        await gateway.listen_at(path)
        call = asyncio.create_task(client.call(Authenticate(key_hash="")))
        await entered.wait()
        await gateway.stop(0)
        assert client._connection._protocol is not None
        client._connection._protocol.close()
        with pytest.raises(Unavailable) as lost:
            await call
        assert lost.value.may_have_run
        _, second, _ = client_and_gateway(tmp_path, refuse_intake, answer)
        await second.listen_at(path)
        assert await client.call(Authenticate(key_hash="")) is None
        await client.close()
        await second.stop(0.1)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    asyncio.run(scenario())


def test_without_a_gateway_a_call_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that finds no gateway in time raises `Unavailable`, and has not run."""
    monkeypatch.setattr("actors.ipc.connection.PATIENCE_S", 0.05)

    async def scenario() -> None:
        client = GatewayClient(tmp_path / "none.sock")
        with pytest.raises(Unavailable) as lost:
            await client.call(Authenticate(key_hash=""))
        assert not lost.value.may_have_run
        await client.close()

    asyncio.run(scenario())
