"""Message handlers: register and show messages and profiles, which enrichment looks up."""

from __future__ import annotations

import asyncio
from uuid import UUID

import msgspec
from eventsourcing.persistence import StoredEvent

from actors.application.context import CommandService, Context
from actors.commands import messages as commands
from actors.commands.accounts import Account
from actors.commands.handlers import HandlerTable
from actors.commands.messages import (
    GetMessage,
    GetProfile,
    MessageResult,
    MessageSpec,
    MessageView,
    PutProfile,
    RegisteredMessage,
    RegisterMessages,
    Rejection,
)
from actors.ledger.concurrency import retry_on_conflict
from domain.errors import ConcurrentWrite, Conflict, DomainError, InvalidInput, NotFound
from domain.ledger import stored_events
from domain.message import Message
from domain.profile import Profile


class MessageRegistration(CommandService):
    """Handles commands about messages and profiles.

    Registering the same message again returns the same answer and writes nothing.
    """

    handlers = HandlerTable()

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._last_key = 0

    # --- messages

    @handlers.add(RegisterMessages)
    async def register_messages(self, command: RegisterMessages) -> list[MessageResult]:
        """Registers all messages in one commit. If one of them exists already, registers them one by one."""
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

    @handlers.add(GetMessage)
    async def get_message(self, command: GetMessage) -> MessageView:
        message = await asyncio.to_thread(self._reader.message, command.account.no, command.message_id)
        if message is None:
            raise NotFound(f"there is no message {command.message_id} in this account")
        return message

    def _new_key(self) -> int:
        """A message key: 42 bits of milliseconds and 21 random bits, so that keys are ordered by time.

        Keys of one process always grow, in small random steps if the random bits would not. They may collide with keys
        of another process; the ledger then rejects the message, and the caller tries again.
        """
        random = int.from_bytes(self._random_bytes(3), "big")
        key = (self._clock.now_ms() << 21) | (random & 0x1FFFFF)
        if key <= self._last_key:
            key = self._last_key + 1 + random % 16
        self._last_key = key
        return key

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
        registered = RegisteredMessage(id=message_id, key=key, account_no=account.no)
        return stored_events(message), MessageResult(message=registered)

    async def _register_one(self, account: Account, spec: MessageSpec) -> MessageResult:
        async def attempt() -> MessageResult:
            known = await asyncio.to_thread(self._reader.message, account.no, spec.id or "")
            if known is not None:
                return _same_or_conflict(known, spec)
            stored, result = self._prepare(account, spec)
            if stored:
                await self._ledger.append(stored)
            return result

        return await retry_on_conflict(attempt, f"message {spec.id} is being registered by several requests; try again")

    # --- profiles

    @handlers.add(PutProfile)
    async def put_profile(self, command: PutProfile) -> commands.Profile:
        """Creates the profile or replaces its data.

        Raises:
            InvalidInput: `fields` is not a JSON object, or a value is not valid.
        """

        async def attempt() -> commands.Profile:
            stored = await self._profile_events(command)
            await self._ledger.append(stored)
            known = await asyncio.to_thread(
                self._reader.profile, command.account.no, command.database, command.profile_id
            )
            if known is None:
                raise ConcurrentWrite("another request deleted the profile")
            return msgspec.structs.replace(known, created=bool(stored) and stored[0].originator_version == 1)

        return await retry_on_conflict(
            attempt, f"profile {command.profile_id} is being changed by several requests; try again"
        )

    @handlers.add(GetProfile)
    async def get_profile(self, command: GetProfile) -> commands.Profile:
        found = await asyncio.to_thread(self._reader.profile, command.account.no, command.database, command.profile_id)
        if found is None:
            raise NotFound(f"there is no profile {command.profile_id} in database {command.database} of this account")
        return found

    async def _profile_events(self, command: PutProfile) -> list[StoredEvent]:
        fields = bytes(command.fields).decode()
        if not isinstance(msgspec.json.decode(fields), dict):
            raise InvalidInput.at("/fields", "must be an object")
        account_id = account_uuid(command.account)
        now_ms = self._clock.now_ms()
        profile = await self._aggregates.load(
            Profile, Profile.create_id(account_id, command.database, command.profile_id)
        )
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
        return stored_events(profile)


def account_uuid(account: Account) -> UUID:
    """The UUID in an account's id."""
    return UUID(account.id.removeprefix("acc_"))


def _rejection(error: DomainError) -> Rejection:
    problems = error.problems if isinstance(error, InvalidInput) else []
    return Rejection(error=type(error).__name__, detail=str(error), problems=problems)


def _same_or_conflict(known: MessageView, spec: MessageSpec) -> MessageResult:
    """The result for an id that exists: the same message again, or a conflict that names the differences."""
    names = ("recipient", "tags", "mailing", "database", "profile", "links")
    differing = [name for name in names if getattr(known, name) != getattr(spec, name)]
    if differing:
        detail = f"message {spec.id} is registered already, with another {', '.join(differing)}; use a new id"
        return MessageResult(rejection=_rejection(Conflict(detail)))
    return MessageResult(message=RegisteredMessage(id=known.id, key=known.key, account_no=known.account_no))
