"""An answer of the API before it goes out: status, body, headers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import msgspec
from pydantic import BaseModel
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"

#: Answers may hold secrets and are never to be guessed at by a browser.
_COMMON_HEADERS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_CACHEABLE_HEADERS: Final = _COMMON_HEADERS[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer. Its body is whole, and bounded; or `stream` follows, for as long as the client listens."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    stream: AsyncIterator[bytes] | None = None

    @classmethod
    def of(cls, model: BaseModel, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
        """The model as JSON; a field that was not set is left out."""
        return cls(status=status, body=json_bytes(model), headers=headers)


def json_bytes(model: BaseModel) -> bytes:
    """The model as JSON without the fields that were not set."""
    return msgspec.json.encode(model.model_dump(exclude_unset=True))


async def send_reply(scope: Scope, receive: Receive, send: Send, reply: Reply) -> None:
    """Sends the answer: to HEAD its headers alone; a stream until it ends or the client has gone away."""
    without_body = scope["method"] == "HEAD"
    may_keep = any(name == "Cache-Control" for name, _ in reply.headers)
    common = _CACHEABLE_HEADERS if may_keep else _COMMON_HEADERS
    headers = [*common, *((name.lower().encode(), value.encode("latin-1")) for name, value in reply.headers)]
    if reply.status != 204:
        headers.append((b"content-type", reply.content_type.encode()))
    if reply.stream is not None and not without_body:
        response = StreamingResponse(reply.stream, reply.status)
        response.raw_headers = headers
        await response(scope, receive, send)
        return
    if reply.status != 204 and reply.stream is None:
        headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if without_body else reply.body})
