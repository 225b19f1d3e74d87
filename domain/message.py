"""A message: one e-mail sent to one recipient, whose opens and clicks are tracked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Self
from uuid import UUID, uuid5

from eventsourcing.domain import AggregateCreated

from domain.aggregate import EventSourced
from domain.validation import MAX_NAME_CHARS, Problems, dots_problem, text_problem
from domain.values import email_problem

MAX_TAGS: Final = 50
MAX_LINKS: Final = 1000
#: UTF-8 bytes; the limit of a tracking token.
MAX_LINK_BYTES: Final = 8192
_MAX_KEY: Final = 2**63 - 1
#: Matches up to the first character of the host, after user and password.
_WITH_HOST: Final = re.compile(r"https?://(?>(?:[^/?#\\]*@)?)[^/?#\\@:\s]", re.IGNORECASE)


class Message(EventSourced):
    """One message. It is registered once and never changes."""

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
        self.created_at_ms = at_ms

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
    ) -> Self:
        """A new message. Its tracking tokens contain `key`: positive, 63 bits.

        Raises:
            InvalidInput: with every problem.
        """
        problems = Problems()
        problems.add("/id", _id_problem(message_id))
        problems.add("/key", None if 0 < key <= _MAX_KEY else "must be a positive 63-bit number")
        problems.add("/recipient", text_problem(recipient, 400) or email_problem(recipient))
        problems.add_texts("/tags", list(tags), MAX_TAGS)
        problems.add("/mailing", None if mailing is None else text_problem(mailing))
        _check_profile(problems, database, profile)
        _check_links(problems, links)
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
            at_ms=at_ms,
        )


def _id_problem(message_id: str) -> str | None:
    printable = 0 < len(message_id) <= MAX_NAME_CHARS and message_id.isprintable()
    return dots_problem(message_id) if printable else f"must be 1 to {MAX_NAME_CHARS} printable characters"


def _check_profile(problems: Problems, database: str | None, profile: str | None) -> None:
    if (database is None) != (profile is None):
        problems.add("/profile", "must have both a database and an id")
    if database is not None:
        problems.add("/profile/database", text_problem(database))
    if profile is not None:
        problems.add("/profile/id", text_problem(profile))


def _check_links(problems: Problems, links: Sequence[str]) -> None:
    if len(links) > MAX_LINKS:
        problems.add("/links", f"must hold at most {MAX_LINKS} items")
        return
    for n, link in enumerate(links):
        problems.add(f"/links/{n}", link_problem(link))


def link_problem(link: str) -> str | None:
    """Why `link` cannot be tracked, or None. Any http(s) link to a host can; the browser judges the rest."""
    if problem := text_problem(link, MAX_LINK_BYTES):
        return problem
    if len(link.encode()) > MAX_LINK_BYTES:
        return f"must be at most {MAX_LINK_BYTES} bytes long"
    if not link[:8].lower().startswith(("http://", "https://")):
        return "must start with http:// or https://"
    return None if _WITH_HOST.match(link) else "must name a host, such as https://example.com/"
