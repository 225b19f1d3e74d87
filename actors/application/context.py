"""Application context: what all handlers of commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from actors.application.repository import AggregateRepository
from actors.commands.service import ClaimKey, KeepAnswer, StoredAnswer
from actors.ledger.access.port import AccessLedger
from actors.ledger.reader import LedgerReader
from actors.ports import Clock, LedgerWriter


class IdempotencyKeys(Protocol):
    """Idempotency-Keys of requests, with the answers that they got."""

    async def claim_key(self, command: ClaimKey) -> StoredAnswer | None: ...
    async def keep_answer(self, command: KeepAnswer) -> None: ...


class Ledger(LedgerWriter, AccessLedger, IdempotencyKeys, Protocol):
    """The ledger's writer, with everything that the application writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The collaborators of all handlers. The handlers are stateless, so any number can run concurrently."""

    ledger: Ledger
    #: Blocks: call it in a thread.
    reader: LedgerReader
    clock: Clock
    #: Cryptographically secure.
    random_bytes: Callable[[int], bytes]
    master_key: bytes


class CommandService:
    """Base of the classes that handle commands: has the collaborators as attributes."""

    def __init__(self, context: Context) -> None:
        self._ledger = context.ledger
        self._reader = context.reader
        self._clock = context.clock
        self._random_bytes = context.random_bytes
        self._master_key = context.master_key
        self._aggregates = AggregateRepository(context.ledger, context.reader)
