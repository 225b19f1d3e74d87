"""Preparation of a message for its registration, and its tracking URLs afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, ParamSpec, TypeVar

import can_ada

from actors.commands.messages import MessageSpec, RegisteredMessage
from api.messages.html_links import HtmlLinks, Image, find_links
from api.messages.html_rewriter import rewrite_html
from api.schemas.messages import NewMessage, TrackedMessage, UntrackedLink
from api.tracking.targets import OUTER_SPACE, UntrackableLinkError, base_url, target_of
from api.tracking.urls import Destination, TrackingUrls
from domain.message import MAX_LINKS

#: Untracked links in an answer.
MAX_UNTRACKED: Final = 1000
#: HTML takes about 50 ns per character. Longer texts go into a thread, so that hits are answered meanwhile.
_LONG_HTML_CHARS: Final = 30_000

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedHtml:
    """The HTML of a message and what its links are for: `destinations` by the texts of their hrefs."""

    text: str
    links: HtmlLinks
    destinations: dict[str, Destination]
    untracked: dict[str, str]
    #: Pixels of messages of the account, which the new one replaces.
    former_pixels: list[Image]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedMessage:
    """A validated message: its registration, what its `links` are for, and its HTML to rewrite afterwards."""

    spec: MessageSpec
    given: dict[str, Destination]
    html: PreparedHtml | None


async def prepare(
    message: NewMessage, urls: TrackingUrls, account_no: int, seed: str | None, number: int
) -> PreparedMessage:
    """Prepares the registration of a message, including the links in its HTML.

    If there is a seed, a message without an id gets one derived from `seed` and `number`.
    """
    return await _in_turn(message.html, _prepare, message, urls, account_no, seed, number)


def _prepare(
    message: NewMessage, urls: TrackingUrls, account_no: int, seed: str | None, number: int
) -> PreparedMessage:
    sent = message.model_fields_set
    given = {link.strip(OUTER_SPACE): urls.destination(account_no, target_of(link) or link) for link in message.links}
    targets = {destination.target: None for destination in given.values() if destination.target}
    html = _prepared_html(message.html, urls, account_no, targets) if "html" in sent else None
    profile = message.profile if "profile" in sent else None
    spec = MessageSpec(
        recipient=message.recipient,
        id=message.id if "id" in sent else _made_id(seed, number),
        tags=message.tags,
        mailing=message.mailing if "mailing" in sent else None,
        reference=message.reference if "reference" in sent else None,
        database=profile.database if profile else None,
        profile=profile.id if profile else None,
        links=list(targets),
    )
    return PreparedMessage(spec=spec, given=given, html=html)


def _made_id(seed: str | None, number: int) -> str | None:
    return f"msg_{sha256(f'{seed}/{number}'.encode()).hexdigest()[:32]}" if seed else None


def _prepared_html(text: str, urls: TrackingUrls, account_no: int, targets: dict[str, None]) -> PreparedHtml:
    """The HTML with what its links are for. Adds their targets to `targets`, which are an ordered set."""
    links = find_links(text)
    base = base_url(links.base)
    destinations: dict[str, Destination] = {}
    untracked: dict[str, str] = {}
    for href in dict.fromkeys(href.text for href in links.hrefs):
        try:
            target = target_of(href, base)
        except UntrackableLinkError as exc:
            untracked[href] = str(exc)
            continue
        if target is None:
            continue
        destination = urls.destination(account_no, target)
        if destination.target and destination.target not in targets:
            if len(targets) == MAX_LINKS:
                untracked[href] = f"is beyond the {MAX_LINKS} different links that a message can have"
                continue
            targets[destination.target] = None
        destinations[href] = destination
    return PreparedHtml(
        text=text,
        links=links,
        destinations=destinations,
        untracked=untracked,
        former_pixels=[image for image in links.images if _is_pixel(image.src, base, urls, account_no)],
    )


def _is_pixel(src: str, base: can_ada.URL | None, urls: TrackingUrls, account_no: int) -> bool:
    """Whether an image is the pixel of a message of the account."""
    try:
        target = target_of(src, base)
    except UntrackableLinkError:
        return False
    return target is not None and urls.destination(account_no, target).trigger == "open"


async def tracked(prepared: PreparedMessage, registered: RegisteredMessage, urls: TrackingUrls) -> TrackedMessage:
    """The message's tracking URLs, and its HTML with these URLs."""
    html = prepared.html.text if prepared.html else None
    return await _in_turn(html, _tracked, prepared, registered, urls)


def _tracked(prepared: PreparedMessage, registered: RegisteredMessage, urls: TrackingUrls) -> TrackedMessage:
    no, key, html = registered.account_no, registered.key, prepared.html
    in_html = html.destinations if html else {}
    made = {d: urls.url_for(no, key, d) for d in {*prepared.given.values(), *in_html.values()}}
    answer = TrackedMessage(
        id=registered.id,
        open_url=urls.open_url(no, key),
        unsubscribe_url=urls.unsubscribe_url(no, key),
        links={link: made[destination] for link, destination in prepared.given.items()}
        | {destination.target: made[destination] for destination in in_html.values() if destination.target},
    )
    if (return_path := urls.return_path(no, key)) is not None:
        answer = answer.model_copy(update={"return_path": return_path})
    if html is None:
        return answer
    new_urls = {href: made[destination] for href, destination in in_html.items()}
    more: dict[str, object] = {
        "html": rewrite_html(html.text, html.links, new_urls, answer.open_url, html.former_pixels)
    }
    if html.untracked:
        listed = list(html.untracked.items())[:MAX_UNTRACKED]
        more["untracked"] = [UntrackedLink(href=href, detail=detail) for href, detail in listed]
    return answer.model_copy(update=more)


async def _in_turn(html: str | None, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    if html is not None and len(html) > _LONG_HTML_CHARS:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)
