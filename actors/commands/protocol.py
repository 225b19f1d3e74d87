"""What goes through the gateway's socket, as bodies of frames (`actors.ipc.frames`).

`HITS` bodies are a MessagePack array of `TrackingHit`s, passed on to an enricher unopened; the answer is empty. `CALL`
bodies are the JSON array `[command's name, command]`, answered by the answer's JSON; JSON, because commands and answers
embed the JSON that users sent and will get.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final, get_args

import msgspec

from actors import commands
from actors.compatibility import reader
from domain.errors import InvalidInput
from domain.tracking import TrackingHit

#: One batch stays small enough to be answered quickly.
MAX_HITS: Final = 256


class Kind(IntEnum):
    """What a front end asks of its gateway, and the gateway of an enricher."""

    HITS = 10
    CALL = 11


def hits_body(hits: Sequence[bytes]) -> bytes:
    """The body of a `HITS` frame from hits that are MessagePack already."""
    if len(hits) > MAX_HITS:
        raise InvalidInput(f"{len(hits)} hits in a batch, {MAX_HITS} at most")
    return b"\xdc" + len(hits).to_bytes(2, "big") + b"".join(hits)


_read_hits = reader(list[TrackingHit])


def read_hits(body: bytes) -> list[TrackingHit]:
    """The hits of a `HITS` body.

    Raises:
        InvalidInput: one of them cannot be read.
    """
    try:
        hits: list[TrackingHit] = _read_hits(body)
    except msgspec.MsgspecError as exc:
        raise InvalidInput(f"a batch of hits cannot be read: {exc}") from exc
    return hits


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
        command: commands.Command[Any] = msgspec.json.decode(raw, type=COMMANDS[name])
    except (msgspec.MsgspecError, KeyError) as exc:
        raise InvalidInput(f"a command cannot be read: {exc}") from exc
    return command


def answer_body(answer: object) -> bytes:
    """The body of an `OK` frame."""
    return msgspec.json.encode(answer)


def read_answer(command: commands.Command[Any], body: bytes) -> Any:
    """The answer to `command`, typed as the command says."""
    return msgspec.json.decode(body, type=_answer_types[type(command)])
