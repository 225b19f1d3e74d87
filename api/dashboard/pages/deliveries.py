"""Page of one delivery: its attempts with request and response, and the retry."""

from __future__ import annotations

from typing import Final, NamedTuple

from actors.commands.deliveries import AttemptView, GetLoopDelivery, GetPost, Post, RetryDelivery
from actors.commands.loops import GetLoop
from api.dashboard.request import ROOT, Page, Visit, see_other
from api.http.response import Response
from domain.errors import Conflict, NotFound

#: Number of attempts shown, latest first: replays may have added many.
MAX_ATTEMPTS: Final = 20

#: Characters shown of a POST's body, which may contain a mail.
MAX_BODY_CHARS: Final = 32_768


async def delivery_page(visit: Visit) -> Response:
    """The delivery with all attempts, the last one first."""
    return await _page(visit)


async def _page(visit: Visit, status: int = 200, problem: str = "") -> Response:
    found = await visit.call(GetLoopDelivery(account=visit.account, delivery_id=visit.path["id"]))
    loop = await visit.call(GetLoop(account=visit.account, loop_id=found.loop_id))
    latest = found.delivery.attempts[-MAX_ATTEMPTS:]
    attempts = [await _attempt(visit, found.delivery.id, attempt) for attempt in reversed(latest)]
    return visit.html(
        "delivery.html",
        status,
        loop=loop,
        delivery=found.delivery,
        attempts=attempts,
        max_body_chars=MAX_BODY_CHARS,
        problem=problem,
        done=visit.query.text("done"),
    )


class ShownAttempt(NamedTuple):
    """An attempt with its POST, or with the reason why the POST cannot be shown."""

    attempt: AttemptView
    post: Post | None
    why: str = ""


async def _attempt(visit: Visit, delivery_id: str, attempt: AttemptView) -> ShownAttempt:
    command = GetPost(account=visit.account, delivery_id=delivery_id, attempt_no=attempt.no)
    try:
        return ShownAttempt(attempt, await visit.call(command))
    except (Conflict, NotFound) as exc:
        return ShownAttempt(attempt, None, str(exc))


async def retry(visit: Visit) -> Response:
    """Retries the delivery now."""
    try:
        await visit.call(RetryDelivery(account=visit.account, delivery_id=visit.path["id"]))
    except Conflict as exc:
        return await _page(visit, 409, str(exc))
    return see_other(f"{ROOT}/deliveries/{visit.path['id']}?done=retried")


PAGES: Final = (
    Page(method="GET", path="/deliveries/{id}", handler=delivery_page),
    Page(method="POST", path="/deliveries/{id}/retry", handler=retry),
)
