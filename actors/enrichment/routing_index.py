"""Index of the routing table: finds the loops that should receive an event, among very many."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from domain.tracking import Route, RoutingTable

#: Attempts to record events with an index. Each loses only to another writer's progress; this many in a row mean that
#: something is broken.
MAX_PASSES: Final = 50


class RoutingIndex:
    """A routing table by account, trigger and tag, so that only loops that may match an event are checked."""

    def __init__(self, table: RoutingTable) -> None:
        self.version = table.version
        self._loop_ids = {route.loop_no: route.loop_id for route in table.routes}
        #: The tag is None for loops without a tag filter.
        self._routes: dict[tuple[int, str, str | None], list[Route]] = {}
        for route in table.routes:
            for trigger in route.event_filter.triggers:
                for tag in dict.fromkeys(route.event_filter.tags_for(trigger)) or (None,):
                    self._routes.setdefault((route.account_no, trigger, tag), []).append(route)

    def owed(
        self,
        account_no: int,
        type: str,  # noqa: A002
        tags: Collection[str],
        database: str | None,
        collection: str | None = None,
    ) -> list[int]:
        """Numbers of the loops that should receive such an event."""
        found = {
            route.loop_no: None
            for tag in (None, *tags)
            for route in self._routes.get((account_no, type, tag), ())
            if route.event_filter.wants(type, tags, database, collection)
        }
        return list(found)

    def loop_id(self, loop_no: int) -> str | None:
        """The id of a loop in the table."""
        return self._loop_ids.get(loop_no)
