"""Text that strangers wrote: invisible characters made visible, and the header of a returned mail."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

#: Controls except tab and line feed, bidirectional formatting, separators and zero-width characters: they could hide
#: text or change the order in which it is read.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
_END_OF_HEADER: Final = re.compile(r"\r?\n\r?\n")
#: Characters of a header that a page shows.
MAX_HEADER_CHARS: Final = 16_384


def visible(text: str) -> str:
    """The text with `⟨U+202E⟩` in place of each invisible character. Line ends become line feeds."""
    return _INVISIBLE.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text.replace("\r\n", "\n"))


def escaped(json_text: str) -> str:
    r"""JSON with `\u202e` in place of each invisible character, which means the same."""
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json_text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMail:
    """The header of a stored mail, as text, and facts about the mail."""

    #: The event that it is stored with.
    event_id: str
    header: str
    #: Whether the header is longer.
    is_cut: bool
    charset: str
    #: Whether only the first part of the mail is stored.
    is_truncated: bool
    #: Of the stored part.
    size_bytes: int

    @classmethod
    def of(cls, event_id: str, mime: str, charset: str, *, is_truncated: bool) -> Self:
        """The header of the mail: everything before its first empty line."""
        text = mime.lstrip("\r\n")
        end = _END_OF_HEADER.search(text)
        header = text[: end.start()] if end else text
        return cls(
            event_id=event_id,
            header=visible(header[:MAX_HEADER_CHARS]),
            is_cut=len(header) > MAX_HEADER_CHARS,
            charset=charset,
            is_truncated=is_truncated,
            size_bytes=len(mail_bytes(mime, charset)),
        )


def mail_bytes(mime: str, charset: str) -> bytes:
    """The mail's own bytes, from its text and the charset that it was decoded with."""
    return mime.encode("latin-1" if charset == "iso-8859-1" else "utf-8", "replace")
