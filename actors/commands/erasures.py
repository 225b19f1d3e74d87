"""Commands about erasures: a person's data is removed everywhere, and what happened stays."""

from __future__ import annotations

from typing import ClassVar

from msgspec import field

from actors.commands.accounts import Account
from actors.commands.command import Command, Page
from actors.compatibility import WireStruct


class ErasureCounts(WireStruct, frozen=True, kw_only=True):
    """Numbers of things that were redacted so far."""

    messages: int = 0
    events: int = 0
    deliveries: int = 0
    profiles: int = 0
    mails: int = 0


class Erasure(WireStruct, frozen=True, kw_only=True):
    """An erasure, without the address."""

    id: str
    #: `running` or `completed`.
    state: str
    requested_at_ms: int
    completed_at_ms: int | None
    #: A `domain.erasure.StepName`; the last one if it has completed.
    step: str
    counts: ErasureCounts
    #: What holds it up in this step: a front end, a process, the store; in parentheses why, if it is known.
    waiting_for: list[str] = field(default_factory=list)
    #: Sentences: what it cannot reach.
    outside: list[str] = field(default_factory=list)


class EraseRecipient(Command[Erasure], frozen=True, kw_only=True):
    """Starts the erasure of a person. While one for the same person runs, that one is the answer, and it covers now.

    `account`: None for all accounts.
    """

    is_idempotent: ClassVar[bool] = True

    account: Account | None
    email: str
    keep_opt_out: bool = False


class GetErasure(Command[Erasure], frozen=True, kw_only=True):
    """Reads an erasure that the account asked for; without an account, any."""

    is_idempotent: ClassVar[bool] = True

    account: Account | None
    erasure_id: str


class ListErasures(Command[Page[Erasure]], frozen=True, kw_only=True):
    """Lists erasures that the account asked for, newest first; without an account, all."""

    is_idempotent: ClassVar[bool] = True

    account: Account | None
    limit: int = 50
    cursor: str | None = None
