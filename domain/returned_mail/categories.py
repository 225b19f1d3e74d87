"""Category of a failure: from the status (RFC 3463 and its IANA registry), then the reply code, then words.

Words only decide where neither number shows a reason, so they are few and not meant to be complete.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from domain.returned_mail.report import Category, RecipientReport

_BY_STATUS: Final[Mapping[str, Category]] = {
    "1.2": Category.DOMAIN,
    "1.7": Category.POLICY,
    "1.8": Category.POLICY,
    "1": Category.ADDRESS,
    "2.2": Category.MAILBOX_FULL,
    "2.3": Category.SIZE,
    "2.4": Category.SYSTEM,
    "2": Category.ADDRESS,
    "3.4": Category.SIZE,
    "3": Category.SYSTEM,
    "4.310": Category.DOMAIN,
    "4": Category.NETWORK,
    "5.3": Category.RATE,
    "5": Category.SYSTEM,
    "6": Category.CONTENT,
    "7.17": Category.ADDRESS,
    "7.18": Category.DOMAIN,
    "7.28": Category.RATE,
    "7": Category.POLICY,
}
#: Unknown subjects, details that only repeat one, and X.1.10: RFC 7505 and Exchange have different reasons for it.
_VAGUE: Final = re.compile(r"[245]\.(?:(?:0|[89]|\d\d+)\.\d+|[235]\.0|1\.10)$")

_PERSON: Final = r"(?:users?|recipients?|rcpts?|mailbox|address(?:ee|es)?|account|inbox|userid)"
#: Names in which words show no reason: addresses, hosts and files.
_NAME: Final = re.compile(r"[^\s<>@]{1,64}@[^\s<>@]{1,255}|\b[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.[A-Za-z]{2,63}\b")
_BY_WORDS: Final = tuple(
    (category, re.compile("|".join(patterns), re.IGNORECASE))
    for category, patterns in (
        (
            Category.MAILBOX_FULL,
            (
                r"quota",
                r"(?:mail)?(?:box|folder|dir)\W+(?:\w+\W+){0,3}full|full mailbox",
                r"storage|over ?limit|(?:enough|insufficient|full|no)\W+(?:\w+\W+){0,2}space",
                r"space\W+(?:\w+\W+){0,2}(?:enough|full|left)",
                r"\b(?:mailbox|account)\b.{0,20}\bexceed",
            ),
        ),
        (
            Category.ADDRESS,
            (
                rf"\b{_PERSON}\b.{{0,40}}\b(?:unknown|unbekannt|no longer|invalid|disabled|discontinued|inactive)",
                rf"\b{_PERSON}\b.{{0,40}}\b(?:not (?:a )?(?:found|known|exist|listed|valid)|unavailable)",
                rf"\b{_PERSON}\b.{{0,40}}\b(?:do(?:es)?n.t|(?:do(?:es)?|can) ?not) (?:exist|have)",
                rf"\b(?:unknown|no such|no|invalid|illegal|non-?exist\w*|bad)\b.{{0,20}}\b{_PERSON}\b",
            ),
        ),
        (
            Category.DOMAIN,
            (
                r"\b(?:host|domain|unrouteable|mx)\b.{0,60}(?:not found|unknown|exist|lookup|invalid|domain|regist)",
                r"(?:unknown|no such) (?:host|domain)|nxdomain|null mx|name (?:or )?service|\bdns\b(?!bl)",
                r"\bno (?:\w+ )?(?:mx|hosts?)\b",
            ),
        ),
        (Category.SIZE, (r"too (?:large|big|long)|size limit|(?:message|maximum)\b.{0,30}\bsize",)),
        (
            Category.RATE,
            (
                r"too many (?:connection|message|mail|recipient)|\brate\b|throttl|gr[ae]y-?list",
                r"try(?:ing)? again later",
            ),
        ),
        (
            Category.CONTENT,
            (
                r"virus|malware|infected",
                r"(?:content|attachment)\w*\W+(?:\w+\W+){0,3}(?:filter|scan|reject|block|not allowed|type)",
            ),
        ),
        (
            Category.POLICY,
            (
                r"\bspam|block|black-?list|policy|den(?:y|ied)|reject(?:ed)? (?:by|for)|\bspf\b|\bdkim\b|dmarc",
                r"reputation|relay|unsolicited|forbidden|not (?:allowed|accepting)|permission",
                r"refused to (?:talk|accept)",
            ),
        ),
        (
            Category.NETWORK,
            (
                r"time ?d? ?out|connect|(?:un|not )reachable|refused|\bloop|too many hops|network|not respond",
                r"\bhosts?\b.{0,20}\bfail|in the queue|\battempts\b",
            ),
        ),
        (
            Category.SYSTEM,
            (
                r"(?:system|internal|software|configuration|local|temporary|i/o) (?:\w+ )?(?:error|failure)",
                r"command (?:died|failed|output)|\bdisk\b|insufficient system",
            ),
        ),
    )
)
#: Words that show a reason only in the server's own sentence.
_WEAK: Final = (
    (Category.CONTENT, re.compile(r"\bheaders?\b|\bfields?\b|\bmime\b|malformed|8-?bit", re.IGNORECASE)),
    (Category.ADDRESS, re.compile(rf"\b{_PERSON}\b", re.IGNORECASE)),
)
#: A code with one meaning (RFC 7504).
_NO_MAIL_FOR_DOMAIN: Final = 556
_BY_CODE: Final[Mapping[int, Category]] = {
    421: Category.NETWORK,
    450: Category.ADDRESS,
    452: Category.MAILBOX_FULL,
    550: Category.ADDRESS,
    551: Category.ADDRESS,
    552: Category.MAILBOX_FULL,
    553: Category.ADDRESS,
    554: Category.POLICY,
}


#: Reasons that pass, and reasons that stay, if neither status nor code shows it.
_PASSING: Final = frozenset({Category.MAILBOX_FULL, Category.RATE, Category.NETWORK})
_LASTING: Final = frozenset({Category.ADDRESS, Category.DOMAIN})


def category_of(code: int | None, extended: str, description: str, context: str = "") -> Category:
    """The category of a failure. `context` is the rest of the notification, for a description without a reason."""
    if extended and not _VAGUE.match(extended):
        subject, _, detail = extended[2:].partition(".")
        return _BY_STATUS.get(f"{subject}.{detail}") or _BY_STATUS.get(subject, Category.OTHER)
    if code == _NO_MAIL_FOR_DOMAIN:
        return Category.DOMAIN
    # Before its reply stands who said it, such as `host mx.example.com said:`.
    reply_at = max(description.find(str(code)), 0)
    found = _by_words(description[reply_at:]) or _by_words(description)
    if not found and code is None and not extended:
        found = _by_words(context)
    if found := found or _first(_WEAK, _NAME.sub(" ", description)):
        return found
    if extended[2:3] in _BY_STATUS and extended[3:4] == ".":
        return _BY_STATUS[extended[2]]
    if code is not None:
        return _BY_CODE.get(code, Category.OTHER if code < 400 else Category.SYSTEM)
    return Category.OTHER


@lru_cache(maxsize=16)
def _by_words(text: str) -> Category | None:
    """The reason that a text shows. Many recipients can share a text."""
    return _first(_BY_WORDS, _NAME.sub(" ", text))


def _first(reasons: Iterable[tuple[Category, re.Pattern[str]]], text: str) -> Category | None:
    return next((category for category, words in reasons if words.search(text)), None)


def permanence_of(action: str, code: int | None, extended: str, category: Category) -> bool | None:
    """Whether a failure is permanent, by status, reply code, action or reason; None if nothing shows it."""
    class_ = extended[:1] or str(code or "")[:1]
    if class_ in ("4", "5"):
        return class_ == "5"
    if action == "delayed" or category in _PASSING:
        return False
    return True if action == "failed" and category in _LASTING else None


def worst(recipients: tuple[RecipientReport, ...]) -> tuple[Category, bool | None]:
    """Category and permanence of a mail: those of its first permanent failure, else of its first recipient."""
    for recipient in recipients:
        if recipient.permanent:
            return recipient.category, True
    return (recipients[0].category, recipients[0].permanent) if recipients else (Category.OTHER, None)
