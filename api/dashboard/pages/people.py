"""People pages: what is kept about a person, its export, and erasures.

Addresses are only in the bodies of forms, never in a URL: browsers and proxies keep URLs.
"""

from __future__ import annotations

from typing import Any, Final

from actors.commands.erasures import EraseRecipient, GetErasure, ListErasures
from actors.commands.recipients import MAX_COUNT, CountRecipient, ExportPage, ExportRecipient
from api.dashboard.forms import beside_fields
from api.dashboard.request import ROOT, Page, Visit, see_other
from api.http.response import NDJSON, Response
from api.recipients.export import export_lines
from domain.errors import InvalidInput

HERE: Final = f"{ROOT}/people"
_LABELS: Final = {"email": "E-mail address"}
#: The same name for everyone: a browser's list of downloads should not name people.
_FILE: Final = ("Content-Disposition", 'attachment; filename="person.ndjson"')


async def _page(visit: Visit, status: int = 200, **found: Any) -> Response:
    shown: dict[str, Any] = {"problems": {}, "email": "", "counts": None, "max_count": MAX_COUNT, **found}
    erasures = await visit.call(ListErasures(account=visit.account, cursor=visit.query.text("cursor") or None))
    return visit.html("people.html", status, erasures=erasures.data, next=erasures.next, **shown)


async def people_page(visit: Visit) -> Response:
    """The form to look a person up, and the list of erasures."""
    return await _page(visit)


async def look_up(visit: Visit) -> Response:
    """How much is kept about a person."""
    email = visit.form.text("email")
    try:
        counts = await visit.call(CountRecipient(account=visit.account, email=email))
    except InvalidInput as exc:
        return await _page(visit, 422, email=email, problems=beside_fields(exc, _LABELS)[0])
    return await _page(visit, email=email, counts=counts)


async def export(visit: Visit) -> Response:
    """Everything that is kept about a person, as a file."""
    email = visit.form.text("email")

    async def read_page(cursor: str | None) -> ExportPage:
        page: ExportPage = await visit.call(ExportRecipient(account=visit.account, email=email, cursor=cursor))
        return page

    first = await read_page(None)
    lines = export_lines(first, read_page, visit.services.urls)
    return Response(content_type=NDJSON, headers=(_FILE,), stream=lines)


async def erase(visit: Visit) -> Response:
    """Asks for confirmation, then erases the person and shows the erasure."""
    email, keeps_opt_out = visit.form.text("email"), visit.form.text("keep_opt_out") == "yes"
    if visit.form.text("confirmed") != "yes":
        counts = await visit.call(CountRecipient(account=visit.account, email=email))
        return visit.html("erase.html", email=email, counts=counts, max_count=MAX_COUNT)
    erasure = await visit.call(EraseRecipient(account=visit.account, email=email, keep_opt_out=keeps_opt_out))
    return see_other(f"{HERE}/erasures/{erasure.id}")


async def erasure_page(visit: Visit) -> Response:
    """The state of an erasure."""
    erasure = await visit.call(GetErasure(account=visit.account, erasure_id=visit.path["id"]))
    return visit.html("erasure.html", erasure=erasure)


PAGES: Final = (
    Page(method="GET", path="/people", handler=people_page),
    Page(method="POST", path="/people", handler=look_up),
    Page(method="POST", path="/people/export", handler=export),
    Page(method="POST", path="/people/erase", handler=erase),
    Page(method="GET", path="/people/erasures/{id}", handler=erasure_page),
)
