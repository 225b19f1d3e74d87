"""Rewriter of links in HTML mail. The rest of the document is unchanged, byte for byte.

The tokenizer follows the HTML standard (WHATWG, section 13.2.5) as far as needed to find tags and attributes. It makes
one pass over the text and accepts any input, however malformed.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from html.entities import html5
from typing import Final, NamedTuple

_LINKING: Final = frozenset({"a", "area"})
#: Elements whose content browsers treat as text even if it looks like markup, and the end of that content.
_RAW_TEXT_ENDS: Final = {
    name: re.compile(rf"</{name}(?=[\t\n\f\r />])", re.IGNORECASE)
    for name in ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
}
_TAG: Final = re.compile(r"<(/?)([a-zA-Z][^\t\n\f\r />]*)")
_BETWEEN_ATTRIBUTES: Final = re.compile(r"[\t\n\f\r /]*")
_NAME: Final = re.compile(r"[^\t\n\f\r />][^\t\n\f\r />=]*")
_EQUALS: Final = re.compile(r"[\t\n\f\r ]*=[\t\n\f\r ]*")
_VALUE: Final = re.compile(r"""(?:"[^"]*"|'[^']*'|(?!["'>])[^\t\n\f\r >]+)""")
_COMMENT_END: Final = re.compile(r"--!?>")
_REFERENCE: Final = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[a-zA-Z][a-zA-Z0-9]*;?)")
_WEB: Final = re.compile(r"https?://", re.IGNORECASE)
_OUTER_SPACE: Final = "".join(map(chr, range(0x21)))
_INNER_SPACE: Final = str.maketrans("", "", "\t\n\r")


class _Tag(NamedTuple):
    """A tag: the position of its `<`, its end, and the position and raw text (quotes included) of its href."""

    name: str
    is_end: bool
    start: int
    end: int
    href: tuple[int, str] | None


def links_in(document: str, tracked: tuple[str, ...] = ()) -> list[str]:
    """Every http(s) URL of an `<a href>` or `<area href>` as a browser reads it, in order, without repeats.

    URLs that begin with one of `tracked` (`TrackingUrls.prefixes`) are left out.
    """
    return list(dict.fromkeys(url for _, _, url in _links(_tags(document), tracked)))


def rewrite_html(document: str, link_for: Callable[[str], str], pixel_url: str, tracked: tuple[str, ...] = ()) -> str:
    """The document with every URL of `links_in` replaced by `link_for(url)`, and the pixel before the last `</body>`.

    Without a `</body>`, the pixel goes to the end.
    """
    tags = list(_tags(document))
    changes = [(at, raw, _replaced(raw, url, link_for(url))) for at, raw, url in _links(tags, tracked)]
    body_ends = [tag.start for tag in tags if tag.is_end and tag.name == "body"]
    pixel = f'<img src="{html.escape(pixel_url)}" width="1" height="1" alt="">'
    changes.append((body_ends[-1] if body_ends else len(document), "", pixel))
    parts, done = [], 0
    for at, old, new in sorted(changes):
        parts += [document[done:at], new]
        done = at + len(old)
    return "".join([*parts, document[done:]])


def _links(tags: list[_Tag] | Iterator[_Tag], tracked: tuple[str, ...]) -> Iterator[tuple[int, str, str]]:
    """Position, raw text and URL of each link to track."""
    for tag in tags:
        if tag.href is None or tag.is_end or tag.name not in _LINKING:
            continue
        at, raw = tag.href
        url = _url_of(raw)
        if _WEB.match(url) and not url.startswith(tracked):
            yield at, raw, url


def _tags(text: str) -> Iterator[_Tag]:
    """Every tag that a browser would see, in order."""
    at = text.find("<")
    while at >= 0:
        if match := _TAG.match(text, at):
            tag = _tag_at(text, match)
            if tag is None:
                return
            yield tag
            end = _end_of_content(text, tag)
        else:
            end = _end_of_markup(text, at)
        if end is None:
            return
        at = text.find("<", end)


def _tag_at(text: str, start: re.Match[str]) -> _Tag | None:
    """The tag at `start`, or None if the text ends within it: browsers drop an incomplete tag."""
    at = start.end()
    href: tuple[int, str] | None = None
    while True:
        at = _end(_BETWEEN_ATTRIBUTES.match(text, at), at)
        if text.startswith(">", at):
            return _Tag(start[2].lower(), bool(start[1]), start.start(), at + 1, href)
        name = _NAME.match(text, at)
        if name is None:
            return None
        at, value = name.end(), ""
        if equals := _EQUALS.match(text, at):
            at = equals.end()
            found = _VALUE.match(text, at)
            if found is None and not text.startswith(">", at):
                return None
            value = found[0] if found else ""
        # The first of several attributes with the same name counts.
        if href is None and name[0].lower() == "href":
            href = (at, value)
        at += len(value)


def _end(match: re.Match[str] | None, otherwise: int) -> int:
    return match.end() if match else otherwise


def _end_of_content(text: str, tag: _Tag) -> int | None:
    """The position where markup continues: after the tag, or after its content if that is text. None: nowhere."""
    if tag.is_end or tag.name not in _RAW_TEXT_ENDS:
        return None if tag.name == "plaintext" and not tag.is_end else tag.end
    found = _RAW_TEXT_ENDS[tag.name].search(text, tag.end)
    return found.start() if found else None


def _end_of_markup(text: str, at: int) -> int | None:
    """The end of the markup at a `<` that does not start a tag. None: it extends to the end of the text."""
    if text.startswith("<!--", at):
        found = _COMMENT_END.search(text, at + 2)
        if found and found.start() == at + 2 and found[0] == "--!>":
            found = _COMMENT_END.search(text, at + 4)
        return found.end() if found else None
    if text.startswith(("<!", "<?", "</"), at):
        end = text.find(">", at)
        return end + 1 if end >= 0 else None
    return at + 1


def _url_of(raw: str) -> str:
    """The URL in the raw text of an attribute (HTML, from section 13.2.5.72; URL standard, section 4.4)."""
    value = raw[1:-1] if raw[:1] in {'"', "'"} else raw
    return _REFERENCE.sub(_character, value).strip(_OUTER_SPACE).translate(_INNER_SPACE)


def _character(reference: re.Match[str]) -> str:
    text = reference[0]
    if text.startswith("&#"):
        return html.unescape(text)
    # In attributes, `&copy=1` is not a reference, because old URLs contain such parameters.
    if not text.endswith(";") and reference.string.startswith("=", reference.end()):
        return text
    return html5.get(text[1:], text)


def _replaced(raw: str, url: str, new_url: str) -> str:
    if new_url == url:
        return raw
    quote = raw[0] if raw[0] in {'"', "'"} else '"'
    return f"{quote}{html.escape(new_url)}{quote}"
