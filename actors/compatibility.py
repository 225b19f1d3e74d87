"""Encoding that processes of two neighbouring versions understand, in both directions.

During an upgrade of a cluster, front ends and actors of the old version and of the new one work together; and either
may read a journal. So from one version to the next:

- A type that crosses processes may get new fields, at its end, with a default that means what its absence meant before.
  Nothing else changes: no field is removed, moved or renamed, or gets another type or meaning. The same holds for the
  type itself, its module, the number of a frame or tag, and the arguments of an actor's method.
- The reading side fills in defaults for fields that the writer does not know, and drops fields that it does not know
  itself: `tolerant_decoder` for bytes, `WireStruct` and `wire_type` for what Ray pickles, msgspec itself for JSON.
- An old process refuses a new method, frame, command or kind of intake. The caller goes on without an answer, or asks
  again later.
- To remove something, one version stops writing it, and the next stops reading it.

`tests/next_version.py` is a version that changes as much as these rules allow; tests run it together with this one.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T")


def tolerant_decoder(kind: Any) -> Callable[[bytes], Any]:
    """A decoder of MessagePack for a type, which also accepts fields that the type does not have.

    It raises `msgspec.MsgspecError` for a body that does not fit otherwise.
    """
    decode = msgspec.msgpack.Decoder(kind).decode

    def read(body: bytes) -> Any:
        try:
            return decode(body)
        except msgspec.ValidationError:  # msgspec accepts no additional field in a tuple: drop them, which is slow
            return msgspec.convert(_without_unknown_fields(msgspec.msgpack.decode(body), kind), kind)

    return read


def _without_unknown_fields(value: Any, kind: Any) -> Any:
    arguments = get_args(kind)
    origin = get_origin(kind)
    if origin in {Union, UnionType}:
        if value is None:
            return None
        return _without_unknown_fields(value, next(a for a in arguments if a is not type(None)))
    if isinstance(value, dict) and origin is dict:
        return {key: _without_unknown_fields(item, arguments[1]) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    if fields := getattr(kind, "_fields", None):
        types = get_type_hints(kind)
        return [_without_unknown_fields(item, types[field]) for item, field in zip(value, fields, strict=False)]
    if origin is tuple and Ellipsis not in arguments:
        return [_without_unknown_fields(item, each) for item, each in zip(value, arguments, strict=True)]
    return [_without_unknown_fields(item, arguments[0]) for item in value] if arguments else value


class WireStruct(msgspec.Struct, frozen=True):
    """A struct that may be an argument of a Ray call, or part of its reply."""

    def __reduce__(self) -> Any:
        return reduce_by_name(self)


def wire_type(kind: type[T]) -> type[T]:
    """Registers a named tuple or dataclass that may be an argument of a Ray call, or part of its reply."""
    copyreg.pickle(kind, reduce_by_name)
    return kind


def reduce_by_name(value: Any) -> tuple[Callable[..., Any], tuple[type, dict[str, object]]]:
    """The pickled form of a value: its type, and its fields by name."""
    kind = type(value)
    return restore, (kind, {name: getattr(value, name) for name in _fields_of(kind)})


def restore(kind: type[T], values: dict[str, object]) -> T:
    """The value that `reduce_by_name` reduced, possibly in another version."""
    return kind(**{name: values[name] for name in _fields_of(kind) if name in values})


def _fields_of(kind: Any) -> tuple[str, ...]:
    if is_dataclass(kind):
        return tuple(field.name for field in fields(kind))
    names: tuple[str, ...] = kind.__struct_fields__ if issubclass(kind, msgspec.Struct) else kind._fields
    return names
