"""The API asked for whatever its document allows, and for what it does not: each answer is one that the document has.

Schemathesis makes the requests from the document; the service is real, and so is HTTP. The same requests each time:
what fails here fails again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
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
from api.openapi.document import openapi_document
from api.routes import OPERATIONS
from api.routes.openapi import with_documents
from tests.handler import Handler
from tests.service import Service, eventually

#: Requests of a kind to an operation; more find more, by hand: `ASKED_REQUESTS=500 pytest ...`.
REQUESTS: Final = int(os.environ.get("ASKED_REQUESTS", "15"))
#: An answer that never ends, which nothing here can read; tests/unit/api/events/test_sse.py does.
STREAMS: Final = {"streamEvents"}
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
#: A request that the document does not allow is refused, too.
NEGATIVE_CHECKS: Final = [*CHECKS, negative_data_rejection]

DECLARED: Final = with_documents(OPERATIONS, "0")
SCHEMA: Final = schemathesis.openapi.from_dict(openapi_document(DECLARED, "0"))
# What changes and what deletes comes last, so that the others meet a loop that is there and verified.
LAST: Final = ("patch", "delete")
ASKED: Final[list[APIOperation[Any, Any, Any, Any]]] = sorted(
    (found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)),
    key=lambda operation: LAST.index(operation.method) if operation.method in LAST else -1,
)


@dataclass(frozen=True, slots=True)
class World:
    """A service, and what is there to be asked for: values of path parameters by the parameter's name and the path."""

    base: str
    keys: dict[str, str]
    #: Of an account that has nothing.
    other_key: str
    known: dict[tuple[str, str], str]

    def known_in(self, path: str) -> dict[str, str]:
        """Values of the parameters of an operation's path."""
        return {name: value for (name, start), value in self.known.items() if path.startswith(start)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One actor for all loops: that makes many of them cheap."""
    service = Service(tmp_path_factory.mktemp("asked") / "data", FEEDBACK_LOOPS_ACTOR_BUDGET="1")
    try:
        service.start()
        with Handler() as handler:
            yield _furnished(service, handler)
    finally:
        service.end()


def _furnished(service: Service, handler: Handler) -> World:
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
    key = account.call("POST", "/v1/api-keys", json={"name": "Shop"}).json()
    admin = {"Authorization": "Bearer test-admin-key"}
    user = {"email": "ann@example.com", "account_name": "Shop"}
    ann = service.http.post("/v1/users", json=user, headers=admin).json()
    return World(
        base=f"http://127.0.0.1:{service.port}",
        keys={"ACCOUNT": account.key, "ADMIN": "test-admin-key"},
        other_key=service.account().key,
        known={
            ("id", "/v1/feedback-loops/"): created["id"],
            ("rid", "/v1/feedback-loops/"): replay["id"],
            ("id", "/v1/deliveries/"): delivery["id"],
            ("id", "/v1/messages/"): message["id"],
            ("id", "/v1/users/"): ann["id"],
            ("id", "/v1/api-keys/"): key["id"],
            ("db", "/v1/databases/"): "1",
            ("id", "/v1/databases/"): "1",
            ("kind", "/problems/"): "conflict",
        },
    )


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        yield made


def repeatable(requests_: int) -> settings:
    """So many requests, the same each time."""
    return settings(
        max_examples=requests_,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def declaration(operation: APIOperation[Any, Any, Any, Any]) -> Operation:
    """The operation as the API itself has it."""
    return next(found for found in DECLARED if found.id == operation.definition.raw["operationId"])


def _questions() -> Iterator[Any]:
    """Each operation with requests that it allows, and with those that it does not, if it has anything to get wrong."""
    for operation in ASKED:
        raw = operation.definition.raw
        if raw["operationId"] not in STREAMS:
            yield pytest.param(operation, GenerationMode.POSITIVE, id=f"{operation.label}-allowed")
            if "parameters" in raw or "requestBody" in raw:
                yield pytest.param(operation, GenerationMode.NEGATIVE, id=f"{operation.label}-not-allowed")


#: Each names one thing of an account. Databases are named by the account itself: every account has its own "1".
OF_ONE_THING: Final = [
    operation
    for operation in ASKED
    if declaration(operation).access is Access.ACCOUNT
    and "{" in operation.path
    and not operation.path.startswith("/v1/databases/")
]


# Before the next test, which changes and deletes what is there.
@pytest.mark.parametrize("operation", OF_ONE_THING, ids=lambda operation: operation.label)
def test_another_account_s_things_are_not_there(
    world: World, session: requests.Session, operation: APIOperation[Any, Any, Any, Any]
) -> None:
    """Whoever knows an id and has another account's key gets 404, or is told that the rest of the request is wrong."""
    statuses = set()

    @repeatable(8)
    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def ask(case: Case[Any]) -> None:
        case.path_parameters = world.known_in(operation.path)
        case.headers.pop("Idempotency-Key", None)
        answer = case.call(world.base, session, {"Authorization": f"Bearer {world.other_key}"}, timeout=20)
        statuses.add(answer.status_code)

    ask()
    assert 404 in statuses
    assert statuses <= {404, 422}


@pytest.mark.parametrize(("operation", "mode"), list(_questions()))
def test_every_answer_is_in_the_document(
    world: World, session: requests.Session, operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode
) -> None:
    """No 5xx, no status, media type, header or body that is not promised, whatever was asked."""
    key = world.keys.get(declaration(operation).access.name)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    known = world.known_in(operation.path)

    @repeatable(REQUESTS)
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def ask(case: Case[Any], data: st.DataObject) -> None:
        if mode.is_positive and data.draw(st.integers(0, 3)):
            # Chance never hits an id that is there, and hits an Idempotency-Key that was used all the time.
            case.path_parameters |= {name: value for name, value in known.items() if name in case.path_parameters}
            case.headers.pop("Idempotency-Key", None)
        case.call_and_validate(
            world.base, session, headers, checks=NEGATIVE_CHECKS if mode.is_negative else CHECKS, timeout=20
        )

    ask()
