"""Registers messages and profiles: the facts that enrichment looks up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

import msgspec
from eventsourcing.persistence import StoredEvent

from actors.commands import messages as message_commands
from actors.commands.accounts import Account
from actors.commands.messages import (
    MessageResult,
    MessageSpec,
    MessageView,
    PutProfile,
    RegisteredMessage,
    RegisterMessages,
    Rejection,
)
from actors.ledger.port import LedgerReader
from actors.ports import Clock, LedgerWriter
from domain.errors import ConcurrentWrite, Conflict, DomainError, InvalidInput
from domain.ledger import domain_events, event_mapper
from domain.message import Message
from domain.profile import Profile

#: Two writers of one profile take turns; more than this many in a row do not.
MAX_TRIES: Final = 8


def account_uuid(account: Account) -> UUID:
    """The UUID in an account's id."""
    return UUID(account.id.removeprefix("acc_"))


class Registrar:
    """Writes messages and profiles. Registering the same message again gives the same answer and writes nothing."""

    def __init__(
        self, ledger: LedgerWriter, reader: LedgerReader, clock: Clock, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._clock = clock
        self._random_bytes = random_bytes
        self._mapper = event_mapper()
        self._last_key = 0

    def _new_key(self) -> int:
        """A message key: 42 bits of milliseconds, 21 random ones; neighbours in time are neighbours in the table.

        Keys of one registrar only grow, in small random steps where the random bits would not; another registrar's may
        collide with them, which the ledger refuses and the caller tries again.
        """
        random = int.from_bytes(self._random_bytes(3), "big")
        key = (self._clock.now_ms() << 21) | (random & 0x1FFFFF)
        if key <= self._last_key:
            key = self._last_key + 1 + random % 16
        self._last_key = key
        return key

    async def register_messages(self, command: RegisterMessages) -> list[MessageResult]:
        """Registers all in one commit; where that fails because one is there already, one by one."""
        specs = [self._with_id(spec) for spec in command.messages]
        prepared = [self._prepare(command.account, spec) for spec in specs]
        ids = [spec.id for spec in specs]
        events = [event for stored, _ in prepared for event in stored]
        if len(set(ids)) == len(ids):
            try:
                await self._ledger.append(events)
            except ConcurrentWrite:
                pass
            else:
                return [result for _, result in prepared]
        return [await self._register_one(command.account, spec) for spec in specs]

    def _with_id(self, spec: MessageSpec) -> MessageSpec:
        return spec if spec.id is not None else msgspec.structs.replace(spec, id=f"msg_{self._random_bytes(16).hex()}")

    def _prepare(self, account: Account, spec: MessageSpec) -> tuple[list[StoredEvent], MessageResult]:
        key = self._new_key()
        message_id = spec.id or ""
        try:
            message = Message.register(
                account_id=account_uuid(account),
                account_no=account.no,
                message_id=message_id,
                key=key,
                recipient=spec.recipient,
                tags=spec.tags,
                mailing=spec.mailing,
                database=spec.database,
                profile=spec.profile,
                links=spec.links,
                at_ms=self._clock.now_ms(),
            )
        except DomainError as exc:
            return [], MessageResult(rejection=_rejection(exc))
        stored = [self._mapper.to_stored_event(e) for e in message.collect_events()]
        registered = RegisteredMessage(id=message_id, key=key, account_no=account.no)
        return stored, MessageResult(message=registered)

    async def _register_one(self, account: Account, spec: MessageSpec) -> MessageResult:
        for _ in range(MAX_TRIES):
            known = await asyncio.to_thread(self._reader.message, account.no, spec.id or "")
            if known is not None:
                return _same_or_conflict(known, spec)
            stored, result = self._prepare(account, spec)
            try:
                if stored:
                    await self._ledger.append(stored)
            except ConcurrentWrite:
                continue
            return result
        raise ConcurrentWrite(f"message {spec.id} is being registered by many at once; try again")

    async def put_profile(self, command: PutProfile) -> message_commands.Profile:
        """Makes the profile or replaces its data."""
        for _ in range(MAX_TRIES):
            stored = await asyncio.to_thread(self._profile_events, command)
            try:
                await self._ledger.append(stored)
            except ConcurrentWrite:
                continue
            known = await asyncio.to_thread(
                self._reader.profile, command.account.no, command.database, command.profile_id
            )
            if known is not None:
                return msgspec.structs.replace(known, created=bool(stored) and stored[0].originator_version == 1)
        raise ConcurrentWrite(f"profile {command.profile_id} is being changed by many at once; try again")

    def _profile_events(self, command: PutProfile) -> Sequence[StoredEvent]:
        fields = bytes(command.fields).decode()
        if not isinstance(msgspec.json.decode(fields), dict):
            raise InvalidInput("fields must be an object", [("/fields", "must be an object")])
        account_id = account_uuid(command.account)
        profile_id = Profile.create_id(account_id, command.database, command.profile_id)
        now_ms = self._clock.now_ms()
        profile = Profile.from_events(domain_events(self._mapper, self._reader.events_of(profile_id)))
        if profile is not None:
            profile.update(fields, command.interests, now_ms)
        else:
            profile = Profile.create(
                account_id=account_id,
                account_no=command.account.no,
                database=command.database,
                profile_id=command.profile_id,
                fields_json=fields,
                interests=command.interests,
                at_ms=now_ms,
            )
        return [self._mapper.to_stored_event(e) for e in profile.collect_events()]


def _rejection(error: DomainError) -> Rejection:
    problems = error.problems if isinstance(error, InvalidInput) else []
    return Rejection(error=type(error).__name__, detail=str(error), problems=problems)


def _same_or_conflict(known: MessageView, spec: MessageSpec) -> MessageResult:
    """The answer to a message whose id is taken: the same again, or a conflict that names what differs."""
    names = ("recipient", "tags", "mailing", "database", "profile", "links")
    differing = [name for name in names if getattr(known, name) != getattr(spec, name)]
    if differing:
        detail = f"message {spec.id} is registered already, with another {', '.join(differing)}; use a new id"
        return MessageResult(rejection=_rejection(Conflict(detail)))
    return MessageResult(message=RegisteredMessage(id=known.id, key=known.key, account_no=known.account_no))
