"""Every error this system raises on purpose.

    FeedbackLoopsError
    ├── DomainError                 the caller's request cannot be carried out
    │   ├── InvalidInput            a field is wrong; says which, and why
    │   ├── InvalidToken            a tracking token was not made by us
    │   ├── NotFound                no such thing in this account
    │   └── Conflict                the thing is in a state that forbids it
    │       └── IdempotencyConflict the key is in use, or was used for another request
    ├── StoreError                  the ledger
    │   ├── ConcurrentWrite         somebody wrote first: load again and retry
    │   ├── StaleRoutes             the routing table has moved on: load it and route again
    │   ├── FirstTaken              another event was first: look again and retry
    │   └── StoreUnavailable        nothing was written, or it is not known: retry
    ├── UnknownIntake               entries that only a newer version can read: keep them, and try again later
    ├── Overloaded                  a bounded queue is full: come back later
    ├── Unavailable                 a process is away; the request may have been carried out
    │   └── Moved                   a feedback loop is in another process: ask there
    └── InternalError               a fault of ours, which was logged; the request may have been carried out

Every class survives pickling (Ray) and `to_wire`/`from_wire` (the gateway's socket) with its attributes.
"""

from __future__ import annotations

from typing import Any


class FeedbackLoopsError(Exception):
    """The root. `args` hold every attribute, in the order of `__init__`, so that copies keep them."""

    def __init__(self, detail: str = "", *args: Any) -> None:
        super().__init__(detail, *args)
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class DomainError(FeedbackLoopsError):
    """The request cannot be carried out as it stands; repeating it will not help."""


class InvalidInput(DomainError):
    """A field is wrong. `problems` is a list of `(JSON pointer, what is wrong with it)`."""

    def __init__(self, detail: str, problems: list[tuple[str, str]] | None = None) -> None:
        self.problems = [(str(p), str(d)) for p, d in (problems or [])]
        super().__init__(detail, self.problems)


class InvalidToken(DomainError):
    """A tracking token is forged, cut or changed."""


class NotFound(DomainError):
    """There is no such thing in this account."""


class Conflict(DomainError):
    """The thing is in a state that forbids what was asked."""


class IdempotencyConflict(Conflict):
    """The Idempotency-Key is being used by a request in progress (`in_progress`), or was used for another one."""

    def __init__(self, detail: str, in_progress: bool) -> None:
        self.in_progress = bool(in_progress)
        super().__init__(detail, self.in_progress)


class StoreError(FeedbackLoopsError):
    """The ledger did not do what was asked."""


class ConcurrentWrite(StoreError):
    """Another writer appended to the same aggregate first, or its unique id is taken. Nothing was written."""


class StaleRoutes(StoreError):
    """Events were routed with an older routing table than the ledger's. Nothing was written."""

    def __init__(self, detail: str, current_version: int) -> None:
        self.current_version = int(current_version)
        super().__init__(detail, self.current_version)


class FirstTaken(StoreError):
    """An event claimed to be a message's first of its kind and was not. Nothing was written."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or written now. Everything sent to it is idempotent: retry."""


class NotMigrated(StoreUnavailable):
    """The store is of a version before ours; its writer will bring it to ours, when it is replaced itself."""


class UnknownIntake(FeedbackLoopsError):
    """Entries of a batch are of a kind that only a newer version can read; all the others were recorded.

    `positions`: those of the unread entries in the batch. Send these again when the actors have been updated.
    """

    def __init__(self, detail: str, positions: list[int]) -> None:
        self.positions = [int(position) for position in positions]
        super().__init__(detail, self.positions)


class Overloaded(FeedbackLoopsError):
    """A bounded queue is full; the work was not taken. `retry_after_s` is a hint."""

    def __init__(self, detail: str, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = float(retry_after_s)
        super().__init__(detail, self.retry_after_s)


class Unavailable(FeedbackLoopsError):
    """A process that is needed is away and being restarted. `may_have_run`: it may have acted before it went."""

    def __init__(self, detail: str, may_have_run: bool = False) -> None:
        self.may_have_run = bool(may_have_run)
        super().__init__(detail, self.may_have_run)


class Moved(Unavailable):
    """A feedback loop is not, or no longer, in the process that was asked. Nothing was done: ask where it is."""


class InternalError(FeedbackLoopsError):
    """Something nobody foresaw, in another process. It is in the log; the detail tells nothing of the inside."""


def _subclasses(cls: type[FeedbackLoopsError]) -> dict[str, type[FeedbackLoopsError]]:
    found = {cls.__name__: cls}
    for child in cls.__subclasses__():
        found |= _subclasses(child)
    return found


def to_wire(error: FeedbackLoopsError) -> tuple[str, list[Any]]:
    """The error as plain data."""
    return type(error).__name__, list(error.args)


def from_wire(name: str, args: list[Any]) -> FeedbackLoopsError:
    """The error that `to_wire` took apart; one of an unknown class becomes its root."""
    return _subclasses(FeedbackLoopsError).get(name, FeedbackLoopsError)(*args)
