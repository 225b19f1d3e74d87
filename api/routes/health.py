"""Liveness and readiness. They need no key and reveal nothing of any account."""

from __future__ import annotations

from typing import Final

from api.http.operation import Access, ApiRequest, Operation, ResponseSpec
from api.http.problems import NOT_READY, ProblemError
from api.http.response import Response
from api.schemas.base import EmptyBody, NoQuery
from api.schemas.service import Health, ReadinessProblem, Ready


async def healthz(_call: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """Whether the process responds."""
    return Response.of(Health(status="ok"))


async def readyz(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """Whether events can reach handlers."""
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
        description="While this responds, hits are answered, whatever else is down.",
        access=Access.ANYBODY,
        handler=healthz,
        responses=(ResponseSpec(description="The process responds.", model=Health),),
    ),
    Operation(
        id="getReadiness",
        method="GET",
        path="/readyz",
        tag="Service",
        summary="Readiness",
        description="Whether events can reach handlers now; responds within a second. It covers "
        "what all loops share: it does not report a loop whose own process is restarting; the loop's events "
        "wait for it.",
        access=Access.ANYBODY,
        handler=readyz,
        responses=(ResponseSpec(description="Ready.", model=Ready),),
        problems=(NOT_READY,),
        problem_model=(503, ReadinessProblem),
    ),
)
