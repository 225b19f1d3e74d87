"""All that `LedgerReader` reads, on any store's connection."""

from __future__ import annotations

from actors.ledger.access_views import AccessViews
from actors.ledger.backlogs import BacklogViews
from actors.ledger.delivery_views import DeliveryViews
from actors.ledger.figures_views import FiguresViews
from actors.ledger.history_views import HistoryViews
from actors.ledger.queries import DeliveryQueries, EnrichmentQueries
from actors.ledger.replay_views import ReplayViews
from actors.ledger.views import ConfigurationViews


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
