"""Commands of front ends about erasures: the part that it still has to do, and its confirmation."""

from __future__ import annotations

from typing import ClassVar

from msgspec import field

from actors.commands.command import Command
from actors.compatibility import WireStruct
from actors.installation.erasure_file import ErasureLine


class FrontEndErasure(WireStruct, frozen=True, kw_only=True):
    """An erasure, with what a front end needs to find the person's data."""

    id: str
    #: The account's id; None for all accounts.
    account: str | None
    #: The account's number; 0 for all accounts.
    account_no: int
    #: `actors.ledger.people.person_of` the address; empty once the erasure has completed without this front end.
    person: str
    #: `domain.erasure.person_digest`, hexadecimal.
    digest: str
    requested_at_ms: int
    keep_opt_out: bool = False


class FrontEndWork(WireStruct, frozen=True, kw_only=True):
    """The erasures that a front end has to confirm."""

    #: Erasures that it has not confirmed, oldest first.
    erasures: list[FrontEndErasure]
    #: Number of an erasure: neither it nor an earlier one will be in a later answer.
    settled: int
    #: Whether the store knows the erasure that the front end named. If not, an older store was restored.
    knows_last: bool


class ReadFrontEndErasures(Command[FrontEndWork], frozen=True, kw_only=True):
    """Reads the erasures that a front end has to confirm, also those that have completed without it.

    An erasure is among them once its messages and their events are redacted: what the front end forwards from then on
    is not recorded. `after`: `FrontEndWork.settled` of an earlier answer. `last_id`: the last erasure in the front
    end's file; empty if there is none.
    """

    is_idempotent: ClassVar[bool] = True

    front_end: str
    after: int = 0
    last_id: str = ""
    limit: int = 200


class FindErasedMessages(Command[list[int]], frozen=True, kw_only=True):
    """Finds out which messages with these keys are erased."""

    is_idempotent: ClassVar[bool] = True

    keys: list[int]


class ConfirmedErasure(WireStruct, frozen=True, kw_only=True):
    """An erasure as the front end read it. If it covers more since, this confirmation does not count."""

    id: str
    requested_at_ms: int


class ConfirmErasures(Command[None], frozen=True, kw_only=True):
    """Records that a front end holds no more data of these people.

    `outside`: sentences about places that it did not reach.
    """

    is_idempotent: ClassVar[bool] = True

    front_end: str
    confirmed: list[ConfirmedErasure]
    outside: list[str] = field(default_factory=list)


class FrontEndState(WireStruct, frozen=True, kw_only=True):
    """A front end as operators see it."""

    id: str
    #: Its host.
    name: str
    #: When it last confirmed its keys, Unix milliseconds.
    confirmed_ms: int
    #: What holds it up, in one clause; empty if nothing does.
    problem: str
    #: Running erasures that wait for it.
    erasures: int


class ReadFrontEnds(Command[list[FrontEndState]], frozen=True, kw_only=True):
    """Reads every known front end."""

    is_idempotent: ClassVar[bool] = True


class NoteFrontEndProblem(Command[None], frozen=True, kw_only=True):
    """Records why a front end cannot confirm erasures now, in one clause; empty if it can."""

    is_idempotent: ClassVar[bool] = True

    front_end: str
    problem: str


class RepeatErasures(Command[int], frozen=True, kw_only=True):
    """Starts those of these erasures that the store does not have. Returns their number."""

    is_idempotent: ClassVar[bool] = True

    erasures: list[ErasureLine]
