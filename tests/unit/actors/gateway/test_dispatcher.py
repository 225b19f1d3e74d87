"""The gateway's dispatcher: refuses requests until it is open, then passes them on."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from actors.commands.command import Command
from actors.commands.protocol import GatewayFrame, call_body
from actors.commands.service import CheckReadiness
from actors.gateway.dispatcher import Dispatcher, EnricherBalancer
from actors.ipc.pool import ConnectionPool
from domain.errors import Unavailable


def test_it_reports_the_reason_until_it_is_open() -> None:
    """Requests fail with the latest reason; then intake and commands are passed on."""
    recorded: list[bytes] = []

    async def record(batch: bytes) -> None:
        recorded.append(batch)

    async def carry_out(command: Command[Any]) -> object:
        return type(command).__name__

    async def scenario() -> None:
        dispatcher = Dispatcher("waiting for Ray")
        dispatcher.wait_for("waiting for the ledger")
        with pytest.raises(Unavailable, match="waiting for the ledger"):
            await dispatcher.handle(GatewayFrame.INTAKE, b"batch")

        dispatcher.open(record, carry_out)
        assert await dispatcher.handle(GatewayFrame.INTAKE, b"batch") == b""
        assert await dispatcher.handle(GatewayFrame.CALL, call_body(CheckReadiness())) == b'"CheckReadiness"'

    asyncio.run(scenario())
    assert recorded == [b"batch"]


def test_batches_go_to_the_enrichers_in_turn() -> None:
    """Each gets the next one, whether or not the previous one failed."""
    requests: list[tuple[str, int, bytes]] = []

    class FakePool:
        async def request(self, name: str, kind: int, body: bytes) -> bytes:
            requests.append((name, kind, body))
            if name == "enricher/0":
                raise Unavailable("enricher 0 is away")
            return b""

    async def scenario() -> None:
        balancer = EnricherBalancer(cast(ConnectionPool, cast(Any, FakePool())), ["enricher/0", "enricher/1"])
        for batch in (b"1", b"2", b"3"):
            await asyncio.gather(balancer.record(batch), return_exceptions=True)

    asyncio.run(scenario())
    assert requests == [
        ("enricher/0", GatewayFrame.INTAKE, b"1"),
        ("enricher/1", GatewayFrame.INTAKE, b"2"),
        ("enricher/0", GatewayFrame.INTAKE, b"3"),
    ]
