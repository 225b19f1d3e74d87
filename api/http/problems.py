"""Problem responses of the API (RFC 9457, `application/problem+json`), and the table from errors to them.

A problem's `type` is `/problems/<slug>`, a page that explains what to do.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from api.http.response import Response
from domain import errors as e

log = logging.getLogger(__name__)

PROBLEM_JSON: Final = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemType:
    """A type of problem. `retry`: the same request may succeed a moment later, and had no lasting effect."""

    slug: str
    status: int
    title: str
    #: What the caller should do; shown at the problem's `type`.
    advice: str
    retry: bool = False

    @property
    def type(self) -> str:
        return f"/problems/{self.slug}"


MALFORMED = ProblemType(
    slug="malformed-request",
    status=400,
    title="Malformed request",
    advice="Correct the syntax that `detail` names: the body must be JSON in UTF-8, without repeated names or NaN.",
)
UNAUTHORIZED = ProblemType(
    slug="unauthorized",
    status=401,
    title="Authentication required",
    advice="Send `Authorization: Bearer KEY`: the account's API key, or the admin key for /v1/accounts and /v1/users.",
)
NOT_FOUND = ProblemType(
    slug="not-found",
    status=404,
    title="Not found",
    advice="Check the path and the id. Resources of other accounts are not found either.",
)
METHOD_NOT_ALLOWED = ProblemType(
    slug="method-not-allowed",
    status=405,
    title="Method not allowed",
    advice="Use one of the methods in the `Allow` header.",
)
CONFLICT = ProblemType(
    slug="conflict",
    status=409,
    title="Not possible in this state",
    advice="`detail` names the current state and what to do first.",
)
KEY_IN_PROGRESS = ProblemType(
    slug="idempotency-key-in-progress",
    status=409,
    title="A request with this Idempotency-Key is in progress",
    advice="Wait for the first request, then send the same request again to get its answer.",
    retry=True,
)
CONCURRENT_WRITE = ProblemType(
    slug="concurrent-write",
    status=409,
    title="Changed by another request at the same time",
    advice="Nothing was written. Send the request again.",
    retry=True,
)
TOO_SLOW = ProblemType(
    slug="request-too-slow",
    status=408,
    title="Request timed out",
    advice="Send the head and the body of a request without long pauses; `detail` names the time limit.",
)
TOO_LARGE = ProblemType(
    slug="body-too-large",
    status=413,
    title="Body too large",
    advice="Send less, or split the request into several; `detail` names the limit.",
)
UNSUPPORTED_MEDIA_TYPE = ProblemType(
    slug="unsupported-media-type",
    status=415,
    title="Unsupported media type",
    advice="Set `Content-Type` to one that `detail` names.",
)
INVALID_INPUT = ProblemType(
    slug="invalid-input",
    status=422,
    title="Invalid input",
    advice="Correct every field in `errors`: `pointer` locates it (RFC 6901), `detail` says what it must be.",
)
KEY_REUSED = ProblemType(
    slug="idempotency-key-reused",
    status=422,
    title="This Idempotency-Key was used for another request",
    advice="Use a new key for a new request. A key is only valid for the same method, path, query and body.",
)
NOT_VERIFIED = ProblemType(
    slug="not-verified",
    status=422,
    title="Proof not found",
    advice="Place the verification file at one of the `locations`, or the DNS record, and verify again.",
)
HEAD_TOO_LARGE = ProblemType(
    slug="head-too-large",
    status=431,
    title="URL and headers too large",
    advice="Send fewer or shorter headers and a shorter URL; `detail` names the limit.",
)
INTERNAL = ProblemType(
    slug="internal-error",
    status=500,
    title="Internal error",
    advice="Try again. If the error persists, report it with the time: the cause is in the service's log.",
    retry=True,
)
STORE_UNAVAILABLE = ProblemType(
    slug="store-unavailable",
    status=503,
    title="Storage unavailable",
    advice="Try again after `Retry-After` seconds, on a POST with the same Idempotency-Key.",
    retry=True,
)
UNAVAILABLE = ProblemType(
    slug="unavailable",
    status=503,
    title="Temporarily unavailable",
    advice="Try again after `Retry-After` seconds, on a POST with the same Idempotency-Key.",
    retry=True,
)
OVERLOADED = ProblemType(
    slug="overloaded",
    status=503,
    title="Overloaded",
    advice="Try again after `Retry-After` seconds, and more slowly.",
    retry=True,
)
NOT_READY = ProblemType(
    slug="not-ready",
    status=503,
    title="Not ready",
    advice="Wait. `problems` lists what is missing.",
    retry=True,
)

#: By slug.
PROBLEM_TYPES: Final[dict[str, ProblemType]] = {
    kind.slug: kind for kind in list(vars().values()) if isinstance(kind, ProblemType)
}

#: Errors that are not listed are looked up by their base class.
BY_ERROR: Final[dict[type[e.FeedbackLoopsError], ProblemType]] = {
    e.InvalidInput: INVALID_INPUT,
    e.InvalidToken: NOT_FOUND,
    e.NotFound: NOT_FOUND,
    e.Conflict: CONFLICT,
    e.IdempotencyConflict: KEY_REUSED,
    e.DomainError: CONFLICT,
    e.ConcurrentWrite: CONCURRENT_WRITE,
    e.StoreError: STORE_UNAVAILABLE,
    e.Overloaded: OVERLOADED,
    e.UnknownIntake: UNAVAILABLE,
    e.Unavailable: UNAVAILABLE,
    e.InternalError: INTERNAL,
    e.FeedbackLoopsError: INTERNAL,
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
        return Response(status=self.kind.status, body=body, content_type=PROBLEM_JSON, headers=self.headers)


class ProblemError(Exception):
    """A request that the API itself rejects, with the problem to respond with."""

    def __init__(self, kind: ProblemType, detail: str, **more: Any) -> None:
        self.problem = Problem(kind=kind, detail=detail, **more)
        super().__init__(detail)


def problem_of(error: Exception) -> Problem:
    """The problem for `error`. An unexpected error is logged, and its problem reveals no internals."""
    if isinstance(error, ProblemError):
        return error.problem
    if not isinstance(error, e.FeedbackLoopsError):
        log.error("unexpected error in a request", exc_info=error, extra={"action": "request_failed"})
        return Problem(kind=INTERNAL, detail="An unexpected error, which was logged. Try again.")
    kind = _kind_of(error)
    errors = error.problems if isinstance(error, e.InvalidInput) else None
    headers = (("Retry-After", _retry_after(error)),) if kind.retry and kind is not INTERNAL else ()
    if kind is STORE_UNAVAILABLE:  # the error names the database address, which belongs in the log only
        log.warning(
            "a request failed because storage is unavailable", extra={"action": "store_missed", "problem": str(error)}
        )
        return Problem(kind=kind, detail=kind.advice, headers=headers)
    return Problem(kind=kind, detail=str(error) or kind.advice, errors=errors, headers=headers)


def _kind_of(error: e.FeedbackLoopsError) -> ProblemType:
    if isinstance(error, e.IdempotencyConflict) and error.in_progress:
        return KEY_IN_PROGRESS
    return next(BY_ERROR[cls] for cls in type(error).__mro__ if cls in BY_ERROR)


def _retry_after(error: e.FeedbackLoopsError) -> str:
    wait_s = error.retry_after_s if isinstance(error, e.Overloaded) else 1.0
    return str(max(1, round(wait_s)))
