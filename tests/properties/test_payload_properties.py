"""`domain.payload`: a form parser with PHP's rules reads the same structure back, whatever the fields."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.payload import encode_form, encode_json, form_bytes
from tests.properties.php_form import read_form

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
#: Keys that PHP accepts in brackets: it cuts at `]`, skips leading white space, and NUL ends a name.
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="[]\0"), min_size=1, max_size=12).filter(
    lambda key: key == key.strip()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4))
)
FIELDS = st.dictionaries(NAMES, VALUES, max_size=6)


def as_php(value: Any) -> Any:
    """The value in `$_POST`: text, or an array without its empty parts; None for an empty array."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        array = {str(key): as_php(item) for key, item in items}
        return {key: item for key, item in array.items() if item is not None} or None
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value)


@given(FIELDS)
def test_php_parses_the_form_back(fields: dict[str, Any]) -> None:
    """Scalars, lists and maps in any nesting keep their place, order, decimals and letters."""
    expected = as_php(fields) or {}
    actual = read_form(encode_form(fields))
    assert expected == actual
    assert list(expected) == list(actual)


@given(FIELDS)
def test_the_length_of_a_form_is_computed_in_advance(fields: dict[str, Any]) -> None:
    """The computed length equals the form's, to the byte."""
    assert form_bytes(fields) == len(encode_form(fields))


@given(FIELDS)
def test_json_round_trips(fields: dict[str, Any]) -> None:
    """The JSON form is one object with the same values, in UTF-8."""
    assert json.loads(encode_json(fields).decode()) == fields


@given(
    st.dictionaries(
        NAMES, st.recursive(st.text(), lambda inner: st.dictionaries(st.text(), inner, max_size=4)), max_size=6
    )
)
def test_no_text_breaks_the_encoders(fields: dict[str, Any]) -> None:
    """Half surrogates, brackets and control characters in keys and values make a body and never an error."""
    encode_form(fields).decode("ascii")
    encode_json(fields).decode()
