"""All errors that the system raises on purpose.

    FeedbackLoopsError
    ├── DomainError                 the caller's request cannot be carried out
    │   ├── InvalidInput            a field is invalid; names it, with the reason
    │   ├── InvalidToken            a tracking token is not ours
    │   │   └── UnknownKey          it names an installation key that is not known here
    │   ├── NotFound                no such thing in this account
    │   └── Conflict                the current state forbids it
    │       ├── TemporaryConflict   the same request succeeds later, without another change
    │       ├── IdempotencyConflict the key is in use, or was used for another request
    │       └── Erased              it belongs to an erased person
    ├── StoreError                  the ledger
    │   ├── ConcurrentWrite         another writer was first: load again and retry
    │   ├── StaleRoutes             the routing table has changed: load it and route again
    │   ├── FirstTaken              another event was first: look again and retry
    │   ├── WrongInstallation       the store belongs to another installation; nothing was read or written
    │   └── StoreUnavailable        nothing was written, or the result is unknown: retry
    │       ├── SessionLost         nothing was written: a new connection may succeed at once
    │       └── NotMigrated         the schema is older than this version
    ├── UnknownIntake               entries that only a newer version can read: keep them, and try again later
    ├── Overloaded                  a bounded queue is full: try again later
    ├── Unavailable                 a process is missing; the request may have been carried out
    │   ├── Moved                   a feedback loop is in another process: ask there
    │   ├── Starting                the service has not been ready yet
    │   ├── JournalUnavailable      the edge journal cannot be written
    │   └── DataDirLost             the data directory was deleted or replaced while the service uses it
    └── InternalError               a bug, which was logged; the request may have been carried out

Every class survives pickling (Ray) and `to_wire`/`from_wire` (the gateway's socket) with its attributes.
"""

from __future__ import annotations

from typing import Any, Self


class FeedbackLoopsError(Exception):
    """The base class. `args` has every attribute in the order of `__init__`, so that copies keep them."""

    def __init__(self, detail: str = "", *args: Any) -> None:
        super().__init__(detail, *args)
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class DomainError(FeedbackLoopsError):
    """The request cannot succeed, even if it is repeated at once."""


class InvalidInput(DomainError):
    """A field is wrong. `problems` is a list of `(JSON pointer, error)`."""

    def __init__(self, detail: str, problems: list[tuple[str, str]] | None = None) -> None:
        self.problems = [(str(p), str(d)) for p, d in (problems or [])]
        super().__init__(detail, self.problems)

    @classmethod
    def at(cls, pointer: str, problem: str) -> Self:
        """The error for one field: `InvalidInput.at("/name", "must not be empty")`."""
        return cls(f"{pointer.removeprefix('/') or 'the input'} {problem}", [(pointer, problem)])


class InvalidToken(DomainError):
    """A tracking token is forged, truncated or altered."""


class UnknownKey(InvalidToken):
    """A token or a stored value names an installation key that is not known here: a new one, or a dropped one."""


class NotFound(DomainError):
    """There is no such thing in this account."""


class Conflict(DomainError):
    """The current state forbids the request, until an action changes it."""


class TemporaryConflict(Conflict):
    """The current state forbids the request, but ends by itself: repeat the request. `retry_after_s` is a hint."""

    def __init__(self, detail: str, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = float(retry_after_s)
        super().__init__(detail, self.retry_after_s)


class IdempotencyConflict(Conflict):
    """The Idempotency-Key belongs to a request in progress (`in_progress`), or to a different request."""

    def __init__(self, detail: str, in_progress: bool) -> None:
        self.in_progress = bool(in_progress)
        super().__init__(detail, self.in_progress)


class Erased(Conflict):
    """The request concerns data of an erased person, which is gone for good."""


class StoreError(FeedbackLoopsError):
    """The ledger failed or refused to write."""


class ConcurrentWrite(StoreError):
    """Another writer appended to the same aggregate first, or its unique id exists. Nothing was written."""


class StaleRoutes(StoreError):
    """Events were routed with an outdated routing table. Nothing was written."""

    def __init__(self, detail: str, current_version: int) -> None:
        self.current_version = int(current_version)
        super().__init__(detail, self.current_version)


class FirstTaken(StoreError):
    """An event claimed to be the first of its kind for a message, but another one was. Nothing was written."""


class WrongInstallation(StoreError):
    """The store belongs to another installation than the data directory. Nothing else was read or written."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or written now. All writes are idempotent, so retry."""


class SessionLost(StoreUnavailable):
    """The connection ended before a commit was sent, so nothing was written. A new one may succeed at once."""


class NotMigrated(StoreUnavailable):
    """The store's schema is older than this version; its writer migrates it when it is updated."""


class UnknownIntake(FeedbackLoopsError):
    """Entries of a batch are of a kind that only a newer version can read; all the others were recorded.

    `positions`: those of the unread entries in the batch. Send these again when the actors have been updated.
    """

    def __init__(self, detail: str, positions: list[int]) -> None:
        self.positions = [int(position) for position in positions]
        super().__init__(detail, self.positions)


class Overloaded(FeedbackLoopsError):
    """A bounded queue is full; the work was not accepted. `retry_after_s` is a hint."""

    def __init__(self, detail: str, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = float(retry_after_s)
        super().__init__(detail, self.retry_after_s)


class Unavailable(FeedbackLoopsError):
    """A required process is being restarted. `may_have_run`: it may have executed the request before it ended."""

    def __init__(self, detail: str, may_have_run: bool = False) -> None:
        self.may_have_run = bool(may_have_run)
        super().__init__(detail, self.may_have_run)


class Moved(Unavailable):
    """The feedback loop is not in the process that received the request. Nothing was done; look up its location."""


class Starting(Unavailable):
    """The service has not been ready since its start."""


class JournalUnavailable(Unavailable):
    """The edge journal cannot be written: hits are only in memory."""


class DataDirLost(Unavailable):
    """The data directory was deleted or replaced while the service uses it: nothing new would be durable."""


class InternalError(FeedbackLoopsError):
    """An unexpected error in another process. Its log has the cause; the detail reveals nothing internal."""


def _subclasses(cls: type[FeedbackLoopsError]) -> dict[str, type[FeedbackLoopsError]]:
    found = {cls.__name__: cls}
    for child in cls.__subclasses__():
        found |= _subclasses(child)
    return found


def to_wire(error: FeedbackLoopsError) -> tuple[str, list[Any]]:
    """The error as plain data."""
    return type(error).__name__, list(error.args)


def from_wire(name: str, args: list[Any]) -> FeedbackLoopsError:
    """The error from `to_wire`'s data; an unknown class becomes `FeedbackLoopsError`."""
    return _subclasses(FeedbackLoopsError).get(name, FeedbackLoopsError)(*args)
