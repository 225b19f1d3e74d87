"""All that `LedgerReader` reads, on any store's connection."""

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
    MessageQueries,
    EventQueries,
    DeliveryQueries,
    ReplayQueries,
    BacklogQueries,
    AccessQueries,
    StatisticsQueries,
):
    """`LedgerReader`, but for how a store's connection reads."""
