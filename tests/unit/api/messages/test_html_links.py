"""Links in HTML: which ones are found, and where the pixel goes."""

from __future__ import annotations

import pytest

from api.messages.html_links import find_links

PIXEL = "|"


def hrefs(document: str) -> list[str]:
    return [href.text for href in find_links(document).hrefs]


def marked(document: str) -> str:
    """The document with each link's value in brackets."""
    parts, done = [], 0
    for href in find_links(document).hrefs:
        assert document.startswith(href.raw, href.at)
        parts += [document[done : href.at], f"[{href.raw}]"]
        done = href.at + len(href.raw)
    return "".join([*parts, document[done:]])


def with_pixel(document: str) -> str:
    at = find_links(document).pixel_at
    assert at is not None
    return document[:at] + PIXEL + document[at:]


@pytest.mark.parametrize(
    "document",
    [
        '<a href=["http://x/"]>',
        "<a href=['http://x/']>",
        "<a href=[http://x/]>",
        "<a href=[http://x/] class=b>",
        '<A HREF = ["HTTP://X/"]>',
        '<a\n\tclass="b>c"\n\thref=["http://x/"]\n>',
        '<area shape=rect href=["http://x/"]/>',
        '<a class="b"href=["http://x/"]>',
        '<a/href=["http://x/"]>',
        '<a href=["http://x/"] href="http://y/">',
        '<a title="<a href=http://no/>" href=[http://x/]>',
        '<a href=[""]>',
        "<a\0><a href=[x]>",
        "a < b <a href=['http://x/']>",
        "a </ b <a href='no'><a href=['http://x/']>",
        "<a href=['http://x/']>1</a><a href=['http://x/']>2</a>",
        # comments
        "<!-->-<a href=['http://x/']>",
        "<!--!><a href=http://no/>--><a href=['http://x/']>",
        "<!---!><a href=http://no/>--><a href=['http://x/']>",
        # the double-escaped state of scripts
        "<script>'</scripts>'</SCRIPT ><a href=['http://x/']>",
        "<script><!--<script>'</script><a href=no>--></script><a href=[x]>",
        "<script><!--<script></script></script><a href=[x]>",
        "<script><!--><script></script><a href=[x]>",
        "<script><!--<script >--></script><a href=[x]>",
        "<script><script></script><a href=[x]>",
        "<script><!-- </script><a href=[x]>",
        # SVG and MathML
        "<svg><title/><a xlink:href=['http://x/']></a></svg><a href=['http://y/']></body>",
        "<svg><a href=[x] xlink:href=['y']/></svg>",
        "<svg><style/><a href=[x]></svg>",
        "<svg><title><a href=[x]></title><title><style><a href=no></style></title></svg><title><a href=no></title>",
        "<svg><textarea><a href=[x]></textarea></svg>",
        "<svg><foreignObject><textarea><a href=no></textarea></foreignObject><textarea><a href=[x]></svg>",
        "<svg><foreignObject><a href=[x] xlink:href=no></foreignObject></svg>",
        "<svg><p><a xlink:href=no href=[x]>",
        "<svg><![CDATA[<a href=no>]]><a href=[x]></svg><![CDATA[<a href=no>]]><a href=[y]>",
        "<svg><desc><![CDATA[<a href=no>]]><p><![CDATA[<a href=no>]]>",
        "<math><mi><title><a href=no></title></mi><title><a href=[x]></title></math>",
        "<math><annotation-xml encoding=text/html><title><a href=no></title></annotation-xml></math>",
        "<math><annotation-xml><title><a href=[x]></title></annotation-xml></math>",
        "<div><svg><path></div><title><a href=no></title>",
        "<svg><path></div><title><a href=[x]></title>",
        "<svg/><title><a href=no></title>",
        "<svg><font color=red><title><a href=no></title>",
        "<svg><font x=y><title><a href=[x]></title>",
        # Outlook
        "<![if !mso]><a href=['http://x/']><![endif]>",
        '<!--[if mso]><v:roundrect xmlns:v="urn:schemas-microsoft-com:vml" href=["http://x/"]><![endif]-->',
        "<!--[if mso]><a href=[x]><p:y HREF = ['y'] /><![endif]--><a href=[z]>",
        "<!--[IF (gte mso 9)|(IE)]><a href=[x]><![ENDIF]-->",
        "<!--[if mso]><!--[if gte mso 9]><a href=[x]><![endif]--><a href=[y]><![endif]-->",
        "<!--[if mso]><!-- <a href=[x]> --><a href=[y]><![endif]-->",
        "<!--[if !mso]><!--><a href=[x]><!--<![endif]-->",
        "<!--[if !mso]>--><a href=[x]><!--<![endif]-->",
        "<!--[if mso]><link href=no><base href=no><style>a</style><a href=[x]><![endif]-->",
        "<!--[if mso]><style><a href=no><![endif]--><a href=[x]>",
        "<!--[if mso]><a href='no<![endif]--><a href=[x]>",
        "<!--[if mso]><a href=[x]>",
        "<![if mso]><v:rect href=[x]><![endif]>",
        '<!--[if mso]><v:rect data-feedback-loops="off" href="no"><![endif]-->',
        # the sender's choice
        '<a data-feedback-loops="off" href="no"><a href=[x]>',
        "<a href='no' DATA-FEEDBACK-LOOPS=' Off '>",
        "<a data-feedback-loops=on href=[x]><a data-feedback-loops href=[y]>",
        "<a data-feedback-loops=on data-feedback-loops=off href=[x]>",
    ],
)
def test_links(document: str) -> None:
    """The values in brackets are links, and nothing else is."""
    assert marked(_plain(document)) == document


def _plain(document: str) -> str:
    """The document without the brackets around values, which follow a `=`."""
    out, at = [], 0
    while (found := document.find("=", at)) >= 0:
        start = found + 1
        while document[start : start + 1] == " ":
            start += 1
        out.append(document[at:start])
        at = start
        if document[start : start + 1] == "[":
            end = document.index("]", start)
            out.append(document[start + 1 : end])
            at = end + 1
    return "".join([*out, document[at:]])


@pytest.mark.parametrize(
    "document",
    [
        "",
        "plain text",
        "<a href>",
        "<a href=>",
        "<a href href=http://x/>",
        '<a data-href="http://x/" xhref="http://x/">',
        '<link href="http://x/"><img src="http://x/"><base href="http://x/">',
        '</a href="http://x/">',
        '<abbr href="http://x/">',
        '<!-- <a href="http://x/"> -->',
        '<!-- <a href="http://x/">',
        '<script>"<a href=http://x/>"</script>',
        '<style>/*<a href="http://x/">*/</style>',
        '<TextArea><a href="http://x/"></TextArea>',
        '<title><a href="http://x/"></title>',
        '<script><a href="http://x/">',
        '<plaintext><a href="http://x/">',
        '<a href="http://x/',
        '<a href="http://x/" ',
        "<a href=http://x/",
        '<?xml <a href="http://x/"?>',
        "<svg><![CDATA[<a href=x>",
        "<svg><area href=x></svg>",
        "<a xlink:href=x>",
        # Names are compared as ASCII; these are the Kelvin sign and the long s.
        "<a data-x href\u017f=x><\u212a:x href=x>",
    ],
)
def test_no_links(document: str) -> None:
    """Other elements, text, comments and cut tags are no links."""
    assert hrefs(document) == []


@pytest.mark.parametrize(
    ("document", "base"),
    [
        ("<a href=x>", None),
        ("<a href=x><base href=' /y&amp;z '><base href=/no>", " /y&z "),
        ("<base target=_blank><base href=y>", "y"),
        ("<template><base href=no></template>", None),
        ("<svg><g><base href=no></g></svg>", None),
        ("<!-- <base href=no> --><!--[if mso]><base href=no><![endif]--><title><base href=no></title>", None),
    ],
)
def test_the_base_is_the_first_with_an_href(document: str, base: str | None) -> None:
    """`<base>` counts wherever it is in the document, but not in other namespaces, templates or comments."""
    assert find_links(document).base == base


@pytest.mark.parametrize(
    "document",
    [
        "<body>x|</body></html>",
        "x</BODY >y|</body>z",
        "x|</body><!-- </body> -->",
        "x|",
        "|",
        "x|</body",
        "x|</",
        "<p>x|<!-- y",
        "<p>x|<!-- y </body>",
        "<p>x|<!--[if mso]> y </body>",
        "<p>x|</body><!-- y",
        "x|<title>y</body>",
        "x|<textarea>y",
        "x|<style>y",
        "x|<script>y",
        "x|<script><!--<script></script></body>",
        "x|<iframe>",
        "x|<plaintext></body>",
        "x|<p class='y",
        "x|<p class='y</body>",
        "x|<!doctype",
        "x|<?y",
        "x|<template></body>",
        "x|<template><template></template></body>",
        "x|<noscript></body>",
        "x|<picture><source srcset=y></body>",
        "<picture></picture>x|</body>",
        "x|<select><option></body>",
        "x|<noscript><select></noscript></body>",
        "<template></body></template>x|</body>",
        "<select><select>x|</body>",
        "<svg><title/></svg>x|</body></html>",
        "<svg>x|</body>",
        "<svg>x|<![CDATA[ </body>",
        "<![CDATA[ x>|</body>",
        "x|</body><!--[if mso]></body><![endif]-->",
        "x|</body><![if !mso]></body><![endif]>",
        "x|</body><!--[if !mso]><!--></body><!--<![endif]-->",
        "x|</body><!--[if !mso]>--></body><!--<![endif]-->",
        "<![if !mso]>x|</body>",
        "<![if !mso]>x<![endif]>y|</body>",
        "<html ampx>|</body>",
        "<!-- <html amp4email> -->|</body>",
    ],
)
def test_the_place_of_the_pixel(document: str) -> None:
    """The pixel goes before the last end tag of the body, or else to the end, to where pictures are shown."""
    assert with_pixel(document.replace(PIXEL, "")) == document


@pytest.mark.parametrize(
    "attribute",
    [
        "⚡4email",
        "amp4email",
        "AMP4EMAIL",
        "⚡4email=''",
        "lang=en ⚡4EMAIL data-css-strict",
        "⚡",
        "amp",
        "⚡\ufe0f4email",
    ],
)
def test_amp_documents_get_no_pixel(attribute: str) -> None:
    """AMP documents with an `<img>` are invalid, so mail programs would not show them."""
    found = find_links(f"<!doctype html><html {attribute}><body><a href=x></body></html>")
    assert found.pixel_at is None
    assert [href.text for href in found.hrefs] == ["x"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece",
    [
        *(
            "<a ",
            "<!--",
            "<a href='",
            "<script>",
            "</",
            "<!",
            "&",
            "<a href=http://x/ ",
            "<",
            "--!",
            "<a a='' ",
            "<!--!>",
        ),
        *("<svg>", "<svg><g></x>", "<math><mi>", "<svg><title><p>", "</p>", "<svg><title>", "<p>", "<svg></div>"),
        *("<!--[if a]>", "<!--[if a]><a href=", "<![if a]>", "<![endif]>", "<!--[if ", "<script><!--<script>", "<!--<"),
        *(
            "<template>",
            "</noscript>",
            "<select>",
            "<svg><![CDATA[",
            "<a/",
            "<a =",
            "<a href ",
            "</script",
            "<style><!--",
        ),
        *("<base href=x>", "<html ", "&#1", "&#x1", "&a", "<a href=&#1", "\0", "<svg><foreignObject><div></svg>"),
    ],
)
def test_hostile_text_takes_linear_time(piece: str) -> None:
    """The time grows only with the length of the text, whether tags nest, repeat or never end."""
    for prefix in ("", "<svg>", "<!--[if mso]>", "<a href='"):
        find_links(prefix + piece * 50_000)
