"""Lists as parameters: made in one go in PostgreSQL's binary format, for psycopg's own way costs more than the insert.

The format (`array_send` in PostgreSQL's source): dimensions, whether there are nulls, the elements' type; of the one
dimension its length and first index; then each element with its length before it, -1 for a null.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Sequence
from itertools import chain, repeat
from typing import Any, ClassVar, Final

from psycopg import Connection
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import StrDumperUnknown

#: What UTF-8 and PostgreSQL's texts cannot hold.
_UNFIT: Final = re.compile("[\0\ud800-\udfff]")
_NULL: Final = b"\xff\xff\xff\xff"


class Array:
    """A list of values of one type, none of them a list."""

    oid: ClassVar[int]
    element_oid: ClassVar[int]

    __slots__ = ("values",)

    def __init__(self, values: Collection[Any]) -> None:
        self.values = values

    def elements(self) -> bytes:
        """Each element, with its length before it."""
        raise NotImplementedError

    def packed(self) -> bytes:
        """The whole array."""
        if not self.values:
            return struct.pack("!iiI", 0, 0, self.element_oid)
        # That there are nulls is a hint that may be wrong.
        return struct.pack("!iiIii", 1, 1, self.element_oid, len(self.values), 1) + self.elements()


class Numbers(Array):
    """bigint[]."""

    oid = 1016
    element_oid = 20

    def elements(self) -> bytes:
        """Eight bytes each."""
        flat = chain.from_iterable(zip(repeat(8), self.values))
        return struct.pack("!" + "iq" * len(self.values), *flat)


class SomeNumbers(Array):
    """bigint[] with nulls."""

    oid = 1016
    element_oid = 20

    def elements(self) -> bytes:
        """Eight bytes each, or none."""
        pack = struct.Struct("!iq").pack
        return b"".join([_NULL if value is None else pack(8, value) for value in self.values])


class Uuids(Array):
    """uuid[], of ids of 16 bytes."""

    oid = 2951
    element_oid = 2950

    def elements(self) -> bytes:
        """Sixteen bytes each."""
        return b"".join([b"\0\0\0\x10" + value for value in self.values])


class Blobs(Array):
    """bytea[]."""

    oid = 1001
    element_oid = 17

    def elements(self) -> bytes:
        """As long as each is."""
        return b"".join([len(value).to_bytes(4, "big") + value for value in self.values])


class Texts(Array):
    """text[], with or without nulls."""

    oid = 1009
    element_oid = 25

    def elements(self) -> bytes:
        """UTF-8."""
        encoded = [None if value is None else value.encode() for value in self.values]
        return b"".join([_NULL if value is None else len(value).to_bytes(4, "big") + value for value in encoded])


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Array) -> bytes:
        return obj.packed()


class _LookUpTextDumper(StrDumperUnknown):
    """A text to look up. One that cannot be stored becomes one that nobody stores: it is not found, and no error."""

    def dump(self, obj: str) -> Any:
        return super().dump(_UNFIT.sub("\uffff", obj))


class _IdLoader(Loader):
    """An id as its sixteen bytes; psycopg would make a UUID of each."""

    format = Format.BINARY

    def load(self, data: Any) -> bytes:
        return bytes(data)


_KINDS: Final[Sequence[type[Array]]] = (Numbers, SomeNumbers, Uuids, Blobs, Texts)


def adapt(connection: Connection[Any]) -> None:
    """Teaches the connection these arrays; that a number is a bigint, however small; and ids as bytes."""
    for kind in _KINDS:
        connection.adapters.register_dumper(kind, type(kind.__name__, (_ArrayDumper,), {"oid": kind.oid}))
    # Else a statement would be prepared anew for each size of its numbers.
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    connection.adapters.register_loader("uuid", _IdLoader)


def adapt_for_look_ups(connection: Connection[Any]) -> None:
    """Teaches a connection that only reads that a text which cannot be stored is not found."""
    connection.adapters.register_dumper(str, _LookUpTextDumper)
