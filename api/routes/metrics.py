"""Metrics for Prometheus. They need no key and reveal nothing of any account."""

from __future__ import annotations

from typing import Final

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from api.http.operation import Access, ApiRequest, Operation, ResponseSpec
from api.http.response import Response
from api.schemas.base import EmptyBody, NoQuery


async def metrics(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """The metrics of the whole service."""
    body, content_type = await request.services.metrics.text(request.headers.get("accept", ""))
    return Response(body=body, content_type=content_type)


OPERATIONS: Final = (
    Operation(
        id="getMetrics",
        method="GET",
        path="/metrics",
        tag="Service",
        summary="Metrics for Prometheus",
        description="The metrics of this front end and, within some seconds, of all processes behind it, in "
        "Prometheus' text format or, on request, OpenMetrics. Hide it from strangers with a proxy: it reveals "
        "how much is going on.",
        access=Access.ANYBODY,
        handler=metrics,
        responses=(ResponseSpec(description="The metrics.", media_type=CONTENT_TYPE_PLAIN_0_0_4),),
    ),
)
