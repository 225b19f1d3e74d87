"""What crosses between processes of two neighbouring versions, and how each reads what the other wrote.

While a cluster gets a new version, front ends and actors of the old one and of the new one work together, in both
directions; and a journal may be read by either. So between a version and the next:

- A type that crosses may get new fields: at its end, with a default that means what it meant before there was the
  field. Nothing else about it changes: no field goes, or gets another place, name, type or meaning; neither do the type
  itself, its module, the number of a `Kind`, and the arguments of an actor's method.
- Who reads fills in the defaults of what the other does not know yet, and leaves out what it does not know itself.
  `reader` does so for what crosses as bytes, `Crossing` and `crosses` for what Ray pickles; msgspec does it in JSON.
- A new method, kind or command is refused by an old process. Who asks goes on without the answer, or asks again.
- What is to go is no longer written in one version, and no longer read in the next.

`tests/next_version.py` is a version that changes as much as this allows; the tests have it work with this one.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T")


def reader(kind: Any) -> Callable[[bytes], Any]:
    """What reads a MessagePack body of that type, also one with fields that are not known here.

    It raises `msgspec.MsgspecError` for what is no such body.
    """
    decode = msgspec.msgpack.Decoder(kind).decode

    def read(body: bytes) -> Any:
        try:
            return decode(body)
        except msgspec.ValidationError:  # tuples are read with all that they hold, or not at all: then the slow way
            return msgspec.convert(_known(msgspec.msgpack.decode(body), kind), kind)

    return read


def _known(value: Any, kind: Any) -> Any:
    """Plain data without the fields that a tuple of the type does not have."""
    arguments = get_args(kind)
    origin = get_origin(kind)
    if origin in {Union, UnionType}:
        return value if value is None else _known(value, next(a for a in arguments if a is not type(None)))
    if isinstance(value, dict) and origin is dict:
        return {key: _known(item, arguments[1]) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    if fields := getattr(kind, "_fields", None):
        types = get_type_hints(kind)
        return [_known(item, types[field]) for item, field in zip(value, fields, strict=False)]
    if origin is tuple and Ellipsis not in arguments:
        return [_known(item, each) for item, each in zip(value, arguments, strict=True)]
    return [_known(item, arguments[0]) for item in value] if arguments else value


class Crossing(msgspec.Struct, frozen=True):
    """A struct that may be an argument of a Ray call, or in its answer."""

    def __reduce__(self) -> Any:
        return taken_apart(self)


def crosses(kind: type[T]) -> type[T]:
    """Makes a named tuple or dataclass one that may be in a Ray call."""
    copyreg.pickle(kind, taken_apart)
    return kind


def taken_apart(value: Any) -> tuple[Callable[..., Any], tuple[type, dict[str, Any]]]:
    """How a value is pickled: by the names of its fields."""
    kind = type(value)
    return put_together, (kind, {name: getattr(value, name) for name in _fields_of(kind)})


def put_together(kind: type[T], fields: dict[str, Any]) -> T:
    """The value that `taken_apart` took apart, maybe in another version."""
    return kind(**{name: fields[name] for name in _fields_of(kind) if name in fields})


def _fields_of(kind: Any) -> tuple[str, ...]:
    if is_dataclass(kind):
        return tuple(field.name for field in fields(kind))
    names: tuple[str, ...] = kind.__struct_fields__ if issubclass(kind, msgspec.Struct) else kind._fields
    return names
