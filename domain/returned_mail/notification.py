"""Human-readable text of a returned mail, without the quoted original."""

from __future__ import annotations

import html
import re
from typing import Final, NamedTuple

from domain.returned_mail.header import Header, split
from domain.returned_mail.limits import MAX_TEXT_CHARS
from domain.returned_mail.mime import Part

#: Parts whose text a machine reads.
_MACHINE_TYPES: Final = re.compile(
    r"^(?:message/|text/rfc822-headers$|text/global-headers$|text/calendar$|text/x-vcard$)"
)
_INVISIBLE: Final = re.compile(r"<(style|script|head|title)\b[^<>]*>.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_LINE_TAGS: Final = re.compile(
    r"<(?:br|/?p|/?div|/?tr|/?li|/?h\d|/?table|/?pre|/?blockquote|hr)\b[^<>]*>", re.IGNORECASE
)
#: A tag, but not an address in angle brackets.
_TAGS: Final = re.compile(r"</?[a-z!?](?![^<>\s\"@]{0,64}@[^<>\s\"]{1,255}>)[^<>]*>", re.IGNORECASE)
#: Start of a returned header: fields that transport or MIME adds, which no notification has at the start of a line.
_TRANSPORT_FIELD: Final = re.compile(
    r"(?:received|return-path|message-id|mime-version|content-type|content-transfer-encoding|x-[\w-]+|dkim-signature"
    r"|domainkey-signature|delivered-to|arc-[\w-]+|authentication-results|references|in-reply-to|reply-to|sender|list-[\w-]+"
    r"|precedence|user-agent)\s?:",
    re.IGNORECASE,
)
_ANY_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,40}\s?:(?:\s|$)")
_BASIC_FIELD: Final = re.compile(r"(?:from|to|cc|subject|date|sent)\s?:", re.IGNORECASE)
#: A line that announces the original: a rule, such as dashes, with words for a copy of the message.
_RULE: Final = re.compile(r"^[>\s|]{0,4}[-=_*#+|~]{2,}.{0,200}$")
_ANNOUNCES: Final = re.compile(
    r"\b(?:copy|original|returned|unsent|undelivered|message (?:header|text|body)s?|header of|headers? follows?"
    r"|(?:transcript|text) of message"
    r"|below this line|forwarded)\b",
    re.IGNORECASE,
)
_NOT_THE_ORIGINAL: Final = re.compile(
    r"address|recipient|transcript of|session|error|reason|detail|fail", re.IGNORECASE
)


#: Lines of a quoted header that are searched for its end.
_MAX_FIELDS: Final = 50


class Notification(NamedTuple):
    """The text that a mail system wrote, and what it quotes of the original."""

    text: str
    #: The header that the text quotes; None if it quotes none.
    quoted: Header | None
    quoted_text: str


def of_parts(parts: list[Part]) -> Notification:
    """The notification in the parts of a mail that no message encloses."""
    plain = [
        part for part in parts if part.type.startswith("text/plain") or not part.type.startswith(("text/", "message/"))
    ]
    texts = [part.text(MAX_TEXT_CHARS) for part in plain if _is_text(part)]
    pages = [part for part in parts if part.type == "text/html"]
    if sum(len(text.strip()) for text in texts) < 20 and pages:
        texts += [text_of_html(page.text(MAX_TEXT_CHARS)) for page in pages]
    lines = "\n\n".join(texts)[:MAX_TEXT_CHARS].replace("\u00a0", " ").splitlines()
    return without_original("\n".join(line.rstrip() for line in lines))


def text_of_html(page: str) -> str:
    """The visible text of a page, with a line break for each tag that starts a line."""
    text = _INVISIBLE.sub(" ", page) if len(page) < MAX_TEXT_CHARS and _closes(page) else page
    text = " ".join(line.strip() for line in text.splitlines())
    text = _TAGS.sub(" ", _LINE_TAGS.sub("\n", text))
    return re.sub(r"[ \t\xa0]{2,}", " ", html.unescape(text))


def without_original(text: str) -> Notification:
    """Cuts the original that a text quotes, with the line that announces it."""
    lines = text.split("\n")
    quote_starts = _start_of_quote(lines)
    if quote_starts is None:
        return Notification(text, None, "")
    fields = (n for n in range(quote_starts, len(lines)) if _is_field(lines[n].lstrip("> \t")))
    first = next(fields, len(lines))
    quote_ends = _end_of_header_between_rules(lines, quote_starts, first)
    rest = lines[first:quote_ends]
    quoted_text = "\n".join(line.removeprefix(">").removeprefix(" ") if line.startswith(">") else line for line in rest)
    header = split(quoted_text.encode("utf-8", "surrogateescape"))[0] if rest else None
    own = [*lines[:quote_starts], *lines[quote_ends:]]
    return Notification("\n".join(own), header if header and len(header) else None, quoted_text)


def _is_text(part: Part) -> bool:
    if part.type.startswith("text/plain"):
        return "attachment" not in part.header.get("content-disposition").lower()
    return part.type.startswith("multipart/") and not part.children


def _closes(page: str) -> bool:
    """Whether the invisible elements of a page are few, so that looking for their ends takes little time."""
    return len(re.findall(r"<(?:style|script|head|title)\b|<!--", page, re.IGNORECASE)) < 50


def _start_of_quote(lines: list[str]) -> int | None:
    for number, line in enumerate(lines):
        text = line.lstrip(">").removeprefix(" ") if line.startswith(">") else line
        if _TRANSPORT_FIELD.match(text) and _is_header(lines, number):
            return _first_field(lines, number)
        if number and _BASIC_FIELD.match(text) and _transport_fields(lines, number) and _is_header(lines, number):
            return number
        if (
            number
            and _RULE.match(line)
            and _ANNOUNCES.search(line)
            and (not _NOT_THE_ORIGINAL.search(line) or _next_is_field(lines, number))
        ):
            return number
    return None


def _end_of_header_between_rules(lines: list[str], rule: int, first: int) -> int:
    """The line after a header that ends with another rule: what follows is not the original's text."""
    if _RULE.match(lines[rule]):
        for number in range(first, min(len(lines), first + _MAX_FIELDS)):
            if not lines[number].strip():
                break
            if _RULE.match(lines[number]) and not _ANNOUNCES.search(lines[number]):
                return number
    return len(lines)


def _is_field(line: str) -> bool:
    return bool(_ANY_FIELD.match(line) or _TRANSPORT_FIELD.match(line))


def _is_header(lines: list[str], start: int) -> bool:
    """Whether at least two of the next lines are fields, without an empty line between them."""
    fields = 0
    for line in lines[start : start + 30]:
        text = line.lstrip(">").removeprefix(" ") if line.startswith(">") else line
        if not text.strip():
            break
        fields += _is_field(text)
    return fields >= 2


def _transport_fields(lines: list[str], start: int) -> int:
    count = 0
    for line in lines[start : start + 30]:
        text = line.lstrip("> ") if line.startswith(">") else line
        if not text.strip():
            break
        count += bool(_TRANSPORT_FIELD.match(text))
    return count


def _first_field(lines: list[str], number: int) -> int:
    """The first line of the block of fields around a line."""
    while number and _ANY_FIELD.match(lines[number - 1].lstrip("> ")):
        number -= 1
    return number


def _next_is_field(lines: list[str], number: int) -> bool:
    following = [line for line in lines[number + 1 : number + 6] if line.strip()]
    return bool(following) and bool(
        _TRANSPORT_FIELD.match(following[0].lstrip("> ")) or _BASIC_FIELD.match(following[0].lstrip("> "))
    )
