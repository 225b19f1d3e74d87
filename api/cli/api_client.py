"""HTTP client of the API, for commands: plain requests, and errors that explain what to do."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self
from urllib.parse import quote
from uuid import uuid4

import httpx

from domain.validation import dots_problem

#: Seconds for one answer; a verification may wait for two time-outs of the other server.
TIMEOUT_S: Final = 90.0
#: How often a request is sent again while a part of the service is being restarted.
TRIES: Final = 4
_MAX_WAIT_S: Final = 5.0
_PAGE: Final = 200
_MAX_PORT: Final = 65535
EVENT_STREAM: Final = "text/event-stream"
_RIGHT_URL: Final = "is this the URL of a feedback-loops service?"


class Refused(Exception):
    """The service returned a problem (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any], url: str) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title") or f"status {status}"))
        self.status = status
        #: Members of the problem document; empty if the response was not one.
        self.problem = problem
        self.url = url
        errors = problem.get("errors")
        #: Pointer and problem of each wrong field.
        self.errors = [
            (str(error.get("pointer", "")), str(error.get("detail", "")))
            for error in (errors if isinstance(errors, list) else [])
            if isinstance(error, dict)
        ]

    @property
    def is_passing(self) -> bool:
        """Whether the service itself has a problem, so that the same request may succeed a moment later."""
        return self.status >= httpx.codes.INTERNAL_SERVER_ERROR


class Misused(Exception):
    """An argument or a setting of the command cannot be used."""


class Unreachable(Exception):
    """No service responds at the URL."""


class NotUnderstood(Exception):
    """The answer is not one of this API."""


class _Object(dict[str, Any]):
    """A JSON object of an answer."""

    def __missing__(self, name: str) -> Any:
        raise NotUnderstood(f"the answer has no {name!r}; {_RIGHT_URL}")


def path(template: str, *ids: str) -> str:
    """A path with an escaped id for each `{}`.

    Raises:
        Misused: an id is empty, or would make another path.
    """
    if not all(ids):
        raise Misused("an id must not be empty")
    if problem := next(filter(None, map(dots_problem, ids)), None):
        raise Misused(f"an id {problem}")
    return template.format(*(quote(id_, safe="") for id_ in ids))


def service_url(text: str) -> str:
    """The URL of a service, without a slash at its end.

    Raises:
        Misused: it is not one.
    """
    if not text.startswith(("http://", "https://")):
        raise Misused(f"the service's URL must start with http:// or https://, not be {text}")
    try:
        url = httpx.URL(text)
        url.raw_host.decode().encode("idna")  # as the connection does
        problem = None if url.host and (url.port or 0) <= _MAX_PORT else "its host or port is wrong"
    except (httpx.InvalidURL, UnicodeError) as exc:
        problem = str(exc)
    if problem is not None:
        raise Misused(f"{text} is not a URL: {problem}")
    return text.rstrip("/")


def needs_certificates(url: str) -> bool:
    """Whether certificates are checked. httpx reads them at once, which takes 40 ms, a fifth of a short command."""
    return url.startswith("https://")


def service_key(text: str) -> str:
    """The key.

    Raises:
        Misused: it cannot be a key.
    """
    if not text.isascii() or not text.isprintable():
        raise Misused("the key has a character that no key has; give the key as it was shown")
    return text


class Service:
    """A running service, accessed with one key."""

    def __init__(self, url: str, key: str) -> None:
        """Connects at the first request.

        Raises:
            Misused: the URL or the key cannot be sent.
        """
        self._url = service_url(url)
        headers = {"Authorization": f"Bearer {service_key(key)}"}
        self._http = httpx.Client(
            base_url=self._url,
            headers=headers,
            timeout=TIMEOUT_S,
            trust_env=False,
            verify=needs_certificates(self._url),
        )

    @property
    def url(self) -> str:
        return self._url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(self, method: str, path: str, **request: Any) -> Any:
        """The JSON of the answer, None where it has none.

        While a part of the service is being restarted (503) the request is sent again a few times; POSTs have an
        Idempotency-Key, so that nothing is done twice.

        Raises:
            Refused: any answer but 2xx.
            Unreachable: no answer.
            NotUnderstood: the answer is not a JSON object.
        """
        answer = self.answer(method, path, **request)
        return None if answer.status_code == httpx.codes.NO_CONTENT else read_object(answer.text, self._url)

    def answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Like `ask`, but returns the whole response."""
        headers = dict(request.pop("headers", {}))
        if method == "POST":
            headers["Idempotency-Key"] = str(uuid4())
        for left in reversed(range(TRIES)):
            answer = self._send(method, path, headers=headers, **request)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or left == 0:
                break
            time.sleep(_retry_after_s(answer))
        if not answer.is_success:
            raise self._refusal(answer)
        return answer

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **request)
        except httpx.RequestError as exc:
            raise self._unreachable(exc) from exc

    def _unreachable(self, error: httpx.RequestError) -> Unreachable:
        return Unreachable(f"no answer from {self._url} ({error or type(error).__name__}); is the service running?")

    def _refusal(self, answer: httpx.Response) -> Refused:
        try:
            problem = read_object(answer.text, self._url)
        except NotUnderstood:
            problem = {"detail": f"it leads to {answer.headers['location']}"} if answer.has_redirect_location else {}
        return Refused(answer.status_code, problem, self._url)

    def items(self, path: str, limit: int, **query: str | None) -> Iterator[dict[str, Any]]:
        """The first `limit` items of a list, page by page. Query parameters that are None are left out."""
        wanted = {name: value for name, value in query.items() if value is not None}
        while limit > 0:
            page = self.ask("GET", path, params={**wanted, "limit": str(min(limit, _PAGE))})
            yield from page["data"]
            limit -= len(page["data"])
            if page["next"] is None:
                return
            wanted["cursor"] = page["next"]

    @contextmanager
    def stream(
        self, path: str, silence_s: float, media_type: str = EVENT_STREAM, **request: Any
    ) -> Iterator[Iterator[str]]:
        """The lines of a long or endless response.

        Raises:
            Refused: any answer but 2xx.
            Unreachable: no answer, or nothing came for `silence_s` seconds, or the connection broke, at any time.
        """
        timeout = httpx.Timeout(TIMEOUT_S, read=silence_s)
        try:
            with self._http.stream("GET", path, timeout=timeout, **request) as answer:
                if not answer.is_success:
                    answer.read()
                    raise self._refusal(answer)
                if not answer.headers.get("content-type", "").startswith(media_type):
                    raise NotUnderstood(f"the answer of {self._url} is not {media_type}; {_RIGHT_URL}")
                yield answer.iter_lines()
        except httpx.RequestError as exc:
            raise self._unreachable(exc) from exc


def read_object(text: str, url: str) -> Any:
    """The JSON object in an answer.

    Raises:
        NotUnderstood: it is something else. Reading a member that the object lacks raises it, too.
    """
    try:
        found = json.loads(text, object_hook=_Object)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, _Object):
        raise NotUnderstood(f"the answer of {url} is not the API's; {_RIGHT_URL}")
    return found


def _retry_after_s(answer: httpx.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), _MAX_WAIT_S) if text.isascii() and text.isdigit() else 1.0
