"""Changes of profiles, and the fields of the events about them. Source: the contract, sections 3 and 5."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from domain.aggregate import instant
from domain.enrichment import time_fields


class ProfileKey(NamedTuple):
    """The name of a profile, or of a subprofile, which has a collection and its own id."""

    database: str
    profile_id: str
    collection: str | None = None
    subprofile_id: str | None = None

    @property
    def parent(self) -> ProfileKey:
        """The profile that a subprofile belongs to."""
        return ProfileKey(self.database, self.profile_id)

    def parts(self) -> Iterator[tuple[str, str]]:
        """The names, each with what it names."""
        is_profile = self.collection is None
        yield "database", self.database
        yield "id" if is_profile else "profile", self.profile_id
        if not is_profile:
            yield "collection", self.collection or ""
            yield "id", self.subprofile_id or ""

    def __str__(self) -> str:
        if self.collection is None:
            return f"profile {self.profile_id} in database {self.database}"
        return f"subprofile {self.subprofile_id} in collection {self.collection} of {self.parent}"


class ProfileChange(NamedTuple):
    """The difference that a call made."""

    #: Names of the fields and interests that differ, removed ones included.
    changed: list[str]
    #: The interests that were taken away.
    removed_interests: list[str]


class ProfileTimes(NamedTuple):
    """When a profile was created and last changed, Unix milliseconds."""

    created_ms: int
    modified_ms: int


def is_same(one: object, other: object) -> bool:
    """Whether two JSON values are equal. Numbers are equal by value: `1` is `1.0`, but a boolean is not a number.

    The order of an object's names does not matter.
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return one == other


def change_of(
    old_fields: Mapping[str, Any], old_interests: Sequence[str], fields: Mapping[str, Any], interests: Sequence[str]
) -> ProfileChange:
    """The difference between two states of a profile. The order of interests does not matter."""
    names = [
        name
        for name in {**old_fields, **fields}
        if name not in old_fields or name not in fields or not is_same(old_fields[name], fields[name])
    ]
    removed = [name for name in old_interests if name not in set(interests)]
    added = [name for name in interests if name not in set(old_interests)]
    return ProfileChange(list(dict.fromkeys([*names, *removed, *added])), removed)


def parameters_of(
    fields: Mapping[str, Any], interests: Sequence[str], removed_interests: Sequence[str] = ()
) -> dict[str, Any]:
    """Fields and interests of a call in one map. An interest is 1, or 0 if the call took it away.

    If a field and an interest have the same name, it is the field.
    """
    found: dict[str, Any] = dict(fields)
    for names, value in ((interests, 1), (removed_interests, 0)):
        for name in names:
            found.setdefault(name, value)
    return found


def change_fields(
    event_id: bytes,
    type: str,  # noqa: A002 - the contract's name
    time_ms: int,
    key: ProfileKey,
    times: ProfileTimes,
    data: Mapping[str, Any],
) -> dict[str, Any]:
    """The fields of a `create`, `update` or `delete`. `data`: those that depend on the type."""
    found: dict[str, Any] = {
        **time_fields(event_id, type, time_ms),
        "database": key.database,
        "profile": key.profile_id,
    }
    if key.collection is not None:
        found |= {"collection": key.collection, "subprofile": key.subprofile_id}
    found["created"] = instant(times.created_ms).strftime(_TIME)
    found["modified"] = instant(times.modified_ms).strftime(_TIME)
    return {**found, **data}


_TIME = "%Y-%m-%d %H:%M:%S"
