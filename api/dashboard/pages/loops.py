"""List of feedback loops, and the check of all active ones."""

from __future__ import annotations

from typing import Any, Final

from actors.commands.loops import CheckLoops, GetLoop, ListLoops, Loop
from actors.commands.statistics import Counts, ListStatistics, LoopStatistics
from api.dashboard.request import Page, Visit
from api.http.response import Response
from domain.statistics import percentile_ms

#: Loops on one page.
PAGE: Final = 50


def success_share(counts: Counts) -> float | None:
    """The share of attempts that were accepted, 0 to 1; None without attempts."""
    attempts = sum(counts.answers)
    return counts.answers[0] / attempts if attempts else None


async def loops_page(visit: Visit) -> Response:
    """All loops with their health."""
    cursor = visit.query.text("cursor") or None
    page = await visit.call(ListLoops(account=visit.account, limit=PAGE, cursor=cursor))
    figures = await visit.call(ListStatistics(account=visit.account, loop_ids=[loop.id for loop in page.data]))
    rows = [row(loop, figure) for loop, figure in zip(page.data, figures, strict=True)]
    return visit.html("loops.html", rows=rows, next=page.next, is_first=cursor is None, done=visit.query.text("done"))


def row(loop: Loop, figures: LoopStatistics) -> dict[str, Any]:
    """The values of a loop's row."""
    return {
        "loop": loop,
        "figures": figures,
        "success": success_share(figures.counts),
        "p95": percentile_ms(figures.counts.buckets, 0.95),
    }


async def check_loops(visit: Visit) -> Response:
    """Sends a sample to every active loop and shows the responses."""
    results = await visit.call(CheckLoops(account=visit.account))
    known = {}
    for result in results:
        known[result.loop_id] = await visit.call(GetLoop(account=visit.account, loop_id=result.loop_id))
    return visit.html("checks.html", results=results, loops=known)


PAGES: Final = (
    Page(method="GET", path="/loops", handler=loops_page),
    Page(method="POST", path="/loops/check", handler=check_loops),
)
