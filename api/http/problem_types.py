"""Types of problems: for each, its page's address, its status, and what the caller should do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemType:
    """A type of problem. `retry`: the same request may succeed a moment later, and had no lasting effect."""

    slug: str
    status: int
    title: str
    #: What the caller should do; shown at the problem's `type`.
    advice: str
    retry: bool = False
    #: Whether the outcome depends on more than the request, so that the same request may succeed later.
    is_outside: bool = False

    @property
    def type(self) -> str:
        return f"/problems/{self.slug}"

    @property
    def frees_key(self) -> bool:
        """Whether the request may be carried out again under its Idempotency-Key."""
        return self.retry or self.is_outside


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
    is_outside=True,
)
TEMPORARY_CONFLICT = ProblemType(
    slug="temporary-conflict",
    status=409,
    title="Not possible right now",
    advice="Send the same request again after `Retry-After` seconds, on a POST with the same Idempotency-Key.",
    retry=True,
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
ERASED = ProblemType(
    slug="erased",
    status=409,
    title="Erased",
    advice="The person was erased, and their data is gone for good. Use a new id or reference for a new message.",
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
    is_outside=True,
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
