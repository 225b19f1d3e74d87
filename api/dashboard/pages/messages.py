"""Message pages: manual registration for trying things out, and look-up by id."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import msgspec

from actors.commands.messages import GetMessage, MessageSpec, RegisterMessages
from api.dashboard.forms import Form
from api.dashboard.pages.events import shown
from api.dashboard.request import ROOT, Page, Visit, see_other
from api.http.response import Response
from api.messages.ndjson import error_of
from api.schemas.views import message_view
from domain.errors import Conflict, FeedbackLoopsError, InvalidInput


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
        database=database,
        profile=profile,
        links=list(dict.fromkeys(line.strip() for line in form.raw("links").split("\n") if line.strip())),
    )
    try:
        [result] = await visit.call(RegisterMessages(account=visit.account, messages=[spec]))
        if result.rejection is not None:
            raise error_of(result.rejection)
    except InvalidInput as exc:
        return _page(visit, form, {pointer.split("/")[1]: problem for pointer, problem in reversed(exc.problems)})
    except Conflict as exc:
        return _page(visit, form, {"id": str(exc)})
    if result.message is None:
        raise FeedbackLoopsError("a message was neither registered nor rejected")
    return see_other(f"{ROOT}/messages/{quote(result.message.id, safe='')}")


async def message_page(visit: Visit) -> Response:
    """A message with its tracked links and its events."""
    found = await visit.call(GetMessage(account=visit.account, message_id=visit.path["id"]))
    urls = message_view(msgspec.structs.replace(found, history=[]), visit.services.urls)
    return visit.html(
        "message.html", message=found, urls=urls, rows=[shown(event) for event in reversed(found.history)]
    )


PAGES: Final = (
    Page(method="GET", path="/messages", handler=messages_page),
    Page(method="POST", path="/messages", handler=register),
    Page(method="GET", path="/messages/{id}", handler=message_page),
)
