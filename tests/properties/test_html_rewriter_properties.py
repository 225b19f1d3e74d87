"""`api.messages.html_rewriter`: only links change, whatever the document."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from api.messages.html_rewriter import links_in, rewrite_html

_PIECES = [
    *("<a ", "<A", "<area", "</a>", "<b>", "<body>", "</body>", "<!--", "-->", "--!>", "<![if x]>", "<script>"),
    *(
        "</script>",
        "<style ",
        "</style>",
        "<title>",
        "</title\n>",
        "href",
        "HREF",
        "=",
        " = ",
        '"',
        "'",
        ">",
        "/>",
        "<",
    ),
    *("/", " ", "\n", "http://x/", "https://y/?a=1&b=2", "&amp;", "&#38;", "&copy", ";", "mailto:a@b", "é", "\x00"),
]
documents = st.lists(st.sampled_from(_PIECES) | st.text(max_size=3), max_size=60).map("".join)

urls = st.text(st.sampled_from("abc/?&=;#%'\"<> é+copyamp"), max_size=20).map("https://h/".__add__)
attributes = st.sampled_from(["class=c", "title='<a href=http://no/>'", 'data-x="</a>"', "hidden"])


@st.composite
def links(draw: st.DrawFn) -> tuple[str, str]:
    """A well-formed link's markup and its URL."""
    url = draw(urls).rstrip()
    before = "".join(f"{attribute} " for attribute in draw(st.lists(attributes, max_size=2)))
    quote = draw(st.sampled_from("\"'"))
    tag = draw(st.sampled_from(["a", "A", "area"]))
    return f"<{tag} {before}href={quote}{html.escape(url)}{quote}>", url


fillers = st.sampled_from(
    ["<p>text</p>", "<!-- <a href='http://no/'> -->", "<style>a{}</style>", "<br/>", "<a href='#x'>", "é", "\r\n"]
)


class _Links(HTMLParser):
    """The standard library's reading of the same document."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"a", "area"}:
            self.found += [value for name, value in attrs if name == "href" and value and value.startswith("http")]


@given(documents)
def test_any_text_is_accepted_and_only_links_change(document: str) -> None:
    """Every character between the links stays in its order, and the pixel is the only addition."""
    rewritten = rewrite_html(document, lambda _: "\ue000", "\ue001")
    pieces = re.split("""["']?\ue000["']?|<img src="\ue001"[^>]*>""", rewritten)
    at = 0
    for piece in pieces:
        assert (at := document.index(piece, at) + len(piece)) <= len(document)
    assert document.startswith(pieces[0])
    assert document.endswith(pieces[-1])
    assert len(pieces) >= 2 + (1 if links_in(document) else 0)


@given(documents)
def test_without_new_links_the_document_is_unchanged(document: str) -> None:
    """If every link stays, the result without the pixel is the document."""
    rewritten = rewrite_html(document, lambda url: url, "\ue001")
    assert rewritten.replace('<img src="\ue001" width="1" height="1" alt="">', "") == document


@given(documents)
def test_rewritten_links_are_found_again(document: str) -> None:
    """Every link of the result is a new one, so all were rewritten and none broke the markup."""
    found = links_in(document)
    rewritten = rewrite_html(document, lambda url: "https://t/c/" + url, "\ue001")
    assert links_in(rewritten) == ["https://t/c/" + url for url in found]
    assert links_in(rewritten, ("https://t/c/",)) == []


@given(st.lists(links() | fillers.map(lambda text: (text, "")), max_size=12))
def test_a_well_formed_document_is_read_as_by_the_standard_library(parts: list[tuple[str, str]]) -> None:
    """The links are those in the document, and those that the standard library's parser finds."""
    document = "".join(markup for markup, _ in parts)
    expected = list(dict.fromkeys(url for _, url in parts if url))
    parser = _Links()
    parser.feed(document)
    assert links_in(document) == expected == list(dict.fromkeys(parser.found))
