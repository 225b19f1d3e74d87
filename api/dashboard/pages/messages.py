"""Message pages: manual registration for trying things out, and look-up by id."""

from __future__ import annotations

from collections import defaultdict
from typing import Final
from urllib.parse import quote

import msgspec

from actors.commands.deliveries import CountDeliveries, DeliveryCount
from actors.commands.messages import MAX_HISTORY, GetMessage, MessageSpec, RegisterMessages
from api.dashboard.forms import Form, beside_fields, plain, sentence
from api.dashboard.request import ROOT, Page, Visit, see_other
from api.dashboard.shown_events import ShownEvent
from api.http.ndjson import error_of
from api.http.response import Response
from api.schemas.views import message_view
from domain.errors import Conflict, FeedbackLoopsError, InvalidInput

_LABELS: Final = {
    "recipient": "Recipient",
    "links": "Links",
    "tags": "Tags",
    "id": "Id",
    "mailing": "Mailing",
    "reference": "Reference",
    "database": "Profile database",
    "profile": "Profile",
}
_POINTERS: Final = {"/profile/database": "database", "/profile/id": "profile"}


def _page(visit: Visit, form: Form, problems: dict[str, str] | None = None) -> Response:
    return visit.html("messages.html", 422 if problems else 200, form=form, problems=problems or {})


async def messages_page(visit: Visit) -> Response:
    """The forms, or with an id, a redirect to that message."""
    if wanted := visit.query.text("id"):
        return see_other(f"{ROOT}/messages/{quote(wanted, safe='')}")
    return _page(visit, Form({"links": ["https://example.com/"]}))


async def register(visit: Visit) -> Response:
    """Registers a message and shows its links."""
    form = visit.form
    database, profile = form.text("database") or None, form.text("profile") or None
    spec = MessageSpec(
        recipient=form.text("recipient"),
        id=form.text("id") or None,
        tags=form.lines("tags"),
        mailing=form.text("mailing") or None,
        reference=form.text("reference") or None,
        database=database,
        profile=profile,
        links=list(dict.fromkeys(line.strip() for line in form.raw("links").split("\n") if line.strip())),
    )
    try:
        [result] = await visit.call(RegisterMessages(account=visit.account, messages=[spec]))
        if result.rejection is not None:
            raise error_of(result.rejection)
    except InvalidInput as exc:
        return _page(visit, form, beside_fields(exc, _LABELS, _POINTERS)[0])
    except Conflict as exc:
        return _page(visit, form, {"id": sentence(plain(str(exc)))})
    if result.message is None:
        raise FeedbackLoopsError("a message was neither registered nor rejected")
    return see_other(f"{ROOT}/messages/{quote(result.message.id, safe='')}")


async def message_page(visit: Visit) -> Response:
    """A message with its URLs and its history in order of arrival, with the states of the deliveries."""
    found = await visit.call(GetMessage(account=visit.account, message_id=visit.path["id"]))
    counts = await visit.call(CountDeliveries(account=visit.account, event_ids=[event.id for event in found.history]))
    by_event: defaultdict[str, list[DeliveryCount]] = defaultdict(list)
    for count in sorted(counts, key=lambda count: count.state):
        by_event[count.event].append(count)
    urls = visit.services.urls
    return visit.html(
        "message.html",
        message=found,
        urls=message_view(msgspec.structs.replace(found, history=[]), urls),
        return_path=urls.return_path(found.account_no, found.key),
        rows=[ShownEvent.of(event) for event in found.history],
        deliveries=by_event,
        is_cut=len(found.history) >= MAX_HISTORY,
    )


PAGES: Final = (
    Page(method="GET", path="/messages", handler=messages_page),
    Page(method="POST", path="/messages", handler=register),
    Page(method="GET", path="/messages/{id}", handler=message_page),
)
