"""Test data for ledgers, and the fixture that a store provides to the contract suites."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from uuid import UUID, uuid4

from eventsourcing.persistence import StoredEvent

from actors.commands import accounts as account_commands
from actors.commands.service import ClaimKey, KeepAnswer, StoredAnswer
from actors.ledger.access.port import AccessLedger
from actors.ledger.erasure.port import ErasureLedger
from actors.ledger.erasure.store_access import ErasureStore
from actors.ledger.key_ring_store import KeyRingStore
from actors.ledger.loop_projection import LoopRow
from actors.ledger.reader import LedgerReader
from actors.ports import ChangeLedger, LedgerWriter, ReplayLedger, RetentionLedger, RetentionLimits
from domain.account import Account
from domain.aggregate import EventSourced
from domain.delivery import AttemptOutcome, LaneHealth, ReplayProgress
from domain.feedback_loop import FeedbackLoop
from domain.ledger import domain_events, event_mapper
from domain.loop_settings import LoopSettings
from domain.message import Message
from domain.profile import Profile
from domain.profile_change import ProfileKey
from domain.tracking import EventToRecord, RecordedEvents
from domain.user import User
from domain.values import DeliveryState, id_text, id_uuid

NOW_MS = 1_770_000_000_000
T = TypeVar("T")
_mapper = event_mapper()


@dataclass
class FakeClock:
    """A clock that tests set."""

    ms: int = NOW_MS

    def now_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return self.ms / 1000


class Writer(LedgerWriter, ChangeLedger, ReplayLedger, RetentionLedger, AccessLedger, ErasureLedger, Protocol):
    """The methods of `StoreWriter` that the suites use."""

    @property
    def erasure_store(self) -> ErasureStore: ...
    async def claim_key(self, command: ClaimKey) -> StoredAnswer | None: ...
    async def keep_answer(self, command: KeepAnswer) -> None: ...
    async def close(self) -> None: ...


@dataclass
class Store:
    """A ledger under test: one writer, one reader, and access to the store that only tests need."""

    writer: Writer
    reader: LedgerReader
    clock: FakeClock
    #: All stored events in the order of the log.
    log: Callable[[], list[StoredEvent]]
    #: All rows of the tables that can be rebuilt from the log, by table.
    read_models: Callable[[], dict[str, list[tuple[Any, ...]]]]
    #: Makes another, empty store.
    another: Callable[[], Store]
    #: Makes a writer that takes over this store, as after a crash.
    successor: Callable[[], Writer]
    #: The installation's keys and the front ends in the same store.
    key_ring_store: KeyRingStore | None = None

    @property
    def key_rings(self) -> KeyRingStore:
        assert self.key_ring_store is not None
        return self.key_ring_store

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(work)

    def append(self, *aggregates: EventSourced) -> None:
        self.run(self.writer.append(stored(*aggregates)))

    def record(self, *events: EventToRecord) -> RecordedEvents:
        """Records events with the current version of the routing table."""
        return self.run(self.writer.record_events(self.reader.routing_table().version, events))

    def outcomes(self, *outcomes: AttemptOutcome, health: tuple[int, LaneHealth] | None = None) -> None:
        self.run(self.writer.record_outcomes(outcomes, health))

    def replay(self, loop_no: int, which: str = "dead", since_ms: int = 0, until_ms: int = 2**47) -> ReplayProgress:
        """Starts a replay, by default of all time."""
        return self.run(self.writer.start_replay(loop_no, which, since_ms, until_ms))

    def replay_to_the_end(self, progress: ReplayProgress, limit: int = 500) -> ReplayProgress:
        """Advances a replay until it has ended."""
        while progress.state == "running":
            progress = self.advance(progress.id, limit)
        return progress

    def advance(self, replay_id: int, limit: int) -> ReplayProgress:
        return self.run(self.writer.advance_replay(replay_id, limit))

    def drop(self, limit: int = 500, **limits: int | None) -> int:
        """Drops all that is older than the limits (`deliveries`, `attempts` and so on). Returns the number of rows."""
        names = ("deliveries", "attempts", "events", "messages", "mails", "profile_history")
        wanted = RetentionLimits(*(limits.get(name) for name in names))

        async def to_the_end() -> int:
            total = 0
            while dropped := await self.writer.drop_old(wanted, limit):
                total += dropped
            return total

        return self.run(to_the_end())

    def account(self) -> Tenant:
        """A new account in the store."""
        account_id = uuid4()
        key_hash = uuid4().hex * 2
        opened = Account.open(account_id, "Acme", NOW_MS)
        opened.issue_api_key(key_hash, NOW_MS)
        self.append(opened)
        view = self.reader.account_by_key(key_hash)
        assert view is not None
        return Tenant(account_id, view)

    def active_loop(self, tenant: Tenant, **settings: Any) -> LoopRow:
        """A new loop in the store, verified."""
        loop = tenant.loop(**settings)
        loop.verify("https://example.com/proof.txt", NOW_MS + 1)
        self.append(loop)
        row = self.reader.loop(id_text("fl", loop.id))
        assert row is not None
        return row

    def revoke_key(self, tenant: Tenant, key_hash: str, at_ms: int) -> None:
        """Revokes an API key of the account."""
        account = Account.from_events(domain_events(self.reader.events_of(tenant.uuid)))
        assert account is not None
        account.revoke_api_key(key_hash, at_ms)
        self.append(account)

    def change(self, loop_id: str, act: Callable[[FeedbackLoop], None]) -> None:
        """Applies a change to a loop in the store."""
        uuid = id_uuid("fl", loop_id)
        assert uuid is not None
        loop = FeedbackLoop.from_events(domain_events(self.reader.events_of(uuid)))
        assert loop is not None
        act(loop)
        self.append(loop)


@dataclass(frozen=True)
class Tenant:
    """An account and what it owns."""

    uuid: UUID
    view: account_commands.Account
    keys: list[int] = field(default_factory=list)

    @property
    def no(self) -> int:
        return self.view.no

    def loop(self, **settings: Any) -> FeedbackLoop:
        return FeedbackLoop.register(
            uuid4(),
            account_no=self.no,
            account_id=self.view.id,
            url="https://example.com/hook",
            settings=LoopSettings.of({"triggers": ["click", "open"]} | settings),
            verification_token="t" * 32,
            key_id=1,
            at_ms=NOW_MS,
        )

    def message(self, key: int, **facts: Any) -> Message:
        given: dict[str, Any] = {
            "message_id": f"m-{key}",
            "recipient": "john@example.com",
            "tags": ["spring"],
            "mailing": None,
            "database": None,
            "profile": None,
            "links": ["https://example.com/a"],
            "at_ms": NOW_MS,
        } | facts
        return Message.register(self.uuid, self.no, key=key, **given)

    def user(self, email: str, password_hash: str = "hash") -> User:
        return User.join(uuid4(), self.view.id, email, password_hash, NOW_MS)

    def profile(
        self, database: str, profile_id: str, fields: dict[str, Any], sub: tuple[str, str] | tuple[()] = ()
    ) -> Profile:
        """A new profile, or a subprofile if a collection and an id are given."""
        key = ProfileKey(database, profile_id, *sub)
        return Profile.create(self.uuid, self.no, key, json.dumps(fields), ["golf"], NOW_MS)


def stored(*aggregates: EventSourced) -> list[StoredEvent]:
    """The pending events of aggregates, encoded for `append`."""
    return [_mapper.to_stored_event(event) for aggregate in aggregates for event in aggregate.collect_events()]


def event_id(at_ms: int = NOW_MS) -> bytes:
    """A UUIDv7 of this time."""
    tail = bytearray(uuid4().bytes[6:])
    tail[0] = 0x70 | tail[0] & 0x0F
    return at_ms.to_bytes(6, "big") + bytes(tail)


def event(tenant: Tenant, message_key: int = 0, loop_nos: Sequence[int] = (), **given: Any) -> EventToRecord:
    """An enriched open."""
    at_ms = given.pop("time_ms", NOW_MS)
    id_ = given.pop("event_id", None) or event_id(at_ms)
    kind = given.pop("type", "open")
    fields = {"event": id_text("evt", id_), "type": kind, "name": 'Ünïcode "quoted"'} | given.pop("fields", {})
    first_key = given.pop("first_key", None)
    assert not given
    body = json.dumps(fields, ensure_ascii=False).encode()
    return EventToRecord(id_, tenant.no, kind, message_key, first_key, at_ms, body, list(loop_nos))


def outcome(delivery_id: int, attempt_no: int = 1, **given: Any) -> AttemptOutcome:
    """An attempt that succeeded."""
    return AttemptOutcome(
        **{
            "delivery_id": delivery_id,
            "attempt_no": attempt_no,
            "at_ms": NOW_MS,
            "duration_ms": 12,
            "status": 200,
            "error": None,
            "excerpt": "thanks",
            "address": "203.0.113.9",
            "state": DeliveryState.DELIVERED,
            "due_at_ms": 0,
            "response_headers": "Server: nginx\nX-Näme: ü",
        }
        | given
    )


def failed(delivery_id: int, attempt_no: int, due_at_ms: int) -> AttemptOutcome:
    """An attempt that failed, with another to come."""
    return outcome(
        delivery_id,
        attempt_no,
        status=503,
        error="status",
        excerpt="",
        state=DeliveryState.PENDING,
        due_at_ms=due_at_ms,
    )
