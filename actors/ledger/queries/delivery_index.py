"""SQL on the index `deliveries_listed`: a loop's deliveries in order of time, by state and type.

The deliveries of one loop, state and type are one contiguous range of the index, in order of (created_at_ms, id). A
filter selects ranges, which are merged while they are read. So a page reads only its own rows, however long the ranges
are.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import product
from typing import Final, NamedTuple

from domain.event_catalogue.triggers import TRIGGER_NAMES
from domain.values import DeliveryState

ALL_TYPES: Final = tuple(TRIGGER_NAMES)

# A row value would be shorter for the last condition, but SQLite might then start the search there, not at `until_ms`.
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
    """The part of a loop's ranges to read: the parameters of the statements below."""

    loop_no: int
    since_ms: int
    until_ms: int
    #: Of this millisecond, only the ids beyond `at_id` are read.
    at_ms: int
    at_id: int
    limit: int


def newest_first(columns: str, states: Collection[DeliveryState], types: Collection[int]) -> str:
    """SQL for the rows of an `IndexRange`, newest first; of `at_ms`, only ids below `at_id`.

    The columns must include `created_at_ms` and `id`.
    """
    return _merged(columns, states, types, "<", "DESC")


def oldest_first(columns: str, states: Collection[DeliveryState], types: Collection[int] = ALL_TYPES) -> str:
    """SQL for the rows of an `IndexRange`, oldest first; of `at_ms`, only ids above `at_id`."""
    return _merged(columns, states, types, ">", "ASC")


def count(states: Collection[DeliveryState]) -> str:
    """SQL that counts rows. Its parameters are the first three fields of an `IndexRange`."""
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
