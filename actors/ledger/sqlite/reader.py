"""The ledger's reader on SQLite."""

from __future__ import annotations

from actors.ledger.sqlite.access_views import AccessViews
from actors.ledger.sqlite.delivery_views import DeliveryViews
from actors.ledger.sqlite.figures_views import FiguresViews
from actors.ledger.sqlite.history_views import HistoryViews
from actors.ledger.sqlite.queries import DeliveryQueries, EnrichmentQueries
from actors.ledger.sqlite.replay_views import ReplayViews
from actors.ledger.sqlite.views import ConfigurationViews


class SQLiteLedgerReader(
    DeliveryQueries,
    EnrichmentQueries,
    ConfigurationViews,
    HistoryViews,
    DeliveryViews,
    ReplayViews,
    AccessViews,
    FiguresViews,
):
    """`LedgerReader` on one SQLite file, beside the writer in any process.

    Made with the file's path, it opens it when first asked. Any threads may use it; they take turns. It sees what was
    committed before each call. When the file cannot be read, or is not there yet, calls raise `StoreUnavailable` and
    work again when it can be; a file of a newer program's is a `StoreError`.
    """
