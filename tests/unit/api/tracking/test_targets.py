"""Targets of links, against the tests of the URL standard."""

from __future__ import annotations

import json
from collections.abc import Iterator

import can_ada
import pytest

from api.tracking.app import location_of
from api.tracking.targets import UntrackableLinkError, base_url, given_link_problem, target_of
from domain.message import link_problem
from tests.paths import FIXTURES


def standard_cases() -> Iterator[tuple[str, can_ada.URL | None, str | None]]:
    """The inputs, bases and results of the standard's tests."""
    for case in json.loads((FIXTURES / "web-platform-tests/urltestdata.json").read_text()):
        if isinstance(case, dict) and not (case.get("base") and base_url(case["base"]) is None):
            yield case["input"], base_url(case.get("base")), case.get("href")


def test_targets_are_those_of_the_url_standard() -> None:
    """A target exists if and only if a browser would go to the web; it, and the redirect to it, mean the same URL."""
    count = 0
    for href, base, expected in standard_cases():
        try:
            target = target_of(href, base)
        except UntrackableLinkError:
            target = None
        if expected is None or not expected.startswith(("http:", "https:")):
            assert target is None, href
            continue
        count += 1
        assert target is not None, href
        assert link_problem(target) is None
        assert can_ada.parse(target).href == expected, href
        location = location_of(target)
        assert location is not None
        assert (can_ada.parse("https://t.example/c/x") + location.decode()).href == expected, href
    assert count > 200


@pytest.mark.parametrize(
    ("href", "target"),
    [
        ("https://x", "https://x"),
        ("HTTPS://X/a b?é#[", "HTTPS://X/a b?é#["),
        ("http://x:80/../a", "http://x:80/../a"),
        (" \t\nhttps://x/\ry \0", "https://x/y"),
        ("https:/h/x", "https://h/x"),
        ("https:h/x", "https://h/x"),
        ("http:///h/x", "http://h/x"),
        ("http:\\\\h\\x", "http://h/x"),
        ("https://h/\x01\x7f", "https://h/%01%7F"),
        ("https://h/\x80", "https://h/%C2%80"),
        ("https://h/\ufffe", "https://h/\ufffe"),
        ("https://[::1]:8080/", "https://[::1]:8080/"),
        ("https://a_b.c:65535", "https://a_b.c:65535"),
        ("https://u:p@h?", "https://u:p@h?"),
        (f"https://{'é' * 600}@é.example/{'é' * 700}", f"https://{'é' * 600}@é.example/{'é' * 700}"),
    ],
)
def test_a_target_keeps_its_spelling(href: str, target: str) -> None:
    """A URL stays as it is spelled if programs that are less lenient than browsers can read it."""
    assert target_of(href) == target
    assert given_link_problem(href) is None


@pytest.mark.parametrize(
    ("href", "target"),
    [
        ("y", "https://h/a/y"),
        ("/y?é", "https://h/y?%C3%A9"),
        ("//o/y", "https://o/y"),
        ("\\\\o\\y", "https://o/y"),
        ("?y", "https://h/a/b?y"),
        ("", "https://h/a/b?c"),
        ("#y", "https://h/a/b?c#y"),
        ("https:y", "https://h/a/y"),
        ("https:/y", "https://h/y"),
        ("http:y", "http://y/"),
        ("HTTP://y", "HTTP://y"),
        ("mailto:a@b", None),
        ("javascript:x", None),
    ],
)
def test_links_relative_to_a_base(href: str, target: str | None) -> None:
    """They lead to where a browser would go."""
    assert target_of(href, base_url("https://h/a/b?c#d")) == target


@pytest.mark.parametrize("base", [None, "", "/x", "https://", "data:text/html,x", "javascript:x"])
def test_bases_that_browsers_ignore(base: str | None) -> None:
    """Without a base, absolute links are targets, and relative ones are not."""
    assert target_of("https:y", base_url(base)) == "https://y/"
    with pytest.raises(UntrackableLinkError, match="relative"):
        target_of("y", base_url(base))


def test_a_base_of_another_scheme() -> None:
    """What is relative to it does not lead to the web."""
    assert target_of("y", base_url("ftp://h/x")) is None
    with pytest.raises(UntrackableLinkError, match="browsers"):
        target_of("y", base_url("mailto:x"))


@pytest.mark.parametrize("href", ["", "#top", "  ", "mailto:a@b", "tel:1", "data:,x", "ftp://x/", "cid:1", "x-y.z+1:"])
def test_links_to_other_places_are_no_targets(href: str) -> None:
    """Parts of the document and other schemes are not meant to lead to the web."""
    assert target_of(href) is None
    assert given_link_problem(href) == "must start with http:// or https://"


@pytest.mark.parametrize(
    "href",
    [
        *("http://", "http://#", "http://?x", "https:///", "https:", "http:", "https:// x", "http://:80/", "http://a@"),
        *(
            "http://a b/",
            "http://a:b@:80/@x",
            "http://x:65536/",
            f"http://x:{'9' * 10_000}/",
            "http://[::1",
            "http://\xad/",
        ),
        *("http://1.2.3.4.5/", "http://a%00b/", "http://a<b/", "http://xn--/", "https://h/\ud800", "http://\ud800/"),
        "https://h/".ljust(8193, "x"),
        f"https:/u@{'é' * 301}/x",
        "https://h/" + "é" * 4092,
        "https:h/" + "é" * 1400,
        "{{ unsubscribe }}",
        "/y",
        "//h/y",
        "www.example.com",
    ],
)
def test_links_that_cannot_be_tracked(href: str) -> None:
    """What no browser opens, what is relative to nothing, and what is too long is refused with a reason."""
    with pytest.raises(UntrackableLinkError, match=r"^(is|must) "):
        target_of(href)
    assert given_link_problem(href)
