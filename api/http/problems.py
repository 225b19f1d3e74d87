"""Problem responses of the API (RFC 9457, `application/problem+json`), and the table from errors to them.

A problem's `type` is `/problems/<slug>`, a page that explains what to do.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

import msgspec

from api.http.problem_types import (
    CONCURRENT_WRITE,
    CONFLICT,
    ERASED,
    INTERNAL,
    INVALID_INPUT,
    KEY_IN_PROGRESS,
    KEY_REUSED,
    NOT_FOUND,
    OVERLOADED,
    STORE_UNAVAILABLE,
    TEMPORARY_CONFLICT,
    UNAVAILABLE,
    ProblemType,
)
from api.http.response import Response
from domain import errors as e

log = logging.getLogger(__name__)

PROBLEM_JSON: Final = "application/problem+json"


#: Errors that are not listed are looked up by their base class.
BY_ERROR: Final[dict[type[e.FeedbackLoopsError], ProblemType]] = {
    e.InvalidInput: INVALID_INPUT,
    e.InvalidToken: NOT_FOUND,
    e.NotFound: NOT_FOUND,
    e.Conflict: CONFLICT,
    e.TemporaryConflict: TEMPORARY_CONFLICT,
    e.IdempotencyConflict: KEY_REUSED,
    e.Erased: ERASED,
    e.DomainError: CONFLICT,
    e.ConcurrentWrite: CONCURRENT_WRITE,
    e.StoreError: STORE_UNAVAILABLE,
    e.Overloaded: OVERLOADED,
    e.UnknownIntake: UNAVAILABLE,
    e.Unavailable: UNAVAILABLE,
    e.InternalError: INTERNAL,
    e.FeedbackLoopsError: INTERNAL,
}


#: What anyone may know of an error on our side. Errors that are not listed are looked up by their base class.
PUBLIC_DETAILS: Final[dict[type[e.FeedbackLoopsError], str]] = {
    e.ConcurrentWrite: "another request wrote first; send the request again",
    e.StoreError: "the store cannot be read or written; the log has the reason, see --store (FEEDBACK_LOOPS_STORE)",
    e.JournalUnavailable: "the journal cannot be written; the log has the reason",
    e.DataDirLost: "the data directory of the service was deleted or replaced; the log has the reason",
    e.Unavailable: "a part of the service is starting, or cannot be reached; the log has the reason",
    e.Overloaded: "too many requests are in progress",
    e.FeedbackLoopsError: "An unexpected error, which was logged. Try again.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem response. `errors` are `(JSON pointer, what is wrong)`; `members` are added to the document."""

    kind: ProblemType
    detail: str
    errors: Sequence[tuple[str, str]] | None = None
    members: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()

    def document(self) -> dict[str, Any]:
        """The problem document (RFC 9457 section 3.1)."""
        kind = self.kind
        found: dict[str, Any] = {"type": kind.type, "title": kind.title, "status": kind.status, "detail": self.detail}
        if self.errors is not None:
            found["errors"] = [{"pointer": pointer, "detail": detail} for pointer, detail in self.errors]
        return found | dict(self.members)

    def response(self) -> Response:
        body = msgspec.json.encode(self.document())
        return Response(
            status=self.kind.status,
            body=body,
            content_type=PROBLEM_JSON,
            headers=self.headers,
            frees_key=self.kind.frees_key,
        )


class ProblemError(Exception):
    """A request that the API itself rejects, with the problem to respond with."""

    def __init__(self, kind: ProblemType, detail: str, **more: Any) -> None:
        self.problem = Problem(kind=kind, detail=detail, **more)
        super().__init__(detail)


def public_detail(error: Exception) -> str:
    """The text of an error for anyone, even for a caller without a valid key.

    An error about the request explains what is wrong with it. The text of any other error may contain hosts, ports,
    paths and versions, and belongs in the log and in the answers to the operator.
    """
    if isinstance(error, ProblemError):
        return error.problem.detail
    if isinstance(error, e.DomainError | e.Starting):
        return str(error)
    if isinstance(error, e.FeedbackLoopsError):
        return next(PUBLIC_DETAILS[cls] for cls in type(error).__mro__ if cls in PUBLIC_DETAILS)
    return PUBLIC_DETAILS[e.FeedbackLoopsError]


def problem_of(error: Exception, *, is_known: bool = False) -> Problem:
    """The problem for `error`. An unexpected error is logged, and its problem reveals no internals.

    `is_known`: whether the caller has sent a valid key or session.
    """
    if isinstance(error, ProblemError):
        return error.problem
    if not isinstance(error, e.FeedbackLoopsError):
        log.error("unexpected error in a request", exc_info=error, extra={"action": "request_failed"})
        return Problem(kind=INTERNAL, detail=public_detail(error))
    kind = _kind_of(error)
    errors = error.problems if isinstance(error, e.InvalidInput) else None
    headers = (("Retry-After", _retry_after(error)),) if kind.retry and kind is not INTERNAL else ()
    if kind is STORE_UNAVAILABLE:
        log.warning(
            "a request failed because storage is unavailable", extra={"action": "store_missed", "problem": str(error)}
        )
        return Problem(kind=kind, detail=kind.advice, headers=headers)  # the reason does not concern accounts
    detail = (str(error) if is_known else public_detail(error)) or kind.advice
    return Problem(kind=kind, detail=detail, errors=errors, headers=headers)


def _kind_of(error: e.FeedbackLoopsError) -> ProblemType:
    if isinstance(error, e.IdempotencyConflict) and error.in_progress:
        return KEY_IN_PROGRESS
    return next(BY_ERROR[cls] for cls in type(error).__mro__ if cls in BY_ERROR)


def _retry_after(error: e.FeedbackLoopsError) -> str:
    wait_s = error.retry_after_s if isinstance(error, e.Overloaded | e.TemporaryConflict) else 1.0
    return str(max(1, ceil(wait_s)))
