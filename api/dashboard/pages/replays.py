"""Delivering again what was not taken: begun, followed, cancelled."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from actors import commands as c
from api.dashboard.page import ROOT, Page, Visit, see_other
from api.reply import Reply
from domain.errors import Conflict, InvalidInput

#: How `<input type=datetime-local>` writes it; the form says that it is UTC.
_LOCAL: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")
_LISTED: Final = 20
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


async def _page(visit: Visit, status: int = 200, problem: str = "") -> Reply:
    loop = await visit.call(c.GetLoop(account=visit.account, loop_id=visit.path["id"]))
    replays = await visit.call(c.ListReplays(account=visit.account, loop_id=loop.id, limit=_LISTED))
    day_before = datetime.fromtimestamp(visit.services.now_ms() / 1000, UTC) - timedelta(days=1)
    values: dict[str, Any] = {
        "since": visit.form.text("since") or f"{day_before:%Y-%m-%dT%H:%M}",
        "until": visit.form.text("until"),
        "which": visit.form.text("which") or "dead",
    }
    done = visit.query.text("done")
    return visit.html("replays.html", status, loop=loop, replays=replays.data, problem=problem, done=done, **values)


async def replays_page(visit: Visit) -> Reply:
    """The form, and replays so far."""
    return await _page(visit)


async def start(visit: Visit) -> Reply:
    """Begins a replay, and goes to its progress."""
    form = visit.form
    try:
        since_ms = _time_ms(form.text("since"), "since")
        until_ms = _time_ms(form.text("until"), "until") if form.text("until") else None
        command = c.StartReplay(
            account=visit.account,
            loop_id=visit.path["id"],
            since_ms=since_ms,
            until_ms=until_ms,
            which=form.text("which") or "dead",
        )
        replay = await visit.call(command)
    except InvalidInput as exc:
        return await _page(visit, 422, str(exc))
    except Conflict as exc:
        return await _page(visit, 409, str(exc))
    return see_other(f"{ROOT}/loops/{visit.path['id']}/replays/{replay.id}")


def _time_ms(text: str, name: str) -> int:
    if _LOCAL.fullmatch(text):
        try:
            moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
            return (moment - _EPOCH) // timedelta(milliseconds=1)
        except ValueError:
            pass
    problem = "must be a date and a time such as 2026-03-01T09:30 (UTC)"
    raise InvalidInput(f"{name} {problem}", [(f"/{name}", problem)])


async def replay_page(visit: Visit) -> Reply:
    """How far a replay has come; the page asks again by itself while it goes on."""
    loop = await visit.call(c.GetLoop(account=visit.account, loop_id=visit.path["id"]))
    command = c.GetReplay(account=visit.account, loop_id=loop.id, replay_id=visit.path["replay"])
    replay = await visit.call(command)
    template = "_replay.html" if visit.is_fragment else "replay.html"
    return visit.html(template, loop=loop, replay=replay)


async def cancel(visit: Visit) -> Reply:
    """Ends a replay."""
    command = c.CancelReplay(account=visit.account, loop_id=visit.path["id"], replay_id=visit.path["replay"])
    await visit.call(command)
    return see_other(f"{ROOT}/loops/{visit.path['id']}/replays?done=cancelled")


PAGES: Final = (
    Page(method="GET", path="/loops/{id}/replays", handler=replays_page),
    Page(method="POST", path="/loops/{id}/replays", handler=start),
    Page(method="GET", path="/loops/{id}/replays/{replay}", handler=replay_page),
    Page(method="POST", path="/loops/{id}/replays/{replay}/cancel", handler=cancel),
)
