"""`domain.user`, `domain.sessions` and the keys of `domain.account`."""

from __future__ import annotations

from uuid import UUID

import pytest

from domain.account import Account
from domain.errors import InvalidInput, NotFound
from domain.sessions import ABSOLUTE_MS, IDLE_MS, WINDOW_MS, Tries, session_ends_ms
from domain.user import User, check_password

ID = UUID(int=1)


def test_a_user_joins_and_leaves() -> None:
    """Addresses are stored in lower case; a removed user can no longer change."""
    user = User.join(ID, "acc_1", "Ann@Example.com", "hash", 5)
    user.change_password("other", 6)
    assert (user.email, user.password_hash, user.joined_at_ms) == ("ann@example.com", "other", 5)
    user.leave(7)
    assert user.has_left
    with pytest.raises(NotFound):
        user.change_password("third", 8)
    with pytest.raises(NotFound):
        user.leave(8)


@pytest.mark.parametrize("email", ["", "ann", "a@b\n", "a b@c", f"{'a' * 64}@{'b' * 300}"])
def test_an_invalid_address_is_refused(email: str) -> None:
    """Text that is not an e-mail address is refused at its pointer."""
    with pytest.raises(InvalidInput) as caught:
        User.join(ID, "acc_1", email, "hash", 5)
    assert caught.value.problems[0][0] == "/email"


@pytest.mark.parametrize("password", ["", "short", "x" * 201, "ann@example.com", "ANN@EXAMPLE.COM", "abababababab"])
def test_a_weak_password_is_refused(password: str) -> None:
    """A short or overlong password, the address itself, and hardly any different characters are refused with advice."""
    with pytest.raises(InvalidInput) as caught:
        check_password(password, "ann@example.com", "/new")
    assert caught.value.problems[0][0] == "/new"


@pytest.mark.parametrize("password", ["correct horse", "Zoë Zoë Zoë ✓", "x" * 100 + "abc"])
def test_a_long_password_is_accepted(password: str) -> None:
    """Any characters are fine if there are enough."""
    check_password(password, "ann@example.com")


def test_a_session_ends_when_idle_or_after_some_days() -> None:
    """Use extends the session, up to a limit."""
    assert session_ends_ms(10, 10) == 10 + IDLE_MS
    assert session_ends_ms(10, 10 + IDLE_MS // 2) == 10 + IDLE_MS + IDLE_MS // 2
    assert session_ends_ms(10, 10 + ABSOLUTE_MS - 1) == 10 + ABSOLUTE_MS


def test_attempts_are_counted_in_windows() -> None:
    """Up to the limit there is no wait, then one until the window ends; a clock set back starts a new window."""
    tries = Tries(0, 100)
    for _ in range(3):
        tries = tries.after_one_more(200)
    assert tries == Tries(3, 100)
    assert (tries.wait_ms(3, 200), tries.wait_ms(2, 200)) == (0, WINDOW_MS - 100)
    assert tries.after_one_more(100 + WINDOW_MS) == Tries(1, 100 + WINDOW_MS)
    assert tries.after_one_more(99) == Tries(1, 99)


def test_a_key_is_revoked_once() -> None:
    """A revoked key no longer opens the account; revoking an unknown key changes nothing."""
    account = Account.open(ID, "Acme", 5)
    account.issue_api_key("a" * 64, 6, "Shop")
    account.revoke_api_key("b" * 64, 7)
    account.revoke_api_key("a" * 64, 7)
    account.revoke_api_key("a" * 64, 8)
    assert account.key_hashes == []
    assert account.version == 3


def test_a_keys_name_is_text() -> None:
    """A name may be empty, but not overlong."""
    with pytest.raises(InvalidInput) as caught:
        Account.open(ID, "Acme", 5).issue_api_key("a" * 64, 6, "x" * 201)
    assert caught.value.problems[0][0] == "/name"
