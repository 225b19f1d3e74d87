"""`domain.payload`: the encodings in the contract's examples."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from domain.payload import CONTENT_TYPES, encode_form, encode_json, form_bytes
from domain.values import PayloadFormat


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({}, b""),
        ({"tags": ["a", "b"]}, b"tags[]=a&tags[]=b"),
        ({"fields": {"name": "John"}}, b"fields[name]=John"),
        ({"fields": {"a": {"b": 1}}}, b"fields[a][b]=1"),
        ({"fields": {"a": [{"x": 1, "y": 2}, {"x": 3}]}}, b"fields[a][0][x]=1&fields[a][0][y]=2&fields[a][1][x]=3"),
        ({"fields": {"a": [1, [2, 3]]}}, b"fields[a][0]=1&fields[a][1][]=2&fields[a][1][]=3"),
        ({"price": 1.5, "whole": 2.0, "big": 1e22}, b"price=1.5&whole=2.0&big=1e%2B22"),
        ({"yes": True, "no": False, "nothing": None}, b"yes=1&no=0&nothing="),
        ({"empty": [], "also": {}, "deep": {"a": []}, "x": ""}, b"x="),
        ({"fields": {"a&b=c [d": "e&f=g+h i"}}, b"fields[a%26b%3Dc+%5Bd]=e%26f%3Dg%2Bh+i"),
        ({"name": "Zoë 😀"}, b"name=Zo%C3%AB+%F0%9F%98%80"),
        ({"half": "\ud800"}, b"half=%3F"),
    ],
)
def test_a_form_is_encoded_as_in_the_contract(fields: dict[str, Any], body: bytes) -> None:
    """Lists, maps, numbers, booleans, empty values and non-ASCII letters each have one encoding."""
    assert body == encode_form(fields)
    assert form_bytes(fields) == len(body)


def test_depth_is_no_danger() -> None:
    """Fields nested far deeper than Python's recursion limit are still encoded."""
    value: object = "x"
    for _ in range(5000):
        value = {"a": value}
    assert encode_form({"deep": value}) == b"deep" + b"[a]" * 5000 + b"=x"


def test_a_long_form_is_measured_without_being_built() -> None:
    """Names repeated for each of many values use no memory until the form is built."""
    fields = {"fields": {"k" * 40_000: [1] * 10_000}}
    tracemalloc.start()
    try:
        length = form_bytes(fields)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert length == 10_000 * (len("fields[]") + 40_000 + len("[]=1&")) - 1
    assert peak < 5_000_000


def test_values_outside_json_are_named() -> None:
    """A value without a JSON form raises an error that names the field."""
    with pytest.raises(TypeError, match=r"fields\[when\] is a bytes"):
        encode_form({"fields": {"when": b"now"}})


def test_json_is_compact_utf8() -> None:
    """JSON has no white space and no escapes that UTF-8 makes unnecessary."""
    assert (
        encode_json({"name": "Zoë", "tags": ["a"], "half": "\ud800"})
        == '{"name":"Zoë","tags":["a"],"half":"?"}'.encode()
    )


def test_every_format_has_a_content_type() -> None:
    """Every format has a `Content-Type`."""
    assert set(CONTENT_TYPES) == set(PayloadFormat)
