"""SQL dialect: one text per statement for both stores, with a `{word …}` wherever their SQL differs.

{often}              marks a frequent statement; the store may keep one plan for tables of any size
$1                   a parameter; it may occur more than once
{in $1}              `IN` a list, given as one parameter (`Dialect.many`)
{not in $1}          `NOT IN` such a list
{join} … {stored e}  joins the first event of the stream with the id `e.event_id`, as `s`
{by INDEX}           the index to use, where a store would choose another
{larger A, B}        the larger of two values
{pending}            the delivery is pending; lets the store use the indexes of pending deliveries
{pending id}         the delivery's id, as the index of pending deliveries has it
{part} … {end ORDER} one of several SELECTs that are merged in this order, up to a LIMIT
{position}           the position of a stored event in the log
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol, Self

_WORD: Final = re.compile(
    r"\{(often|in|not in|join|stored|by|larger|pending id|pending|part|end|position)(?: ([^}]*))?\}"
)


class Cursor(Protocol):
    """A cursor of the store's driver that takes statements in the dialect above, with positional parameters."""

    dialect: Dialect

    def execute(self, sql: str, params: Sequence[Any] = (), /) -> Self: ...
    def executemany(self, sql: str, params: Collection[Sequence[Any]], /) -> object: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...
    @property
    def rowcount(self) -> int: ...


class Dialect(Protocol):
    """The SQL of one store wherever the stores differ."""

    def word(self, name: str, of: Sequence[str]) -> str:
        """The store's SQL for `{name of, of}`."""
        ...

    def parameter(self, number: str) -> str:
        """The store's SQL for the parameter with this number."""
        ...

    def many(self, values: Collection[int]) -> object:
        """The parameter for a list of numbers."""
        ...

    def event_id(self, id_: bytes) -> object:
        """The parameter for an event id."""
        ...

    def event_id_bytes(self, originator_id: Any) -> bytes:
        """The event id for an originator id as the driver returns it."""
        ...


def translator(dialect: Dialect) -> _Translate:
    """A function that translates statements into the store's SQL, and caches the translations."""
    return lru_cache(maxsize=1024)(lambda sql: _translated(sql, dialect))


class _Translate(Protocol):
    def __call__(self, sql: str, /) -> str: ...


def _translated(sql: str, dialect: Dialect) -> str:
    def word(match: re.Match[str]) -> str:
        return dialect.word(match[1], [part.strip() for part in (match[2] or "").split(", ", 1)])

    return re.sub(r"\$(\d+)", lambda match: dialect.parameter(match[1]), _WORD.sub(word, sql))
