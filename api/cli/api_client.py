"""HTTP client of the API, for commands: plain requests, and errors that explain what to do."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self
from urllib.parse import quote
from uuid import uuid4

import httpx

#: Seconds for one answer; a verification may wait for two time-outs of the other server.
TIMEOUT_S: Final = 90.0
#: How often a request is sent again while a part of the service is being restarted.
TRIES: Final = 4
_MAX_WAIT_S: Final = 5.0
_PAGE: Final = 200


class Refused(Exception):
    """The service returned a problem (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any], url: str) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title") or f"status {status}"))
        self.status = status
        #: Members of the problem document; empty if the response was not one.
        self.problem = problem
        self.url = url

    @property
    def is_passing(self) -> bool:
        """Whether the service itself has a problem, so that the same request may succeed a moment later."""
        return self.status >= httpx.codes.INTERNAL_SERVER_ERROR


class Unreachable(Exception):
    """No service responds at the URL."""


def path(template: str, *ids: str) -> str:
    """A path with an escaped id for each `{}`."""
    return template.format(*(quote(id_, safe="") for id_ in ids))


class Service:
    """A running service, accessed with one key."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self._url, headers={"Authorization": f"Bearer {key}"}, timeout=TIMEOUT_S, trust_env=False
        )

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
        """
        answer = self.answer(method, path, **request)
        return answer.json() if answer.content else None

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
        except httpx.InvalidURL as exc:
            raise Unreachable(f"{self._url} is not a URL: {exc}") from exc
        except httpx.TransportError as exc:
            raise self._unreachable(exc) from exc

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        return Unreachable(f"no answer from {self._url} ({error or type(error).__name__}); is the service running?")

    def _refusal(self, answer: httpx.Response) -> Refused:
        try:
            problem = answer.json()
        except ValueError:
            problem = None
        return Refused(answer.status_code, problem if isinstance(problem, dict) else {}, self._url)

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
    def stream(self, path: str, silence_s: float, **request: Any) -> Iterator[Iterator[str]]:
        """The lines of an endless response.

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
                yield answer.iter_lines()
        except httpx.TransportError as exc:
            raise self._unreachable(exc) from exc


def _retry_after_s(answer: httpx.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), _MAX_WAIT_S) if text.isdigit() else 1.0
