"""Keys of a returned mail that may match it to a message: tokens, envelope id, feedback ids and Message-IDs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from domain.returned_mail.limits import MAX_KEYS, MAX_TOKEN_BYTES
from domain.returned_mail.mail import Mail
from domain.returned_mail.mime import HEADERS, Part
from domain.returned_mail.report import MatchingKeys

T = TypeVar("T")

#: A return-path address. `=` may stand before it: BATV's `prvs=tag=`, or SRS.
_RETURN_PATH: Final = re.compile(r"(?<![A-Za-z0-9])b-([a-z2-7]{32})(?![a-z0-9])", re.IGNORECASE | re.ASCII)
_TRACKING: Final = re.compile(r"/([ocu])/([A-Za-z0-9_-]{18,11000})")
_KINDS: Final = {"o": "open", "c": "click", "u": "unsubscribe"}
_MESSAGE_ID: Final = re.compile(r"<([^<>\s]{1,1000})>")
_QUOTED_MESSAGE_ID: Final = re.compile(
    r"^[ \t>]{0,16}(?:original-)?message[- ]?id\s?:[ \t]{0,16}<?([^<>\s]{3,900})>?", re.IGNORECASE | re.MULTILINE
)
_ENVELOPE_FIELDS: Final = (
    "delivered-to",
    "x-original-to",
    "envelope-to",
    "x-envelope-to",
    "x-rcpt-to",
    "to",
    "cc",
    "received",
    "apparently-to",
)
_SOFT_BREAK: Final = re.compile(rb"=[ \t]{0,8}\r?\n")


def keys_of(mail: Mail, envelope_id: str) -> MatchingKeys:
    """All keys in the mail, without repeats, at most 50 of each kind."""
    return MatchingKeys(
        return_path_tokens=_first(_return_paths(mail)),
        envelope_id=envelope_id[:1_000],
        tracking_tokens=_first(_tracking(mail)),
        feedback_ids=_first(value.split(";")[0].strip() for value in mail.original_values("cfbl-feedback-id")),
        message_ids=_first(_message_ids(mail)),
    )


def _first(values: Iterable[T]) -> tuple[T, ...]:
    """The first different values that are not empty."""
    found: dict[T, None] = {}
    for value in values:
        if value:
            found[value] = None
            if len(found) == MAX_KEYS:
                break
    return tuple(found)


def _return_paths(mail: Mail) -> Iterator[str]:
    yield from (found[1].lower() for found in _RETURN_PATH.finditer(mail.envelope))
    outer = mail.header.all(*_ENVELOPE_FIELDS)
    returned = mail.original_values("return-path", "sender", "x-envelope-from", "received", "from")
    for value in (*outer, *returned):
        yield from (found[1].lower() for found in _RETURN_PATH.finditer(value[:20_000]))


def _tracking(mail: Mail) -> Iterator[tuple[str, str]]:
    """Tokens in the returned message or, if that has none, anywhere in the mail."""
    found_any = False
    for text in _returned_texts(mail):
        for found in _TRACKING.finditer(text):
            found_any = True
            yield _KINDS[found[1]], found[2]
    if not found_any:
        texts = (part.text(MAX_TOKEN_BYTES) for part in mail.own_parts if not part.children)
        for text in (*texts, _plain(mail.raw[:MAX_TOKEN_BYTES])):
            yield from ((_KINDS[found[1]], found[2]) for found in _TRACKING.finditer(text))


def _returned_texts(mail: Mail) -> Iterator[str]:
    budget = MAX_TOKEN_BYTES
    for part in mail.parts:
        if part.enclosed or part.type in HEADERS:
            for text in _texts(part, budget):
                budget -= len(text)
                yield text
        if budget <= 0:
            return
    yield _plain(mail.notification.quoted_text.encode("utf-8", "surrogateescape"))


def _texts(part: Part, budget: int) -> Iterator[str]:
    """The header of a part and its text. A link in a header can be folded, so the fields are unfolded."""
    yield re.sub(r"\r?\n[ \t]+", "", part.raw_header[:budget].decode("latin-1"))
    if part.type.startswith("text/"):
        yield part.text(budget)


def _plain(data: bytes) -> str:
    """Bytes that may be quoted-printable as text."""
    return _SOFT_BREAK.sub(b"", data).replace(b"=3D", b"=").decode("latin-1")


def _message_ids(mail: Mail) -> Iterator[str]:
    """The original's ids: from its own header, from the report, from the reply's references, then from the text."""
    own = {found[1] for value in mail.header.all("message-id") for found in _MESSAGE_ID.finditer(value)}
    ids: list[str] = []
    for value in mail.original_values("message-id", "x-original-message-id"):
        ids += [found[1] for found in _MESSAGE_ID.finditer(value[:2_000])] or [value.strip()[:900]]
    machine = mail.machine_text(
        "message/delivery-status", "message/global-delivery-status", "message/disposition-notification"
    )
    machine += "\n" + mail.machine_text("message/feedback-report")
    ids += [found[1] for found in _QUOTED_MESSAGE_ID.finditer(machine)]
    for value in mail.header.all("in-reply-to", "references", "original-message-id"):
        # The last reference is the mail that was answered.
        ids += reversed([found[1] for found in _MESSAGE_ID.finditer(value[:20_000])])
    ids += [found[1] for found in _QUOTED_MESSAGE_ID.finditer(mail.text)]
    yield from (id_ for id_ in ids if id_ not in own)
