"""A user: a person who signs in to the dashboard of one account."""

from __future__ import annotations

from typing import Final, Self
from uuid import UUID

from eventsourcing.domain import AggregateCreated

from domain.account import check_account_name
from domain.aggregate import EventSourced
from domain.errors import InvalidInput, NotFound
from domain.validation import check_all, text_problem
from domain.values import email_problem

MIN_PASSWORD_CHARS: Final = 10
MAX_PASSWORD_CHARS: Final = 200
_MAX_EMAIL_CHARS: Final = 320


class User(EventSourced):
    """A person. Only a slow hash of the password is stored, made with a key that is not in the ledger."""

    TOPIC = "user"

    class Event(EventSourced.Event):
        """An event of a user."""

    class Joined(Event, AggregateCreated):
        """The person may sign in to the account."""

        TOPIC = "user.joined"
        account_id: str
        email: str
        password_hash: str

    class PasswordChanged(Event):
        """The password was replaced, or hashed with a newer key."""

        TOPIC = "user.password-changed"
        password_hash: str

        def apply(self, aggregate: User) -> None:
            aggregate.password_hash = self.password_hash

    class Left(Event):
        """The person can no longer sign in; the address is free for another user."""

        TOPIC = "user.left"

        def apply(self, aggregate: User) -> None:
            aggregate.has_left = True

    def __init__(self, account_id: str, email: str, password_hash: str, at_ms: int) -> None:
        self.account_id = account_id
        self.email = email
        self.password_hash = password_hash
        self.joined_at_ms = at_ms
        self.has_left = False

    @classmethod
    def join(cls, user_id: UUID, account_id: str, email: str, password_hash: str, at_ms: int) -> Self:
        """A new user. `email` is stored in lower case. The ledger ensures that it is unique.

        Raises:
            InvalidInput: the e-mail address is invalid.
        """
        check_email(email)
        return cls._create(
            cls.Joined,
            id=user_id,
            account_id=account_id,
            email=email.lower(),
            password_hash=password_hash,
            at_ms=at_ms,
        )

    def change_password(self, password_hash: str, at_ms: int) -> None:
        """Replaces the password."""
        self._must_be_here()
        self.trigger_event(self.PasswordChanged, password_hash=password_hash, at_ms=at_ms)

    def leave(self, at_ms: int) -> None:
        """Removes the user."""
        self._must_be_here()
        self.trigger_event(self.Left, at_ms=at_ms)

    def _must_be_here(self) -> None:
        if self.has_left:
            raise NotFound("The user was removed.")


def check_new_user(email: str, password: str, account_name: str | None) -> None:
    """Checks a new user, and the name of the new account if there is one.

    Raises:
        InvalidInput: with every problem; `/name` is the account's.
    """
    check_all(
        lambda: None if account_name is None else check_account_name(account_name),
        lambda: check_email(email),
        lambda: check_password(password, email),
    )


def check_email(email: str) -> None:
    """Checks a user's e-mail address.

    Raises:
        InvalidInput: it is not an e-mail address.
    """
    if problem := text_problem(email, _MAX_EMAIL_CHARS) or email_problem(email):
        raise InvalidInput.at("/email", problem)


def check_password(password: str, email: str, pointer: str = "/password") -> None:
    """Checks a password for the user with this e-mail address (NIST SP 800-63B, 5.1.1.2: length, no composition rules).

    Raises:
        InvalidInput: it is too short, too long, too monotonous, or the address itself.
    """
    problem = None
    if len(password) < MIN_PASSWORD_CHARS:
        problem = f"must be at least {MIN_PASSWORD_CHARS} characters long; a few words in a row are easy to remember"
    elif len(password) > MAX_PASSWORD_CHARS:
        problem = f"must be at most {MAX_PASSWORD_CHARS} characters long"
    elif password.lower() in {email.lower(), email.lower().partition("@")[0]}:
        problem = "must not be the e-mail address"
    elif len(set(password)) < 4:
        problem = "must not be the same few characters over and over"
    if problem:
        raise InvalidInput.at(pointer, problem)
