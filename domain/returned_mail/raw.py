"""Raw form of a returned mail: the text that handlers receive, and the bytes that identify a repeated report."""

from __future__ import annotations

import re
from typing import Final

from domain.returned_mail.limits import MAX_MIME_BYTES
from domain.returned_mail.report import MailText

#: Lines that each delivery adds to the start of a mail, so two copies differ in them.
_TRACE: Final = re.compile(rb"(?:from |>from |return-path:|received:|delivered-to:|x-original-to:)", re.IGNORECASE)
#: UTF-8 takes at most four bytes for a character, so at most three are left of one that the limit has cut.
_MAX_CUT_BYTES: Final = 3


def mail_text(raw: bytes, limit: int = MAX_MIME_BYTES) -> MailText:
    """The first `limit` bytes as text. A character that the limit cuts is left out."""
    truncated = len(raw) > limit
    data = raw[:limit]
    try:
        return MailText(text=data.decode("utf-8"), charset="utf-8", truncated=truncated)
    except UnicodeDecodeError as exc:
        if truncated and exc.reason == "unexpected end of data" and exc.start >= len(data) - _MAX_CUT_BYTES:
            return MailText(text=data[: exc.start].decode("utf-8"), charset="utf-8", truncated=True)
    return MailText(text=data.decode("latin-1"), charset="iso-8859-1", truncated=truncated)


def canonical_bytes(raw: bytes) -> memoryview:
    """The mail after its leading trace fields. They are the same when a mail is returned or submitted twice."""
    at = 0
    while _TRACE.match(raw, at):
        at = _end_of_field(raw, at)
    return memoryview(raw)[at:]


def _end_of_field(raw: bytes, at: int) -> int:
    """The position after a field and its continuation lines."""
    while True:
        newline = raw.find(b"\n", at)
        if newline < 0:
            return len(raw)
        at = newline + 1
        if raw[at : at + 1] not in (b" ", b"\t"):
            return at
