"""Protocol of the gateway's socket: the bodies of its frames (`actors.ipc.frames`).

`INTAKE` bodies are batches of `actors.commands.intake`, passed on to an enricher unopened; the answer is empty. `CALL`
bodies are the JSON array `[command's name, command]`, answered by the answer's JSON; JSON, because commands and answers
embed the JSON that users sent and will get.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, get_args

import msgspec

from actors.commands import (
    accounts,
    deliveries,
    erasures,
    events,
    front_end_erasures,
    installation_keys,
    loops,
    messages,
    metrics,
    profiles,
    recipients,
    reports,
    service,
    statistics,
    users,
)
from actors.commands.command import Command
from domain.errors import InvalidInput


class GatewayFrame(IntEnum):
    """Kinds of frames from a front end to its gateway. The gateway passes `INTAKE` on to an enricher."""

    INTAKE = 10
    CALL = 11


_MODULES: Final = (
    accounts,
    deliveries,
    erasures,
    events,
    front_end_erasures,
    installation_keys,
    loops,
    messages,
    metrics,
    profiles,
    recipients,
    reports,
    service,
    statistics,
    users,
)

#: Every command, by its name.
COMMANDS: Final[dict[str, type[Command[Any]]]] = {
    cls.__name__: cls
    for module in _MODULES
    for cls in vars(module).values()
    if isinstance(cls, type) and issubclass(cls, Command) and cls not in {Command, loops.LoopCommand}
}
_answer_types: Final[dict[type, Any]] = {cls: get_args(vars(cls)["__orig_bases__"][0])[0] for cls in COMMANDS.values()}


def answer_type(command: type[Command[Any]]) -> Any:
    """The type of the command's answer."""
    return _answer_types[command]


def call_body(command: Command[Any]) -> bytes:
    """The body of a `CALL` frame."""
    return msgspec.json.encode((type(command).__name__, command))


def read_call(body: bytes) -> Command[Any]:
    """The command of a `CALL` body.

    Raises:
        InvalidInput: the command is unknown, or malformed.
    """
    try:
        name, raw = msgspec.json.decode(body, type=tuple[str, msgspec.Raw])
        command: Command[Any] = msgspec.json.decode(raw, type=COMMANDS[name])
    except (msgspec.MsgspecError, KeyError) as exc:
        raise InvalidInput(f"a command cannot be read: {exc}") from exc
    return command


def answer_body(answer: object) -> bytes:
    """The body of an `OK` frame."""
    return msgspec.json.encode(answer)


def read_answer(command: Command[Any], body: bytes) -> Any:
    """The answer to a command, decoded to the command's answer type."""
    return msgspec.json.decode(body, type=answer_type(type(command)))
