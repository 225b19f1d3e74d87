"""Tests of what an erasure does to profiles."""

from __future__ import annotations

import pytest

from domain.profile import Profile
from domain.profile_change import ProfileKey
from domain.profile_erasure import (
    FamilyMember,
    History,
    HistoryEvent,
    MemberChange,
    belongs_to,
    changes,
    history_of,
    names_of_person,
    people_in,
)

JOHN, JANE = "john@example.com", "jane@example.com"
KEY = ProfileKey("1", "p")
SUB = ProfileKey("1", "p", "orders", "7")
CREATED, RECREATED, UPDATED, PATCHED, DELETED = (
    event.TOPIC for event in (Profile.Created, Profile.Recreated, Profile.Updated, Profile.Patched, Profile.Deleted)
)


def member(
    fields: dict[str, object], key: ProfileKey = KEY, interests: tuple[str, ...] = (), *, new: bool = False
) -> FamilyMember:
    return FamilyMember(key, fields, interests, new)


def outcome(*family: FamilyMember, others: bool = False) -> list[MemberChange]:
    """What the erasure of John does to a family."""
    is_persons = belongs_to(JOHN, family, is_named_by_others=others, person_of=str.lower)
    return changes(JOHN, family, is_persons=is_persons, person_of=str.lower)


def test_only_whole_values_of_top_level_fields_are_addresses() -> None:
    """An address within a text or a nested value does not decide whose profile it is."""
    fields = {
        "email": " John@Example.com\n",
        "note": "ask jane@example.com",
        "nested": {"email": JANE},
        "list": [JANE],
        "number": 5,
        "nothing": None,
        "at": "@",
    }
    assert people_in(fields, str.lower) == {JOHN}
    assert names_of_person(fields, JOHN, str.lower) == ["email"]


@pytest.mark.parametrize(
    "family",
    [
        [member({"email": JOHN, "name": "John"})],
        [member({"name": "John"})],
        [member({"email": JOHN, "again": JOHN.upper()}), member({"size": 5}, SUB)],
        [member({}), member({"gift": JOHN}, SUB)],
    ],
)
def test_a_profile_of_one_person_is_deleted(family: list[FamilyMember]) -> None:
    """Its subprofiles go first."""
    assert outcome(*family) == [MemberChange(each.key, is_deleted=True) for each in reversed(family)]


def test_a_shared_profile_loses_the_address() -> None:
    """With another address in the profile or a subprofile, only fields with the erased address are removed."""
    assert outcome(member({"a": JOHN, "b": JANE, "c": f"{JOHN} "})) == [MemberChange(KEY, False, ["a", "c"])]
    assert outcome(member({"a": JOHN}), member({"b": JANE}, SUB)) == [MemberChange(KEY, False, ["a"])]
    assert outcome(member({"a": JANE}), member({"b": JOHN}, SUB)) == [MemberChange(SUB, False, ["b"])]


def test_a_profile_of_other_peoples_messages_stays() -> None:
    """Whoever got a message that names it has a part in it."""
    assert outcome(member({"email": JOHN, "name": "John"}), others=True) == [MemberChange(KEY, False, ["email"])]
    assert outcome(member({"name": "Family"}), others=True) == []


def test_data_of_after_the_request_stays() -> None:
    """Whoever has the address then is a new person, and decides nothing about the older data."""
    assert outcome(member({"email": JOHN}, new=True)) == []
    assert outcome(member({"email": JANE}, new=True), member({"size": 5}, SUB)) == [MemberChange(SUB, True)]
    assert outcome(member({"email": JOHN}, new=True), member({"email": JANE}, SUB)) == []


def test_an_old_profile_of_new_subprofiles_is_emptied() -> None:
    """They cannot be without it."""
    family = [member({"email": JOHN, "name": "John"}, interests=("golf",)), member({"size": 5}, SUB, new=True)]
    assert [(each.key, each.is_deleted, set(each.fields), set(each.interests)) for each in outcome(*family)] == [
        (KEY, False, {"email", "name"}, {"golf"})
    ]
    assert outcome(member({}), member({"size": 5}, SUB, new=True)) == []


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([(CREATED, 1)], History(0, 1)),
        ([(CREATED, 1), (UPDATED, 2), (PATCHED, 3)], History(0, 3)),
        ([(CREATED, 1), (UPDATED, 11), (PATCHED, 12)], History(0, 1)),
        ([(CREATED, 11)], History(0, 0)),
        ([(CREATED, 1), (PATCHED, 11)], History(0, 2)),
        ([(CREATED, 1), (PATCHED, 11), (UPDATED, 12)], History(0, 2)),
        ([(CREATED, 1), (DELETED, 2)], History(2, 2)),
        ([(CREATED, 1), (DELETED, 2), (RECREATED, 3)], History(2, 3)),
        ([(CREATED, 1), (DELETED, 11), (RECREATED, 12)], History(2, 2)),
        ([(CREATED, 11), (DELETED, 12)], History(2, 0)),
    ],
)
def test_a_history_is_divided(events: list[tuple[str, int]], expected: History) -> None:
    """Erased at 10: a PATCH after that still shows older data, a PUT does not."""
    numbered = [HistoryEvent(version, topic, at_ms) for version, (topic, at_ms) in enumerate(events, 1)]
    assert history_of(numbered, 10) == expected
