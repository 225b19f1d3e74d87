"""Event pages: the live list with its search, and one event from the hit to the handlers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from actors.commands.deliveries import ListEventDeliveries
from actors.commands.events import EventView, GetEvent, ListEvents
from actors.commands.loops import GetLoop
from api.dashboard.forms import beside_fields
from api.dashboard.request import Page, Visit
from api.dashboard.sse import live, message
from api.dashboard.time_fields import time_ms
from api.events.sse import EVENT_STREAM
from api.http.response import Response
from domain.errors import InvalidInput

#: Events on one page.
PAGE: Final = 50
#: Events scanned for a tag before the page is shown with those found so far.
_LOOKED_THROUGH: Final = 2000
_READ_AT_ONCE: Final = 200
#: Search fields and their labels in the form.
_SEARCHED: Final = {
    "type": "Type",
    "recipient": "Recipient",
    "message": "Message",
    "tag": "Tag",
    "since": "From",
    "until": "To",
}


def _query(visit: Visit, wanted: dict[str, str]) -> ListEvents:
    since_ms = time_ms(wanted["since"], "since") if wanted["since"] else None
    until_ms = time_ms(wanted["until"], "until") if wanted["until"] else None
    if since_ms is not None and until_ms is not None and since_ms >= until_ms:
        problem = "must be before `until`"
        raise InvalidInput(f"since {problem}", [("/since", problem)])
    return ListEvents(
        account=visit.account,
        type=wanted["type"] or None,
        recipient=wanted["recipient"] or None,
        message_id=wanted["message"] or None,
        since_ms=since_ms,
        until_ms=until_ms,
        limit=PAGE if not wanted["tag"] else _READ_AT_ONCE,
        cursor=visit.query.text("cursor") or None,
    )


class Fields(dict[str, Any]):
    """An event's fields; a missing one reads as None."""

    def __missing__(self, _name: str) -> None:
        return None


def shown(event: EventView) -> dict[str, Any]:
    """An event with its decoded fields."""
    return {"event": event, "fields": Fields(msgspec.json.decode(event.fields))}


async def _found(visit: Visit) -> dict[str, Any]:
    wanted = {name: visit.query.text(name) for name in _SEARCHED}
    query = _query(visit, wanted)
    rows: list[dict[str, Any]] = []
    looked_through = 0
    while True:
        page = await visit.call(query)
        looked_through += len(page.data)
        rows += [
            row for row in map(shown, page.data) if not wanted["tag"] or wanted["tag"] in row["fields"].get("tags", [])
        ]
        if page.next is None or len(rows) >= PAGE or looked_through >= _LOOKED_THROUGH:
            break
        query = msgspec.structs.replace(query, cursor=page.next)
    return {"rows": rows, "next": page.next, "wanted": wanted}


async def events_page(visit: Visit) -> Response:
    """The newest events that match."""
    is_first = "cursor" not in visit.query
    try:
        found = await _found(visit)
    except InvalidInput as exc:
        wanted = {name: visit.query.text(name) for name in _SEARCHED}
        nothing: dict[str, Any] = {"rows": [], "next": None, "wanted": wanted}
        problems, problem = beside_fields(exc, _SEARCHED)
        return visit.html("events.html", 422, **nothing, problems=problems, problem=problem, is_first=False)
    return visit.html("events.html", **found, problems={}, problem="", is_first=is_first)


async def events_live(visit: Visit) -> Response:
    """The list, live."""
    await _found(visit)
    visit.services.streams.check(visit.account.no)

    def render(found: Mapping[str, Any]) -> list[bytes]:
        return [message("events", visit.renderer.render("_events.html", found))]

    return Response(content_type=EVENT_STREAM, stream=live(visit, lambda: _found(visit), render))


async def event_page(visit: Visit) -> Response:
    """One event: the hit, its enrichment, and each loop's attempts."""
    event = await visit.call(GetEvent(account=visit.account, event_id=visit.path["id"]))
    owed = await visit.call(ListEventDeliveries(account=visit.account, event_id=event.id))
    loops = {}
    for delivery in owed:
        if delivery.loop_id not in loops:
            loops[delivery.loop_id] = await visit.call(GetLoop(account=visit.account, loop_id=delivery.loop_id))
    steps = [
        {"at_ms": attempt.at_ms, "attempt": attempt, "delivery": each.delivery, "loop": loops[each.loop_id]}
        for each in owed
        for attempt in each.delivery.attempts
    ]
    steps.sort(key=lambda step: step["at_ms"])
    return visit.html("event.html", **shown(event), steps=steps, owed=owed, loops=loops)


PAGES: Final = (
    Page(method="GET", path="/events", handler=events_page),
    Page(method="GET", path="/events/live", handler=events_live),
    Page(method="GET", path="/events/{id}", handler=event_page),
)
