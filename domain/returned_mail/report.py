"""Values that describe a returned mail: its kind, its recipients, and the keys that match it to a message."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kinds of returned mail. Sources: RFC 3464 (actions), RFC 5965 (feedback types), RFC 3834 (auto-replies)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"
    ABUSE = "abuse"
    FRAUD = "fraud"
    VIRUS = "virus"
    OPT_OUT = "opt-out"
    NOT_SPAM = "not-spam"
    AUTH_FAILURE = "auth-failure"
    AUTO_REPLY = "auto-reply"
    CHALLENGE = "challenge"
    #: A notification of a mail server that is no DSN.
    BOUNCE = "bounce"
    OTHER = "other"
    #: A mail that could not be parsed, or that ended the parser.
    UNREADABLE = "unreadable"


class Category(StrEnum):
    """The reasons of failures and bounces. Source: the contract, section 5."""

    ADDRESS = "address"
    MAILBOX_FULL = "mailbox-full"
    DOMAIN = "domain"
    POLICY = "policy"
    CONTENT = "content"
    SIZE = "size"
    RATE = "rate"
    NETWORK = "network"
    SYSTEM = "system"
    AUTO_REPLY = "auto-reply"
    CHALLENGE = "challenge"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientReport:
    """The statement of a returned mail about one recipient. Unknown texts are empty."""

    #: The address that the message was sent to, as far as the mail shows it.
    address: str
    #: The address that the last server used, if it is another one.
    final_address: str = ""
    #: An action of RFC 3464: `failed`, `delayed`, `delivered`, `relayed` or `expanded`.
    action: str = ""
    #: The SMTP reply code (RFC 5321).
    code: int | None = None
    #: The extended status (RFC 3463), such as `5.1.1`.
    extended: str = ""
    #: The server's own words, in one line.
    description: str = ""
    category: Category = Category.OTHER
    #: Whether trying again is pointless; None if the mail does not show it.
    permanent: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingKeys:
    """Texts in the mail that may identify the message, most reliable first. None of them has been checked."""

    #: Tokens of return-path addresses (`b-<token>@domain`), in lower case.
    return_path_tokens: tuple[str, ...] = ()
    #: `Original-Envelope-Id` of a DSN.
    envelope_id: str = ""
    #: Tokens of tracking URLs, each with its kind: `open`, `click` or `unsubscribe`.
    tracking_tokens: tuple[tuple[str, str], ...] = ()
    #: `CFBL-Feedback-ID` (RFC 9477).
    feedback_ids: tuple[str, ...] = ()
    #: Message-IDs of the original, without angle brackets.
    message_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MailText:
    """The mail as text, for handlers: the first 512 KiB, as UTF-8 if that is valid, else as Latin-1."""

    text: str
    charset: str
    truncated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnedMail:
    """The content of a returned mail."""

    kind: Kind
    recipients: tuple[RecipientReport, ...] = ()
    category: Category = Category.OTHER
    permanent: bool | None = None
    #: The address of the person who complained or unsubscribed, if the report shows it.
    complainant: str = ""
    #: The address that the mail was returned to.
    envelope: str = ""
    keys: MatchingKeys = MatchingKeys()
    #: Whether parts, levels, header bytes or recipients beyond the limits were ignored.
    truncated: bool = False
