"""Fan-out of recorded events: offers their new deliveries to the loops."""

from __future__ import annotations

from collections.abc import Sequence

from actors.enrichment.routing_index import RoutingIndex
from actors.ports import LoopNotifier
from domain.delivery import OfferedDelivery
from domain.tracking import EventToRecord, RecordedEvents


def offer_deliveries(
    events: Sequence[EventToRecord], recorded: RecordedEvents, routes: RoutingIndex, loops: LoopNotifier
) -> None:
    """Offers the new deliveries of recorded events to their loops, one offer per loop; never blocks."""
    offers: dict[int, list[OfferedDelivery]] = {}
    for event, delivery_ids in zip(events, recorded.delivery_ids, strict=True):
        for loop_no, delivery_id in zip(event.loop_nos, delivery_ids, strict=False):
            offers.setdefault(loop_no, []).append(
                OfferedDelivery(delivery_id, event.event_id, event.type, event.fields, 0, event.time_ms)
            )
    for loop_no, deliveries in offers.items():
        if loop_id := routes.loop_id(loop_no):  # else it was deleted meanwhile
            loops.offer(loop_id, deliveries)
