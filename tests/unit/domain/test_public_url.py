"""Public URL: refused where links would be dead in real mail, and only there."""

from __future__ import annotations

import pytest

from domain.public_url import public_url_problem


@pytest.mark.parametrize(
    ("url", "host", "is_behind_proxy"),
    [
        ("http://0.0.0.0:8080", "0.0.0.0", False),
        ("http://[::]:8080", "::", False),
        ("https://0.0.0.0", "127.0.0.1", False),
        ("http://127.0.0.1:8080", "0.0.0.0", False),
        ("http://[::1]:8080", "192.0.2.1", False),
        ("http://localhost:8080", "::", False),
        ("http://127.0.0.1:8080", "127.0.0.1", True),
        ("http://127.8.9.1/base", "127.0.0.1", True),
    ],
)
def test_an_address_that_no_recipient_reaches_is_a_problem(url: str, host: str, is_behind_proxy: bool) -> None:
    """The problem names the URL."""
    problem = public_url_problem(url, host, is_behind_proxy=is_behind_proxy)

    assert problem is not None
    assert url in problem


@pytest.mark.parametrize(
    ("url", "host", "is_behind_proxy"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1", False),
        ("http://[::1]:8080", "localhost", False),
        ("https://track.example.com", "0.0.0.0", True),
        ("http://192.0.2.1:8080", "0.0.0.0", False),
        ("http://10.0.0.1", "10.0.0.1", True),
    ],
)
def test_trying_it_out_and_real_addresses_are_not(url: str, host: str, is_behind_proxy: bool) -> None:
    """A service for this machine alone may have links to it."""
    assert public_url_problem(url, host, is_behind_proxy=is_behind_proxy) is None
