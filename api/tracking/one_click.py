"""One-click requests: recognises the form that RFC 8058 prescribes, in either encoding."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Final
from urllib.parse import unquote_to_bytes

from api.tracking.unsubscribe_page import ONE_CLICK

_WANTED: Final = tuple(text.lower() for text in ONE_CLICK)
#: The first delimiter of a multipart body whose Content-Type has been lost.
_DELIMITER: Final = re.compile(rb"(?:\A|\n)--([^\r\n]{1,70}?)[ \t]*\r?\n")

#: Not allowed (RFC 9112, section 5.1); the standard library takes such a header for the start of the content.
_SPACE_BEFORE_COLON: Final = re.compile(rb"^(?!--)([!-9;-~]+)[ \t]+:", re.MULTILINE)


def asks_to_unsubscribe(body: bytes, content_type: bytes = b"") -> bool:
    """Whether a POST's body contains the field of RFC 8058 with its value, as a URL-encoded or multipart form.

    The body decides which of the two it is, because some senders mislabel it.
    """
    parts = list(_parts(body, content_type))
    if parts:
        return any(_is_one_click(part) for part in parts)
    pairs = (pair.partition(b"=") for pair in body.strip().split(b"&"))
    return any((unquote_to_bytes(n).lower(), unquote_to_bytes(v).lower()) == _WANTED for n, _, v in pairs)


def _parts(body: bytes, content_type: bytes) -> Iterator[Message]:
    """The parts of a multipart body, with the boundary of its Content-Type or else of its first delimiter."""
    body = _SPACE_BEFORE_COLON.sub(rb"\1:", body)
    message = message_from_bytes(b"Content-Type: %b\r\n\r\n%b" % (content_type, body))
    if not message.is_multipart() and (found := _DELIMITER.search(body)):
        boundary = re.sub(rb'(["\\])', rb"\\\1", found[1])
        message = message_from_bytes(b'Content-Type: multipart/form-data; boundary="%b"\r\n\r\n%b' % (boundary, body))
    if message.is_multipart():
        yield from (part for part in message.walk() if not part.is_multipart())


def _is_one_click(part: Message) -> bool:
    name = part.get_param("name", header="content-disposition")
    if part.get_content_disposition() != "form-data" or part.get_filename() is not None or name is None:
        return False
    value = part.get_payload(decode=True)
    try:
        text = bytes(value).decode(part.get_content_charset("utf-8")) if isinstance(value, bytes) else ""
    except (LookupError, UnicodeError):
        return False
    return (collapse_rfc2231_value(name).lower().encode(errors="replace"), text.strip().lower().encode()) == _WANTED
