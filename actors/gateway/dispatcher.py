"""Dispatcher of the gateway: passes the intake to the enrichers, and commands to the application."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from actors.commands import protocol
from actors.commands.command import Command
from actors.commands.protocol import GatewayFrame
from actors.ipc.pool import ConnectionPool
from domain.errors import StoreError, Unavailable, from_wire, to_wire

RecordIntake = Callable[[bytes], Awaitable[None]]
CarryOut = Callable[[Command[Any]], Awaitable[object]]


class EnricherBalancer:
    """Sends each batch of the intake to the next enricher in turn. The front end repeats a batch that fails."""

    def __init__(self, pool: ConnectionPool, names: Sequence[str]) -> None:
        self._pool = pool
        self._next = itertools.cycle(names)

    async def record(self, batch: bytes) -> None:
        """Returns when the entries of a batch (`actors.commands.intake`) are in the ledger."""
        await self._pool.request(next(self._next), GatewayFrame.INTAKE, batch)


class _Routes(NamedTuple):
    record_intake: RecordIntake
    carry_out: CarryOut


class Dispatcher:
    """Answers the frames of `actors.commands.protocol`: *starting* until `open` is called, then *open*.

    While it is starting, every request fails with the reason why the gateway is not ready.
    """

    def __init__(self, waiting_for: str) -> None:
        self.wait_for(waiting_for)
        self._routes: _Routes | None = None

    def wait_for(self, waiting_for: str | StoreError) -> None:
        """Changes the reason why the gateway is not ready: in words for people, or the store's error."""
        self._waiting_for = to_wire(waiting_for if isinstance(waiting_for, StoreError) else Unavailable(waiting_for))

    def open(self, record_intake: RecordIntake, carry_out: CarryOut) -> None:
        """Starts to answer.

        Args:
            record_intake: returns when the entries of a batch are in the ledger.
            carry_out: carries a command out and returns its answer.
        """
        self._routes = _Routes(record_intake, carry_out)

    async def handle(self, kind: int, body: bytes) -> bytes:
        """The `Handler` of a `FrameServer`.

        Raises:
            Unavailable: the gateway is starting.
            StoreError: the gateway is waiting for the store.
            FeedbackLoopsError: the enricher's or the command's.
        """
        if self._routes is None:
            raise from_wire(*self._waiting_for)
        if kind == GatewayFrame.INTAKE:
            await self._routes.record_intake(body)
            return b""
        return protocol.answer_body(await self._routes.carry_out(protocol.read_call(body)))
