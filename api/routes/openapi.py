"""Self-description of the API: OpenAPI document, its page, and the explanation of each problem."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from api.http.operation import Access, ApiRequest, Operation, ResponseSpec
from api.http.problems import NOT_FOUND, PROBLEM_TYPES
from api.http.response import Response
from api.openapi.document import openapi_document
from api.openapi.html import HEADERS, docs_page, problem_page
from api.schemas.base import EmptyBody, NoQuery
from domain.errors import NotFound

_HTML = "text/html; charset=utf-8"


def with_documents(operations: Sequence[Operation], version: str) -> tuple[Operation, ...]:
    """The operations, and those that describe all of them."""
    documents = _Documents()
    found = (*operations, *documents.operations())
    documents.describe(found, version)
    return found


class _Documents:
    """Responses that are made once per process."""

    def __init__(self) -> None:
        self._openapi = Response()
        self._page = Response()

    def describe(self, operations: Sequence[Operation], version: str) -> None:
        document = openapi_document(operations, version)
        self._openapi = Response(body=msgspec.json.encode(document))
        self._page = _page(docs_page(document))

    async def openapi(self, _call: ApiRequest[EmptyBody, NoQuery]) -> Response:
        return self._openapi

    async def page(self, _call: ApiRequest[EmptyBody, NoQuery]) -> Response:
        return self._page

    async def problem(self, request: ApiRequest[EmptyBody, NoQuery]) -> Response:
        kind = PROBLEM_TYPES.get(request.path["kind"])
        if kind is None:
            raise NotFound(f"there is no problem of this kind; the kinds are {', '.join(PROBLEM_TYPES)}")
        return _page(problem_page(kind))

    def operations(self) -> tuple[Operation, ...]:
        return (
            Operation(
                id="getOpenApi",
                method="GET",
                path="/openapi.json",
                tag="Service",
                summary="This document",
                access=Access.ANYBODY,
                handler=self.openapi,
                responses=(ResponseSpec(description="OpenAPI 3.1.", media_type="application/json"),),
            ),
            Operation(
                id="getDocs",
                method="GET",
                path="/docs",
                tag="Service",
                summary="This document as a page",
                access=Access.ANYBODY,
                handler=self.page,
                responses=(ResponseSpec(description="The page.", media_type=_HTML),),
            ),
            Operation(
                id="getProblem",
                method="GET",
                path="/problems/{kind}",
                tag="Service",
                summary="Explain a kind of problem",
                access=Access.ANYBODY,
                handler=self.problem,
                responses=(ResponseSpec(description="The explanation.", media_type=_HTML),),
                problems=(NOT_FOUND,),
            ),
        )


def _page(html: str) -> Response:
    return Response(body=html.encode(), content_type=_HTML, headers=HEADERS)
