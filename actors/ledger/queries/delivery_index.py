"""A loop's deliveries in the order of time, by state and type: how the index `deliveries_listed` is read.

The deliveries of one loop, state and type are one range of the index, in the order of (created_at_ms, id). A filter
chooses ranges; they are merged as they are read, so a page costs as many rows as it has, however long they are.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import product
from typing import Final, NamedTuple

from domain.values import TRIGGER_NAMES, DeliveryState

ALL_TYPES: Final = tuple(TRIGGER_NAMES)

# A row value would do for the last condition, but then SQLite might choose it and not `until_ms` to begin from.
_RANGE: Final = (
    "SELECT {columns} FROM deliveries {{by deliveries_listed}}"
    " WHERE loop_no = $1 AND state = {state} AND type = {type}"
    " AND created_at_ms >= $2 AND created_at_ms < $3 AND (created_at_ms <> $4 OR id {beyond} $5)"
)
_COUNT: Final = (
    "SELECT count(*) FROM deliveries {{by deliveries_listed}}"
    " WHERE loop_no = $1 AND state IN ({states}) AND type IN ({types}) AND created_at_ms >= $2 AND created_at_ms < $3"
)


class IndexRange(NamedTuple):
    """The part of a loop's ranges that is read: the parameters of these statements."""

    loop_no: int
    since_ms: int
    until_ms: int
    #: Of this millisecond only what is beyond `at_id`.
    at_ms: int
    at_id: int
    limit: int


def newest_first(columns: str, states: Collection[DeliveryState], types: Collection[int]) -> str:
    """SQL for the rows of a `IndexRange`, those of `at_ms` with ids below `at_id`.

    The columns have `created_at_ms` and `id` among them.
    """
    return _merged(columns, states, types, "<", "DESC")


def oldest_first(columns: str, states: Collection[DeliveryState], types: Collection[int] = ALL_TYPES) -> str:
    """The same the other way round: of `at_ms` only those with ids above `at_id`."""
    return _merged(columns, states, types, ">", "ASC")


def count(states: Collection[DeliveryState]) -> str:
    """SQL that counts the rows of the first three of a `IndexRange`."""
    return _COUNT.format(states=_listed(states), types=_listed(ALL_TYPES))


def _merged(columns: str, states: Collection[DeliveryState], types: Collection[int], beyond: str, order: str) -> str:
    ordered = f"created_at_ms {order}, id {order} LIMIT $6"
    ranges = [
        _RANGE.format(columns=columns, state=int(state), type=type_, beyond=beyond)
        for state, type_ in product(states, types)
    ]
    if len(ranges) > 1:
        ranges = [f"{{part}}{part}{{end {ordered}}}" for part in ranges]
    return f"{' UNION ALL '.join(ranges)} ORDER BY {ordered}"


def _listed(numbers: Collection[int]) -> str:
    return ", ".join(str(int(number)) for number in numbers)
