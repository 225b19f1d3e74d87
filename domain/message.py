"""A message: one e-mail sent to one recipient, whose opens and clicks are tracked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Self
from unicodedata import normalize
from urllib.parse import unquote, unquote_plus
from uuid import UUID, uuid5

from eventsourcing.domain import AggregateCreated

from domain.aggregate import EventSourced
from domain.event_catalogue.report_fields import MAX_REFERENCE_CHARS
from domain.event_catalogue.report_values import bare_reference, reference_problem
from domain.validation import MAX_ADDRESS_CHARS, MAX_NAME_CHARS, Problems, address_problem, dots_problem, text_problem
from domain.values import email_problem

#: The sign that every address has, also percent-encoded.
_AT: Final = re.compile("@|%40")
#: A label of an internationalised domain, in ASCII.
_ACE_LABEL: Final = re.compile(r"xn--([a-z0-9-]{1,59})")
MAX_TAGS: Final = 50
MAX_LINKS: Final = 1000
#: Bytes of a link as a browser requests it, percent-encoded. Tokens hold as much, and proxies let redirects to it pass.
MAX_LINK_BYTES: Final = 8192
LINK_TOO_LONG: Final = f"must be at most {MAX_LINK_BYTES} bytes long when percent-encoded"
_SENT_AS_IT_IS: Final = bytes(range(0x21, 0x7F))
_MAX_KEY: Final = 2**63 - 1
#: Matches up to the first character of the host, after user and password.
_WITH_HOST: Final = re.compile(r"https?://(?>(?:[^/?#\\]*@)?)[^/?#\\@:\s]", re.IGNORECASE)


class Message(EventSourced):
    """One message. It is registered once; only the erasure of its recipient changes it."""

    TOPIC = "message"

    class Event(EventSourced.Event):
        """An event of a message."""

    class Registered(Event, AggregateCreated):
        """The message was registered, before it was sent."""

        TOPIC = "message.registered"
        account_no: int
        message_id: str
        key: int
        recipient: str
        tags: list[str]
        mailing: str | None
        database: str | None
        profile: str | None
        links: list[str]
        reference: str | None

    class Erased(Event):
        """The message's recipient was erased. The registration in the log no longer shows whom it was for."""

        TOPIC = "message.erased"
        key: int

        def apply(self, aggregate: Message) -> None:
            aggregate.recipient = ""
            aggregate.links = []
            aggregate.reference = None
            aggregate.erased_at_ms = self.at_ms

    def __init__(
        self,
        account_no: int,
        message_id: str,
        key: int,
        recipient: str,
        tags: list[str],
        mailing: str | None,
        database: str | None,
        profile: str | None,
        links: list[str],
        reference: str | None,
        at_ms: int,
    ) -> None:
        self.account_no = account_no
        self.message_id = message_id
        self.key = key
        self.recipient = recipient
        self.tags = tags
        self.mailing = mailing
        self.database = database
        self.profile = profile
        self.links = links
        self.reference = reference
        self.created_at_ms = at_ms
        self.erased_at_ms: int | None = None

    @staticmethod
    def create_id(account_id: UUID, message_id: str) -> UUID:
        """The message's originator id, derived from its id so that no id can be registered twice."""
        return uuid5(account_id, f"message:{message_id}")

    @classmethod
    def register(
        cls,
        account_id: UUID,
        account_no: int,
        message_id: str,
        key: int,
        recipient: str,
        tags: Sequence[str],
        mailing: str | None,
        database: str | None,
        profile: str | None,
        links: Sequence[str],
        at_ms: int,
        reference: str | None = None,
    ) -> Self:
        """A new message. Its tracking tokens contain `key`: positive, 63 bits.

        `reference` is its Message-ID or a provider's id, by which reports can refer to it.

        Raises:
            InvalidInput: with every problem.
        """
        problems = Problems()
        problems.add("/id", _id_problem(message_id))
        problems.add("/key", None if 0 < key <= _MAX_KEY else "must be a positive 63-bit number")
        problems.add("/recipient", text_problem(recipient, MAX_ADDRESS_CHARS) or email_problem(recipient))
        problems.add_texts("/tags", list(tags), MAX_TAGS)
        problems.add("/mailing", None if mailing is None else text_problem(mailing))
        _check_profile(problems, database, profile)
        _check_links(problems, links)
        if reference is not None:
            problems.add("/reference", reference_problem(reference, MAX_REFERENCE_CHARS))
        names = (("/id", message_id), ("/mailing", mailing))
        for pointer, name in (*names, *((f"/tags/{n}", tag) for n, tag in enumerate(tags))):
            problems.add(pointer, _address_problem(name, recipient))
        problems.raise_if_any()
        return cls._create(
            cls.Registered,
            id=cls.create_id(account_id, message_id),
            account_no=account_no,
            message_id=message_id,
            key=key,
            recipient=recipient,
            tags=list(tags),
            mailing=mailing,
            database=database,
            profile=profile,
            links=list(links),
            reference=None if reference is None else bare_reference(reference),
            at_ms=at_ms,
        )

    def erase(self, at_ms: int) -> None:
        """Removes what may reveal the recipient. An erased message stays as it is."""
        if self.erased_at_ms is None:
            self.trigger_event(self.Erased, key=self.key, at_ms=at_ms)


def _address_problem(name: str | None, recipient: str) -> str | None:
    """Names stay when a person is erased, so they must not reveal the address."""
    if not isinstance(name, str) or not _AT.search(name):
        return None
    address = _one_spelling(recipient).rstrip(".")
    if any(address in _one_spelling(each) for each in (name, unquote(name), unquote_plus(name))):
        return "must not contain the recipient's address, because it stays when the person is erased"
    return None


def _one_spelling(text: str) -> str:
    """A text in which all spellings of an address look the same: upper and lower case, both forms of its domain."""
    return normalize("NFKC", _ACE_LABEL.sub(_unicode_label, normalize("NFKC", text).casefold())).casefold()


def _unicode_label(label: re.Match[str]) -> str:
    try:
        return label[1].encode("ascii").decode("punycode")
    except UnicodeError:
        return label[0]


def _id_problem(message_id: str) -> str | None:
    printable = 0 < len(message_id) <= MAX_NAME_CHARS and message_id.isprintable()
    return dots_problem(message_id) if printable else f"must be 1 to {MAX_NAME_CHARS} printable characters"


def _check_profile(problems: Problems, database: str | None, profile: str | None) -> None:
    if (database is None) != (profile is None):
        problems.add("/profile", "must have both a database and an id, or neither")
    if database is not None:
        problems.add("/profile/database", text_problem(database) or address_problem(database))
    if profile is not None:
        problems.add("/profile/id", text_problem(profile) or address_problem(profile))


def _check_links(problems: Problems, links: Sequence[str]) -> None:
    if len(links) > MAX_LINKS:
        problems.add("/links", f"must hold at most {MAX_LINKS} items")
        return
    for n, link in enumerate(links):
        problems.add(f"/links/{n}", link_problem(link))


def link_problem(link: str) -> str | None:
    """Why `link` cannot be tracked, or None. Any http(s) link to a host can; the browser judges the rest."""
    if len(link) > MAX_LINK_BYTES:
        return LINK_TOO_LONG
    if problem := text_problem(link, MAX_LINK_BYTES):
        return problem
    data = link.encode()
    if len(data) + 2 * len(data.translate(None, _SENT_AS_IT_IS)) > MAX_LINK_BYTES:
        return LINK_TOO_LONG
    if not link[:8].lower().startswith(("http://", "https://")):
        return "must start with http:// or https://"
    return None if _WITH_HOST.match(link) else "must name a host, such as https://example.com/"
