"""`domain.profile`."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from domain.errors import InvalidInput
from domain.profile import Profile

ACCOUNT = UUID(int=1)


def a_profile(fields_json: str = '{"name":"John"}', interests: list[str] | None = None) -> Profile:
    return Profile.create(ACCOUNT, 1, "1", "123", fields_json, interests or [], 5)


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def test_a_profile_keeps_its_data_as_text() -> None:
    """Fields are stored as the JSON text of the request, to the byte."""
    profile = a_profile('{"a": 1.50, "_type_": "uuid_hex", "_data_": "x"}', ["golf"])
    assert (profile.database, profile.profile_id, profile.interests) == ("1", "123", ["golf"])
    assert profile.fields_json == '{"a": 1.50, "_type_": "uuid_hex", "_data_": "x"}'
    assert (profile.created_at_ms, profile.modified_at_ms) == (5, 5)


def test_an_update_replaces_the_data() -> None:
    """Fields and interests are replaced, and the creation time stays; even equal data makes a newer event."""
    profile = a_profile()
    profile.update("{}", ["chess"], 6)
    profile.update("{}", ["chess"], 7)
    assert (profile.fields_json, profile.interests) == ("{}", ["chess"])
    assert (profile.created_at_ms, profile.modified_at_ms, profile.version) == (5, 7, 3)


def test_a_profile_is_unique_in_its_database() -> None:
    """Account, database and id make the aggregate's id, so no two profiles share one."""
    ids = {
        Profile.create_id(ACCOUNT, "a", "b:c"),
        Profile.create_id(ACCOUNT, "a:b", "c"),
        Profile.create_id(ACCOUNT, "a", "b"),
        Profile.create_id(UUID(int=2), "a", "b"),
    }
    assert len(ids) == 4
    assert a_profile().id == Profile.create_id(ACCOUNT, "1", "123")


@pytest.mark.parametrize(
    ("fields_json", "problem"),
    [
        ("", "must be JSON"),
        ("{", "must be JSON"),
        ("[]", "must be an object"),
        ('"text"', "must be an object"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": Infinity}', "Infinity is not JSON"),
        ('{"a": 1e999}', "1e999 is out of range"),
        ('{"a": -1e999}', "-1e999 is out of range"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"a": "\ud800"}', "surrogate"),
        ('{"a": ' + "9" * 5000 + "}", "must be JSON"),
        (json.dumps({"a": "x" * 65536}), "at most 65536 bytes"),
        ('{"": 1}', "empty name"),
        ('{"a": [{"": 1}]}', "empty name"),
        (json.dumps({"a": {"k" * 201: 1}}), "names longer than 200 characters: 'kkkkkkkkkkkkkkkkkkkk'… has 201"),
        (json.dumps({"k" * 40_000: [1] * 1500}), "names longer than 200"),
        (json.dumps({"k" * 200: [1] * 15_000}), "at most 262144 bytes as a form, and would be 3"),
        (nested(17), "nested deeper than 16"),
        (nested(5000), "nested deeper than 16"),
    ],
)
def test_fields_that_cannot_be_delivered_are_refused(fields_json: str, problem: str) -> None:
    """Anything but a JSON object of limited size and depth is refused, for a new profile and an existing one."""
    with pytest.raises(InvalidInput, match=problem) as caught:
        a_profile(fields_json)
    assert caught.value.problems[0][0] == "/fields"
    profile = a_profile()
    with pytest.raises(InvalidInput, match=problem):
        profile.update(fields_json, [], 6)
    assert profile.version == 1


def test_the_deepest_fields_pass() -> None:
    """Sixteen levels of lists and maps are allowed."""
    assert a_profile(nested(16)).fields_json == nested(16)
    assert a_profile('{"a":' + "[" * 15 + "]" * 15 + "}").version == 1


def test_the_longest_names_pass() -> None:
    """Two hundred characters are allowed, whatever their length in bytes."""
    assert a_profile(json.dumps({"é" * 200: {"k" * 200: [1, 2]}})).version == 1


def test_interests_fit_a_form() -> None:
    """Interests larger than a form are refused at their pointer, however many there are."""
    with pytest.raises(InvalidInput, match="interests must be at most 262144 bytes as a form") as caught:
        a_profile("{}", ["😀" * 200] * 1000)
    assert [pointer for pointer, _ in caught.value.problems] == ["/interests"]
    assert a_profile("{}", ["x" * 200] * 1000).version == 1


def test_names_and_interests_are_text() -> None:
    """One error lists all wrong names and interests."""
    with pytest.raises(InvalidInput) as caught:
        Profile.create(ACCOUNT, 1, "", "a\x00", "{}", ["golf", ""], 5)
    assert [p for p, _ in caught.value.problems] == ["/database", "/id", "/interests/1"]
