"""Links in HTML: which ones are found, how they are replaced, and what stays untouched."""

from __future__ import annotations

import pytest

from api.messages.html_rewriter import links_in, rewrite_html

PIXEL = '<img src="https://t/o/x" width="1" height="1" alt="">'
TRACKED = ("https://t/c/", "https://t/u/")


def rewrite(document: str) -> str:
    """Rewrites with links in brackets, and without the pixel, which comes at the end."""
    rewritten = rewrite_html(document, lambda url: f"[{url}]", "https://t/o/x", TRACKED)
    assert PIXEL in rewritten
    return rewritten.replace(PIXEL, "")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ('<a href="https://x/">', '<a href="[https://x/]">'),
        ("<a href='https://x/'>", "<a href='[https://x/]'>"),
        ("<a href=https://x/>", '<a href="[https://x/]">'),
        ("<a href=https://x/ class=b>", '<a href="[https://x/]" class=b>'),
        ('<A HREF = "HTTPS://X/">', '<A HREF = "[HTTPS://X/]">'),
        ('<a\n\tclass="b>c"\n\thref="http://x/"\n>', '<a\n\tclass="b>c"\n\thref="[http://x/]"\n>'),
        ('<area shape=rect href="http://x/"/>', '<area shape=rect href="[http://x/]"/>'),
        ('<a class="b"href="http://x/">', '<a class="b"href="[http://x/]">'),
        ('<a/href="http://x/">', '<a/href="[http://x/]">'),
        ('<a href="http://x/" href="http://y/">', '<a href="[http://x/]" href="http://y/">'),
        ('<a href=" http://x/&#10;y ">', '<a href="[http://x/y]">'),
        ('<a title="<a href=http://no/>" href=http://x/>', '<a title="<a href=http://no/>" href="[http://x/]">'),
        ("<![if !mso]><a href='http://x/'><![endif]>", "<![if !mso]><a href='[http://x/]'><![endif]>"),
        ("a < b <a href='http://x/'>", "a < b <a href='[http://x/]'>"),
        (
            "<a href='http://x/'>1</a><a href='http://x/'>2</a>",
            "<a href='[http://x/]'>1</a><a href='[http://x/]'>2</a>",
        ),
        ("<!-->-<a href='http://x/'>", "<!-->-<a href='[http://x/]'>"),
        ("<!--!><a href=http://no/>--><a href='http://x/'>", "<!--!><a href=http://no/>--><a href='[http://x/]'>"),
        ("<script>'</scripts>'</SCRIPT ><a href='http://x/'>", "<script>'</scripts>'</SCRIPT ><a href='[http://x/]'>"),
    ],
)
def test_links_are_rewritten_in_place(document: str, expected: str) -> None:
    """Whatever the case, the quotes and the spacing, only the value is replaced."""
    assert rewrite(document) == expected


@pytest.mark.parametrize(
    "document",
    [
        "",
        "plain text",
        '<a href="mailto:a@b.c">',
        '<a href="tel:+1">',
        '<a href="#top">',
        '<a href="/relative">',
        '<a href="//x/">',
        '<a href="">',
        "<a href>",
        "<a href=>",
        "<a href href=http://x/>",
        '<a href="{{ unsubscribe }}">',
        '<a data-href="http://x/" xhref="http://x/">',
        '<link href="http://x/"><img src="http://x/"><base href="http://x/">',
        '</a href="http://x/">',
        '<abbr href="http://x/">',
        '<!-- <a href="http://x/"> -->',
        '<!--[if mso]><a href="http://x/"><![endif]-->',
        '<!-- <a href="http://x/">',
        '<script>"<a href=http://x/>"</script>',
        '<style>/*<a href="http://x/">*/</style>',
        '<TextArea><a href="http://x/"></TextArea>',
        '<title><a href="http://x/"></title>',
        '<script><a href="http://x/">',
        '<plaintext><a href="http://x/">',
        '<a href="http://x/',
        '<a href="http://x/" ',
        '<?xml <a href="http://x/"?>',
        "<a href='https://t/c/abc'>",
        '<a href="https://t/u/abc">',
    ],
)
def test_the_rest_stays_unchanged(document: str) -> None:
    """Other schemes and elements, text, comments, cut tags and tracked links are unchanged and not listed."""
    assert rewrite(document) == document
    assert links_in(document, TRACKED) == []


@pytest.mark.parametrize(
    ("raw", "url"),
    [
        ("http://x/?a=1&amp;b=2", "http://x/?a=1&b=2"),
        ("http://x/?a=1&b=2", "http://x/?a=1&b=2"),
        ("http://x/?a=1&copy=2", "http://x/?a=1&copy=2"),
        ("http://x/?a=1&copy;=2", "http://x/?a=1©=2"),
        ("http://x/?a&copyb", "http://x/?a&copyb"),
        ("http://x/?a&copy/", "http://x/?a©/"),
        ("http://x/?a&nothing;", "http://x/?a&nothing;"),
        ("http://x/&#38;&#x26;&#X26", "http://x/&&&"),
        ("&#104;ttp://x/", "http://x/"),
    ],
)
def test_references_are_resolved_as_in_attributes(raw: str, url: str) -> None:
    """The URL is the one that a browser would open, by the HTML standard's rules for attributes."""
    assert links_in(f'<a href="{raw}">') == [url]


def test_a_new_url_cannot_leave_its_attribute() -> None:
    """Quotes, ampersands and angles of the new URL are escaped."""
    for document in ('<a href="http://x/">', "<a href='http://x/'>", "<a href=http://x/>"):
        rewritten = rewrite_html(document, lambda _: "http://y/?a=\"'<>&b", "p")
        assert links_in(rewritten) == ["http://y/?a=\"'<>&b"]


def test_an_unchanged_link_keeps_its_spelling() -> None:
    """If the new URL equals the old one, nothing is rewritten."""
    document = "<a href=http://x/?a&amp;b>"
    assert rewrite_html(document, lambda url: url, "p").startswith(document)


def test_links_are_listed_once_in_order() -> None:
    """The list holds each URL once, at its first position."""
    document = "<a href=http://b/><a href=http://a/><a href='http://b/'><area href=http://c/>"
    assert links_in(document) == ["http://b/", "http://a/", "http://c/"]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("<body>x</body></html>", f"<body>x{PIXEL}</body></html>"),
        ("x</BODY >y</body>z", f"x</BODY >y{PIXEL}</body>z"),
        ("x</body><!-- </body> -->", f"x{PIXEL}</body><!-- </body> -->"),
        ("x", f"x{PIXEL}"),
        ("", PIXEL),
        ("x</body", f"x</body{PIXEL}"),
    ],
)
def test_the_pixel_goes_before_the_last_body_end(document: str, expected: str) -> None:
    """It goes before the last real end tag of the body, or else to the end."""
    assert rewrite_html(document, lambda url: url, "https://t/o/x") == expected


def test_links_after_the_body_are_rewritten_too() -> None:
    """Browsers also render markup after `</body>`."""
    rewritten = rewrite_html("</body><a href='http://x/'>", lambda _: "T", "https://t/o/x")
    assert rewritten == f"{PIXEL}</body><a href='T'>"


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "piece", ["<a ", "<!--", "<a href='", "<script>", "</", "<!", "&", "<a href=http://x/ ", "<", "--!"]
)
def test_hostile_text_takes_linear_time(piece: str) -> None:
    """The time grows only with the length of the text."""
    document = piece * 100_000
    assert rewrite_html(document, lambda url: url, "p").startswith(document)
