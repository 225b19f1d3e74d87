"""Page of one loop: health, live deliveries, and actions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final, NamedTuple

from actors.commands.deliveries import ListDeliveries
from actors.commands.loops import DeleteLoop, GetSecret, Loop, PauseLoop, ResumeLoop, RotateSecret
from actors.commands.statistics import ListAttemptMinutes, ListStatistics
from api.dashboard import labels
from api.dashboard.charts import attempts_chart
from api.dashboard.pages.loops import row
from api.dashboard.request import ROOT, Page, Visit, see_other
from api.dashboard.sse import live, message
from api.http.response import Response
from domain.errors import Conflict

#: Deliveries on one page.
PAGE: Final = 25
#: Minutes that the charts show.
CHART_MINUTES: Final = 60
_FILTERS: Final = ("state", "type")


class Snippet(NamedTuple):
    """A handler in one file, to copy: one of `examples/`, which the tests run."""

    language: str
    file_name: str
    code: str


def _snippet(language: str, file_name: str) -> Snippet:
    return Snippet(language, file_name, (files("api.dashboard") / "snippets" / file_name).read_text("utf-8"))


SNIPPETS: Final = (
    _snippet("PHP", "handler.php"),
    _snippet("Python", "handler.py"),
    _snippet("Node", "handler.js"),
    _snippet("Go", "handler.go"),
    _snippet("Ruby", "handler.rb"),
)


async def _facts(visit: Visit, loop: Loop) -> dict[str, Any]:
    """The live parts of the page."""
    wanted = {name: visit.query.text(name) or None for name in _FILTERS}
    figures, deliveries, minutes = await asyncio.gather(
        visit.call(ListStatistics(account=visit.account, loop_ids=[loop.id])),
        visit.call(
            ListDeliveries(
                account=visit.account,
                loop_id=loop.id,
                limit=PAGE,
                cursor=visit.query.text("cursor") or None,
                state=wanted["state"],
                type=wanted["type"],
            )
        ),
        visit.call(ListAttemptMinutes(account=visit.account, loop_id=loop.id, minutes=CHART_MINUTES)),
    )
    chart = attempts_chart(minutes, visit.services.now_ms(), CHART_MINUTES)
    now_ms = visit.services.now_ms()
    return {**row(loop, figures[0]), "deliveries": deliveries, "chart": chart, "filters": wanted, "now_ms": now_ms}


async def loop_page(visit: Visit) -> Response:
    """The whole page."""
    loop = await visit.loop()
    is_first = not visit.query.text("cursor")
    facts = await _facts(visit, loop)
    return visit.html("loop.html", **facts, is_first=is_first, done=visit.query.text("done"))


async def loop_live(visit: Visit) -> Response:
    """The page's live parts, as they change."""
    await visit.loop()

    async def look() -> Mapping[str, Any]:
        return await _facts(visit, await visit.loop())

    def render(facts: Mapping[str, Any]) -> list[bytes]:
        parts = [message(name, visit.renderer.render(f"_{name}.html", facts)) for name in ("facts", "deliveries")]
        return [*parts, message("chart", facts["chart"].text().encode())]

    return live(visit, look, render)


async def pause(visit: Visit) -> Response:
    """Holds deliveries back."""
    return await _bring(visit, PauseLoop(account=visit.account, loop_id=visit.path["id"]), "paused")


async def resume(visit: Visit) -> Response:
    """Lets deliveries go on."""
    return await _bring(visit, ResumeLoop(account=visit.account, loop_id=visit.path["id"]), "active", "?done=resumed")


async def _bring(visit: Visit, command: PauseLoop | ResumeLoop, state: str, query: str = "") -> Response:
    """Changes the loop's state. A double click or another tab may have done it already."""
    try:
        loop = await visit.call(command)
    except Conflict:
        loop = await visit.loop()
        if loop.state != state:
            raise
    return see_other(f"{ROOT}/loops/{loop.id}{query}")


async def code_page(visit: Visit) -> Response:
    """The secret, and code of a handler that checks signatures."""
    loop = await visit.loop()
    secret = await visit.call(GetSecret(account=visit.account, loop_id=loop.id))
    return visit.html("code.html", loop=loop, secret=secret, is_new=False, snippets=SNIPPETS)


async def rotate(visit: Visit) -> Response:
    """Rotates the secret and shows the new one."""
    revoke = visit.form.text("revoke") == "on"
    loop = await visit.call(RotateSecret(account=visit.account, loop_id=visit.path["id"], revoke=revoke))
    return visit.html("code.html", loop=loop, secret=loop.secret, is_new=True, is_revoked=revoke, snippets=SNIPPETS)


async def delete_page(visit: Visit) -> Response:
    """Asks for the loop's name as confirmation."""
    return visit.html("delete.html", loop=await visit.loop(), problems={})


async def delete(visit: Visit) -> Response:
    """Deletes the loop if its name was typed."""
    loop = await visit.loop()
    if visit.form.text("name") != labels.loop_name(loop):
        return visit.html("delete.html", 422, loop=loop, problems={"name": "This is not the feedback loop's name."})
    await visit.call(DeleteLoop(account=visit.account, loop_id=loop.id))
    return see_other(f"{ROOT}/loops?done=deleted")


PAGES: Final = (
    Page(method="GET", path="/loops/{id}", handler=loop_page),
    Page(method="GET", path="/loops/{id}/live", handler=loop_live),
    Page(method="POST", path="/loops/{id}/pause", handler=pause),
    Page(method="POST", path="/loops/{id}/resume", handler=resume),
    Page(method="GET", path="/loops/{id}/code", handler=code_page),
    Page(method="POST", path="/loops/{id}/code", handler=rotate),
    Page(method="GET", path="/loops/{id}/delete", handler=delete_page),
    Page(method="POST", path="/loops/{id}/delete", handler=delete),
)
