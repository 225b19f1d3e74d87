"""Next attempts of deliveries and loops: estimates of their times, because only the lane decides."""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from actors.commands.deliveries import DeliveryView
from actors.commands.loops import Loop
from actors.ledger.reader import LedgerReader
from domain.breaker import OPEN
from domain.delivery import MAX_WAITING
from domain.values import LoopState

L = TypeVar("L", bound=Loop)


def next_attempt_ms(due_at_ms: int | None, loop: Loop, now_ms: int) -> int | None:
    """When a delivery of the loop that is due then is attempted: never in the past. None: not planned."""
    if due_at_ms is None or loop.state != LoopState.ACTIVE:
        return None
    probe_ms = loop.health.next_probe_ms if loop.health.breaker == OPEN else None
    return max(due_at_ms, probe_ms or 0, now_ms)


def with_backlog(loop: L, loop_no: int, reader: LedgerReader, now_ms: int) -> L:
    """The loop with what waits for its handler. Blocks."""
    waiting = reader.backlog(loop_no, MAX_WAITING)
    due_at_ms = reader.next_due_ms(loop_no) if waiting else None
    probe_ms = loop.health.next_probe_ms if waiting and loop.health.breaker == OPEN else None
    health = replace(
        loop.health,
        waiting=waiting,
        next_attempt_ms=next_attempt_ms(due_at_ms, loop, now_ms),
        next_probe_ms=next_attempt_ms(probe_ms, loop, now_ms),
    )
    return replace(loop, health=health)


def with_plan(delivery: DeliveryView, loop: Loop, now_ms: int) -> DeliveryView:
    """The delivery with the time of its next attempt, from the time when it is due."""
    return replace(delivery, next_attempt_at_ms=next_attempt_ms(delivery.next_attempt_at_ms, loop, now_ms))
