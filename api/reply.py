"""An answer of the API before it goes out: status, body, headers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
from pydantic import BaseModel
from starlette.types import Send

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"

#: Answers may hold secrets and are never to be guessed at by a browser.
_COMMON_HEADERS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One whole answer; bodies are bounded, so none is streamed."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, model: BaseModel, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
        """The model as JSON; a field that was not set is left out."""
        return cls(status=status, body=json_bytes(model), headers=headers)


def json_bytes(model: BaseModel) -> bytes:
    """The model as JSON without the fields that were not set."""
    return msgspec.json.encode(model.model_dump(exclude_unset=True))


async def send_reply(send: Send, reply: Reply, *, without_body: bool) -> None:
    """Sends the answer; `without_body` is HEAD's way: the same headers alone."""
    headers = [*_COMMON_HEADERS, *((name.lower().encode(), value.encode("latin-1")) for name, value in reply.headers)]
    if reply.status != 204:
        headers.append((b"content-type", reply.content_type.encode()))
        headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if without_body else reply.body})
