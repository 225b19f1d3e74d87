"""Changes of profiles: when nothing changed, and the names of what changed."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from hypothesis import assume, given
from hypothesis import strategies as st

from domain.profile import Profile
from domain.profile_change import ProfileKey, change_of, is_same, parameters_of

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "0", "1", "true", "null", "é"]),
)
names = st.sampled_from(["a", "b", "c", "golf", "ä"])
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner), max_leaves=8)
objects = st.dictionaries(names, values)
interests = st.lists(names, unique=True, max_size=4)


def kind(value: object) -> str:
    """The JSON type of a value. A number is a number, however it is written."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    return "number" if isinstance(value, int | float) else type(value).__name__


def canonical(value: Any) -> Any:
    """A value that is equal to that of another JSON value exactly if both are the same data."""
    if isinstance(value, dict):
        return ("map", frozenset((name, canonical(item)) for name, item in value.items()))
    if isinstance(value, list):
        return ("list", tuple(map(canonical, value)))
    return (kind(value), value)


@st.composite
def respelled(draw: st.DrawFn, value: Any) -> Any:
    """The same data, with names in another order, and numbers with or without a fraction of zero."""
    if isinstance(value, dict):
        order = draw(st.permutations(sorted(value)))
        return {name: draw(respelled(value[name])) for name in order}
    if isinstance(value, list):
        return [draw(respelled(item)) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and draw(st.booleans()):
        return float(value)
    if isinstance(value, float) and value.is_integer() and draw(st.booleans()):
        return int(value)
    return value


def a_profile(fields: dict[str, Any], its_interests: list[str]) -> Profile:
    return Profile.create(UUID(int=1), 1, ProfileKey("1", "p"), json.dumps(fields), its_interests, 1)


@given(values, values)
def test_equality_is_that_of_the_data(one: Any, other: Any) -> None:
    """Two values are the same exactly if they are the same data; a boolean never equals a number."""
    assert is_same(one, other) == (canonical(one) == canonical(other)) == is_same(other, one)


@given(st.data(), objects, interests)
def test_the_same_data_in_another_spelling_changes_nothing(
    data: st.DataObject, fields: dict[str, Any], its_interests: list[str]
) -> None:
    """Neither the order of names and interests nor `1` instead of `1.0` is a change, for PUT and PATCH."""
    profile = a_profile(fields, its_interests)
    again = json.dumps(data.draw(respelled(fields)))
    shuffled = data.draw(st.permutations(its_interests))
    profile.put(again, shuffled, 2)
    part = {name: value for name, value in fields.items() if value is not None}
    profile.patch(json.dumps(data.draw(respelled(part))), data.draw(st.none() | st.just(shuffled)), 3)

    assert (profile.version, profile.modified_at_ms) == (1, 1)


@given(objects, interests, objects, interests)
def test_changed_names_are_those_that_differ(
    old: dict[str, Any], old_interests: list[str], new: dict[str, Any], new_interests: list[str]
) -> None:
    """`changed` has each field that differs or is on one side only, and each interest added or taken away, once."""
    changed = change_of(old, old_interests, new, new_interests).changed
    missing = object()
    fields = {name for name in {**old, **new} if canonical(old.get(name, missing)) != canonical(new.get(name, missing))}

    assert set(changed) == fields | (set(old_interests) ^ set(new_interests))
    assert len(set(changed)) == len(changed)


@given(objects, interests, objects, interests)
def test_a_put_makes_an_event_exactly_if_something_changed(
    old: dict[str, Any], old_interests: list[str], new: dict[str, Any], new_interests: list[str]
) -> None:
    """There is an event exactly if there are changed names, and afterwards the profile has the new data."""
    profile = a_profile(old, old_interests)
    profile.put(json.dumps(new), new_interests, 2)

    assert (profile.version == 2) == bool(profile.change_since(old, old_interests).changed)
    assert canonical(profile.fields) == canonical(new)
    assert set(profile.interests) == set(new_interests)


@given(values, values)
def test_one_value_that_differs_is_a_change(one: Any, other: Any) -> None:
    """However deep the difference is."""
    assume(canonical(one) != canonical(other))
    profile = a_profile({"a": [{"b": one}]}, [])
    profile.put(json.dumps({"a": [{"b": other}]}), [], 2)

    assert profile.version == 2


@given(objects, interests, interests)
def test_parameters_have_every_name_once(fields: dict[str, Any], given_: list[str], removed: list[str]) -> None:
    """A field wins over an interest of its name, and one that was given over one that was taken away."""
    found = parameters_of(fields, given_, removed)

    assert set(found) == {*fields, *given_, *removed}
    assert {name: found[name] for name in fields} == fields
    assert all(found[name] == 1 for name in given_ if name not in fields)
    assert all(found[name] == 0 for name in removed if name not in {*fields, *given_})
