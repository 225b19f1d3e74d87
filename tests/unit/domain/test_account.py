"""`domain.account`."""

from __future__ import annotations

from uuid import UUID

import pytest

from domain.account import Account
from domain.errors import InvalidInput

ID = UUID(int=1)


def test_an_account_opens_without_keys() -> None:
    """A new account has its name and time, and no key."""
    account = Account.open(ID, "Acme", 5)
    assert (account.id, account.name, account.created_at_ms, account.key_hashes) == (ID, "Acme", 5, [])


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb"])
def test_a_name_is_text(name: str) -> None:
    """An empty, overlong or multi-line name is refused at its pointer."""
    with pytest.raises(InvalidInput) as caught:
        Account.open(ID, name, 5)
    assert caught.value.problems[0][0] == "/name"


def test_keys_are_issued_once() -> None:
    """An issued key's hash is accepted, and issuing it again changes nothing."""
    account = Account.open(ID, "Acme", 5)
    account.issue_api_key("a" * 64, 6)
    account.issue_api_key("b" * 64, 7)
    account.issue_api_key("a" * 64, 8)
    assert account.key_hashes == ["a" * 64, "b" * 64]
    assert account.version == 3


@pytest.mark.parametrize("key_hash", ["", "flk_secret", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_a_key_itself_is_never_accepted(key_hash: str) -> None:
    """Anything but a SHA-256 in lower-case hex is refused, above all the key itself."""
    with pytest.raises(InvalidInput, match="SHA-256"):
        Account.open(ID, "Acme", 5).issue_api_key(key_hash, 6)
