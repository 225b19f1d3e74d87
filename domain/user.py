"""A user: a person who signs in to the dashboard of one account."""

from __future__ import annotations

from typing import Final, Self
from uuid import UUID

from eventsourcing.domain import AggregateCreated

from domain.account import check_account_name
from domain.aggregate import EventSourced
from domain.errors import InvalidInput, NotFound
from domain.validation import Problems, check_all, text_problem
from domain.values import EmailAddress

MIN_PASSWORD_CHARS: Final = 10
MAX_PASSWORD_CHARS: Final = 200
_MAX_EMAIL_CHARS: Final = 320


class User(EventSourced):
    """A person. Of the password there is a slow hash, made with a key that is not in the ledger."""

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
        """Another password lets the person in, and the one before no more."""

        TOPIC = "user.password-changed"
        password_hash: str

        def apply(self, aggregate: User) -> None:
            aggregate.password_hash = self.password_hash

    class Left(Event):
        """The person may not sign in any more; the address is free for another user."""

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
        """A new user. `email` is kept in lower case, as it is compared. That nobody else has it is the ledger's to say.

        Raises:
            InvalidInput: the e-mail address is none.
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
        """Takes another password."""
        self._must_be_here()
        self.trigger_event(self.PasswordChanged, password_hash=password_hash, at_ms=at_ms)

    def leave(self, at_ms: int) -> None:
        """Ends the user."""
        self._must_be_here()
        self.trigger_event(self.Left, at_ms=at_ms)

    def _must_be_here(self) -> None:
        if self.has_left:
            raise NotFound("The user was removed.")


def check_new_user(email: str, password: str, account_name: str | None) -> None:
    """Returns when there may be such a user; of a new account, if it has a name.

    Raises:
        InvalidInput: with everything that is wrong; `/name` is the account's.
    """
    check_all(
        lambda: None if account_name is None else check_account_name(account_name),
        lambda: check_email(email),
        lambda: check_password(password, email),
    )


def check_email(email: str) -> None:
    """Returns when a user may have this e-mail address.

    Raises:
        InvalidInput: it is none.
    """
    problem = text_problem(email, _MAX_EMAIL_CHARS)
    if problem is None:
        try:
            EmailAddress(email)
        except InvalidInput as exc:
            problem = exc.problems[0][1]
    problems = Problems()
    problems.add("/email", problem)
    problems.raise_if_any()


def check_password(password: str, email: str, pointer: str = "/password") -> None:
    """Returns when a user with this e-mail address may have the password (NIST SP 800-63B, 5.1.1.2: length, no recipe).

    Raises:
        InvalidInput: it is too short, too long, or the address itself.
    """
    problem = None
    if len(password) < MIN_PASSWORD_CHARS:
        problem = f"must be at least {MIN_PASSWORD_CHARS} characters long; some words in a row are easy to keep in mind"
    elif len(password) > MAX_PASSWORD_CHARS:
        problem = f"must be at most {MAX_PASSWORD_CHARS} characters long"
    elif password.lower() in {email.lower(), email.lower().partition("@")[0]}:
        problem = "must not be the e-mail address"
    elif len(set(password)) < 4:
        problem = "must not be the same few characters over and over"
    problems = Problems()
    problems.add(pointer, problem)
    problems.raise_if_any()
