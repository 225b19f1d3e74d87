"""Tracking URLs, and links that are tracking URLs already."""

from __future__ import annotations

from functools import partial

import pytest

from api.tracking.urls import Destination, TrackingUrls
from domain.key_set import KeySet
from domain.return_path import ReturnPathTokens
from domain.tokens import TrackingTokens

TOKENS = TrackingTokens(KeySet.single(bytes(range(32))))
KEY = 2**62 + 1
TARGET = "https://example.com/a?b=c"
CLICK = TOKENS.click(1, KEY, TARGET)


def test_a_return_path_is_made_if_there_is_a_domain() -> None:
    """It is the address of the message's token; without a domain there is none."""
    tokens = ReturnPathTokens(KeySet.single(b"k"))
    urls = TrackingUrls("https://t.example", TOKENS, partial(tokens.address, domain="return.example"))

    assert urls.return_path(1, 2) == f"b-{tokens.make(1, 2)}@return.example"
    assert TrackingUrls("https://t.example", TOKENS).return_path(1, 2) is None


def test_urls_are_below_the_public_url() -> None:
    """A tracking URL is the public URL, the kind and the token."""
    urls = TrackingUrls("https://track.example/base/", TOKENS)
    for destination, made in (
        (Destination("open"), f"https://track.example/base/o/{TOKENS.open(1, KEY)}"),
        (Destination("click", TARGET), f"https://track.example/base/c/{CLICK}"),
        (Destination("unsubscribe"), f"https://track.example/base/u/{TOKENS.unsubscribe(1, KEY)}"),
    ):
        assert urls.url_for(1, KEY, destination) == made
        assert urls.destination(1, made) == destination
    assert urls.link_url(1, KEY, TARGET) == urls.url_for(1, KEY, Destination("click", TARGET))
    assert urls.unsubscribe_url(1, KEY) == urls.url_for(1, KEY, Destination("unsubscribe"))
    assert urls.open_url(1, KEY) == urls.url_for(1, KEY, Destination("open"))


@pytest.mark.parametrize(
    ("public_url", "link"),
    [
        ("https://t.example", f"HTTPS://T.EXAMPLE/c/{CLICK}"),
        ("https://t.example", f"https://t.example:443/c/{CLICK}"),
        ("https://t.example:443", f"https://t.example/c/{CLICK}"),
        ("https://t.example:8443", f"https://T.example:8443/c/{CLICK}"),
        ("https://t.example", f"http://t.example/c/{CLICK}"),
        ("https://t.example", f"https://t.example/%63/{CLICK}"),
        ("https://t.example", f"https://t.example/c/%{ord(CLICK[0]):02x}{CLICK[1:]}"),
        ("https://t.example", f"https://t.example/x/../c/{CLICK}?utm_source=x"),
        ("https://t.example", f"https://t.example/c/{CLICK}%3E).?x"),
        ("https://t.example", f"https://user@t%2eexample/c/{CLICK}"),
        ("https://bücher.example", f"https://xn--bcher-kva.example/c/{CLICK}"),
        ("https://xn--bcher-kva.example", f"https://BÜCHER.example/c/{CLICK}"),
        ("http://127.0.0.1:8080", f"http://0x7f.1:8080/c/{CLICK}"),
        ("https://t.example/a b", f"https://t.example/a%20b/c/{CLICK}"),
    ],
)
def test_our_own_links_are_recognised_in_any_spelling(public_url: str, link: str) -> None:
    """Scheme, host, port and path are compared as a browser reads them, and the token's target is returned."""
    assert TrackingUrls(public_url, TOKENS).destination(1, link) == Destination("click", TARGET)


@pytest.mark.parametrize(
    "link",
    [
        "https://t.example/",
        "https://t.example/c/",
        "https://t.example/c/abc",
        f"https://t.example/c/{CLICK}x",
        f"https://t.example/o/{CLICK}",
        f"https://t.example/C/{CLICK}",
        f"https://t.example/x/c/{CLICK}",
        f"https://t.example:444/c/{CLICK}",
        f"https://other.example/c/{CLICK}",
        f"https://t.example/c/{TrackingTokens(KeySet.single(b'other')).click(1, KEY, TARGET)}",
        f"https://t.example/c/{TOKENS.click(2, KEY, TARGET)}",
        "https://t.example/c/é%FF",
    ],
)
def test_other_links_lead_to_themselves(link: str) -> None:
    """Another host, a token that is not genuine, and another account's token are no tracking URLs of the account."""
    assert TrackingUrls("https://t.example", TOKENS).destination(1, link) == Destination("click", link)


def test_the_fragment_of_a_tracked_link_is_kept() -> None:
    """A browser that is redirected keeps the fragment unless the target has one, and so does the destination."""
    urls = TrackingUrls("https://t.example", TOKENS)
    assert urls.destination(1, f"{urls.link_url(1, KEY, TARGET)}#top").target == f"{TARGET}#top"
    assert urls.destination(1, f"{urls.link_url(1, KEY, 'https://x/#a')}#b").target == "https://x/#a"
    assert urls.destination(1, f"{urls.unsubscribe_url(1, KEY)}#b") == Destination("unsubscribe")
    longest = "https://example.com/".ljust(8192, "x")
    assert urls.destination(1, f"{urls.link_url(1, KEY, longest)}#b").target == longest


def test_a_public_url_that_no_browser_opens_owns_no_links() -> None:
    """It is no error."""
    urls = TrackingUrls("http://[fe80::1%25eth0]:8080", TOKENS)
    assert urls.destination(1, urls.link_url(1, KEY, TARGET)).target == urls.link_url(1, KEY, TARGET)
