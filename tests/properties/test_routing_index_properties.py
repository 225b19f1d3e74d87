"""The index of routes, compared with a search through all routes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.enrichment.routing_index import RoutingIndex
from domain.loop_settings import EventFilter
from domain.tracking import Route, RoutingTable

tags = st.lists(st.sampled_from(["a", "b", "c"]), max_size=3)
triggers = st.lists(st.sampled_from(["open", "click"]), min_size=1, max_size=2, unique=True)
databases = st.lists(st.sampled_from(["1", "2"]), max_size=2)
routes = st.lists(st.tuples(st.integers(1, 2), triggers, tags, databases), max_size=12).map(
    lambda drawn: [
        Route(no, f"fl_{no}", account, EventFilter(triggers=tuple(on), tags=tuple(tag), databases=tuple(db)))
        for no, (account, on, tag, db) in enumerate(drawn, 1)
    ]
)


@given(routes, st.integers(1, 2), st.sampled_from(["open", "click"]), tags, st.sampled_from([None, "1", "2"]))
def test_the_index_finds_each_loop_once(
    table: list[Route], account_no: int, trigger: str, event_tags: list[str], database: str | None
) -> None:
    """Whatever the filters, the result has exactly the loops that get the event."""
    found = RoutingIndex(RoutingTable(1, table)).owed(account_no, trigger, event_tags, database)
    expected = [
        route.loop_no
        for route in table
        if route.account_no == account_no and route.event_filter.wants(trigger, event_tags, database)
    ]

    assert sorted(found) == expected
