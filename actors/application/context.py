"""Application context: what all handlers of commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from actors.application.repository import AggregateRepository
from actors.commands.service import ClaimKey, KeepAnswer, StoredAnswer
from actors.ledger.access.port import AccessLedger
from actors.ledger.erasure.port import ErasureLedger
from actors.ledger.reader import LedgerReader
from actors.ports import Clock, LedgerWriter
from domain.key_set import KeySet


class IdempotencyKeys(Protocol):
    """Idempotency-Keys of requests, with the answers that they got."""

    async def claim_key(self, command: ClaimKey) -> StoredAnswer | None: ...
    async def keep_answer(self, command: KeepAnswer) -> None: ...


class Ledger(LedgerWriter, AccessLedger, ErasureLedger, IdempotencyKeys, Protocol):
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
    #: The current installation keys.
    keys: Callable[[], KeySet]
    #: The installation's fingerprint.
    installation: str


class CommandService:
    """Base of the classes that handle commands: has the collaborators as attributes."""

    def __init__(self, context: Context) -> None:
        self._ledger = context.ledger
        self._reader = context.reader
        self._clock = context.clock
        self._random_bytes = context.random_bytes
        self._keys = context.keys
        self._aggregates = AggregateRepository(context.ledger, context.reader)
