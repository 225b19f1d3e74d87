"""Tracking URLs, which the mail programs of recipients request."""

from __future__ import annotations

from typing import Final

from domain.tokens import TrackingTokens

#: The trigger of a tracking URL, by the beginning of its path.
PATHS: Final = {"/o/": "open", "/c/": "click", "/u/": "unsubscribe"}


class TrackingUrls:
    """Tracking URLs below the public URL of the service: `/o/<token>`, `/c/<token>`, `/u/<token>`."""

    def __init__(self, public_url: str, tokens: TrackingTokens) -> None:
        self._base = public_url.rstrip("/")
        self._tokens = tokens

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Prefixes of all tracking URLs: a link that has one is tracked already, and must not be rewritten."""
        return tuple(f"{self._base}{path}" for path in PATHS)

    def open_url(self, account_no: int, message_key: int) -> str:
        """The URL of the pixel that a mail program loads when the message is opened."""
        return f"{self._base}/o/{self._tokens.open(account_no, message_key)}"

    def link_url(self, account_no: int, message_key: int, target: str) -> str:
        """Redirects to `target`, an absolute http(s) URL, which is inside the token."""
        return f"{self._base}/c/{self._tokens.click(account_no, message_key, target)}"

    def unsubscribe_url(self, account_no: int, message_key: int) -> str:
        """For the `List-Unsubscribe` header (RFC 8058) and for people."""
        return f"{self._base}/u/{self._tokens.unsubscribe(account_no, message_key)}"
