"""The frames between a front end and its gateway, over a Unix socket.

    frame = length (4 bytes, little endian, of what follows the header) · kind (1) · request id (8) · body

`HITS` bodies are a MessagePack array of `TrackingHit`s, passed on to Ray unopened. `CALL` bodies are the JSON array
`[command's name, command]`; JSON, because commands and answers embed the JSON that users sent and will get.
An `OK` body is the answer's JSON, an `ERROR` body the JSON of `domain.errors.to_wire`.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple, get_args

import msgspec

from actors import commands
from domain.errors import FeedbackLoopsError, InvalidInput, from_wire, to_wire
from domain.tracking import TrackingHit

HEADER: Final = struct.Struct("<IBQ")
MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
#: One Ray call stays below the size at which Ray puts arguments into its object store.
MAX_HITS: Final = 256


class Kind(IntEnum):
    """What a frame is."""

    HITS = 1
    CALL = 2
    OK = 3
    ERROR = 4


class Frame(NamedTuple):
    """One message, either way."""

    kind: int
    request_id: int
    body: bytes


def frame_bytes(kind: Kind, request_id: int, body: bytes) -> bytes:
    """The frame as it goes over the socket."""
    return HEADER.pack(len(body), kind, request_id) + body


async def read_frame(reader: asyncio.StreamReader) -> Frame | None:
    """The next frame, or None at the end of the stream.

    Raises:
        ConnectionError: the peer sent something else.
    """
    try:
        length, kind, request_id = HEADER.unpack(await reader.readexactly(HEADER.size))
        if length > MAX_FRAME_BYTES:
            raise ConnectionError(f"a frame of {length} bytes")
        return Frame(kind, request_id, await reader.readexactly(length))
    except asyncio.IncompleteReadError:
        return None


def hits_body(hits: Sequence[bytes]) -> bytes:
    """The body of a `HITS` frame from hits that are MessagePack already."""
    if len(hits) > MAX_HITS:
        raise InvalidInput(f"{len(hits)} hits in a batch, {MAX_HITS} at most")
    return b"\xdc" + len(hits).to_bytes(2, "big") + b"".join(hits)


_hits_decoder = msgspec.msgpack.Decoder(list[TrackingHit])


def read_hits(body: bytes) -> list[TrackingHit]:
    """The hits of a `HITS` body.

    Raises:
        InvalidInput: one of them cannot be read.
    """
    try:
        return _hits_decoder.decode(body)
    except msgspec.MsgspecError as exc:
        raise InvalidInput(f"a batch of hits cannot be read: {exc}") from exc


COMMANDS: Final[dict[str, type[commands.Command[Any]]]] = {
    cls.__name__: cls for cls in commands.Command.__subclasses__()
}
_answer_types: Final[dict[type, Any]] = {
    cls: get_args(vars(cls)["__orig_bases__"][0])[0] for cls in commands.Command.__subclasses__()
}


def call_body(command: commands.Command[Any]) -> bytes:
    """The body of a `CALL` frame."""
    return msgspec.json.encode((type(command).__name__, command))


def read_call(body: bytes) -> commands.Command[Any]:
    """The command of a `CALL` body.

    Raises:
        InvalidInput: no such command, or not its shape.
    """
    try:
        name, raw = msgspec.json.decode(body, type=tuple[str, msgspec.Raw])
        return msgspec.json.decode(raw, type=COMMANDS[name])
    except (msgspec.MsgspecError, KeyError) as exc:
        raise InvalidInput(f"a command cannot be read: {exc}") from exc


def answer_body(answer: object) -> bytes:
    """The body of an `OK` frame."""
    return msgspec.json.encode(answer)


def read_answer(command: commands.Command[Any], body: bytes) -> Any:
    """The answer to `command`, typed as the command says."""
    return msgspec.json.decode(body, type=_answer_types[type(command)])


def error_body(error: FeedbackLoopsError) -> bytes:
    """The body of an `ERROR` frame."""
    return msgspec.json.encode(to_wire(error))


def read_error(body: bytes) -> FeedbackLoopsError:
    """The error of an `ERROR` body."""
    name, args = msgspec.json.decode(body)
    return from_wire(name, args)
