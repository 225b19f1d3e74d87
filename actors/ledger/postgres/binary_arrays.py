"""Array parameters, encoded at once in PostgreSQL's binary format: psycopg's own encoding costs more than the insert.

The format (`array_send` in PostgreSQL's source): number of dimensions, whether there are nulls, and the type of the
elements; then the length and first index of the only dimension; then each element after its length, -1 for a null.
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

#: Characters that PostgreSQL texts or UTF-8 cannot hold.
_UNFIT: Final = re.compile("[\0\ud800-\udfff]")
_NULL: Final = b"\xff\xff\xff\xff"


class Array:
    """A one-dimensional array of values of one type."""

    oid: ClassVar[int]
    element_oid: ClassVar[int]

    __slots__ = ("values",)

    def __init__(self, values: Collection[Any]) -> None:
        self.values = values

    def elements(self) -> bytes:
        """The encoded elements, each after its length."""
        raise NotImplementedError

    def packed(self) -> bytes:
        """The encoded array."""
        if not self.values:
            return struct.pack("!iiI", 0, 0, self.element_oid)
        # The flag for nulls is only a hint, so it may always be set.
        return struct.pack("!iiIii", 1, 1, self.element_oid, len(self.values), 1) + self.elements()


class Numbers(Array):
    """bigint[]."""

    oid = 1016
    element_oid = 20

    def elements(self) -> bytes:
        """Eight bytes each."""
        flat = chain.from_iterable(zip(repeat(8), self.values))
        return struct.pack("!" + "iq" * len(self.values), *flat)


class OptionalNumbers(Array):
    """bigint[] with nulls."""

    oid = 1016
    element_oid = 20

    def elements(self) -> bytes:
        """Eight bytes each, except nulls."""
        pack = struct.Struct("!iq").pack
        return b"".join([_NULL if value is None else pack(8, value) for value in self.values])


class Uuids(Array):
    """uuid[], of ids of 16 bytes."""

    oid = 2951
    element_oid = 2950

    def elements(self) -> bytes:
        """Sixteen bytes each."""
        return b"".join([b"\0\0\0\x10" + value for value in self.values])


class OptionalUuids(Array):
    """uuid[] with nulls, of ids of 16 bytes."""

    oid = 2951
    element_oid = 2950

    def elements(self) -> bytes:
        """Sixteen bytes each, except nulls."""
        return b"".join([_NULL if value is None else b"\0\0\0\x10" + value for value in self.values])


class Blobs(Array):
    """bytea[]."""

    oid = 1001
    element_oid = 17

    def elements(self) -> bytes:
        """The bytes of each value."""
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
    """A text to look up. One with characters that cannot be stored is changed, so that it is simply not found."""

    def dump(self, obj: str) -> Any:
        return super().dump(_UNFIT.sub("\uffff", obj))


class _IdLoader(Loader):
    """Loads an id as sixteen bytes, instead of a `UUID` object."""

    format = Format.BINARY

    def load(self, data: Any) -> bytes:
        return bytes(data)


_ARRAY_TYPES: Final[Sequence[type[Array]]] = (Numbers, OptionalNumbers, Uuids, OptionalUuids, Blobs, Texts)


def adapt(connection: Connection[Any]) -> None:
    """Registers these arrays, integers as bigint, and ids as bytes."""
    for array_type in _ARRAY_TYPES:
        dumper = type(array_type.__name__, (_ArrayDumper,), {"oid": array_type.oid})
        connection.adapters.register_dumper(array_type, dumper)
    # Otherwise psycopg would prepare a statement again for each integer size.
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    connection.adapters.register_loader("uuid", _IdLoader)


def adapt_for_look_ups(connection: Connection[Any]) -> None:
    """Makes look-ups of texts that cannot be stored find nothing, instead of failing."""
    connection.adapters.register_dumper(str, _LookUpTextDumper)
