"""Liveness and readiness; no key is needed, and nothing of any account is told."""

from __future__ import annotations

import asyncio
from typing import Final

from actors.commands import CheckReadiness
from api.operation import Access, Answer, Call, Operation, Services
from api.problems import NOT_READY, Refused
from api.reply import Reply
from api.schemas.base import EmptyBody, NoQuery
from api.schemas.service import Health, ReadinessProblem, Ready
from domain.errors import FeedbackLoopsError

#: Seconds that the actors have to say how they are; a probe wants its answer soon.
READINESS_TIMEOUT_S: Final = 3.0


async def healthz(_call: Call[EmptyBody, NoQuery]) -> Reply:
    """The process answers; that is all it says."""
    return Reply.of(Health(status="ok"))


async def readyz(call: Call[EmptyBody, NoQuery]) -> Reply:
    """Whether an event can go all the way from hit to handler."""
    problems = await _problems(call.services)
    if problems:
        raise Refused(NOT_READY, "; ".join(problems), members={"problems": problems}, headers=(("Retry-After", "1"),))
    return Reply.of(Ready(status="ready"))


async def _problems(services: Services) -> list[str]:
    journal = [] if services.journal.problem is None else [services.journal.problem]
    try:
        async with asyncio.timeout(READINESS_TIMEOUT_S):
            return journal + (await services.client.call(CheckReadiness())).problems
    except TimeoutError:
        return [*journal, f"the actors did not answer within {READINESS_TIMEOUT_S:.0f} s"]
    except FeedbackLoopsError as exc:
        return [*journal, str(exc)]


OPERATIONS: Final = (
    Operation(
        id="getHealth",
        method="GET",
        path="/healthz",
        tag="Service",
        summary="Liveness",
        description="Hits are answered whenever this is, whatever else is down.",
        access=Access.ANYBODY,
        handler=healthz,
        answers=(Answer(description="The process answers.", model=Health),),
    ),
    Operation(
        id="getReadiness",
        method="GET",
        path="/readyz",
        tag="Service",
        summary="Readiness",
        access=Access.ANYBODY,
        handler=readyz,
        answers=(Answer(description="Ready.", model=Ready),),
        problems=(NOT_READY,),
        problem_model=(503, ReadinessProblem),
    ),
)
