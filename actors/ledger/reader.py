"""Base class of `LedgerReader` implementations: the queries of `actors.ledger.queries` on one connection."""

from __future__ import annotations

from actors.ledger.queries.access import AccessQueries
from actors.ledger.queries.backlog_summary import BacklogQueries
from actors.ledger.queries.deliveries import DeliveryQueries
from actors.ledger.queries.events import EventQueries
from actors.ledger.queries.hot_path import EnrichmentQueries, LaneQueries
from actors.ledger.queries.loops import LoopQueries
from actors.ledger.queries.messages import MessageQueries
from actors.ledger.queries.replays import ReplayQueries
from actors.ledger.queries.statistics import StatisticsQueries


class StoreReader(
    LaneQueries,
    EnrichmentQueries,
    LoopQueries,
    EventQueries,
    MessageQueries,
    DeliveryQueries,
    ReplayQueries,
    BacklogQueries,
    AccessQueries,
    StatisticsQueries,
):
    """`LedgerReader` without a connection; each store adds its own.

    Each base class holds the queries of one subject and builds on `StoreConnection`. Queries for the API return the
    value types of `actors.commands`, which the gateway passes on unchanged.
    """
