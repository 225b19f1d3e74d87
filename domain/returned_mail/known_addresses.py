"""Addresses in the rest of a notification, which show what an address in its text is."""

from __future__ import annotations

import re
from typing import Final

from domain.returned_mail import addresses
from domain.returned_mail.limits import MAX_RECIPIENTS
from domain.returned_mail.mail import Mail

#: A name alone on the line after an announcement: a user of the mail system itself.
_LOCAL_USER: Final = re.compile(r":\n{1,2}[ \t]{1,8}([A-Za-z0-9][\w.-]{1,63})(?:\n|\Z)", re.ASCII)
#: Shorter names are common words.
_MIN_USER_CHARS: Final = 3
_RECEIVED_FOR: Final = re.compile(r"\bfor\s+<?([^\s<>;]{1,64}@[^\s<>;]{1,255})", re.IGNORECASE)


class KnownAddresses:
    """Addresses elsewhere in the mail: those of the original's recipients, of its sender, and of the mail system."""

    def __init__(self, mail: Mail) -> None:
        self._recipients = _folded(
            mail.original_values("to", "cc", "x-original-to", "delivered-to", "envelope-to", "x-envelope-to")
        )
        self._received_for = _received_for(mail.original_values("received"))
        self._failed = _folded(mail.header.all("x-failed-recipients", "final-recipient", "original-recipient"))
        self._senders = _folded(
            mail.original_values("from", "sender", "return-path", "reply-to", "errors-to", "list-post")
        )
        self._own = _folded(mail.header.all("to", "delivered-to", "x-original-to")) | {mail.envelope.casefold()}
        self._system = {address.casefold() for address in mail.senders}
        self._mail = mail

    def points(self, key: str) -> int:
        """The points for what the rest of the mail shows of an address."""
        points = 0
        if key in self._failed:
            points += 6
        if key in self._recipients or key in self._received_for:
            points += 3
        elif key in self._senders or key in self._own:
            points -= 3
        if key in self._system and key not in self._recipients:
            points -= 3
        if addresses.is_role(key) and key not in self._recipients:
            points -= 4
        return points

    def fallback(self) -> list[str]:
        """Recipients of a mail whose text names none: those in its own header, else the only one of the original."""
        failed = addresses.all_in(", ".join(self._mail.header.all("x-failed-recipients")))
        if failed:
            return list(dict.fromkeys(failed))[:MAX_RECIPIENTS]
        for value in (self._mail.envelope, *self._mail.header.all("to", "x-original-to", "delivered-to")):
            if original := addresses.original_of(addresses.first(value)):
                return [original]
        recipients = addresses.all_in(", ".join(self._mail.original_values("to", "cc")))
        if len({address.casefold() for address in recipients} - self._senders) == len(
            recipients
        ) == 1 and not self._is_list(recipients[0]):
            return recipients[:1]
        named = [address for address in recipients[:MAX_RECIPIENTS] if self._names_user(address)]
        if named and len(named) < len(recipients):
            return list(dict.fromkeys(named))[:MAX_RECIPIENTS]
        if local := _LOCAL_USER.findall(self._mail.text[:5_000]):
            domain = next((sender.partition("@")[2] for sender in self._mail.senders if addresses.is_role(sender)), "")
            return [f"{name}@{domain}" for name in dict.fromkeys(local)][:MAX_RECIPIENTS] if domain else []
        for rest in (self._received_for, _folded([self._mail.subject])):
            if len(found := rest - self._senders - self._own - self._system) == 1:
                return list(found)
        return []

    def _names_user(self, address: str) -> bool:
        """Whether the text has the local part of an address as a word: servers omit their own domain."""
        local = address.partition("@")[0]
        return len(local) >= _MIN_USER_CHARS and bool(
            re.search(rf"(?<![\w@.-]){re.escape(local)}(?![\w@-])", self._mail.text[:5_000], re.IGNORECASE)
        )

    def _is_list(self, address: str) -> bool:
        """Whether the original went to a mailing list: its sender is an address of the list."""
        local, _, domain = address.casefold().partition("@")
        return any(
            sender.partition("@")[2] == domain
            and (sender == address.casefold() or sender.startswith((local + "-", local + "+")))
            for sender in self._senders | self._own
        )


def _folded(values: list[str]) -> set[str]:
    return {address.casefold() for value in values[:50] for address in addresses.all_in(value)}


def _received_for(values: list[str]) -> set[str]:
    return {found[1].casefold() for value in values[:50] for found in _RECEIVED_FOR.finditer(value[:2_000])}
