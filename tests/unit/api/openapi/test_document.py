"""Agreement of the OpenAPI document with the routes, the models and the answers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from starlette.routing import Route

from actors.commands.deliveries import AttemptView, DeliveryView
from actors.commands.events import EventView
from actors.commands.reports import ReportView
from api.app import FrontEnd
from api.http.connection_limits import MAX_HEAD_BYTES
from api.http.operation import Access, Operation
from api.http.problem_types import PROBLEM_TYPES
from api.http.problems import PROBLEM_JSON
from api.routes import OPERATIONS
from api.routes.openapi import with_documents
from api.schemas.base import Trigger as TriggerType
from domain.delivery import EVENT_TOO_LARGE
from domain.event_catalogue.triggers import Trigger
from tests.paths import ROOT
from tests.unit.api.fake_api import ADMIN_KEY, NOW_MS, Api, run
from tests.unit.api.http.fake_server import App, Connection, serve

LOOPS = "/v1/feedback-loops"
METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    async def scenario() -> dict[str, Any]:
        async with Api() as api:
            answer = await api.http.get("/openapi.json")
            assert answer.headers["content-type"] == "application/json"
            found: dict[str, Any] = answer.json()
            return found

    return run(scenario())


def refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs(value)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        assert set(item) <= METHODS
        for method, operation in item.items():
            yield path, method, operation


def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    """It has all required members at its top, and none that the specification does not define."""
    assert document["openapi"] == "3.1.0"
    assert set(document) == {"openapi", "info", "servers", "tags", "paths", "webhooks", "components"}
    assert {"title", "version"} <= set(document["info"])
    assert {tag["name"] for tag in document["tags"]} == {o["tags"][0] for _, _, o in operations(document)}


def test_every_reference_leads_somewhere_and_every_model_is_a_schema(document: dict[str, Any]) -> None:
    """Every `$ref` resolves, every model is used, and each is valid JSON Schema 2020-12."""
    schemas = document["components"]["schemas"]
    found = {ref.removeprefix("#/components/schemas/") for ref in refs(document)}

    assert found == set(schemas)
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)


def test_routes_and_document_have_the_same_operations(document: dict[str, Any]) -> None:
    """The router and the document are made from the same operations."""

    async def scenario() -> set[str]:
        async with Api() as api:
            assert isinstance(api.app, FrontEnd)
            return {route.path for route in api.app.api.routes if isinstance(route, Route)}

    assert run(scenario()) == set(document["paths"])
    declared = {(o.path, o.method.lower()) for o in with_documents(OPERATIONS, "0")}
    assert declared == {(path, method) for path, method, _ in operations(document)}


def test_every_operation_is_complete(document: dict[str, Any]) -> None:
    """It has a unique id, a summary, all path parameters, security, and an answer for success."""
    ids = [o["operationId"] for _, _, o in operations(document)]
    assert len(set(ids)) == len(ids)
    for path, method, operation in operations(document):
        parameters = operation.get("parameters", [])
        in_path = [p["name"] for p in parameters if p["in"] == "path"]
        assert in_path == re.findall(r"{(\w+)}", path)
        assert operation["summary"]
        assert isinstance(operation["security"], list)
        assert any(status.startswith("2") for status in operation["responses"])
        assert all(response["description"] for response in operation["responses"].values())
        takes_key = any(p["name"] == "Idempotency-Key" for p in parameters)
        assert takes_key == (method == "post" and path not in {"/v1/events", "/v1/mime"})
        for parameter in parameters:
            Draft202012Validator.check_schema(parameter["schema"])


def test_every_operation_with_a_key_has_401(document: dict[str, Any]) -> None:
    """401 is among the answers exactly where a key is needed."""
    for operation in OPERATIONS:
        found = document["paths"][operation.path][operation.method.lower()]
        assert ("401" in found["responses"]) == (operation.access is not Access.ANYBODY)


def _refusals(operation: Operation) -> Iterator[tuple[int, bytes]]:
    """Requests that the server refuses before any operation sees them, with the status of the answer."""
    method, path = operation.method.encode(), operation.path
    start = b"%b %b HTTP/1.1\r\nHost: x\r\n" % (method, re.sub("{[^}]*}", "x", path).encode())
    yield 400, start + b"no colon\r\n\r\n"
    yield 408, start
    yield 431, start + b"X: " + b"x" * MAX_HEAD_BYTES
    for parameter in re.findall("{[^}]*}", path):
        without = re.sub("{[^}]*}", "x", path.replace(parameter, "")).encode()
        yield 404, b"%b %b HTTP/1.1\r\nContent-Length: 0\r\n\r\n" % (method, without)


def test_the_servers_own_refusals_are_documented(document: dict[str, Any]) -> None:
    """For each operation, requests that are not HTTP, too slow, too long or without an id get a documented problem."""

    async def scenario(_app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        # The test server's backlog is short.
        turns = asyncio.Semaphore(20)

        async def check(responses: dict[str, Any], status: int, request: bytes) -> None:
            async with turns:
                connection = await connect()
                await connection.send(request)
                found, body = await connection.answer()
            assert (found, json.loads(body)["status"]) == (status, status), request[:100]
            assert PROBLEM_JSON in responses[str(status)]["content"], request[:100]

        async with asyncio.TaskGroup() as checks:
            for operation in with_documents(OPERATIONS, "0"):
                responses = document["paths"][operation.path][operation.method.lower()]["responses"]
                for status, request in _refusals(operation):
                    checks.create_task(check(responses, status, request))

    serve(scenario, asgi=Api().app)


def test_the_triggers_are_those_of_the_domain() -> None:
    """The API's list of triggers equals the domain's."""
    assert TypeAdapter(TriggerType).json_schema()["enum"] == [trigger.value for trigger in Trigger]


def test_requests_are_closed_and_answers_are_open(document: dict[str, Any]) -> None:
    """Requests refuse unknown fields; answers may get new fields without breaking a client."""
    schemas = document["components"]["schemas"]
    assert schemas["NewLoop"]["additionalProperties"] is False
    assert schemas["NewLoop"]["required"] == ["url", "triggers"]
    assert "required" not in schemas["LoopChange"]
    assert all(
        "default" not in field or field["default"] is None for field in schemas["LoopChange"]["properties"].values()
    )
    assert "additionalProperties" not in schemas["FeedbackLoop"]
    assert "secret" not in schemas["FeedbackLoop"]["required"]


def test_every_body_has_a_valid_example(document: dict[str, Any]) -> None:
    """The example of each body fits its model, and is not empty."""
    registry: Registry[Any] = Registry().with_resource(
        "urn:api", Resource.from_contents(document, default_specification=DRAFT202012)
    )
    for _, _, operation in operations(document):
        for content in operation.get("requestBody", {"content": {}})["content"].values():
            schema = content.get("x-itemSchema", content["schema"])
            example = json.loads(content["example"]) if "x-itemSchema" in content else content["example"]
            text = json.dumps(schema).replace("#/components", "urn:api#/components")
            Draft202012Validator(json.loads(text), registry=registry).validate(example)
            assert example


# --- real answers


REPORT = ReportView(
    id="rep_1",
    state="repeated",
    source="mail",
    kind="failed",
    arrived_at_ms=NOW_MS,
    events=["evt_1"],
    is_truncated=True,
    first_id="rep_0",
)


class Checker:
    """Compares answers with the document's description of their operation and status."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        resource = Resource.from_contents(document, default_specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource("urn:api", resource)
        self.seen: set[tuple[str, str]] = set()

    def check(self, answer: httpx.Response) -> None:
        path, operation = self._operation(answer.request)
        self.seen.add((answer.request.method.lower(), path))
        promised = operation["responses"][str(answer.status_code)]
        if answer.status_code == 204:
            assert answer.content == b""
            return
        content = promised["content"][answer.headers["content-type"]]
        if "x-itemSchema" in content:
            for line in answer.text.splitlines():
                self._validate(json.loads(line), content["x-itemSchema"])
        elif "json" in answer.headers["content-type"]:
            self._validate(answer.json(), content["schema"])

    def _operation(self, request: httpx.Request) -> tuple[str, dict[str, Any]]:
        raw = request.url.raw_path.decode().partition("?")[0]
        paths = self._document["paths"]
        for path in sorted(paths, key=lambda p: p.count("{")):
            if re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), raw) and request.method.lower() in paths[path]:
                return path, paths[path][request.method.lower()]
        raise AssertionError(f"{request.method} {raw} is not in the document")

    def _validate(self, value: Any, schema: dict[str, Any]) -> None:
        text = json.dumps(schema).replace("#/components", "urn:api#/components")
        Draft202012Validator(json.loads(text), registry=self._registry).validate(value)


async def _use_users(ask: Callable[..., Awaitable[httpx.Response]]) -> None:
    """Calls the operations on users, with success and failure."""
    ann = (await ask("POST", "/v1/users", key=ADMIN_KEY, json={"email": "a@b.example", "account_name": "x"})).json()
    bob = {"email": "b@b.example", "account": ann["account"]}
    for _ in range(2):
        await ask("POST", "/v1/users", key=ADMIN_KEY, json=bob)
    await ask("GET", "/v1/users", key=ADMIN_KEY)
    await ask("POST", f"/v1/users/{ann['id']}/password", key=ADMIN_KEY)
    for _ in range(2):
        await ask("DELETE", f"/v1/users/{ann['id']}", key=ADMIN_KEY)


async def _use_keys(ask: Callable[..., Awaitable[httpx.Response]]) -> None:
    """Calls the operations on API keys, with success and failure."""
    made = (await ask("POST", "/v1/api-keys", json={"name": "Shop"})).json()
    await ask("POST", "/v1/api-keys", json={"name": ""})
    await ask("GET", "/v1/api-keys")
    for _ in range(2):
        await ask("DELETE", f"/v1/api-keys/{made['id']}")


async def _use_profiles(ask: Callable[..., Awaitable[httpx.Response]]) -> None:
    """Calls the operations on profiles and subprofiles, with success and failure."""
    profile = "/v1/databases/1/profiles/3"
    for path in (profile, f"{profile}/collections/c/subprofiles/4"):
        for method, body in (("PUT", {"fields": {"a": 1}}), ("PATCH", {"fields": {"b": None}})):
            await ask(method, path, json=body)
            await ask(method, path, json={"fields": 1})
        await ask("GET", path)
        for _ in range(2):
            await ask("DELETE", path)
    lines = b'{"id": "a", "fields": {}}\n\n{"id": 1}\n'
    for query in ("", "?events=none", "?events=some"):
        await ask(
            "PUT", f"/v1/databases/1/profiles{query}", content=lines, headers={"Content-Type": "application/x-ndjson"}
        )


async def _use_installation_keys(ask: Callable[..., Awaitable[httpx.Response]]) -> None:
    """Calls the operations on the installation's keys, with success and failure."""
    keys = "/v1/installation-keys"
    for method, path in (
        ("GET", keys),
        ("POST", f"{keys}/rotate"),
        ("GET", f"{keys}/1"),
        ("GET", f"{keys}/9"),
        ("DELETE", f"{keys}/2"),
        ("DELETE", f"{keys}/1"),
        ("POST", f"{keys}/rotate-master"),
        ("GET", "/v1/front-ends"),
        ("DELETE", "/v1/front-ends/5c0e"),
        ("DELETE", "/v1/front-ends/none"),
    ):
        await ask(method, path, key=ADMIN_KEY)


def test_real_answers_match_the_document(document: dict[str, Any]) -> None:
    """Every operation is called with success and failure, and each answer fits its schema."""
    checker = Checker(document)

    async def scenario() -> None:
        async with Api() as api:

            async def ask(method: str, path: str, **arguments: Any) -> httpx.Response:
                answer = await api.call(method, path, **arguments)
                checker.check(answer)
                return answer

            await ask("POST", "/v1/accounts", key=ADMIN_KEY, json={"name": "x"})
            await ask("POST", "/v1/accounts", json={"name": "x"})
            await ask("GET", "/v1/accounts?limit=1", key=ADMIN_KEY)
            await ask("GET", "/v1/accounts?cursor=x", key=ADMIN_KEY)
            await _use_users(ask)
            await _use_keys(ask)
            await _use_installation_keys(ask)
            loop = (await ask("POST", LOOPS, json={"url": "https://h.example/", "triggers": ["open"]})).json()
            item = f"{LOOPS}/{loop['id']}"
            await ask("POST", LOOPS, json={"url": 1})
            await ask("POST", f"{item}/verify")
            await ask("POST", f"{item}/test", json={"type": "open"})
            api.client.proved.add(loop["id"])
            await ask("POST", f"{item}/verify")
            await ask("POST", f"{item}/test", json={"type": "open"})
            await ask("POST", f"{LOOPS}/check")
            await ask("PATCH", item, json={"rate_limit": 1.5})
            for action in ("pause", "pause", "resume", "rotate-secret"):
                await ask("POST", f"{item}/{action}")
            api.client.deliveries[loop["id"]] = [_delivery()]
            api.client.events = [EventView(id="evt_1", type="open", time_ms=NOW_MS, fields=msgspec.Raw(b"{}"))]
            for path in (item, f"{item}/secret", f"{item}/verification-file", f"{item}/deliveries", LOOPS):
                await ask("GET", path)
            message = {"recipient": "a@b.example", "id": "m", "links": ["https://a.example/"]}
            await ask("POST", "/v1/messages", json=message | {"html": "<p>"})
            await ask("POST", "/v1/messages", json=message)
            await ask("POST", "/v1/messages", json={})
            lines = {"Content-Type": "application/x-ndjson"}
            content = f"{json.dumps(message | {'id': 'n'})}\n\n{{}}\n"
            await ask("POST", "/v1/messages", content=content, headers=lines)
            await ask("GET", "/v1/messages?recipient=a%40b.example")
            await ask("GET", "/v1/messages/m")
            await ask("GET", "/v1/messages/none")
            for _ in range(2):
                await ask("PUT", "/v1/databases/1/profiles/2", json={"fields": {"a": [1]}})
            await ask("GET", "/v1/databases/1/profiles/2")
            await _use_profiles(ask)
            await ask("GET", "/v1/events")
            await ask("GET", "/v1/events?x=1")
            await ask("POST", "/v1/events", json={"type": "delivery", "message": "m"})
            await ask("POST", "/v1/events", json=[{}])
            await ask("POST", "/v1/events", content="{}", headers=lines)
            for mail in ("From: a\n\nb", ""):
                await ask("POST", "/v1/mime", content=mail, headers={"Content-Type": "message/rfc822"})
            api.client.reports = [REPORT]
            await ask("GET", "/v1/reports")
            await ask("GET", f"/v1/reports/{REPORT.id}")
            await ask("GET", "/v1/reports/none")
            checker.check(await api.stream("/v1/events/stream", bool))
            await ask("GET", "/v1/deliveries/dlv_1")
            await ask("POST", "/v1/deliveries/dlv_1/retry")
            for _ in range(2):
                await ask("POST", f"{item}/replay", json={"since": "2026-01-01T00:00:00Z", "state": "all"})
            await ask("GET", f"{item}/replays")
            await ask("GET", f"{item}/replays/rpl_1")
            await ask("DELETE", f"{item}/replays/rpl_1")
            await ask("DELETE", item)
            await ask("GET", "/v1/recipients/john%40example.com")
            erasure = (await ask("DELETE", "/v1/recipients/john%40example.com")).json()
            await ask("GET", "/v1/erasures")
            await ask("GET", f"/v1/erasures/{erasure['id']}")
            for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/problems/conflict"):
                await ask("GET", path)
            api.client.problems = ["no supervisor"]
            await ask("GET", "/readyz")

    run(scenario())
    assert checker.seen == {(method, path) for path, method, _ in operations(document)}


def _delivery() -> DeliveryView:
    attempt = AttemptView(
        no=1, at_ms=NOW_MS, duration_ms=1, status=None, error="timeout", response_excerpt="", address=None
    )
    return DeliveryView(
        id="dlv_1",
        event="evt_1",
        type="open",
        state="dead",
        created_at_ms=NOW_MS,
        next_attempt_at_ms=None,
        attempts=[attempt],
    )


# --- the reference page


class Page(HTMLParser):
    """The page's resources, links and ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids.add(values.get("id") or "")
        if tag == "a":
            self.links.append(values["href"] or "")
        if "src" in values or tag in {"script", "link", "iframe"}:
            self.loads.append(tag)
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_shows_everything_and_loads_nothing(document: dict[str, Any]) -> None:
    """Every operation, model and problem has its place; the page loads nothing from other hosts and runs no script."""

    async def scenario() -> httpx.Response:
        async with Api() as api:
            return await api.http.get("/docs")

    answer = run(scenario())
    page = Page(answer.text)

    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert page.loads == []
    assert page.open == []
    wanted = {o["operationId"] for _, _, o in operations(document)}
    wanted |= {f"model-{name}" for name in document["components"]["schemas"]}
    assert wanted <= page.ids
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    others = {link for link in page.links if not link.startswith("#")}
    assert others == {"/openapi.json", *(kind.type for kind in PROBLEM_TYPES.values())}


def test_every_body_s_limit_is_documented(document: dict[str, Any]) -> None:
    """The limit is listed by media type in the body's description."""
    limits = document["paths"]["/v1/messages"]["post"]["requestBody"]["description"]
    assert limits == "At most 3 MiB as `application/json`, 16 MiB as `application/x-ndjson`; a larger body gets 413."
    assert all("At most" in o["requestBody"]["description"] for _, _, o in operations(document) if "requestBody" in o)


def test_every_error_of_an_attempt_is_documented(document: dict[str, Any]) -> None:
    """Every error code in the sources of the delivery side is in the enum `AttemptError`."""
    documented = document["components"]["schemas"]["AttemptError"]["enum"]
    sources = (ROOT / "actors").rglob("*.py")
    text = "\n".join(path.read_text() for path in sources)
    used = set(re.findall(r'(?:ExchangeFailed|_fail|_failed|HttpResponse\(None,) ?\(?"([a-z_]+)"', text))
    assert {"timeout", "dns", "disconnect", "too_large", "internal"} <= used
    assert used | {"redirect", "status", EVENT_TOO_LARGE} == set(documented)


def test_single_values_are_enums(document: dict[str, Any]) -> None:
    """Generators that do not know `const` would make them plain text."""
    text = json.dumps(document)

    assert '"const"' not in text
    assert document["components"]["schemas"]["ClickEvent"]["properties"]["type"]["enum"] == ["click"]
