"""Recipients that the text of a notification names, found by the form of its lines and by the returned message.

Mail systems write in many languages, but they set addresses in few ways: alone on a line, in front of a colon, after a
label, or in a line with the server's reply. Each way gives points, and the addresses with the most points are the
recipients.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from domain.returned_mail import addresses
from domain.returned_mail.known_addresses import KnownAddresses
from domain.returned_mail.limits import MAX_RECIPIENTS
from domain.returned_mail.mail import Mail
from domain.returned_mail.statuses import find_reply

#: Addresses to look at. Notifications name far fewer.
_MAX_FOUND: Final = 600
_MAX_IN_SENTENCES: Final = 2
#: Characters between an address and the one from which it was made.
_MAX_TO_EXPANSION: Final = 120
#: Text about one of several recipients.
_MAX_ABOUT_CHARS: Final = 4_000
_MAX_SECTIONS: Final = 20
#: Points for the form that make an address a recipient, even if others have more points for the rest of the mail.
_FORM_OF_A_LIST: Final = 4
_TYPED: Final = re.compile(r"(?:smtp|rfc-?822)=", re.IGNORECASE)
_ALONE: Final = re.compile(r"^[\s>*•·\"'<\[(|-]*(?:smtp:|mailto:|rfc822;\s?)?$", re.IGNORECASE)
_ALONE_AFTER: Final = re.compile(r"^(?:\s?<mailto:[^>]*>)?[\s>\"'\])|.,;]*(?::|$)", re.IGNORECASE)
#: The reply in a row of a table.
_FAILED_AFTER: Final = re.compile(r"[>\s|:,;]{1,40}[45][0-9]{2}[ -]")
_COMMAND: Final = re.compile(r"\b(?:rcpt|vrfy)\b.{0,10}<?$", re.IGNORECASE)
_SENDER_COMMAND: Final = re.compile(
    r"(?:\bmail from\b|\bfrom|\bsender|\breply-to|\bcontact\b.{0,40}|\bhelp\b.{0,40})[:=]?\s*[<\"']?$", re.IGNORECASE
)
_LABEL: Final = re.compile(
    r"(?:^|[\s>*-])[^\W\d_][\w '/().-]{0,60}[:=]\s*[<\"'\[(]*(?:smtp:|mailto:|rfc822;\s?)?$", re.IGNORECASE
)
_FIELD_OF_ORIGINAL: Final = re.compile(
    r"^\s*(?:from|sender|reply-to|subject|date|message-id|return-path|errors-to|de|von|cc)\s{0,20}:", re.IGNORECASE
)
#: A field of a block that describes the original, as in "To: … Subject: … Sent: …".
_TO_FIELD: Final = re.compile(r"^\s*[^\W\d_]{1,12}\s?:\s*[^:]{0,80}$")
_BLOCK_FIELD: Final = re.compile(
    r"^\s*(?:subject|date|sent|message-id|from|betreff|objet|asunto|oggetto|onderwerp|assunto|gesendet|件名|тема)\s{0,20}:",
    re.IGNORECASE | re.MULTILINE,
)
_EXPANDED_FROM: Final = re.compile(
    r"\b(?:expanded|generated|forwarded)\s+from:?\s*<?$|\b(?:was|originally) addressed to:?\s*<?$"
    r"|\boriginal address:?\s*<?$",
    re.IGNORECASE,
)


class Named(NamedTuple):
    """A recipient with the text about it."""

    address: str
    final_address: str
    text: str
    #: The position in the whole text of the line that shows most clearly that it is a recipient.
    line_start: int = 0


@dataclass(slots=True)
class _Candidate:
    """An address of the text. `form` are its points for the way in which it stands in its line."""

    address: str
    #: The line that gave the most points, and the starts of all lines with the address.
    best_line: int
    lines: list[int] = field(default_factory=list)
    points: int = 0
    form: int = 0
    #: The address from which the mail system made this one.
    original: str = ""


def named_in(mail: Mail) -> list[Named]:
    """The recipients of a notification, in the order of its text; one beyond the limit shows that there are more."""
    text = mail.text
    context = KnownAddresses(mail)
    candidates = _candidates(text, context)
    best = max((candidate.points for candidate in candidates), default=0)
    # Several addresses in running sentences are examples or contacts.
    similar = sum(candidate.points >= max(best - 1, 1) for candidate in candidates)
    if best <= 0 or (best <= 2 and similar > _MAX_IN_SENTENCES):
        return [Named(address, "", text) for address in context.fallback()]
    chosen = _chosen(candidates, best)[: MAX_RECIPIENTS + 1]
    texts = [text] if len(chosen) == 1 else _sections(chosen, text)
    return [_named(candidate, about) for candidate, about in zip(chosen, texts, strict=True)]


def _candidates(text: str, context: KnownAddresses) -> list[_Candidate]:
    """The addresses of a text with their points, in order."""
    candidates: dict[str, _Candidate] = {}
    previous, previous_end = None, 0
    for found in islice(addresses.find(text), _MAX_FOUND):
        line_start = text.rfind("\n", 0, found.start) + 1
        candidate = candidates.setdefault(found.address.casefold(), _Candidate(found.address, line_start))
        if _EXPANDED_FROM.search(text[max(0, found.start - 60) : found.start]):
            if previous and found.start - previous_end < _MAX_TO_EXPANSION:
                previous.original = previous.original or found.address
            else:
                candidate.points = max(candidate.points, 4)
            continue
        form, points = _points_at(text, found, line_start, context)
        candidate.lines.append(line_start)
        candidate.form = max(candidate.form, form)
        if points > candidate.points:
            candidate.points, candidate.best_line = points, line_start
        if form:
            previous, previous_end = candidate, found.end
    return list(candidates.values())


def _points_at(text: str, found: addresses.Found, line_start: int, context: KnownAddresses) -> tuple[int, int]:
    """The points of one occurrence: for its form, and in all. A field that describes the original has no form."""
    line_end = text.find("\n", found.end)
    line_end = len(text) if line_end < 0 else line_end
    before = text[max(line_start, found.start - 200) : found.start]
    after = text[found.end : min(line_end, found.end + 400)]
    following = text[line_end + 1 : line_end + 300]
    elsewhere = context.points(found.address.casefold())
    if _TO_FIELD.match(before) and _BLOCK_FIELD.search(
        text[max(0, line_start - 200) : line_start] + "\n" + following[:200]
    ):
        return 0, 1 + min(elsewhere, 0)
    form = _points(before, after, following, begins_paragraph=_begins_paragraph(text, line_start))
    form += 3 if _TYPED.match(text, found.start) else 0
    return form, form + elsewhere


def _chosen(candidates: list[_Candidate], best: int) -> list[_Candidate]:
    """The candidates with the most points, and those in the same form; not those that others were made from."""
    best_form = max(candidate.form for candidate in candidates if candidate.points == best)
    chosen = [
        candidate
        for candidate in candidates
        if candidate.points >= max(best - 1, 1)
        or (candidate.points >= candidate.form >= max(best_form - 1, _FORM_OF_A_LIST))
    ]
    originals = {candidate.original.casefold() for candidate in candidates}
    return [one for one in chosen if one.original or one.address.casefold() not in originals] or chosen


def _sections(chosen: list[_Candidate], text: str) -> list[str]:
    """The text about each of several recipients: lines with its address, with those that follow until another's."""
    starts = sorted({line for candidate in chosen for line in candidate.lines or [candidate.best_line]})
    ends = dict(zip(starts, [*starts[1:], len(text)], strict=True))
    return [
        "".join(
            text[line : min(ends[line], line + _MAX_ABOUT_CHARS)]
            for line in sorted(set(candidate.lines or [candidate.best_line]))[:_MAX_SECTIONS]
        )[:_MAX_ABOUT_CHARS]
        for candidate in chosen
    ]


def _named(candidate: _Candidate, text: str) -> Named:
    address = candidate.original or candidate.address
    final = "" if addresses.same(address, candidate.address) else candidate.address
    return Named(address, final, text, candidate.best_line)


def _begins_paragraph(text: str, line_start: int) -> bool:
    """Whether the line before is empty or announces something."""
    previous = text[max(0, line_start - 120) : line_start].rstrip("\n").rpartition("\n")[2].strip()
    return line_start == 0 or not previous or not previous[-1].isalnum()


def _points(before: str, after: str, following: str, *, begins_paragraph: bool) -> int:
    """The points for the way in which an address stands in its line."""
    if _FIELD_OF_ORIGINAL.match(before) or _SENDER_COMMAND.search(before):
        return -4
    points = 0
    if _COMMAND.search(before):
        points = 6
    elif _ALONE.match(before):
        begins_entry = begins_paragraph or before.strip() or _FAILED_AFTER.match(after)
        points = 5 if _ALONE_AFTER.match(after) else 4 if begins_entry else 1
    elif _LABEL.search(before):
        points = 4 if _ALONE_AFTER.match(after) else 3
    elif _ALONE_AFTER.match(after):
        points = 2
    else:
        points = 1
    if find_reply(before[-80:] + " " + after[:160]).is_known:
        points += 2
    elif points >= 2 and find_reply(following).is_known:
        points += 1
    elif after.rstrip().endswith(":") and find_reply(following.partition("\n")[0]).is_known:
        # A sentence announces the server's reply.
        points += 2
    return points
