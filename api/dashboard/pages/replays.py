"""Delivering again what was not taken: begun, followed, cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from actors.commands.deliveries import CancelReplay, GetReplay, ListReplays, StartReplay
from api.dashboard.forms import beside_fields
from api.dashboard.request import ROOT, Page, Visit, see_other
from api.dashboard.time_fields import time_ms
from api.http.response import Response
from domain.errors import Conflict, InvalidInput

_LISTED: Final = 20
#: Fields that show their own problems, and their labels.
_LABELS: Final = {"since": "From", "until": "To"}


async def _page(
    visit: Visit, status: int = 200, problem: str = "", problems: Mapping[str, str] = MappingProxyType({})
) -> Response:
    loop = await visit.loop()
    replays = await visit.call(ListReplays(account=visit.account, loop_id=loop.id, limit=_LISTED))
    day_before = datetime.fromtimestamp(visit.services.now_ms() / 1000, UTC) - timedelta(days=1)
    values: dict[str, Any] = {
        "since": visit.form.text("since") or f"{day_before:%Y-%m-%dT%H:%M}",
        "until": visit.form.text("until"),
        "which": visit.form.text("which") or "dead",
    }
    done = visit.query.text("done")
    told = {"problem": problem, "problems": problems, "done": done}
    return visit.html("replays.html", status, loop=loop, replays=replays.data, **told, **values)


async def replays_page(visit: Visit) -> Response:
    """The form, and earlier replays."""
    return await _page(visit)


async def start(visit: Visit) -> Response:
    """Starts a replay and shows its progress."""
    form = visit.form
    try:
        since_ms = time_ms(form.text("since"), "since")
        until_ms = time_ms(form.text("until"), "until") if form.text("until") else None
        command = StartReplay(
            account=visit.account,
            loop_id=visit.path["id"],
            since_ms=since_ms,
            until_ms=until_ms,
            which=form.text("which") or "dead",
        )
        replay = await visit.call(command)
    except InvalidInput as exc:
        problems, problem = beside_fields(exc, _LABELS)
        return await _page(visit, 422, problem, problems)
    except Conflict as exc:
        return await _page(visit, 409, str(exc))
    return see_other(f"{ROOT}/loops/{visit.path['id']}/replays/{replay.id}")


async def replay_page(visit: Visit) -> Response:
    """The progress of a replay; the page reloads this part while the replay runs."""
    loop = await visit.loop()
    command = GetReplay(account=visit.account, loop_id=loop.id, replay_id=visit.path["replay"])
    replay = await visit.call(command)
    template = "_replay.html" if visit.is_fragment else "replay.html"
    return visit.html(template, loop=loop, replay=replay)


async def cancel(visit: Visit) -> Response:
    """Cancels a replay."""
    command = CancelReplay(account=visit.account, loop_id=visit.path["id"], replay_id=visit.path["replay"])
    await visit.call(command)
    return see_other(f"{ROOT}/loops/{visit.path['id']}/replays?done=cancelled")


PAGES: Final = (
    Page(method="GET", path="/loops/{id}/replays", handler=replays_page),
    Page(method="POST", path="/loops/{id}/replays", handler=start),
    Page(method="GET", path="/loops/{id}/replays/{replay}", handler=replay_page),
    Page(method="POST", path="/loops/{id}/replays/{replay}/cancel", handler=cancel),
)
