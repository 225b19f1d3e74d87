"""Finding of a variant: the kind of a returned mail and its recipients."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from domain.returned_mail.categories import category_of, permanence_of
from domain.returned_mail.limits import MAX_DESCRIPTION_CHARS
from domain.returned_mail.report import Category, Kind, RecipientReport
from domain.returned_mail.statuses import Reply

#: Characters of a line that separates sections, with or without their title.
_RULE_CHARS: Final = "-=_*"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
#: Words besides the address that make a paragraph an explanation.
_WORDS_OF_REASON = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The content of a mail, as its variant read it."""

    kind: Kind
    recipients: tuple[RecipientReport, ...] = ()
    complainant: str = ""
    envelope_id: str = ""
    #: Whether recipients beyond the limit were ignored.
    truncated: bool = False


def recipient(
    address: str, final_address: str, action: str, reply: Reply, description: str, context: str = ""
) -> RecipientReport:
    """The report about one recipient, with the category and permanence that the reply shows.

    `context` is text that shows the reason if the description does not.
    """
    description = one_line(description)
    is_failure = action not in (Kind.DELIVERED, Kind.RELAYED, Kind.EXPANDED)
    category = Category.OTHER
    if is_failure:
        category = category_of(reply.code, reply.extended, description, one_line(context))
    if category is Category.OTHER and action == Kind.DELAYED:
        # Servers try again when they cannot connect.
        category = Category.NETWORK
    return RecipientReport(
        address=address,
        final_address=final_address,
        action=action,
        code=reply.code,
        extended=reply.extended,
        description=description,
        category=category,
        permanent=permanence_of(action, reply.code, reply.extended, category),
    )


def one_line(text: str) -> str:
    """Text without line breaks, control characters and repeated spaces, within the limit of a description."""
    words = _CONTROL.sub(" ", text[: 4 * MAX_DESCRIPTION_CHARS]).split()
    return " ".join(words)[:MAX_DESCRIPTION_CHARS]


def paragraph_at(text: str, position: int) -> str:
    """The line at a position and the lines that follow it without an empty line between them."""
    start = text.rfind("\n", 0, max(position, 0)) + 1
    found = re.compile(r"\n[ \t]*\n|\Z").search(text, max(position, 0))
    return text[start : found.start() if found else len(text)]


def reason_for(address: str, text: str, at: int) -> str:
    """The paragraph at a position that has an address and, if that has no other words, the next one."""
    start = text.rfind("\n\n", 0, at) + 1
    lines = (line for line in text[start : start + 2_000].split("\n") if not _is_rule(line))
    paragraphs = re.split(r"\n[ \t]*\n", "\n".join(lines))
    paragraphs = [part for part in paragraphs if part.strip()]
    if not paragraphs:
        return ""
    count = 1 if count_words(paragraphs[0], address) >= _WORDS_OF_REASON else 2
    count += paragraphs[min(count, len(paragraphs)) - 1].rstrip().endswith(":")
    return "\n".join(paragraphs[:count])


def count_words(text: str, address: str) -> int:
    """The number of words besides an address."""
    words = re.findall(r"[^\W\d_]{3,}", text.replace(address, ""))
    return sum(word.lower() not in ("smtp", "mailto") for word in words)


def _is_rule(line: str) -> bool:
    line = line.strip(" \t>|")
    return len(line) >= 3 and not (line[:3] + line[-3:]).strip(_RULE_CHARS)
