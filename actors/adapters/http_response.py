"""What comes of one exchange with a handler: its answer, or why there is none."""

from __future__ import annotations

from typing import NamedTuple


class ParsedResponse(NamedTuple):
    """What was read of an answer."""

    status: int
    body_start: bytes
    retry_after: str | None
    #: Bytes of the body that were read.
    body_bytes: int
    #: The first of the headers, as they came: `Name: value`, a line each.
    head_start: bytes


class ExchangeError(Exception):
    """An exchange has no answer."""


class Broken(ExchangeError):
    """There is no answer. `word` is one of `AttemptOutcome.error`; the text is a sentence for people.

    `raw_start` are the first bytes that came all the same.
    """

    def __init__(self, word: str, detail: str, address: str | None = None, raw_start: bytes = b"") -> None:
        super().__init__(detail)
        self.word = word
        self.address = address
        self.raw_start = raw_start


class Stale(ExchangeError):
    """The connection had been kept alive and was gone before a byte of the answer came: try on a fresh one."""
