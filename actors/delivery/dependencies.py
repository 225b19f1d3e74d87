"""Services and operator settings that the loops of one process share."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, Protocol

from actors.delivery.cpu_throttle import CpuThrottle
from actors.delivery.prefetch_buffer import SharedBytes
from actors.ledger.reader import LedgerReader
from actors.ports import Clock, HttpClient, LedgerWriter, ProofFetcher, ReplayLedger, UrlCheck
from domain.key_set import KeySet
from domain.retry import RetrySchedule

DISABLE_AFTER_S: Final = 5 * 24 * 3600.0


class LoopLedger(LedgerWriter, ReplayLedger, Protocol):
    """The part of the ledger that a loop writes to."""


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """The operator's settings for deliveries."""

    retry_schedule: RetrySchedule
    #: Seconds for one attempt.
    timeout_s: float
    #: A loop is disabled when its handler has only failed for this long.
    disable_after_s: float = DISABLE_AFTER_S


@dataclass(frozen=True, slots=True)
class DeliveryServices:
    """Dependencies of delivery that the loops of a process share."""

    ledger: LoopLedger
    reader: LedgerReader
    http_client: HttpClient
    clock: Clock
    rng: random.Random
    policy: DeliveryPolicy
    shared_bytes: SharedBytes
    #: None: backlogs may use all of the processor.
    cpu_throttle: CpuThrottle | None = None


class LoopKeySource(Protocol):
    """Source of the keys of loops, each derived for one loop."""

    async def loop_keys(self, loop_id: str) -> KeySet:
        """The current keys of one loop (`domain.signing.loop_keys`). Raises `Unavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class CommandServices:
    """Dependencies of the loops' commands that the loops of a process share."""

    proof_fetcher: ProofFetcher
    url_check: UrlCheck
    loop_keys: LoopKeySource
