"""One text of SQL for every store: what the stores write differently stands in it as a `{word …}`.

{often}              begins one that is run so often that a store may keep its plan for tables however full
$1                   a parameter; it may stand in a statement more than once
{in $1}              `IN` a list, which is the parameter (`Dialect.many`)
{not in $1}          `NOT IN` such a list
{join} … {stored e}  a join with the first event of the stream that `e.event_id` is the id of, as `s`
{by INDEX}           the index to go by, for a store that would choose another
{same COLUMN, $1}    equal but for the case of ASCII letters
{larger A, B}        the larger of two values
{pending}            a delivery is pending, by the indexes that hold those alone
{pending id}         its id, by the one of them that has it
{part} … {end ORDER} one SELECT of several that are merged, in that order up to a LIMIT
{position}           a stored event's place in the order of the log
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol, Self

_WORD: Final = re.compile(
    r"\{(often|in|not in|join|stored|by|same|larger|pending id|pending|part|end|position)(?: ([^}]*))?\}"
)


class Cursor(Protocol):
    """What a store's driver gives for a statement. Statements are of the text above; their parameters are in order."""

    #: The store's.
    dialect: Dialect

    def execute(self, sql: str, params: Sequence[Any] = (), /) -> Self: ...
    def executemany(self, sql: str, params: Collection[Sequence[Any]], /) -> object: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...
    @property
    def rowcount(self) -> int: ...


class Dialect(Protocol):
    """How one store writes what differs."""

    def word(self, name: str, of: Sequence[str]) -> str:
        """The store's text for a `{name of, of}`."""
        ...

    def parameter(self, number: str) -> str:
        """The store's text for the parameter of that number."""
        ...

    def many(self, values: Collection[int]) -> object:
        """The parameter that is a list of these numbers."""
        ...

    def event_id(self, id_: bytes) -> object:
        """The parameter that is this event id."""
        ...

    def event_id_bytes(self, originator_id: Any) -> bytes:
        """The event id that is an originator id, as it was read."""
        ...


def translator(dialect: Dialect) -> _Translate:
    """A function from a statement of the text above to the store's own; what was translated once is kept."""
    return lru_cache(maxsize=1024)(lambda sql: _translated(sql, dialect))


class _Translate(Protocol):
    def __call__(self, sql: str, /) -> str: ...


def _translated(sql: str, dialect: Dialect) -> str:
    def word(match: re.Match[str]) -> str:
        return dialect.word(match[1], [part.strip() for part in (match[2] or "").split(", ", 1)])

    return re.sub(r"\$(\d+)", lambda match: dialect.parameter(match[1]), _WORD.sub(word, sql))
