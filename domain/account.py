"""An account: a tenant, which owns everything else and has API keys."""

from __future__ import annotations

import re
from typing import Self
from uuid import UUID

from eventsourcing.domain import AggregateCreated

from domain.aggregate import EventSourced
from domain.errors import InvalidInput
from domain.validation import text_problem

_SHA256_HEX = re.compile(r"[0-9a-f]{64}")


class Account(EventSourced):
    """A tenant. Only the SHA-256 of each key is stored."""

    TOPIC = "account"

    class Event(EventSourced.Event):
        """An event of an account."""

    class Opened(Event, AggregateCreated):
        """The account was created."""

        TOPIC = "account.opened"
        name: str

    class ApiKeyIssued(Event):
        """A key for this account was created."""

        TOPIC = "account.api-key-issued"
        key_hash: str
        name: str

        def apply(self, aggregate: Account) -> None:
            aggregate.key_hashes.append(self.key_hash)

    class ApiKeyRevoked(Event):
        """A key for this account was revoked."""

        TOPIC = "account.api-key-revoked"
        key_hash: str

        def apply(self, aggregate: Account) -> None:
            aggregate.key_hashes.remove(self.key_hash)

    def __init__(self, name: str, at_ms: int) -> None:
        self.name = name
        self.created_at_ms = at_ms
        self.key_hashes: list[str] = []

    @classmethod
    def open(cls, account_id: UUID, name: str, at_ms: int) -> Self:
        """A new account.

        Raises:
            InvalidInput: the name is empty, longer than 200 characters or holds control characters.
        """
        check_account_name(name)
        return cls._create(cls.Opened, id=account_id, name=name, at_ms=at_ms)

    def issue_api_key(self, key_hash: str, at_ms: int, name: str = "") -> None:
        """Accepts the key with this SHA-256 (64 lower-case hex digits) from now on. A repeat changes nothing.

        `name` is for people, and may be empty.

        Raises:
            InvalidInput: `key_hash` is not such a hash, or the name is invalid.
        """
        if problem := text_problem(name, min_chars=0):
            raise InvalidInput.at("/name", problem)
        if not _SHA256_HEX.fullmatch(key_hash):
            raise InvalidInput.at("/key_hash", "must be the SHA-256 of the key, 64 lower-case hex digits")
        if key_hash not in self.key_hashes:
            self.trigger_event(self.ApiKeyIssued, key_hash=key_hash, name=name, at_ms=at_ms)

    def revoke_api_key(self, key_hash: str, at_ms: int) -> None:
        """Stops accepting the key with this SHA-256. An unknown key changes nothing."""
        if key_hash in self.key_hashes:
            self.trigger_event(self.ApiKeyRevoked, key_hash=key_hash, at_ms=at_ms)


def check_account_name(name: str) -> None:
    """Checks the name of an account.

    Raises:
        InvalidInput: the name is empty, longer than 200 characters or holds control characters.
    """
    if problem := text_problem(name):
        raise InvalidInput.at("/name", problem)
