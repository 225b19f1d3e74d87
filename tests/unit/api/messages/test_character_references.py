"""Character references in attributes, by the HTML standard and its table."""

from __future__ import annotations

from html.entities import html5

import pytest

from api.messages.character_references import attribute_text


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("?a=1&amp;b=2", "?a=1&b=2"),
        ("?a=1&b=2", "?a=1&b=2"),
        ("?a=1&copy=2", "?a=1&copy=2"),
        ("?a=1&copy;=2", "?a=1©=2"),
        ("?a&copyb", "?a&copyb"),
        ("?a&copy1", "?a&copy1"),
        ("?a&copy/", "?a©/"),
        ("&notit; &notin;", "&notit; ∉"),
        ("?a&nothing;", "?a&nothing;"),
        ("&#38;&#x26;&#X26", "&&&"),
        ("&#104;ttp", "http"),
        ("&#;&#x;&#xg;&#-1;&", "&#;&#x;&#xg;&#-1;&"),
        ("&#127;", "\x7f"),
        ("&#xFFFE;&#xFFFF;&#x10FFFF;", "\ufffe\uffff\U0010ffff"),
        ("&#0;&#x0000;&#xD800;&#xDFFF;&#x110000;", "\ufffd" * 5),
        ("&#1;&#13;&#10;&#x1F;", "\x01\r\n\x1f"),
        ("&#128;&#x81;&#x9F;", "€\x81Ÿ"),
        (f"&#{'9' * 5000};a", "\ufffda"),
        (f"&#x{'f' * 5000};a", "\ufffda"),
        (f"&#{'0' * 5000}65;&#x{'0' * 5000}41", "AA"),
        ("a\0b", "a\ufffdb"),
    ],
)
def test_references_are_decoded_as_in_attributes(written: str, meant: str) -> None:
    """Numbers are those of the table in section 13.2.5.80, and names are not references before `=` or a letter."""
    assert attribute_text(written) == meant


def test_every_name_is_known() -> None:
    """Each name of the standard means its characters, except for `&copy=1` and the like."""
    for name, characters in html5.items():
        assert attribute_text(f"&{name}") == characters
        assert attribute_text(f"&{name}=") == (f"{characters}=" if name.endswith(";") else f"&{name}=")


def test_every_number_means_its_character() -> None:
    """Except for Windows-1252, zero, surrogates and numbers beyond Unicode, a number is a code point."""
    changed = {n for n in range(0x110000) if attribute_text(f"&#{n};") != chr(n)}
    windows_1252 = set(range(0x80, 0xA0)) - {0x81, 0x8D, 0x8F, 0x90, 0x9D}
    assert changed == {0, *windows_1252, *range(0xD800, 0xE000)}
