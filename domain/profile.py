"""A profile: the data that an account has about a person, in one of its databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self
from uuid import UUID, uuid5

from eventsourcing.domain import AggregateCreated

from domain.aggregate import EventSourced
from domain.custom_fields import form_problem, json_problem
from domain.validation import MAX_NAME_CHARS, Problems, dots_problem, text_problem

MAX_INTERESTS: Final = 1000


class Profile(EventSourced):
    """One profile. `fields_json` is the text of a JSON object."""

    TOPIC = "profile"

    class Event(EventSourced.Event):
        """An event of a profile."""

    class Created(Event, AggregateCreated):
        """The profile was created."""

        TOPIC = "profile.created"
        account_no: int
        database: str
        profile_id: str
        fields_json: str
        interests: list[str]

    class Updated(Event):
        """The profile's data was replaced."""

        TOPIC = "profile.updated"
        fields_json: str
        interests: list[str]

        def apply(self, aggregate: Profile) -> None:
            aggregate.fields_json = self.fields_json
            aggregate.interests = self.interests
            aggregate.modified_at_ms = self.at_ms

    def __init__(
        self,
        account_no: int,
        database: str,
        profile_id: str,
        fields_json: str,
        interests: list[str],
        at_ms: int,
    ) -> None:
        self.account_no = account_no
        self.database = database
        self.profile_id = profile_id
        self.fields_json = fields_json
        self.interests = interests
        self.created_at_ms = at_ms
        self.modified_at_ms = at_ms

    @staticmethod
    def create_id(account_id: UUID, database: str, profile_id: str) -> UUID:
        """The profile's originator id. The length distinguishes `a` + `b:c` from `a:b` + `c`."""
        return uuid5(account_id, f"profile:{len(database)}:{database}:{profile_id}")

    @classmethod
    def create(
        cls,
        account_id: UUID,
        account_no: int,
        database: str,
        profile_id: str,
        fields_json: str,
        interests: Sequence[str],
        at_ms: int,
    ) -> Self:
        """A new profile.

        Raises:
            InvalidInput: with every problem.
        """
        problems = Problems()
        problems.add("/database", text_problem(database) or dots_problem(database))
        problems.add("/id", text_problem(profile_id) or dots_problem(profile_id))
        _check_data(problems, fields_json, interests)
        problems.raise_if_any()
        return cls._create(
            cls.Created,
            id=cls.create_id(account_id, database, profile_id),
            account_no=account_no,
            database=database,
            profile_id=profile_id,
            fields_json=fields_json,
            interests=list(interests),
            at_ms=at_ms,
        )

    def update(self, fields_json: str, interests: Sequence[str], at_ms: int) -> None:
        """Replaces the profile's data. Equal data also updates the time of the last change.

        Raises:
            InvalidInput: with every problem; nothing was changed.
        """
        problems = Problems()
        _check_data(problems, fields_json, interests)
        problems.raise_if_any()
        self.trigger_event(self.Updated, fields_json=fields_json, interests=list(interests), at_ms=at_ms)


def _check_data(problems: Problems, fields_json: str, interests: Sequence[str]) -> None:
    problems.add("/fields", json_problem(fields_json, "fields"))
    problems.add_texts("/interests", list(interests), MAX_INTERESTS, MAX_NAME_CHARS)
    problems.add("/interests", form_problem({"interests": [text for text in interests if isinstance(text, str)]}))
