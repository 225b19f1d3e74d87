"""SMTP replies (RFC 5321) and extended statuses (RFC 3463) in running text and diagnostic codes.

Three digits, or three numbers with dots, mean many other things: times, versions, addresses, telephone numbers. So a
number only counts in a place where a reply or a status has its own grammar.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Final, NamedTuple

_STATUS: Final = r"[245]\.[0-9]{1,3}\.[0-9]{1,3}"
#: Everything that could be a reply code or a status. What stands around it decides.
_NUMBER: Final = re.compile(rf"(?<![0-9.])(?:([245][0-7][0-9])|({_STATUS}))(?![0-9])")
_MAX_NUMBERS: Final = 2_000
#: Characters before a number that can show what it is.
_BEFORE_CHARS: Final = 48
_NOT_AFTER: Final = r"(?![0-9.]*[0-9]|-[0-9]|/[0-9])"

#: Reply and status together: `550 5.1.1`, `550-5.7.1`, `550 #5.1.0`, `550: 5.1.1`, `552-"5.2.2`, `554 (5.7.1)`.
_BOTH: Final = re.compile(
    r"([0-9]{3})"
    r"(?:[ \t]{0,4}[-:;,(\[#=\"'/]{0,3}[ \t]{0,4}|\s{1,40}[(\[#\"']{0,2})"
    rf"(?:#|dsn=|status=?:?\s?)?({_STATUS}){_NOT_AFTER}",
    re.IGNORECASE,
)
#: Marks and labels of a status: `#5.1.1`, `(5.1.1)`, `[5.1.1]`, `Status: 5.1.1`, `dsn=5.1.1`, `ERR 5.1.1`.
_STATUS_MARK: Final = re.compile(
    r"(?:#\s?|[(\[<]\s?|(?:status|code|error|dsn|dsn-code|smtp|enhanced|stat)\s?[:=(#]{0,2}\s?[\"']?)$", re.IGNORECASE
)
_AFTER_MARKED: Final = re.compile(_NOT_AFTER)
#: Where a line or a phrase begins.
_STATUS_START: Final = re.compile(r"(?:^|[:;>\"'-])[ \t]{0,16}[-*>]{0,4}[ \t]{0,4}$", re.MULTILINE)
_AFTER_START: Final = re.compile(r"(?![0-9.]*[0-9])(?=[\s:,;)\"'<-])")
#: A status elsewhere, if no letter, digit or dot touches it.
_BARE_BEFORE: Final = re.compile(r"(?<![\w.,/@\[-])$")
_AFTER_BARE: Final = re.compile(r"(?![\w./:@-]|,[0-9])")
_VERSION_BEFORE: Final = re.compile(
    r"(?:version|release|ver|v|exim|sendmail|mdaemon|build|server|rev)\.?\s*$", re.IGNORECASE
)
#: Where a server's words begin: after a colon, an arrow, a quote or the start of a line.
_REPLY_START: Final = re.compile(
    r"(?:^[ \t>*|-]{0,40}|<<<[ \t]{0,8}|[:;>\"'(\[]\s{0,8}|\],[ \t]{0,4}"
    r"|\b(?:said|says|was|is|with|returned?|response|responded|replied|reply|answered|erro?r?"
    r"|code|codice|status|smtp|fehler\w{0,20})\b[ \t]?[:=#(]?[ \t]{0,4})$",
    re.MULTILINE | re.IGNORECASE,
)
_AFTER_REPLY: Final = re.compile(
    r"-[^0-9\s]|-?$|[ \t]{0,4}[:;,)\]\"'][^0-9]|[ \t]{0,40}[:;,)\]\"']?$|[ \t]{1,40}[^0-9\s]|- |-[0-9]\.[0-9]\.",
    re.MULTILINE,
)
#: Labels of a reply code: `SMTP Error Code 550`, `error: 550`, `(code=550)`, `Fehlercode 550`, `#550`.
_REPLY_LABEL: Final = re.compile(
    r"(?:\bsmtp\b|code\b|\berro?r?\w{0,12}|\breply\b|\bstatus\b|\bfehler\w{0,12}|erreur\b|#)"
    r"[^\w\n]{0,4}(?:is |was )?$",
    re.IGNORECASE,
)
_AFTER_LABEL: Final = re.compile(r"(?![0-9.:]|-[0-9]{2,})")
_ADDRESS_OF_HOST: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")


class Reply(NamedTuple):
    """A server's reply as far as a text shows it. `start` is its position."""

    code: int | None
    extended: str
    start: int

    @property
    def is_known(self) -> bool:
        return self.code is not None or bool(self.extended)


NO_REPLY: Final = Reply(None, "", -1)


def find_reply(text: str) -> Reply:
    """The reply that explains a failure: the first permanent one, else the first temporary one, else a positive one.

    A specific status is better than a general one (`X.0.0`) of the same class, and a status with its code, which is a
    server's own reply, than one without.
    """
    best, best_rank = NO_REPLY, (0, False, False, False)
    replies = _replies(text)
    for reply in replies:
        class_ = reply.extended[:1] or str(reply.code)[:1]
        rank = (
            {"5": 3, "4": 2}.get(class_, 1),
            bool(reply.extended),
            not is_general(reply.extended),
            reply.code is not None,
        )
        if rank > best_rank:
            best, best_rank = reply, rank
    return _completed(best, replies)


def is_general(extended: str) -> bool:
    """Whether a status shows no more than its class."""
    return not extended or extended.endswith(".0.0")


def better(extended: str, reply: Reply) -> str:
    """The more specific of a report's status and that of the reply that caused it."""
    if not extended:
        return reply.extended
    return reply.extended if is_general(extended) and reply.extended[:1] == extended[0] else extended


def clean(value: str) -> str:
    """The status in a field `Status`, such as `5.1.1 (bad mailbox)`; empty if there is none."""
    found = re.match(rf"\s*\(?({_STATUS})(?![0-9])", value) or re.search(rf"(?<![0-9.])({_STATUS})(?![0-9.])", value)
    return _plain(found[1]) if found else ""


def _replies(text: str) -> list[Reply]:
    """All replies and statuses of a text, in order."""
    numbers = islice(_NUMBER.finditer(text), _MAX_NUMBERS)
    return [reply for number in numbers if (reply := _reply(text, number)) is not None]


def _reply(text: str, number: re.Match[str]) -> Reply | None:
    """The reply that a number is or begins; None if it is something else."""
    start, end = number.span()
    before = text[max(0, start - _BEFORE_CHARS) : start]
    if number[2]:
        return Reply(None, _plain(number[2]), start) if _is_status(text, before, end) else None
    # Servers answer with a 5xx about a temporary reason that they waited for in vain: `550 4.4.7 message expired`.
    if (both := _BOTH.match(text, start)) and (both[1][0] == "2") == (both[2][0] == "2"):
        return Reply(int(both[1]), _plain(both[2]), start)
    return Reply(int(number[1]), "", start) if _is_code(text, before, start, end) else None


def _is_status(text: str, before: str, end: int) -> bool:
    if _VERSION_BEFORE.search(before):
        return False
    return bool(
        (_STATUS_MARK.search(before) and _AFTER_MARKED.match(text, end))
        or (_STATUS_START.search(before) and _AFTER_START.match(text, end))
        or (_BARE_BEFORE.search(before) and _AFTER_BARE.match(text, end))
    )


def _is_code(text: str, before: str, start: int, end: int) -> bool:
    if text[start + 1] in "67" or _ADDRESS_OF_HOST.match(text, start):
        return False
    starts = _REPLY_START.search(before)
    return bool(
        (starts and _AFTER_REPLY.match(text, end))
        # The lines of a reply repeat its code, so `521-192.0.2.1 is blocked. 521 See …` is one.
        or (starts and text[end : end + 1] == "-" and text.find(f" {text[start:end]} ", end, end + 600) >= 0)
        or (text[start] in "45" and _REPLY_LABEL.search(before) and _AFTER_LABEL.match(text, end))
    )


def _completed(best: Reply, replies: list[Reply]) -> Reply:
    """The reply with the code or the status that other replies of the text give for it."""
    if best is NO_REPLY or (best.code is not None and best.extended):
        return best
    wanted = best.extended[:1] or str(best.code)[:1]
    near: Reply | None = None
    for reply in replies:
        has_missing = reply.extended[:1] == wanted if best.code is not None else str(reply.code or "")[:1] == wanted
        if has_missing and (near is None or abs(reply.start - best.start) < abs(near.start - best.start)):
            near = reply
    if near is None:
        return best
    return Reply(best.code or near.code, best.extended or near.extended, min(best.start, near.start))


def _plain(status: str) -> str:
    """The status without leading zeros in its numbers."""
    return ".".join(str(int(number)) for number in status.split("."))
