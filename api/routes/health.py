"""Liveness and readiness; no key is needed, and nothing of any account is told."""

from __future__ import annotations

from typing import Final

from api.http.operation import Access, ApiRequest, Operation, ResponseSpec
from api.http.problems import NOT_READY, ProblemError
from api.http.response import Response
from api.schemas.base import EmptyBody, NoQuery
from api.schemas.service import Health, ReadinessProblem, Ready


async def healthz(_call: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """The process answers; that is all it says."""
    return Response.of(Health(status="ok"))


async def readyz(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """Whether an event can go all the way from hit to handler."""
    problems = await request.services.readiness.problems()
    if problems:
        raise ProblemError(
            NOT_READY, "; ".join(problems), members={"problems": problems}, headers=(("Retry-After", "1"),)
        )
    return Response.of(Ready(status="ready"))


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
        responses=(ResponseSpec(description="The process answers.", model=Health),),
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
        responses=(ResponseSpec(description="Ready.", model=Ready),),
        problems=(NOT_READY,),
        problem_model=(503, ReadinessProblem),
    ),
)
