"""Rule for the public URL: mail recipients must be able to reach it, because links in sent mail cannot be changed."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def public_url_problem(public_url: str, host: str, *, is_behind_proxy: bool) -> str | None:
    """Why links to this URL would be dead in real mail, in one sentence, or None.

    Args:
        public_url: base of the tracking URLs.
        host: where the service listens.
        is_behind_proxy: whether trusted proxies are configured.
    """
    name = urlsplit(public_url).hostname or ""
    if _is_unspecified(name):
        return f"the public URL is {public_url}, which is no address that a mail recipient can reach"
    if is_loopback(name) and (is_behind_proxy or not is_loopback(host)):
        return f"the public URL is {public_url}, which leads each mail recipient to their own machine"
    return None


def is_loopback(name: str) -> bool:
    """Whether a host name or address is the machine's own."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _is_unspecified(name: str) -> bool:
    try:
        return ip_address(name).is_unspecified
    except ValueError:
        return False
