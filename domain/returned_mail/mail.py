"""Returned mail, as the variants read it: its header, its parts by their role, and its text, computed on demand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.errors import MessageError
from email.header import decode_header, make_header
from functools import cached_property
from itertools import chain
from typing import Final

from domain.returned_mail import addresses, notification
from domain.returned_mail.header import Header
from domain.returned_mail.limits import MAX_STATUS_BYTES
from domain.returned_mail.mime import HEADERS, Part, parse

STATUS_TYPES: Final = frozenset({"message/delivery-status", "message/global-delivery-status"})
#: Fields in which transport records the address that a mail was delivered to, most reliable first.
_ENVELOPE_FIELDS: Final = (
    "x-envelope-to",
    "envelope-to",
    "delivered-to",
    "x-original-to",
    "x-rcpt-to",
    "apparently-to",
    "to",
)
_MAX_SUBJECT_CHARS: Final = 1_000


class Mail:
    """A parsed mail. `envelope` is the address that it was delivered to, if the transport showed it."""

    def __init__(self, raw: bytes, envelope: str = "") -> None:
        # Lines of old Macs end with CR, and a gateway that adds it to each LF doubles it.
        self.raw = raw.replace(b"\r\r\n", b"\n") if b"\n" in raw else raw.replace(b"\r", b"\n")
        self.root, self.truncated = parse(self.raw)
        self.header = self.root.header
        self._envelope = envelope

    @cached_property
    def parts(self) -> list[Part]:
        """All parts, in the order of the mail."""
        return list(self.root.walk())

    @cached_property
    def own_parts(self) -> list[Part]:
        """Parts that the mail system wrote: no message encloses them."""
        return [part for part in self.parts if not part.enclosed]

    @cached_property
    def envelope(self) -> str:
        """The address that the mail was returned to."""
        return self._envelope or addresses.first(", ".join(self.header.all(*_ENVELOPE_FIELDS)[:20]))

    @cached_property
    def subject(self) -> str:
        """The subject without its encoding."""
        value = self.header.get("subject")[:_MAX_SUBJECT_CHARS]
        try:
            return str(make_header(decode_header(value)))
        except (ValueError, LookupError, AssertionError, MessageError):
            return value

    @cached_property
    def senders(self) -> list[str]:
        """Addresses in the fields that show who wrote the mail."""
        return addresses.all_in(", ".join(self.header.all("from", "sender", "reply-to", "return-path")))

    @cached_property
    def notification(self) -> notification.Notification:
        """The text that the mail system wrote."""
        return notification.of_parts(self.own_parts)

    @cached_property
    def text(self) -> str:
        """The text that the mail system wrote, without the original that it quotes."""
        return self.notification.text

    @cached_property
    def originals(self) -> list[Header]:
        """Headers of the returned message: from an enclosed part, or as the text quotes it."""
        return list(self._originals())

    def _originals(self) -> Iterator[Header]:
        for part in self.own_parts:
            if part.message:
                yield part.message.header
            elif part.type in HEADERS:
                yield part.quoted_header
        if self.notification.quoted:
            yield self.notification.quoted

    def original_values(self, *names: str) -> list[str]:
        """Values of fields of the returned message."""
        return [value for header in self.originals for value in header.all(*names)]

    def machine_text(self, *types: str, field: re.Pattern[str] | None = None) -> str:
        """The first part of one of these types as text; empty if there is none.

        Gateways enclose whole reports in another message, so enclosed parts are the second choice. Others change the
        type, so the third choice is any text or attachment with the `field`.
        """
        for parts in (self.own_parts, self.parts):
            for part in parts:
                if part.type in types:
                    return _unfolded_bytes(part)
        if field is None:
            return ""
        attachments = (
            _unfolded_bytes(part)
            for part in self.own_parts
            if not part.children and not part.type.startswith("message/") and part.type not in HEADERS
        )
        return next((text for text in chain((self.text,), attachments) if field.search(text)), "")


def _unfolded_bytes(part: Part) -> str:
    # Some programs put the part's fields directly after its header, so the parser took them for its header.
    misplaced = b"" if part.type not in STATUS_TYPES else part.raw_header
    data = part.decoded(MAX_STATUS_BYTES)
    text = (misplaced + b"\n" + data) if misplaced else data
    return text.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
