"""The service itself: idempotency keys, readiness, the cluster."""

from __future__ import annotations

from msgspec import field

from actors.commands.command import Command
from actors.compatibility import WireStruct


class StoredAnswer(WireStruct, frozen=True, kw_only=True):
    """The answer that an earlier request with this Idempotency-Key got."""

    status: int
    content_type: str
    body: bytes


class Readiness(WireStruct, frozen=True, kw_only=True):
    """Whether the service can carry an event from hit to handler. If so, `problems` is empty.

    `of_store`: the positions of those problems that concern the store.
    """

    problems: list[str]
    of_store: list[int] = field(default_factory=list)


class ClusterNode(WireStruct, frozen=True, kw_only=True):
    """A node of the Ray cluster. Ray does not report the resources of dead nodes."""

    id: str
    is_alive: bool
    cpus: int
    #: Memory that Ray may give to actors.
    memory_bytes: int


class ActorProcess(WireStruct, frozen=True, kw_only=True):
    """The process of an actor."""

    #: The actor's name; for a loop's own process only its kind, because the rest is an account's loop id.
    name: str
    #: Whether it answered in time. If not, only `loops` is known.
    is_answering: bool
    node: str
    #: Unix time, milliseconds.
    started_ms: int | None
    memory_bytes: int | None
    #: Loops that it holds, according to the supervisor.
    loops: int


class ClusterInventory(WireStruct, frozen=True, kw_only=True):
    """Nodes and actor processes of the cluster, for operators; nothing in it belongs to an account.

    `processes` lists the first of `process_count` processes.
    """

    nodes: list[ClusterNode]
    processes: list[ActorProcess]
    process_count: int


class ClaimKey(Command[StoredAnswer | None], frozen=True, kw_only=True):
    """Claims an Idempotency-Key for a request. The answer is None if the request may run.

    Raises `IdempotencyConflict`. The claim of a request that died expires after `lease_s`.
    """

    scope: str
    key: str
    #: A hash of method, path and body.
    fingerprint: str
    lease_s: int = 60


class KeepAnswer(Command[None], frozen=True, kw_only=True):
    """Stores the answer of a claimed key for 24 h. None releases the key, because the request had no effect.

    Does nothing if another request has claimed the key since, because this one outlived its lease. An answer about an
    erased message is not stored: the request may run again, and is refused for its messages.
    """

    scope: str
    key: str
    #: The one of the claim.
    fingerprint: str
    answer: StoredAnswer | None
    #: Keys of the messages that the answer shows. With the erasure of one of them, the answer is dropped.
    message_keys: list[int] = field(default_factory=list)


class CheckReadiness(Command[Readiness], frozen=True, kw_only=True):
    pass


class ReadClusterInventory(Command[ClusterInventory], frozen=True, kw_only=True):
    """Reads which nodes and actor processes exist, as of the same collection as the metrics."""
