"""Profiles and subprofiles: the data that an account has about a person, in one of its databases."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self, cast
from uuid import UUID, uuid5

from eventsourcing.domain import AggregateCreated

from domain.aggregate import EventSourced, instant
from domain.custom_fields import form_problem, json_problem, name_problem
from domain.profile_change import ProfileChange, ProfileKey, ProfileTimes, change_of, is_same
from domain.validation import MAX_NAME_CHARS, Problems, address_problem, dots_problem, text_problem

MAX_INTERESTS: Final = 1000


class ProfileData(NamedTuple):
    """The current data of a profile that exists."""

    #: The text of a JSON object.
    fields_json: str
    interests: list[str]
    times: ProfileTimes


class Profile(EventSourced):
    """One profile or subprofile. `fields_json` is the text of a JSON object.

    A deleted one can be created again: it then continues the same history.
    """

    TOPIC = "profile"

    class Event(EventSourced.Event):
        """An event of a profile."""

    class Created(Event, AggregateCreated):
        """The profile was created. A subprofile also has a collection and its own id."""

        TOPIC = "profile.created"
        account_no: int
        database: str
        profile_id: str
        collection: str | None
        subprofile_id: str | None
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

    class Patched(Updated):
        """A part of the profile's data was replaced: the rest is older."""

        TOPIC = "profile.patched"

    class Deleted(Event):
        """The profile was deleted."""

        TOPIC = "profile.deleted"
        account_no: int
        database: str
        profile_id: str
        collection: str | None
        subprofile_id: str | None

        def apply(self, aggregate: Profile) -> None:
            aggregate.fields_json = "{}"
            aggregate.interests = []
            aggregate.is_deleted = True

    class Recreated(Event):
        """The profile was created again after it had been deleted."""

        TOPIC = "profile.recreated"
        account_no: int
        database: str
        profile_id: str
        collection: str | None
        subprofile_id: str | None
        fields_json: str
        interests: list[str]

        def apply(self, aggregate: Profile) -> None:
            aggregate.fields_json = self.fields_json
            aggregate.interests = self.interests
            aggregate.created_at_ms = aggregate.modified_at_ms = self.at_ms
            aggregate.is_deleted = False

    def __init__(
        self,
        account_no: int,
        database: str,
        profile_id: str,
        collection: str | None,
        subprofile_id: str | None,
        fields_json: str,
        interests: list[str],
        at_ms: int,
    ) -> None:
        self.account_no = account_no
        self.database = database
        self.profile_id = profile_id
        self.collection = collection
        self.subprofile_id = subprofile_id
        self.fields_json = fields_json
        self.interests = interests
        self.created_at_ms = at_ms
        self.modified_at_ms = at_ms
        self.is_deleted = False

    @property
    def key(self) -> ProfileKey:
        return ProfileKey(self.database, self.profile_id, self.collection, self.subprofile_id)

    @property
    def fields(self) -> dict[str, Any]:
        """The fields, decoded."""
        return cast(dict[str, Any], json.loads(self.fields_json))

    @staticmethod
    def create_id(account_id: UUID, key: ProfileKey) -> UUID:
        """The originator id. The lengths distinguish `a` + `b:c` from `a:b` + `c`."""
        if key.collection is None:
            return uuid5(account_id, f"profile:{len(key.database)}:{key.database}:{key.profile_id}")
        parts = (key.database, key.profile_id, key.collection, key.subprofile_id or "")
        return uuid5(account_id, "subprofile:" + ":".join(f"{len(part)}:{part}" for part in parts))

    @classmethod
    def restore(cls, id_: UUID, version: int, account_no: int, key: ProfileKey, data: ProfileData | None) -> Self:
        """The profile at a version, at a cost that does not depend on its history. `data`: None if it is deleted."""
        fields_json, interests, times = data or ProfileData("{}", [], ProfileTimes(0, 0))
        profile = cls.__new__(cls)
        profile.__base_init__(id_, version, instant(times.created_ms))
        cls.__init__(profile, account_no, *key, fields_json, interests, times.created_ms)
        profile.modified_at_ms = times.modified_ms
        profile.is_deleted = data is None
        return profile

    @classmethod
    def create(
        cls,
        account_id: UUID,
        account_no: int,
        key: ProfileKey,
        fields_json: str,
        interests: Sequence[str],
        at_ms: int,
    ) -> Self:
        """A new profile or subprofile.

        Raises:
            InvalidInput: with every problem.
        """
        problems = Problems()
        for name, text in key.parts():
            problems.add(f"/{name}", text_problem(text) or dots_problem(text) or address_problem(text))
        _check_data(problems, fields_json, interests)
        problems.raise_if_any()
        return cls._create(
            cls.Created,
            id=cls.create_id(account_id, key),
            account_no=account_no,
            **key._asdict(),
            fields_json=fields_json,
            interests=_distinct(interests),
            at_ms=at_ms,
        )

    def put(self, fields_json: str, interests: Sequence[str], at_ms: int) -> None:
        """Replaces the profile's data, or creates a deleted profile again. Equal data changes nothing.

        Raises:
            InvalidInput: with every problem; nothing was changed.
        """
        if not self.is_deleted:
            self._replace(self.Updated, fields_json, interests, at_ms)
            return
        _raise_if_unfit(fields_json, interests)
        kept = _distinct(interests)
        self.trigger_event(self.Recreated, **self._names(), fields_json=fields_json, interests=kept, at_ms=at_ms)

    def patch(self, fields_json: str | None, interests: Sequence[str] | None, at_ms: int) -> None:
        """Replaces the given fields, and the interests if they are given. A field with null is removed.

        Raises:
            InvalidInput: with every problem; nothing was changed.
        """
        _raise_if_unfit(fields_json or "{}", interests or ())
        given: dict[str, Any] = json.loads(fields_json or "{}")
        merged = {name: value for name, value in {**self.fields, **given}.items() if given.get(name, "") is not None}
        interests = self.interests if interests is None else interests
        self._replace(self.Patched, json.dumps(merged, ensure_ascii=False), interests, at_ms)

    def remove(self, fields: Collection[str], interests: Collection[str], at_ms: int) -> None:
        """Removes the named fields and interests, as far as the profile has them."""
        left = {name: value for name, value in self.fields.items() if name not in fields}
        kept = [name for name in self.interests if name not in interests]
        self._replace(self.Patched, json.dumps(left, ensure_ascii=False), kept, at_ms)

    def _replace(self, event: type[Updated], fields_json: str, interests: Sequence[str], at_ms: int) -> None:
        _raise_if_unfit(fields_json, interests)
        kept = _distinct(interests)
        if not is_same(self.fields, json.loads(fields_json)) or set(kept) != set(self.interests):
            self.trigger_event(event, fields_json=fields_json, interests=kept, at_ms=at_ms)

    def delete(self, at_ms: int) -> None:
        """Deletes the profile's data."""
        self.trigger_event(self.Deleted, **self._names(), at_ms=at_ms)

    def _names(self) -> dict[str, Any]:
        return {"account_no": self.account_no, **self.key._asdict()}

    def change_since(self, fields: Mapping[str, Any], interests: Sequence[str]) -> ProfileChange:
        """The difference between earlier data and the current data."""
        return change_of(fields, interests, self.fields, self.interests)


def _distinct(interests: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(interests))


def _raise_if_unfit(fields_json: str, interests: Sequence[str]) -> None:
    problems = Problems()
    _check_data(problems, fields_json, interests)
    problems.raise_if_any()


def _check_data(problems: Problems, fields_json: str, interests: Sequence[str]) -> None:
    problems.add("/fields", json_problem(fields_json, "fields"))
    problems.add_texts("/interests", list(interests), MAX_INTERESTS, MAX_NAME_CHARS)
    # Handlers receive the interests of a call as names too, and the names of all that changed.
    for number, text in enumerate(interests):
        if text_problem(text) is None:
            problems.add(f"/interests/{number}", name_problem(text) or address_problem(text))
    problems.add("/interests", form_problem({"interests": [text for text in interests if isinstance(text, str)]}))
