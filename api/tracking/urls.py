"""Tracking URLs, which recipients' mail programs and browsers request."""

from __future__ import annotations

from typing import Final

from domain.tokens import TrackingTokens

#: The trigger of a tracking URL, by the prefix of its path.
PATHS: Final = {"/o/": "open", "/c/": "click", "/u/": "unsubscribe"}


class TrackingUrls:
    """Tracking URLs below the public URL of the service: `/o/<token>`, `/c/<token>`, `/u/<token>`."""

    def __init__(self, public_url: str, tokens: TrackingTokens) -> None:
        self._base = public_url.rstrip("/")
        self._tokens = tokens

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Prefixes of all tracking URLs: a link with such a prefix is already tracked and must not be rewritten."""
        return tuple(f"{self._base}{path}" for path in PATHS)

    def open_url(self, account_no: int, message_key: int) -> str:
        """The URL of the pixel that a mail program loads when the message is opened."""
        return f"{self._base}/o/{self._tokens.open(account_no, message_key)}"

    def link_url(self, account_no: int, message_key: int, target: str) -> str:
        """The URL that redirects to `target`, an absolute http(s) URL. The token contains the target."""
        return f"{self._base}/c/{self._tokens.click(account_no, message_key, target)}"

    def unsubscribe_url(self, account_no: int, message_key: int) -> str:
        """The URL for the `List-Unsubscribe` header (RFC 8058) and for links that people follow."""
        return f"{self._base}/u/{self._tokens.unsubscribe(account_no, message_key)}"
