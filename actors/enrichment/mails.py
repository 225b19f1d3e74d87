"""Reading of returned mails before they are enriched: parses each, and checks the tokens that it contains."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from actors.enrichment.read_report import ReadReport
from domain.errors import InvalidToken, Unavailable, UnknownKey
from domain.key_set import KeySet
from domain.reports.intake import ReturnedMailEntry
from domain.reports.mails import mail_statements
from domain.reports.statements import MessageKeys
from domain.return_path import PREFIX, ReturnPathTokens
from domain.returned_mail.reader import UNREADABLE
from domain.returned_mail.report import Kind, MatchingKeys, ReturnedMail
from domain.tokens import TrackingTokens
from domain.values import id_text

log = logging.getLogger(__name__)

#: Separators between the parts of a feedback id (RFC 9477), one of which is our token.
_PARTS: Final = ":"
#: Seconds between two readings of the keys.
RENEWAL_S: Final = 5.0

#: Reads the current keys of tracking tokens and of return paths.
ReadKeys = Callable[[], Awaitable[tuple[KeySet, KeySet]]]


class Parser(Protocol):
    """A parser of returned mail that no mail can hurt."""

    async def parse(self, raw: bytes, envelope: str = "") -> ReturnedMail:
        """The content of a mail; of the kind `unreadable` if it cannot be parsed."""
        ...


class MailReader:
    """Reads returned mails. Only genuine tokens of the mail's own account count."""

    def __init__(
        self, parser: Parser, tracking: TrackingTokens, return_path: ReturnPathTokens, read_keys: ReadKeys
    ) -> None:
        """`read_keys` reads the current keys of both kinds of tokens, when one names a key that is not known."""
        self._parser = parser
        self._tracking = tracking
        self._return_path = return_path
        self._read_keys = read_keys
        self._read_keys_s = float("-inf")

    async def read(self, entry: ReturnedMailEntry) -> ReadReport:
        """The content of a mail as a report; of the kind `unreadable` if anything about it fails.

        Raises:
            Unavailable: the parser does not start, or no gateway has the keys; try again later.
        """
        mail = await self._parser.parse(entry.mime)
        try:
            if self._has_unknown_key(mail.keys):
                await self._renew_keys()
            return self._report(entry, mail)
        except Unavailable:
            raise
        except Exception:  # whoever can send us a mail could otherwise stop everything behind it
            facts = {"action": "mail_unreadable", "event_id": id_text("rep", entry.event_id)}
            log.exception("a parsed mail cannot be read", extra=facts)
            return self._report(entry, UNREADABLE)

    def _report(self, entry: ReturnedMailEntry, mail: ReturnedMail) -> ReadReport:
        return ReadReport(
            entry=entry._replace(mime=b""),
            kind=mail.kind.value,
            keys=self._message_keys(mail.keys, entry.account_no),
            statements=mail_statements(mail, entry.mime, entry.arrived_ms),
            is_unreadable=mail.kind is Kind.UNREADABLE,
            is_truncated=mail.truncated,
        )

    def _has_unknown_key(self, keys: MatchingKeys) -> bool:
        try:
            for _ in self._tokens(keys, is_complete=False):
                pass
        except UnknownKey:
            return True
        return False

    async def _renew_keys(self) -> None:
        """Reads the keys again. Any text may look like a token, so not more often than every `RENEWAL_S`."""
        now_s = time.monotonic()
        if now_s - self._read_keys_s >= RENEWAL_S:
            self._read_keys_s = now_s
            tracking, return_path = await self._read_keys()
            self._tracking.use(tracking)
            self._return_path.use(return_path)

    def _message_keys(self, keys: MatchingKeys, account_no: int) -> MessageKeys:
        genuine = dict.fromkeys(key for no, key in self._tokens(keys, is_complete=True) if no == account_no)
        return MessageKeys(keys=tuple(genuine), references=keys.message_ids)

    def _tokens(self, keys: MatchingKeys, *, is_complete: bool) -> Iterator[tuple[int, int]]:
        """Account and message key of every genuine token, most reliable first.

        Raises:
            UnknownKey: one names an unknown key, and the set of keys may not be complete.
        """
        for text in (*keys.return_path_tokens, keys.envelope_id):
            yield from self._return_paths(text, is_complete=is_complete)
        for kind, text in keys.tracking_tokens:
            with _ignored(is_complete=is_complete):
                token = self._tracking.read(kind, text)
                yield token.account_no, token.message_key
        for text in keys.feedback_ids:
            for part in text.split(_PARTS):
                yield from self._return_paths(part, is_complete=is_complete)

    def _return_paths(self, text: str, *, is_complete: bool) -> Iterator[tuple[int, int]]:
        text = text.strip().strip("<>").partition("@")[0]
        with _ignored(is_complete=is_complete):
            yield self._return_path.read(text[len(PREFIX) :] if text.lower().startswith(PREFIX) else text)


@contextmanager
def _ignored(*, is_complete: bool) -> Iterator[None]:
    """Ignores texts that are not our tokens. An unknown key is reported unless the keys are complete."""
    try:
        yield
    except UnknownKey:
        if not is_complete:
            raise
    except InvalidToken:
        pass
