"""Port for erasures: their start, and the confirmations of front ends. Each change is one small, idempotent write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import field

from actors.commands.front_end_erasures import ConfirmedErasure
from actors.compatibility import WireStruct
from actors.installation.erasure_file import ErasureLine


class RequestErasure(WireStruct, frozen=True, kw_only=True, tag=True):
    """Starts an erasure. If one for the same person runs in the same account, that one starts again and covers now."""

    #: The id of a new erasure.
    id: str
    #: `domain.erasure.ALL_ACCOUNTS`, or one.
    account_no: int
    #: `actors.ledger.people.person_of` the address.
    person: str
    #: `domain.erasure.person_digest`.
    digest: bytes
    keep_opt_out: bool = False
    #: Only data up to this Unix time (milliseconds); None: all that there is now.
    until_ms: int | None = None


class ConfirmFrontEnd(WireStruct, frozen=True, kw_only=True, tag=True):
    """Records a front end's confirmation of erasures."""

    front_end: str
    #: If an erasure covers more since the front end read it, the confirmation does not count.
    confirmed: list[ConfirmedErasure]
    outside: list[str] = field(default_factory=list)


class FrontEndProblem(WireStruct, frozen=True, kw_only=True, tag=True):
    """Records why a front end cannot confirm erasures now; empty if it can."""

    front_end: str
    problem: str


class NoteOptOuts(WireStruct, frozen=True, kw_only=True, tag=True):
    """Records unsubscriptions that arrived after the erasure of their message, if that erasure keeps opt-outs."""

    #: The message's key, and the time (Unix milliseconds).
    opt_outs: list[tuple[int, int]]


ErasureChange = RequestErasure | ConfirmFrontEnd | FrontEndProblem | NoteOptOuts


class ErasureLedger(Protocol):
    """Writes of erasures."""

    async def change_erasures(self, change: ErasureChange) -> str:
        """Applies a change. Returns a requested erasure's id: of the running one, if there is one for the person.

        Raises:
            StoreUnavailable: retry.
        """
        ...

    async def repeat_erasures(self, erasures: Sequence[ErasureLine]) -> int:
        """Starts those of these erasures that the store does not have. Returns their number.

        Raises:
            StoreUnavailable: retry.
        """
        ...
