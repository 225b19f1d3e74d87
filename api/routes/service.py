"""Health, readiness and metrics of the service. They need no key and reveal nothing of any account."""

from __future__ import annotations

from functools import partial
from typing import Final

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from api.http.operation import Access, ApiRequest, Operation, ResponseSpec
from api.http.problem_types import NOT_READY
from api.http.problems import ProblemError, public_detail
from api.http.response import Response
from api.schemas.base import EmptyBody, NoQuery
from api.schemas.service import Health, ReadinessProblem, ReadinessQuery, Ready

service_operation: Final = partial(Operation, tag="Service", access=Access.ANYBODY)


async def healthz(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """Whether the process responds."""
    return Response.of(Health.of(request.services.instance))


async def readyz(request: ApiRequest[EmptyBody, ReadinessQuery]) -> Response:
    """Whether events can reach handlers, or hits are answered. Only the operator sees the errors' own texts."""
    readiness = request.services.readiness
    found = readiness.tracking_problems() if request.query.for_ else await readiness.problems()
    # Several errors may have the same public text.
    problems = list(dict.fromkeys(map(str if request.is_operator else public_detail, found)))
    if problems:
        raise ProblemError(
            NOT_READY, "; ".join(problems), members={"problems": problems}, headers=(("Retry-After", "1"),)
        )
    return Response.of(Ready(status="ready"))


async def metrics(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """The metrics of the whole service."""
    body, content_type = await request.services.metrics.text(request.headers.get("accept", ""))
    return Response(body=body, content_type=content_type)


OPERATIONS: Final = (
    service_operation(
        id="getHealth",
        path="/healthz",
        summary="Liveness",
        description="As long as this responds, the service answers hits, whatever else is down.",
        handler=healthz,
        responses=(ResponseSpec(description="The process responds.", model=Health),),
    ),
    service_operation(
        id="getReadiness",
        path="/readyz",
        summary="Readiness",
        description="Reports within a second whether events can reach handlers now. It covers what all loops share. "
        "`?for=tracking` is the check for load balancers: it only needs a front end that answers clicks. "
        "It does not report a loop whose own process is restarting; the loop's events wait meanwhile. With the admin "
        "key, it shows the details of each problem, such as the address of a store that cannot be reached.",
        query=ReadinessQuery,
        handler=readyz,
        responses=(ResponseSpec(description="Ready.", model=Ready),),
        problems=(NOT_READY,),
        problem_model=(503, ReadinessProblem),
    ),
    service_operation(
        id="getMetrics",
        path="/metrics",
        summary="Metrics for Prometheus",
        description="The metrics of this front end and of all processes behind it that answer in time, in "
        "Prometheus' text format or, on request, OpenMetrics. Block public access to it in your proxy: it shows "
        "how busy the service is.",
        handler=metrics,
        responses=(ResponseSpec(description="The metrics.", media_type=CONTENT_TYPE_PLAIN_0_0_4),),
    ),
)
