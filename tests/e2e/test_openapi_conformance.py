"""Conformance of the API to its OpenAPI document: every answer to valid and invalid requests is a documented one.

Schemathesis generates the requests from the document, for a real service over real HTTP. They are the same in each run,
so failures can be repeated.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.http.operation import Access, Operation
from tests.api_document import DECLARED, DOCUMENT
from tests.handler import Handler
from tests.service import Service, eventually

#: Requests of each kind per operation. More requests find more errors: `OPENAPI_REQUESTS=500 pytest ...`.
REQUESTS: Final = int(os.environ.get("OPENAPI_REQUESTS", "15"))
#: An endless response, which is tested in tests/unit/api/events/test_sse.py.
STREAMS: Final = {"streamEvents"}
#: No body is refused: returned mail may be any bytes, and each wrong line gets an answer of its own.
ANY_BODY: Final = {"reportMail", "importProfiles"}
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
#: In addition, invalid requests must be refused.
NEGATIVE_CHECKS: Final = [*CHECKS, negative_data_rejection]

SCHEMA: Final = schemathesis.openapi.from_dict(DOCUMENT)
# Changes and deletions come last, so that other requests find a verified loop.
LAST: Final = ("patch", "delete")
ASKED: Final[list[APIOperation[Any, Any, Any, Any]]] = sorted(
    (found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)),
    key=lambda operation: LAST.index(operation.method) if operation.method in LAST else -1,
)


# Returned mail may be any bytes, and lines may be any text.
schemathesis.serializer.alias("message/rfc822", "application/octet-stream")
schemathesis.serializer.alias("application/x-ndjson", "text/plain")


@dataclass(frozen=True, slots=True)
class PopulatedService:
    """A service with sample data, and valid path parameters by name and path."""

    base: str
    keys: dict[str, str]
    #: API key of an account without data.
    other_key: str
    known: dict[tuple[str, str], str]

    def known_in(self, path: str) -> dict[str, str]:
        """Valid parameters of an operation's path."""
        return {name: value for (name, start), value in self.known.items() if path.startswith(start)}


@pytest.fixture(scope="module")
def populated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PopulatedService]:
    """A service with one actor for all loops, which makes many loops cheap."""
    service = Service(tmp_path_factory.mktemp("asked") / "data", FEEDBACK_LOOPS_ACTOR_BUDGET="1")
    try:
        service.start()
        with Handler() as handler:
            yield _populated_service(service, handler)
    finally:
        service.end()


def _populated_service(service: Service, handler: Handler) -> PopulatedService:
    account = service.account()
    created = account.call("POST", "/v1/feedback-loops", json={"url": handler.url, "triggers": ["click"]}).json()
    loop = f"/v1/feedback-loops/{created['id']}"
    verification = created["verification"]
    handler.files[f"/dir/{verification['file_name']}"] = verification["file_content"].encode()
    assert account.call("POST", f"{loop}/verify").status_code == 200
    handler.status = 500
    (path,) = account.click_paths(1)
    assert service.http.get(path).status_code == 302
    (delivery,) = eventually(lambda: account.call("GET", f"{loop}/deliveries").json()["data"], 20, "a delivery")
    replay = account.call("POST", f"{loop}/replay", json={"since": "2026-01-01T00:00:00Z", "state": "all"}).json()
    account.call("PUT", "/v1/databases/1/profiles/1", json={"fields": {"name": "John"}, "interests": ["music"]})
    message = account.call("POST", "/v1/messages", json={"recipient": "john@example.com"}).json()
    account.call("POST", "/v1/events", json={"type": "delivery", "message": message["id"]})
    (report,) = eventually(lambda: account.call("GET", "/v1/reports").json()["data"], 20, "a report")
    key = account.call("POST", "/v1/api-keys", json={"name": "Shop"}).json()
    erasure = account.call("DELETE", "/v1/recipients/jane@example.com").json()
    admin = {"Authorization": "Bearer test-admin-key"}
    user = {"email": "ann@example.com", "account_name": "Shop"}
    ann = service.http.post("/v1/users", json=user, headers=admin).json()
    return PopulatedService(
        base=f"http://127.0.0.1:{service.port}",
        keys={"ACCOUNT": account.key, "ADMIN": "test-admin-key", "EITHER": account.key},
        other_key=service.account().key,
        known={
            ("id", "/v1/feedback-loops/"): created["id"],
            ("rid", "/v1/feedback-loops/"): replay["id"],
            ("id", "/v1/deliveries/"): delivery["id"],
            ("id", "/v1/messages/"): message["id"],
            ("id", "/v1/reports/"): report["id"],
            ("id", "/v1/users/"): ann["id"],
            ("id", "/v1/api-keys/"): key["id"],
            ("db", "/v1/databases/"): "1",
            ("id", "/v1/databases/"): "1",
            ("email", "/v1/recipients/"): "jane@example.com",
            ("id", "/v1/erasures/"): erasure["id"],
            ("kind", "/problems/"): "conflict",
        },
    )


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        yield made


def repeatable(requests_: int) -> settings:
    """Settings for this many requests, the same in each run."""
    return settings(
        max_examples=requests_,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def declaration(operation: APIOperation[Any, Any, Any, Any]) -> Operation:
    """The API's own description of the operation."""
    return next(found for found in DECLARED if found.id == operation.definition.raw["operationId"])


def _questions() -> Iterator[Any]:
    """Each operation with valid requests, and with invalid requests if it has any input."""
    for operation in ASKED:
        raw = operation.definition.raw
        if raw["operationId"] not in STREAMS:
            yield pytest.param(operation, GenerationMode.POSITIVE, id=f"{operation.label}-allowed")
            if raw["operationId"] not in ANY_BODY and ("parameters" in raw or "requestBody" in raw):
                yield pytest.param(operation, GenerationMode.NEGATIVE, id=f"{operation.label}-not-allowed")


#: Operations on one object of an account. Databases are left out, because every account has its own database "1", and
#: people, because every address gets the same answer.
OF_ONE_THING: Final = [
    operation
    for operation in ASKED
    if declaration(operation).access is Access.ACCOUNT
    and "{" in operation.path
    and not operation.path.startswith(("/v1/databases/", "/v1/recipients/"))
]


# Runs before the next test, which changes and deletes the data.
@pytest.mark.parametrize("operation", OF_ONE_THING, ids=lambda operation: operation.label)
def test_objects_of_other_accounts_are_not_found(
    populated: PopulatedService, session: requests.Session, operation: APIOperation[Any, Any, Any, Any]
) -> None:
    """An id of another account gets 404, or an error about the rest of the request."""
    statuses = set()

    @repeatable(8)
    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def ask(case: Case[Any]) -> None:
        case.path_parameters = populated.known_in(operation.path)
        case.headers.pop("Idempotency-Key", None)
        answer = case.call(populated.base, session, {"Authorization": f"Bearer {populated.other_key}"}, timeout=20)
        statuses.add(answer.status_code)

    ask()
    assert 404 in statuses
    assert statuses <= {404, 422}


@pytest.mark.parametrize(("operation", "mode"), list(_questions()))
def test_every_answer_is_in_the_document(
    populated: PopulatedService,
    session: requests.Session,
    operation: APIOperation[Any, Any, Any, Any],
    mode: GenerationMode,
) -> None:
    """No request gets a 5xx, or an undocumented status, media type, header or body."""
    key = populated.keys.get(declaration(operation).access.name)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    known = populated.known_in(operation.path)

    @repeatable(REQUESTS)
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def ask(case: Case[Any], data: st.DataObject) -> None:
        # A wrong line is no wrong request: it gets an answer of its own.
        assume(mode.is_positive or case.media_type != "application/x-ndjson")
        if mode.is_positive and data.draw(st.integers(0, 3)):
            # Random ids never exist, and random Idempotency-Keys often repeat.
            case.path_parameters |= {name: value for name, value in known.items() if name in case.path_parameters}
            case.headers.pop("Idempotency-Key", None)
        case.call_and_validate(
            populated.base, session, headers, checks=NEGATIVE_CHECKS if mode.is_negative else CHECKS, timeout=20
        )

    ask()
