"""Tracking URLs, which recipients' mail programs and browsers request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import unquote

from api.tracking.targets import parse_url
from domain.errors import InvalidToken, TemporaryConflict
from domain.message import link_problem
from domain.tokens import TrackingTokens

#: The trigger of a tracking URL, by the prefix of its path.
PATHS: Final = {"/o/": "open", "/c/": "click", "/u/": "unsubscribe"}

#: Hint for clients: an operator needs about this many seconds to restart the service with another setting.
FIXED_AFTER_S: Final = 60.0

#: What link detection in plain-text mail tends to include at the end of a URL.
_PUNCTUATION: Final = ".,;:!?)>]}\"'"


def token_text(path: str) -> str:
    """The token in the path of a tracking URL, without punctuation after it."""
    return path[3:].rstrip(_PUNCTUATION)


class Destination(NamedTuple):
    """Purpose of a link: a click that leads to `target`, or a trigger of the message, without a target."""

    trigger: str
    target: str = ""


class TrackingUrls:
    """Tracking URLs below the public URL of the service: `/o/<token>`, `/c/<token>`, `/u/<token>`."""

    def __init__(
        self,
        public_url: str,
        tokens: TrackingTokens,
        return_path: Callable[[int, int], str] | None = None,
        problem: str | None = None,
    ) -> None:
        """Makes URLs below `public_url`.

        Args:
            public_url: base of the tracking URLs.
            tokens: signs them.
            return_path: makes the return-path address of a message; None if there is no domain for these.
            problem: why recipients cannot reach the public URL, or None.
        """
        self._problem = problem
        self._return_path = return_path
        self._base = public_url.rstrip("/")
        self._tokens = tokens
        url = parse_url(self._base)
        self._host = url.host if url else None
        self._path = unquote(url.pathname).rstrip("/") if url else ""

    def check_reachable(self) -> None:
        """Checks that mail with these URLs may be sent.

        Raises:
            TemporaryConflict: they would be dead; succeeds when the operator has set another public URL.
        """
        if self._problem is not None:
            raise TemporaryConflict(f"{self._problem}: set --public-url (FEEDBACK_LOOPS_PUBLIC_URL)", FIXED_AFTER_S)

    def destination(self, account_no: int, target: str) -> Destination:
        """The purpose of a link to `target`, an absolute http(s) URL.

        If the target is a tracking URL of any message of the account, it is the purpose of that URL.
        """
        url = parse_url(target)
        if url and url.host == self._host and (own := self._own(account_no, unquote(url.pathname))) is not None:
            # Browsers keep the fragment when they are redirected to a URL without one.
            with_fragment = own.target + url.hash
            if own.target and "#" not in own.target and link_problem(with_fragment) is None:
                return own._replace(target=with_fragment)
            return own
        return Destination("click", target)

    def _own(self, account_no: int, path: str) -> Destination | None:
        path = path.removeprefix(self._path)
        if (trigger := PATHS.get(path[:3])) is None:
            return None
        try:
            token = self._tokens.read(trigger, token_text(path))
        except InvalidToken:
            return None
        return Destination(trigger, token.target) if token.account_no == account_no else None

    def url_for(self, account_no: int, message_key: int, destination: Destination) -> str:
        """The message's tracking URL for this destination."""
        match destination.trigger:
            case "open":
                return self.open_url(account_no, message_key)
            case "unsubscribe":
                return self.unsubscribe_url(account_no, message_key)
            case _:
                return self.link_url(account_no, message_key, destination.target)

    def return_path(self, account_no: int, message_key: int) -> str | None:
        """The envelope sender for the mail, by which a returned mail is matched to the message."""
        return None if self._return_path is None else self._return_path(account_no, message_key)

    def open_url(self, account_no: int, message_key: int) -> str:
        """The URL of the pixel that a mail program loads when the message is opened."""
        return f"{self._base}/o/{self._tokens.open(account_no, message_key)}"

    def link_url(self, account_no: int, message_key: int, target: str) -> str:
        """The URL that redirects to `target`, an absolute http(s) URL. The token contains the target."""
        return f"{self._base}/c/{self._tokens.click(account_no, message_key, target)}"

    def unsubscribe_url(self, account_no: int, message_key: int) -> str:
        """The URL for the `List-Unsubscribe` header (RFC 8058) and for links that people follow."""
        return f"{self._base}/u/{self._tokens.unsubscribe(account_no, message_key)}"
