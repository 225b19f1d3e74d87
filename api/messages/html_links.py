"""Finder of links in HTML mail, of the place for the pixel, and of what else decides how links are tracked.

A link is what a browser or a mail program follows: `a` and `area`, `a` in SVG and MathML, VML, and every href in
Outlook's conditional comments, except those of resources.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final, NamedTuple

from api.messages.character_references import attribute_text
from api.messages.foreign_content import ForeignContent, Namespace
from api.messages.open_elements import OpenElements
from api.messages.tokenizer import (
    TAG,
    TEXT_ELEMENTS,
    Attribute,
    attributes_of,
    end_of_comment,
    end_of_text,
    is_self_closing,
    lower,
    unquoted,
)

_LINKING: Final = frozenset({"a", "area"})
_HREF: Final = frozenset({"href"})
_SVG_HREFS: Final = frozenset({"href", "xlink:href"})
_NOTED: Final = frozenset({"html", "base", "img"})
#: Elements in which browsers, or some of them, load no picture or another one.
_INERT: Final = frozenset({"template", "noscript", "select", "picture"})
_VML_PREFIX: Final = "v:"
#: Their href loads a resource or is no URL to follow.
_NOT_FOLLOWED: Final = frozenset({"link", "base"})
_OPT_OUT: Final = "data-feedback-loops"
_AMP: Final = re.compile("(?:amp|⚡\ufe0f?)(?:4email|4ads)?")
_FOREIGN_TAG: Final = re.compile("<(?:svg|math)", re.IGNORECASE | re.ASCII)
#: A tag that does not match `TAG`, because the text ends in it.
_CUT_TAG: Final = re.compile("</?[a-zA-Z]")
_CDATA: Final = "<![CDATA["

#: Outlook's conditional comment. Browsers show what follows if the comment ends at once or is none.
_CONDITION: Final = re.compile(r"<!(?:--)?\[\s*+if\b[^\]>]*+\]>", re.IGNORECASE)
_CONDITION_END: Final = re.compile(r"<!(?:--\s*+<!)?\[\s*+endif\b", re.IGNORECASE)
_ENDS_AT_ONCE: Final = re.compile(r"\s*+(?:<!(?:--)?\s*+)?")


class Href(NamedTuple):
    """The href of a link: the position and raw text of its value, quotes included, and the text that it means."""

    at: int
    raw: str
    text: str


class Image(NamedTuple):
    """An `<img>`: the position and text of its tag, and the text that its `src` means."""

    at: int
    tag: str
    src: str


class HtmlLinks(NamedTuple):
    """The links and images of a document, in order.

    `pixel_at` is None in AMP documents, which must not have an `<img>`.
    """

    hrefs: list[Href]
    images: list[Image]
    base: str | None
    pixel_at: int | None


def find_links(document: str) -> HtmlLinks:
    """The links of any text, as the HTML standard reads it (without scripts)."""
    return _Finder(document).find()


class _Finder:
    """One pass over a document."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._hrefs: list[Href] = []
        self._images: list[Image] = []
        self._base: str | None = None
        self._is_amp = False
        self._body_end: int | None = None
        #: Elements that may hide a picture, with their positions.
        self._inert: OpenElements[int] = OpenElements()
        #: Open `<![if …]>`, whose content Outlook may not show, and a `</body>` in there: good if they never end.
        self._conditions = 0
        self._conditional_body_end: int | None = None
        self._foreign = ForeignContent() if _FOREIGN_TAG.search(text) else None

    def find(self) -> HtmlLinks:
        find = self._text.find
        at = find("<")
        cut = len(self._text)
        while at >= 0:
            tag = TAG.match(self._text, at)
            end = self._after_markup(at) if tag is None else self._after_end(tag) if tag[1] else self._after_start(tag)
            if end is None:
                cut = at
                break
            at = find("<", end)
        return HtmlLinks(self._hrefs, self._images, self._base, None if self._is_amp else self._pixel_at(cut))

    def _pixel_at(self, cut: int) -> int:
        for body_end in (self._conditional_body_end, self._body_end):
            if body_end is not None:
                return body_end
        return self._inert.outermost if self._inert else cut

    # --- tags: each method returns where markup continues, or None if what starts here never ends

    def _after_start(self, tag: re.Match[str]) -> int | None:
        name = lower(tag[2])
        if self._foreign is not None:
            namespace = self._foreign.start(name, partial(_texts, tag), is_self_closing=is_self_closing(tag))
            if namespace is not Namespace.HTML:
                if name == "a":
                    self._hrefs += _hrefs_of(tag, _SVG_HREFS if namespace is Namespace.SVG else _HREF)
                return tag.end()
        if name in TEXT_ELEMENTS:
            return end_of_text(self._text, name, tag.end(), len(self._text))
        if name in _LINKING or name.startswith(_VML_PREFIX):
            self._hrefs += _hrefs_of(tag, _HREF)
        elif name in _INERT:
            # As in browsers, a second `<select>` ends the first.
            if name == "select" == self._inert.innermost_name:
                self._inert.pop()
            else:
                self._inert.push(name, tag.start())
        elif name in _NOTED:
            self._note(name, tag)
        return tag.end()

    def _note(self, name: str, tag: re.Match[str]) -> None:
        attributes = _texts(tag)
        if name == "img":
            if src := attributes.get("src"):
                self._images.append(Image(tag.start(), tag[0], src))
        elif name == "html":
            self._is_amp = self._is_amp or any(map(_AMP.fullmatch, attributes))
        elif self._base is None and "template" not in self._inert:
            self._base = attributes.get("href")

    def _after_end(self, tag: re.Match[str]) -> int:
        name = lower(tag[2])
        if self._foreign is not None:
            self._foreign.end(name)
        if name == self._inert.innermost_name:
            self._inert.pop()
        elif name == "body" and not self._inert:
            if self._conditions:
                self._conditional_body_end = tag.start()
            else:
                self._body_end = tag.start()
        return tag.end()

    # --- other markup

    def _after_markup(self, at: int) -> int | None:
        text = self._text
        if text.startswith("<!--", at):
            return self._after_comment(at)
        if text.startswith(_CDATA, at) and not (self._foreign is None or self._foreign.is_html):
            return _after(text, "]]>", at)
        if text.startswith(("<!", "<?"), at):
            self._note_condition(at)
            return _after(text, ">", at)
        if _CUT_TAG.match(text, at):
            return None
        # `</` before anything but a letter starts a comment.
        return _after(text, ">", at) if text.startswith("</", at) else at + 1

    def _after_comment(self, at: int) -> int | None:
        ends = end_of_comment(self._text, at)
        content_end, end = ends or (len(self._text), None)
        condition = _CONDITION.match(self._text, at, content_end)
        if condition is None or _ENDS_AT_ONCE.fullmatch(self._text, condition.end(), content_end):
            self._note_condition(at)
        else:
            self._hrefs += _hrefs_in_condition(self._text, condition.end(), content_end)
        return end

    def _note_condition(self, at: int) -> None:
        if _CONDITION.match(self._text, at):
            self._conditions += 1
        elif self._conditions and _CONDITION_END.match(self._text, at):
            self._conditions -= 1
            if not self._conditions:
                self._conditional_body_end = None


def _hrefs_in_condition(text: str, at: int, limit: int) -> Iterator[Href]:
    """Every href in a part of the text that Outlook reads as HTML and browsers as a comment."""
    while (at := text.find("<", at, limit)) >= 0:
        tag = TAG.match(text, at, limit)
        end: int | None
        if tag is None:
            # A comment cannot be in a comment, so what follows is still read by Outlook.
            end = None if _CUT_TAG.match(text, at) else at + 1
        else:
            end = tag.end()
            if not tag[1]:
                name = lower(tag[2])
                if name not in _NOT_FOLLOWED:
                    yield from _hrefs_of(tag, _HREF)
                if name in TEXT_ELEMENTS:
                    end = end_of_text(text, name, end, limit)
        if end is None:
            return
        at = end


def _hrefs_of(tag: re.Match[str], names: frozenset[str]) -> list[Href]:
    found: dict[str, Attribute] = {}
    for attribute in attributes_of(tag):
        if attribute.name in names or attribute.name == _OPT_OUT:
            found.setdefault(attribute.name, attribute)
    opt_out = found.pop(_OPT_OUT, None)
    if opt_out is not None and _text(opt_out).strip().lower() == "off":
        return []
    return [Href(attribute.at, attribute.raw, _text(attribute)) for attribute in found.values() if attribute.raw]


def _texts(tag: re.Match[str]) -> Mapping[str, str]:
    """The texts of a tag's attributes, by name."""
    found: dict[str, str] = {}
    for attribute in attributes_of(tag):
        found.setdefault(attribute.name, _text(attribute))
    return found


def _text(attribute: Attribute) -> str:
    return attribute_text(unquoted(attribute.raw))


def _after(text: str, end: str, at: int) -> int | None:
    found = text.find(end, at)
    return found + len(end) if found >= 0 else None
