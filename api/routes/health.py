"""Liveness and readiness; no key is needed, and nothing of any account is told."""

from __future__ import annotations

from typing import Final

from api.http.operation import Access, Answer, Call, Operation
from api.http.problems import NOT_READY, Refused
from api.http.response import Reply
from api.schemas.base import EmptyBody, NoQuery
from api.schemas.service import Health, ReadinessProblem, Ready


async def healthz(_call: Call[EmptyBody, NoQuery]) -> Reply:
    """The process answers; that is all it says."""
    return Reply.of(Health(status="ok"))


async def readyz(call: Call[EmptyBody, NoQuery]) -> Reply:
    """Whether an event can go all the way from hit to handler."""
    problems = await call.services.readiness.problems()
    if problems:
        raise Refused(NOT_READY, "; ".join(problems), members={"problems": problems}, headers=(("Retry-After", "1"),))
    return Reply.of(Ready(status="ready"))


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
        description="Whether an event can go all the way from hit to handler now; answered within a second. This is "
        "about what all loops share: a loop whose own process is being restarted is not reported, and what it is owed "
        "waits for it.",
        access=Access.ANYBODY,
        handler=readyz,
        answers=(Answer(description="Ready.", model=Ready),),
        problems=(NOT_READY,),
        problem_model=(503, ReadinessProblem),
    ),
)
