"""Tests of the text that stands for a person."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.ledger.people import person_of


@pytest.mark.parametrize(
    "spellings",
    [
        ("John.Doe@Example.COM", " john.doe@example.com\r\n", "JOHN.DOE@example.com."),
        ("jürgen@müller.example", "JU\u0308RGEN@MÜLLER.example", "jürgen@xn--mller-kva.example"),
        ("a@faß.example", "A@xn--fa-hia.example"),
        ("a@例え。example", "a@例え.example", "a@xn--r8jz45g.example"),
        ('"a@b"@example.com', '"A@B"@EXAMPLE.com'),
        ("nobody", "Nobody"),
    ],
)
def test_all_spellings_of_an_address_are_one_person(spellings: tuple[str, ...]) -> None:
    assert len({person_of(each) for each in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("john.doe@example.com", "johndoe@example.com"),
        ("john@example.com", "john+news@example.com"),
        ("a@faß.example", "a@fass.example"),
        ("straße@example.com", "strasse@example.com"),
        ("a@b.example", "a@b.example.com"),
    ],
)
def test_different_addresses_are_different_people(one: str, other: str) -> None:
    assert person_of(one) != person_of(other)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_stands_for_one_person(local: str, domain: str) -> None:
    """Nothing raises, and the result stands for itself."""
    person = person_of(f"{local}@{domain}")
    assert person_of(person) == person


def test_a_long_domain_takes_no_time() -> None:
    began_s = time.process_time()
    person_of("a@" + "ü" * 100_000)
    assert time.process_time() - began_s < 2
