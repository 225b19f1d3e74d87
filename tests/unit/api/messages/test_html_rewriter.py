"""Rewriting of HTML: how links are replaced, and what stays untouched."""

from __future__ import annotations

import pytest

from api.messages.html_links import find_links
from api.messages.html_rewriter import rewrite_html

PIXEL = '<img src="https://t/o/x" width="1" height="1" alt="">'


def rewrite(document: str, new_url: str = "https://t/c/x?a=1&b=2") -> str:
    """Gives each link the same URL."""
    found = find_links(document)
    return rewrite_html(document, found, {href.text: new_url for href in found.hrefs}, "https://t/o/x")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ('<a href="http://x/">', '<a href="https://t/c/x?a=1&amp;b=2">'),
        ("<a href='http://x/'>", "<a href='https://t/c/x?a=1&amp;b=2'>"),
        ("<a href=http://x/>", '<a href="https://t/c/x?a=1&amp;b=2">'),
        ("<a href = http://x/ class=b>", '<a href = "https://t/c/x?a=1&amp;b=2" class=b>'),
        (
            "<!--[if mso]><v:rect href=x><![endif]-->",
            '<!--[if mso]><v:rect href="https://t/c/x?a=1&amp;b=2"><![endif]-->',
        ),
    ],
)
def test_links_are_rewritten_in_place(document: str, expected: str) -> None:
    """Only the value is replaced, in its own quotes if it had some, and the pixel is added."""
    assert rewrite(document) == expected + PIXEL


def test_a_new_url_cannot_leave_its_attribute() -> None:
    """Quotes, ampersands and angles of the new URL are escaped."""
    for document in ('<a href="http://x/">', "<a href='http://x/'>", "<a href=http://x/>"):
        url = "http://y/?a=\"'<>&b"
        assert [href.text for href in find_links(rewrite(document, url)).hrefs] == [url]


def test_links_without_a_new_url_keep_their_spelling() -> None:
    """An href that has no new URL, or whose URL stays the same, is not touched."""
    document = "<a href=http://x/?a&amp;b><a href='&#104;'>"
    found = find_links(document)
    assert rewrite_html(document, found, {"http://x/?a&b": "http://x/?a&b"}, "https://t/o/x") == document + PIXEL


def test_the_pixel_and_links_around_it() -> None:
    """The pixel goes to its place, and links before and after it are rewritten."""
    expected = f"<a href='T'>{PIXEL}</body><a href='T'>"
    assert rewrite("<a href='http://x/'></body><a href='http://x/'>", "T") == expected


def test_amp_documents_get_links_only() -> None:
    """They get no picture, which would make them invalid."""
    assert rewrite("<html ⚡4email><body><a href='x'></body>", "T") == "<html ⚡4email><body><a href='T'></body>"
