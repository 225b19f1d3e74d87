"""Response of the API: status, headers and body."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from pydantic import BaseModel
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"

#: Responses may contain secrets, and browsers must not guess their type.
_COMMON_HEADERS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_CACHEABLE_HEADERS: Final = _COMMON_HEADERS[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response with a complete, bounded body, or with a `stream` that lasts as long as the client listens."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    #: Whether the request may be carried out again under its Idempotency-Key.
    frees_key: bool = False
    #: Keys of the messages in the body, which must not be kept under the Idempotency-Key once one of them is erased.
    message_keys: tuple[int, ...] = ()
    stream: AsyncIterator[bytes] | None = None
    #: Called when the response has been sent, or cannot be sent. Unlike the end of `stream`, it also runs when the
    #: stream was never started.
    on_end: Callable[[], None] = lambda: None

    @classmethod
    def of(cls, model: BaseModel, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
        """A response with the model as JSON, without the fields that were not set."""
        return cls(status=status, body=json_bytes(model), headers=headers)


def json_bytes(model: BaseModel) -> bytes:
    """The model as JSON without the fields that were not set."""
    return msgspec.json.encode(model.model_dump(exclude_unset=True))


async def send_response(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    """Sends the response: only the headers for HEAD; a stream until it ends or the client disconnects."""
    try:
        await _send(scope, receive, send, response)
    finally:
        response.on_end()


async def _send(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    without_body = scope["method"] == "HEAD"
    may_keep = any(name == "Cache-Control" for name, _ in response.headers)
    common = _CACHEABLE_HEADERS if may_keep else _COMMON_HEADERS
    headers = [*common, *((name.lower().encode(), value.encode("latin-1")) for name, value in response.headers)]
    if response.status != 204:
        headers.append((b"content-type", response.content_type.encode()))
    if response.stream is not None and not without_body:
        streaming = StreamingResponse(response.stream, response.status)
        streaming.raw_headers = headers
        await streaming(scope, receive, send)
        return
    if response.status != 204 and response.stream is None:
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if without_body else response.body})
