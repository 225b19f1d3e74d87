"""`domain.profile`."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from domain.errors import InvalidInput
from domain.profile import Profile
from domain.profile_change import ProfileKey

ACCOUNT = UUID(int=1)


def a_profile(fields_json: str = '{"name":"John"}', interests: list[str] | None = None) -> Profile:
    return Profile.create(ACCOUNT, 1, ProfileKey("1", "123"), fields_json, interests or [], 5)


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def test_a_profile_keeps_its_data_as_text() -> None:
    """Fields are stored as the JSON text of the request, to the byte."""
    profile = a_profile('{"a": 1.50, "_type_": "uuid_hex", "_data_": "x"}', ["golf"])
    assert (profile.database, profile.profile_id, profile.interests) == ("1", "123", ["golf"])
    assert profile.fields_json == '{"a": 1.50, "_type_": "uuid_hex", "_data_": "x"}'
    assert (profile.created_at_ms, profile.modified_at_ms) == (5, 5)


def test_a_put_replaces_the_data() -> None:
    """Fields and interests are replaced, and the creation time stays; equal data makes no event."""
    profile = a_profile()
    profile.put("{}", ["chess"], 6)
    profile.put("{ }", ["chess", "chess"], 7)
    assert (profile.fields_json, profile.interests) == ("{}", ["chess"])
    assert (profile.created_at_ms, profile.modified_at_ms, profile.version) == (5, 6, 2)


def test_a_patch_changes_what_it_names() -> None:
    """Given fields are replaced as a whole, null removes one, and interests stay unless they are given."""
    profile = a_profile('{"a": {"x": 1}, "b": null, "c": 3}', ["golf"])
    profile.patch('{"a": {"y": 2}, "c": null, "d": "new"}', None, 6)
    assert (profile.fields, profile.interests) == ({"a": {"y": 2}, "b": None, "d": "new"}, ["golf"])
    profile.patch(None, [], 7)
    assert (profile.fields, profile.interests) == ({"a": {"y": 2}, "b": None, "d": "new"}, [])
    profile.patch('{"nobody": null, "d": "new"}', None, 8)
    assert (profile.modified_at_ms, profile.version) == (7, 3)


def test_a_patch_is_no_new_profile() -> None:
    """The history shows which changes left older data in the profile."""
    profile = a_profile('{"a": 1}')
    profile.put('{"a": 2}', [], 6)
    profile.patch('{"b": 3}', None, 7)
    assert [type(event) for event in profile.collect_events()] == [Profile.Created, Profile.Updated, Profile.Patched]


def test_fields_and_interests_are_removed() -> None:
    """As far as the profile has them; the rest stays as it is."""
    profile = a_profile('{"a": 1, "b": {"a": 2}}', ["golf", "jam"])
    profile.remove(["a", "nobody"], ["jam"], 6)
    assert (profile.fields, profile.interests, profile.modified_at_ms) == ({"b": {"a": 2}}, ["golf"], 6)
    profile.remove(["a"], [], 7)
    assert (profile.version, profile.modified_at_ms) == (2, 6)


@pytest.mark.parametrize("text", ["john@example.com", "c-john@example.com/1", "john%40example.com", "my a@b"])
def test_names_reveal_no_address(text: str) -> None:
    """Ids, names of fields and interests stay in events when a person is erased."""
    keys = [
        ProfileKey("1", text),
        ProfileKey(text, "p"),
        ProfileKey("1", "p", text, "7"),
        ProfileKey("1", "p", "c", text),
    ]
    for key in keys:
        with pytest.raises(InvalidInput, match="must not contain an e-mail address"):
            Profile.create(ACCOUNT, 1, key, "{}", [], 5)
    for fields, interests in ((json.dumps({text: 1}), []), ("{}", [text])):
        with pytest.raises(InvalidInput, match="an e-mail address"):
            a_profile(fields, interests)
    a_profile(json.dumps({"email": text, "more": {text: 1}, "@type": "x"}), ["@home"])


def test_a_patched_profile_keeps_its_limits() -> None:
    """Patches that are small cannot add up to more than a PUT may have."""
    profile = a_profile(json.dumps({"a": "x" * 40_000}))
    with pytest.raises(InvalidInput, match="at most 65536 bytes") as caught:
        profile.patch(json.dumps({"b": "x" * 40_000}), None, 6)
    assert [pointer for pointer, _ in caught.value.problems] == ["/fields"]
    assert profile.version == 1


def test_a_deleted_profile_is_created_again() -> None:
    """Its data is gone, and the next PUT starts a new one within the same history."""
    profile = a_profile('{"a": 1}', ["golf"])
    profile.delete(6)
    assert (profile.is_deleted, profile.fields, profile.interests) == (True, {}, [])
    profile.put("{}", [], 7)
    assert (profile.is_deleted, profile.created_at_ms, profile.modified_at_ms, profile.version) == (False, 7, 7, 3)


def test_a_profile_is_unique_in_its_database() -> None:
    """Account and names make the aggregate's id, so no two profiles or subprofiles share one."""
    keys = [
        ProfileKey("a", "b:c"),
        ProfileKey("a:b", "c"),
        ProfileKey("a", "b"),
        ProfileKey("a", "b", "c", "d"),
        ProfileKey("a", "b", "c:d", "e"),
        ProfileKey("a", "b", "c", "d:e"),
        ProfileKey("a", "b:1:c", "d", "e"),
    ]
    ids = {Profile.create_id(owner, key) for owner in (ACCOUNT, UUID(int=2)) for key in keys}
    assert len(ids) == 2 * len(keys)
    assert a_profile().id == Profile.create_id(ACCOUNT, ProfileKey("1", "123"))


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
        *(
            (json.dumps(fields), "not kept apart")
            for name in ("a[b", "a]b", "[", "]", "a[]", "a\0", " ", "\t")
            for fields in ({name: 1}, {"a": {name: 1}}, {"a": [1, {"b": {name: []}}]})
        ),
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
        profile.put(fields_json, [], 6)
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
        Profile.create(ACCOUNT, 1, ProfileKey("", "a\x00"), "{}", ["golf", ""], 5)
    assert [p for p, _ in caught.value.problems] == ["/database", "/id", "/interests/1"]


def test_names_of_a_subprofile_are_text() -> None:
    """One error lists all wrong names of a subprofile."""
    with pytest.raises(InvalidInput) as caught:
        Profile.create(ACCOUNT, 1, ProfileKey("1", "..", "", "."), "{}", [], 5)
    assert [p for p, _ in caught.value.problems] == ["/profile", "/collection", "/id"]


@pytest.mark.parametrize("name", ["a[b", "a]", "[]", " "])
def test_interests_are_names_that_a_form_can_carry(name: str) -> None:
    """Handlers receive the interests of a call as names of `parameters`, so they follow the rules of names."""
    with pytest.raises(InvalidInput) as caught:
        a_profile("{}", ["golf", name])
    assert [pointer for pointer, _ in caught.value.problems] == ["/interests/1"]
