"""The gateway before it serves: whoever asks is told what it waits for."""

from __future__ import annotations

import asyncio

import pytest

from actors.gateway.main import ledger_at
from actors.gateway.reception import Reception
from actors.ray_runtime.join import JoinedRay
from actors.settings import Settings
from domain.errors import Conflict, Unavailable

SQLITE_ON_A_CLUSTER = Settings.from_env({}, ray_address="10.0.0.1:6379")
POSTGRESQL = Settings.from_env({}, ray_address="10.0.0.1:6379", store="postgresql://db/feedback_loops")


def test_it_says_what_is_waited_for_until_it_is_opened() -> None:
    """The latest reason is the answer; then the gateway answers."""

    async def visit() -> bytes:
        reception = Reception("waiting for Ray")
        reception.say("waiting for the ledger")
        with pytest.raises(Unavailable, match="waiting for the ledger"):
            await reception.answer(1, b"")

        async def gateway(kind: int, body: bytes) -> bytes:
            return bytes([kind]) + body

        reception.open(gateway)
        return await reception.answer(1, b"x")

    assert asyncio.run(visit()) == b"\x01x"


def test_a_ledger_on_sqlite_stays_on_the_machine_with_the_file() -> None:
    """On a Ray of one node it is put there; with others beside it the service does not start, and says what to set."""
    alone = JoinedRay("socket", ["10.0.0.1"], "10.0.0.1")

    assert ledger_at(SQLITE_ON_A_CLUSTER, alone) == "10.0.0.1"
    with pytest.raises(Conflict, match="--store postgresql://"):
        ledger_at(SQLITE_ON_A_CLUSTER, JoinedRay("socket", ["10.0.0.1", "10.0.0.2"], "10.0.0.1"))


def test_a_ledger_on_postgresql_may_be_anywhere() -> None:
    """Nor is there a choice on a Ray of our own."""
    several = JoinedRay("socket", ["10.0.0.1", "10.0.0.2"], "10.0.0.1")

    assert ledger_at(POSTGRESQL, several) is None
    assert ledger_at(Settings.from_env({}), several) is None
