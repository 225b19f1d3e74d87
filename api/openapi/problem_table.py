"""Table of the kinds of problems with their limits, for `/docs`, docs/reference/api.md and the pages of problems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from api.events.sse import MAX_OF_ACCOUNT, MAX_STREAMS
from api.http.body import MAX_JSON_TOKENS, MAX_MESSAGE_TOKENS, SMALL_BODY_BYTES, size_text
from api.http.connection_limits import MAX_HEAD_BYTES, HttpLimits
from api.http.ndjson import MAX_LINES
from api.http.problem_types import (
    HEAD_TOO_LARGE,
    INVALID_INPUT,
    KEY_REUSED,
    OVERLOADED,
    PROBLEM_TYPES,
    TEMPORARY_CONFLICT,
    TOO_LARGE,
    TOO_SLOW,
    ProblemType,
)
from api.openapi.markdown import table
from domain.loop_secrets import MAX_SIGNING_VERSIONS
from domain.reports.validation import MAX_REPORTS

_TIMES: Final = HttpLimits()
#: The limits that a problem enforces. Other problems have none.
LIMITS: Final[dict[ProblemType, str]] = {
    TOO_SLOW: f"{_TIMES.head_s:g} s for the head; {_TIMES.body_s:g} s for the body, without a pause of "
    f"{_TIMES.pause_s:g} s",
    TEMPORARY_CONFLICT: f"one replay of a loop at a time; {MAX_SIGNING_VERSIONS} secrets of a loop",
    TOO_LARGE: f"{size_text(SMALL_BODY_BYTES)} for a body, unless the call names another limit; {MAX_JSON_TOKENS:,} "
    f"opening brackets and commas in JSON, {MAX_MESSAGE_TOKENS:,} in a message",
    INVALID_INPUT: f"those of each field; {MAX_LINES:,} lines of NDJSON; {MAX_REPORTS:,} reports",
    KEY_REUSED: "a key is kept for 24 hours",
    HEAD_TOO_LARGE: size_text(MAX_HEAD_BYTES),
    OVERLOADED: f"{MAX_OF_ACCOUNT} live streams per account, {MAX_STREAMS} per front end; otherwise what the machine "
    "can carry",
}
NONE: Final = "none"
_TOO_MANY: Final = (NONE, "429", "No number of requests is too many: a service that cannot keep up answers 503", NONE)


def problems_section(links: str) -> Iterator[str]:
    """Every kind of problem with its limits. `links` is a format with `{type}` for its link, or for its name."""
    rows = [
        (links.format(type=kind.type), str(kind.status), kind.title, limit_of(kind)) for kind in PROBLEM_TYPES.values()
    ]
    yield "## Problems\n"
    yield table(("type", "status", "title", "limits"), sorted([*rows, _TOO_MANY], key=lambda row: row[1]))


def limit_of(kind: ProblemType) -> str:
    """The limits that the problem enforces, or `none`."""
    return LIMITS.get(kind, NONE)
