"""Tests of the ASCII form of host names."""

from __future__ import annotations

import pytest

from actors.adapters.host_names import MAX_LABEL_CHARS, ascii_name


@pytest.mark.parametrize(
    ("name", "ascii_form"),
    [
        ("Shop.Example", "shop.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("☃.example.", "xn--n3h.example."),
        ("例え。example", "xn--r8jz45g.example"),
        ("ü" * (MAX_LABEL_CHARS + 1), None),
        ("\ud800.example", None),
    ],
)
def test_the_name_that_browsers_look_up(name: str, ascii_form: str | None) -> None:
    """Names that IDNA rejects but browsers accept have a form; labels that are too long for DNS have none."""
    assert ascii_name(name) == ascii_form
