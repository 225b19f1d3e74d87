"""Erasure of a person from profiles: which profiles go, and what goes from those that stay.

A profile and its subprofiles are one family. It belongs to the person if none of them has another person's address and
no message to anyone else names the profile. Then it is deleted. Otherwise only what equals the address is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from domain.profile import Profile
from domain.profile_change import ProfileKey
from domain.values import email_problem

#: The text that stands for whoever has an address (`actors.ledger.people.person_of`).
PersonOf = Callable[[str], str]

#: Events that begin a profile.
BIRTHS: Final = frozenset({Profile.Created.TOPIC, Profile.Recreated.TOPIC})
#: Events that replace all data of a profile, so that nothing older is left in it.
_WHOLE: Final = BIRTHS | {Profile.Updated.TOPIC}


#: Fields of an event with data of a profile, by name.
_MAPS: Final = ("fields", "parameters")
_DATA: Final = frozenset({*_MAPS, "interests"})


class FamilyMember(NamedTuple):
    """The current data of a profile or subprofile."""

    key: ProfileKey
    fields: Mapping[str, Any]
    interests: Sequence[str]
    #: Whether all of it was written after the erasure was requested. It is data of whoever has the address then.
    is_new: bool


class MemberChange(NamedTuple):
    """The effect of an erasure on a profile or subprofile."""

    key: ProfileKey
    is_deleted: bool
    #: Names of fields and interests to remove.
    fields: Collection[str] = ()
    interests: Collection[str] = ()


class HistoryEvent(NamedTuple):
    """An event of a profile's history."""

    version: int
    topic: str
    at_ms: int


class History(NamedTuple):
    """The history of a profile, divided by what an erasure does to it."""

    #: The last version of data that is gone since the profile was deleted; 0 if it never was.
    dead_until: int
    #: The last version with data of before the request.
    old_until: int


def people_in(fields: Mapping[str, Any], person_of: PersonOf) -> set[str]:
    """The people whose addresses are the values of top-level fields. White space around an address does not count."""
    texts = (value.strip() for value in fields.values() if isinstance(value, str) and "@" in value)
    return {person_of(text) for text in texts if email_problem(text) is None}


def names_of_person(fields: Mapping[str, Any], person: str, person_of: PersonOf) -> list[str]:
    """The names of the top-level fields whose value is the person's address."""
    return [name for name, value in fields.items() if person in people_in({name: value}, person_of)]


def without_person(data: Mapping[str, Any], person: str, person_of: PersonOf) -> dict[str, Any]:
    """The fields without those whose value is the person's address."""
    gone = set(names_of_person(data, person, person_of))
    return {name: value for name, value in data.items() if name not in gone}


def event_without_person(fields: Mapping[str, Any], person: str, person_of: PersonOf) -> dict[str, Any]:
    """The fields of an event about several people, without the person's address in the data of a profile.

    The names of what changed stay.
    """
    maps = {
        name: without_person(fields[name], person, person_of) for name in _MAPS if isinstance(fields.get(name), dict)
    }
    return {**fields, **maps}


def event_without_data(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an event without the data of the profile."""
    return {name: value for name, value in fields.items() if name not in _DATA}


def belongs_to(person: str, family: Iterable[FamilyMember], *, is_named_by_others: bool, person_of: PersonOf) -> bool:
    """Whether the older data of a family, which the person's address or message led to, is only about the person.

    `is_named_by_others`: a message to someone else names the profile.
    """
    old = (member for member in family if not member.is_new)
    return not is_named_by_others and all(people_in(member.fields, person_of) <= {person} for member in old)


def changes(
    person: str, family: Sequence[FamilyMember], *, is_persons: bool, person_of: PersonOf
) -> list[MemberChange]:
    """The changes of an erasure, those of subprofiles first. What was written after the request stays.

    `is_persons`: the family belongs to the person (`belongs_to`).
    """
    old = [member for member in family if not member.is_new]
    subprofiles = [member for member in old if member.key.collection is not None]
    profiles = [member for member in old if member.key.collection is None]
    if not is_persons:
        removals = (_removal(member, person, person_of) for member in (*subprofiles, *profiles))
        return [change for change in removals if change.fields or change.interests]
    found = [MemberChange(member.key, is_deleted=True) for member in subprofiles]
    for profile in profiles:
        if len(subprofiles) + len(profiles) == len(family):
            found.append(MemberChange(profile.key, is_deleted=True))
        elif profile.fields or profile.interests:  # newer subprofiles need it
            found.append(
                MemberChange(profile.key, is_deleted=False, fields=profile.fields, interests=profile.interests)
            )
    return found


def _removal(member: FamilyMember, person: str, person_of: PersonOf) -> MemberChange:
    fields = names_of_person(member.fields, person, person_of)
    return MemberChange(member.key, is_deleted=False, fields=fields)


def history_of(events: Iterable[HistoryEvent], requested_at_ms: int) -> History:
    """The division of a history, whose events are in order."""
    dead_until = old_until = 0
    is_new = False
    for event in events:
        if event.topic == Profile.Deleted.TOPIC:
            dead_until = event.version
        elif event.topic in _WHOLE:
            is_new = event.at_ms > requested_at_ms
        if not is_new:
            old_until = event.version
    return History(dead_until, old_until)
