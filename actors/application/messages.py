"""Message handlers: register and show messages, which enrichment looks up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from uuid import UUID

import msgspec
from eventsourcing.persistence import StoredEvent

from actors.application.context import CommandService, Context
from actors.commands.accounts import Account
from actors.commands.command import Page
from actors.commands.handlers import HandlerTable
from actors.commands.messages import (
    GetMessage,
    ListMessages,
    MessageResult,
    MessageSpec,
    MessageView,
    RegisteredMessage,
    RegisterMessages,
    Rejection,
)
from actors.ledger.concurrency import retry_on_conflict
from domain.errors import (
    ConcurrentWrite,
    Conflict,
    DomainError,
    Erased,
    FeedbackLoopsError,
    InternalError,
    InvalidInput,
    NotFound,
)
from domain.event_catalogue.report_values import bare_reference
from domain.ledger import stored_events
from domain.message import Message

log = logging.getLogger(__name__)


class MessageRegistration(CommandService):
    """Handles commands about messages.

    Registering the same message again returns the same answer and writes nothing.
    """

    handlers = HandlerTable()

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._last_key = 0

    @handlers.add(RegisterMessages)
    async def register_messages(self, command: RegisterMessages) -> list[MessageResult]:
        """Registers all messages in one commit. If one of them exists already or fails, registers them one by one."""
        specs = [self._with_id(spec) for spec in command.messages]
        prepared = [self._prepare(command.account, spec) for spec in specs]
        ids = [spec.id for spec in specs]
        events = [event for stored, _ in prepared for event in stored]
        if len(set(ids)) == len(ids) and not await self._erased_references(command.account, specs):
            try:
                await self._ledger.append(events)
            except (ConcurrentWrite, InternalError):
                pass
            else:
                return [result for _, result in prepared]
        return [await self._register_one(command.account, spec) for spec in specs]

    @handlers.add(ListMessages)
    async def list_messages(self, command: ListMessages) -> Page[MessageView]:
        return await asyncio.to_thread(self._reader.list_messages, command)

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
                reference=spec.reference,
                at_ms=self._clock.now_ms(),
            )
            events = stored_events(message)
        except DomainError as exc:
            return [], MessageResult(rejection=rejection_of(exc))
        except Exception:
            log.exception("a message could not be registered", extra={"action": "message_failed"})
            return [], MessageResult(rejection=rejection_of(InternalError("The error was unexpected, and was logged.")))
        registered = RegisteredMessage(id=message_id, key=key, account_no=account.no)
        return events, MessageResult(message=registered)

    async def _register_one(self, account: Account, spec: MessageSpec) -> MessageResult:
        async def attempt() -> MessageResult:
            known = await asyncio.to_thread(self._reader.message, account.no, spec.id or "")
            if known is not None:
                return _same_or_conflict(known, spec)
            stored, result = self._prepare(account, spec)
            if stored and await self._is_taken(account, spec):
                return MessageResult(
                    rejection=rejection_of(InvalidInput.at("/reference", "belongs to another message"))
                )
            if stored and await self._erased_references(account, [spec]):
                return _erased("a reference of an erased message cannot be used again")
            if stored:
                await self._ledger.append(stored)
            return result

        try:
            return await retry_on_conflict(
                attempt, f"message {spec.id} is being registered by several requests; try again"
            )
        except InternalError as exc:
            return MessageResult(rejection=rejection_of(exc))

    async def _erased_references(self, account: Account, specs: Sequence[MessageSpec]) -> bool:
        """Whether any of these messages has the reference of an erased one."""
        references = {(account.no, bare_reference(spec.reference)) for spec in specs if spec.reference is not None}
        return bool(references and await asyncio.to_thread(self._reader.erased_message_keys, references))

    async def _is_taken(self, account: Account, spec: MessageSpec) -> bool:
        if spec.reference is None:
            return False
        reference = bare_reference(spec.reference)
        return await asyncio.to_thread(self._reader.message_id_of_reference, account.no, reference) is not None


def _erased(detail: str) -> MessageResult:
    return MessageResult(rejection=rejection_of(Erased(detail)))


def account_uuid(account: Account) -> UUID:
    """The UUID in an account's id."""
    return UUID(account.id.removeprefix("acc_"))


def rejection_of(error: FeedbackLoopsError) -> Rejection:
    """The rejection of one message or profile of many."""
    problems = error.problems if isinstance(error, InvalidInput) else []
    return Rejection(error=type(error).__name__, detail=str(error), problems=problems)


def _same_or_conflict(known: MessageView, spec: MessageSpec) -> MessageResult:
    """The result for an id that exists: the same message again, or a conflict that names the differences."""
    if known.erased_at_ms is not None:
        return _erased(f"message {known.id} was sent to an erased person; use a new id")
    names = ("recipient", "tags", "mailing", "database", "profile", "links")
    differing = [name for name in names if getattr(known, name) != getattr(spec, name)]
    if known.reference != (None if spec.reference is None else bare_reference(spec.reference)):
        differing.append("reference")
    if differing:
        detail = f"message {spec.id} is registered already, with another {', '.join(differing)}; use a new id"
        return MessageResult(rejection=rejection_of(Conflict(detail)))
    same = RegisteredMessage(id=known.id, key=known.key, account_no=known.account_no, is_known=True)
    return MessageResult(message=same)
