"""All that `LedgerReader` reads, on any store's connection."""

from __future__ import annotations

from actors.ledger.queries.access import AccessViews
from actors.ledger.queries.backlog_summary import BacklogViews
from actors.ledger.queries.deliveries import DeliveryViews
from actors.ledger.queries.events import ConfigurationViews
from actors.ledger.queries.history import HistoryViews
from actors.ledger.queries.hot_path import DeliveryQueries, EnrichmentQueries
from actors.ledger.queries.replays import ReplayViews
from actors.ledger.queries.statistics import FiguresViews


class StoreReader(
    DeliveryQueries,
    EnrichmentQueries,
    ConfigurationViews,
    HistoryViews,
    DeliveryViews,
    ReplayViews,
    BacklogViews,
    AccessViews,
    FiguresViews,
):
    """`LedgerReader`, but for how a store's connection reads."""
