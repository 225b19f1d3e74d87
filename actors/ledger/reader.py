"""Reader of the ledger: the queries of `actors.ledger.queries` on one connection.

Calls are synchronous, indexed look-ups; an event loop makes them in a thread.
"""

from __future__ import annotations

from actors.ledger.queries.access import AccessQueries
from actors.ledger.queries.deliveries import DeliveryQueries
from actors.ledger.queries.events import EventQueries
from actors.ledger.queries.front_end_erasures import FrontEndErasureQueries
from actors.ledger.queries.hot_path import EnrichmentQueries, LaneQueries
from actors.ledger.queries.loops import LoopQueries
from actors.ledger.queries.messages import MessageQueries
from actors.ledger.queries.profiles import ProfileQueries
from actors.ledger.queries.recipients import RecipientQueries
from actors.ledger.queries.replays import ReplayQueries
from actors.ledger.queries.reports import ReportQueries
from actors.ledger.queries.statistics import StatisticsQueries


class LedgerReader(
    LaneQueries,
    EnrichmentQueries,
    LoopQueries,
    EventQueries,
    MessageQueries,
    ProfileQueries,
    DeliveryQueries,
    ReplayQueries,
    ReportQueries,
    RecipientQueries,
    FrontEndErasureQueries,
    AccessQueries,
    StatisticsQueries,
):
    """Reads committed rows. Any process may have a reader. Raises `StoreUnavailable` while it cannot read.

    Each base class holds the queries of one subject; each store adds its connection. Queries for the API return the
    value types of `actors.commands`, which are passed on unchanged.
    """
