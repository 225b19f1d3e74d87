"""Event pages: the live list with its search, and one event from its arrival to the handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from actors.commands.deliveries import AttemptView, DeliveryView, ListEventDeliveries
from actors.commands.events import GetEvent, GetEventMail, ListEvents
from actors.commands.loops import GetLoop, Loop
from actors.commands.reports import FindReport
from api.dashboard.encrypted_query import opened, sealed
from api.dashboard.foreign_text import ShownMail, mail_bytes
from api.dashboard.forms import beside_fields
from api.dashboard.request import ROOT, Page, Visit, see_other
from api.dashboard.shown_events import ShownEvent
from api.dashboard.sse import live, message
from api.dashboard.time_fields import time_ms
from api.http.response import Response
from domain.errors import InvalidInput, NotFound
from domain.validation import MAX_ADDRESS_CHARS, Problems, text_problem

#: Events on one page.
PAGE: Final = 50
#: Events scanned for a tag before the page is shown with those found so far.
_LOOKED_THROUGH: Final = 2000
_READ_AT_ONCE: Final = 200
#: Longer texts are in no event that can be searched for.
#: Search fields and their labels in the form.
_SEARCHED: Final = {
    "type": "Type",
    "recipient": "Recipient",
    "message": "Message",
    "tag": "Tag",
    "since": "From",
    "until": "To",
}


def _wanted(visit: Visit) -> dict[str, str]:
    """The search fields. The recipient is sealed in the query, as `who`."""
    wanted = {name: visit.query.text(name) for name in _SEARCHED}
    return wanted | {"recipient": opened(visit, visit.query.text("who"))}


def _link(visit: Visit, wanted: Mapping[str, str]) -> str:
    """The query of a link to these search fields, without the recipient's address."""
    shown = {name: value for name, value in wanted.items() if value and name != "recipient"}
    who = sealed(visit, wanted["recipient"])
    return urlencode(shown | ({"who": who} if who else {}))


def _query(visit: Visit, wanted: dict[str, str]) -> ListEvents:
    problems = Problems()
    for name, text in wanted.items():
        # PostgreSQL refuses to look for a NUL, and no index has such long texts.
        problems.add(f"/{name}", text_problem(text, MAX_ADDRESS_CHARS, min_chars=0))
    problems.raise_if_any()
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


async def _found(visit: Visit) -> dict[str, Any]:
    wanted = _wanted(visit)
    query = _query(visit, wanted)
    rows: list[ShownEvent] = []
    looked_through = 0
    while True:
        page = await visit.call(query)
        looked_through += len(page.data)
        shown = map(ShownEvent.of, page.data)
        rows += [row for row in shown if not wanted["tag"] or wanted["tag"] in row.fields.get("tags", [])]
        if page.next is None or len(rows) >= PAGE or looked_through >= _LOOKED_THROUGH:
            break
        query = msgspec.structs.replace(query, cursor=page.next)
    return {"rows": rows, "next": page.next, "wanted": wanted, "link": _link(visit, wanted)}


async def search(visit: Visit) -> Response:
    """Redirects to the events that match a form."""
    return see_other(f"{ROOT}/events?{_link(visit, {name: visit.form.text(name) for name in _SEARCHED})}")


async def events_page(visit: Visit) -> Response:
    """The newest events that match."""
    is_first = "cursor" not in visit.query
    try:
        found = await _found(visit)
    except InvalidInput as exc:
        nothing: dict[str, Any] = {"rows": [], "next": None, "wanted": _wanted(visit), "link": ""}
        problems, problem = beside_fields(exc, _SEARCHED)
        return visit.html("events.html", 422, **nothing, problems=problems, problem=problem, is_first=False)
    return visit.html("events.html", **found, problems={}, problem="", is_first=is_first)


async def events_live(visit: Visit) -> Response:
    """The list, live."""
    await _found(visit)

    def render(found: Mapping[str, Any]) -> list[bytes]:
        return [message("events", visit.renderer.render("_events.html", found))]

    return live(visit, lambda: _found(visit), render)


class Step(NamedTuple):
    """An attempt to deliver the event."""

    attempt: AttemptView
    delivery: DeliveryView
    loop: Loop


async def event_page(visit: Visit) -> Response:
    """One event: how it arrived, its enrichment, each loop's attempts, and the header of its returned mail."""
    event = await visit.call(GetEvent(account=visit.account, event_id=visit.path["id"]))
    shown = ShownEvent.of(event)
    owed, report, mail = await asyncio.gather(
        visit.call(ListEventDeliveries(account=visit.account, event_id=event.id)),
        visit.call(FindReport(account=visit.account, event_id=event.id)),
        mail_of(visit, shown),
    )
    loops: dict[str, Loop] = {}
    for each in owed:
        if each.loop_id not in loops:
            loops[each.loop_id] = await visit.call(GetLoop(account=visit.account, loop_id=each.loop_id))
    steps = [Step(attempt, each.delivery, loops[each.loop_id]) for each in owed for attempt in each.delivery.attempts]
    steps.sort(key=lambda step: step.attempt.at_ms)
    return visit.html("event.html", shown=shown, report=report, mail=mail, steps=steps, owed=owed, loops=loops)


async def mail_of(visit: Visit, shown: ShownEvent) -> ShownMail | None:
    """The returned mail of an event; None if none is stored."""
    if "mime_charset" not in shown.fields:
        return None
    try:
        found = await visit.call(GetEventMail(account=visit.account, event_id=shown.event.id))
    except NotFound:
        return None
    charset, is_truncated = str(shown.fields["mime_charset"]), bool(shown.fields["mime_truncated"])
    return ShownMail.of(shown.event.id, found.mime, charset, is_truncated=is_truncated)


async def mail_file(visit: Visit) -> Response:
    """The stored mail as a download of plain text, with the mail's own bytes."""
    event = await visit.call(GetEvent(account=visit.account, event_id=visit.path["id"]))
    found = await visit.call(GetEventMail(account=visit.account, event_id=event.id))
    charset = ShownEvent.of(event).fields["mime_charset"] or "utf-8"
    return Response(
        body=mail_bytes(found.mime, charset),
        content_type=f"text/plain; charset={charset}",
        headers=(("Content-Disposition", f'attachment; filename="{event.id}.txt"'),),
    )


PAGES: Final = (
    Page(method="GET", path="/events", handler=events_page),
    Page(method="POST", path="/events", handler=search),
    Page(method="GET", path="/events/live", handler=events_live),
    Page(method="GET", path="/events/{id}", handler=event_page),
    Page(method="GET", path="/events/{id}/mail", handler=mail_file),
)
