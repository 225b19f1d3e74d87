"""Rewriter of HTML mail: other URLs in links, and the pixel. The rest is unchanged, byte for byte."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

from api.messages.html_links import Href, HtmlLinks, Image


def rewrite_html(
    document: str, found: HtmlLinks, new_urls: Mapping[str, str], pixel_url: str, former_pixels: Iterable[Image] = ()
) -> str:
    """The document with new URLs for hrefs, by the texts of these, and with the pixel.

    `found` is what `find_links` found in the document. An href without a new URL stays, and so does an image that is
    not one of `former_pixels`.
    """
    changes = [
        (href.at, href.raw, _attribute_value(href, new_url))
        for href in found.hrefs
        if (new_url := new_urls.get(href.text, href.text)) != href.text
    ]
    changes += [(image.at, image.tag, "") for image in former_pixels]
    if found.pixel_at is not None:
        pixel = f'<img src="{html.escape(pixel_url)}" width="1" height="1" alt="">'
        changes.append((found.pixel_at, "", pixel))
    parts, done = [], 0
    for at, old, new in sorted(changes):
        parts += [document[done:at], new]
        done = at + len(old)
    return "".join([*parts, document[done:]])


def _attribute_value(href: Href, url: str) -> str:
    quote = href.raw[0] if href.raw[0] in {'"', "'"} else '"'
    return f"{quote}{html.escape(url)}{quote}"
