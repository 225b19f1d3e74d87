"""Overview page: live events, the health of every loop, and what needs attention."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from actors.commands.loops import ListLoops
from actors.commands.statistics import ListEventMinutes, ListStatistics
from actors.metrics import catalogue
from api.dashboard import labels
from api.dashboard.charts import events_charts
from api.dashboard.pages.loops import row
from api.dashboard.request import ROOT, Page, Visit
from api.dashboard.sse import live, message
from api.http.response import Response

CHART_MINUTES: Final = 60
#: Number of loops shown; the list of loops has the others.
MAX_LOOPS: Final = 50
#: A backlog of this size needs attention.
LARGE_BACKLOG: Final = 10_000
_PARTS: Final = ("attention", "waiting", "health")


class Attention(NamedTuple):
    """Something that needs attention: text, link and tone."""

    tone: str
    text: str
    path: str
    #: The link's text.
    do: str


async def _facts(visit: Visit) -> dict[str, Any]:
    page, minutes, problems = await asyncio.gather(
        visit.call(ListLoops(account=visit.account, limit=MAX_LOOPS)),
        visit.call(ListEventMinutes(account=visit.account, minutes=CHART_MINUTES)),
        visit.services.readiness.problems(),
    )
    figures = await visit.call(ListStatistics(account=visit.account, loop_ids=[loop.id for loop in page.data]))
    rows = [row(loop, figure) for loop, figure in zip(page.data, figures, strict=True)]
    return {
        "rows": rows,
        "has_more": page.next is not None,
        "attention": [*(Attention("bad", str(problem), "", "") for problem in problems), *_attention(rows)],
        "chart": events_charts(minutes, visit.services.now_ms(), CHART_MINUTES),
        "waiting": sum(row["figures"].backlog for row in rows),
        "journal": visit.services.metrics.own(catalogue.JOURNAL_DEPTH),
    }


def _attention(rows: Sequence[dict[str, Any]]) -> list[Attention]:
    found = []
    for item in rows:
        loop, backlog = item["loop"], item["figures"].backlog
        name, where, state = labels.loop_name(loop), f"{ROOT}/loops/{loop.id}", labels.loop_state(loop)
        if state == "disabled":
            found.append(Attention("bad", f"{name} is disabled: {loop.disabled_reason}", where, "Open"))
        elif state == "failing":
            error = f" ({loop.health.last_error})" if loop.health.last_error else ""
            text = f"{name}: the script is failing{error}; {backlog:,} deliveries are waiting."
            found.append(Attention("bad", text, where, "Open"))
        elif state == "unverified":
            found.append(
                Attention("wait", f"{name} receives nothing until it is verified.", f"{where}/verify", "Verify")
            )
        elif backlog >= LARGE_BACKLOG:
            found.append(Attention("wait", f"{name} has {backlog:,} deliveries waiting.", where, "Open"))
    return found


async def overview_page(visit: Visit) -> Response:
    """The whole page."""
    return visit.html("overview.html", **await _facts(visit))


async def overview_live(visit: Visit) -> Response:
    """The page's parts, as they change."""

    def render(facts: Mapping[str, Any]) -> list[bytes]:
        parts = [message(name, visit.renderer.render(f"_{name}.html", facts)) for name in _PARTS]
        return [*parts, message("chart", facts["chart"].text().encode())]

    return live(visit, lambda: _facts(visit), render)


PAGES: Final = (
    Page(method="GET", path="/", handler=overview_page),
    Page(method="GET", path="/live", handler=overview_live),
)
