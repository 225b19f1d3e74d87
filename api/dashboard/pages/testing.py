"""Test page: edits and sends a sample, and shows the handler's response."""

from __future__ import annotations

import json
from typing import Any, Final

from actors.commands.loops import Loop, SendSample
from api.dashboard import labels
from api.dashboard.forms import beside_fields
from api.dashboard.request import Page, Visit
from api.http.response import Response
from api.http.strict_json import NotJson, read_json
from domain.errors import Conflict, InvalidInput
from domain.event_catalogue.samples import sample_fields

#: Set for each sample.
_OWN: Final = frozenset({"event", "type", "time", "timestamp"})


def sample_data(trigger: str) -> str:
    """The sample's editable fields, as JSON."""
    fields = sample_fields(trigger, bytes(16), 0, {})
    return json.dumps({name: value for name, value in fields.items() if name not in _OWN}, indent=2, ensure_ascii=False)


async def _page(visit: Visit, loop: Loop, trigger: str, data: str, status: int = 200, **found: Any) -> Response:
    shown: dict[str, Any] = {"problem": "", "problems": {}, "result": None, **found}
    template = "_test.html" if visit.is_fragment else "test.html"
    # htmx only shows successful responses.
    status = 200 if visit.is_fragment else status
    return visit.html(template, status, loop=loop, trigger=trigger, data=data, **shown)


async def test_page(visit: Visit) -> Response:
    """The form with a sample of the requested trigger, or of the loop's first one."""
    loop = await visit.loop()
    wanted = visit.query.text("type")
    trigger = wanted if wanted in labels.TRIGGERS else loop.settings.triggers[0]
    return await _page(visit, loop, trigger, sample_data(trigger))


async def send(visit: Visit) -> Response:
    """Sends the edited sample."""
    loop = await visit.loop()
    trigger, text = visit.form.text("type"), visit.form.raw("data")
    if trigger not in labels.TRIGGERS:
        trigger = loop.settings.triggers[0]
    try:
        data = _object(text)
        result = await visit.call(SendSample(account=visit.account, loop_id=loop.id, type=trigger, data=data))
    except InvalidInput as exc:
        problems, problem = beside_fields(exc, {"data": "POST data"})
        problem = problem or "Please fix the POST data."
        return await _page(visit, loop, trigger, text, 422, problem=problem, problems=problems)
    except Conflict as exc:
        return await _page(visit, loop, trigger, text, 409, problem=str(exc))
    return await _page(visit, loop, trigger, text, result=result)


def _object(text: str) -> dict[str, Any]:
    try:
        data = read_json(text.encode("utf-8", "surrogatepass"))
    except NotJson as exc:
        raise InvalidInput.at("/data", f"is not JSON: {exc.in_words}") from None
    if not isinstance(data, dict):
        raise InvalidInput.at("/data", "must be a JSON object: names and values between { and }")
    return data


PAGES: Final = (
    Page(method="GET", path="/loops/{id}/test", handler=test_page),
    Page(method="POST", path="/loops/{id}/test", handler=send),
)
