"""Hostile input in every parameter and field of the API and of the dashboard: refused or accepted, never an error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.dashboard.pages import PAGES
from api.dashboard.request import Page
from api.http.operation import Access, BodyType, Operation
from domain.loop_settings import SETTINGS
from tests.api_document import DECLARED as ALL
from tests.api_document import DOCUMENT
from tests.paths import ROOT
from tests.unit.api.dashboard.fake_dashboard import FakeDashboard, Visitor
from tests.unit.api.fake_api import ADMIN_KEY, Api, run
from tests.unit.api.hostile_input import (
    JSON_VALUES,
    TEXTS,
    assert_storable,
    encoded,
    form,
    json_bytes,
    status_of,
)

SCHEMAS: Final[dict[str, Any]] = DOCUMENT["components"]["schemas"]
every_operation = pytest.mark.parametrize("operation", ALL, ids=lambda operation: operation.id)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.method} {page.path}")

#: Names of fields in forms and queries of the dashboard, wherever they are.
FIELDS: Final = sorted(
    {
        name
        for folder, pattern in (("templates", r'name="(\w+)"'), ("pages", r'(?:query|form)\.\w+\("(\w+)"'))
        for path in (ROOT / "api/dashboard" / folder).iterdir()
        if path.is_file()
        for name in re.findall(pattern, path.read_text())
    }
    | set(SETTINGS)
    | {"type", "recipient", "message", "tag", "since", "until", "state"}
)
assert {"url", "email", "password", "cursor", "done", "to", "token", "data"} <= set(FIELDS)


class Caller:
    """Sends requests to the API or the dashboard, and checks each answer, and each command that it led to."""

    def __init__(self, api: Api, headers: dict[str, str]) -> None:
        self._api, self._headers = api, headers
        self.statuses: set[int] = set()

    async def send(self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] = {}) -> None:
        client = self._api.client
        client.calls.clear()
        status, answered = await status_of(self._api.app, method, target, {**self._headers, **headers}, body)
        assert status < 500, (method, target[:200], body[:200])
        for name, value in answered.items():
            assert not re.search(rb"[\x00-\x1f]", name + value), (name, value)
        for command in client.calls:
            assert_storable(command)
        self.statuses.add(status)


# --- the API


def example(body: BodyType, operation: Operation) -> Any:
    """The example of a body in the document."""
    item = DOCUMENT["paths"][operation.path][operation.method.lower()]
    content = item["requestBody"]["content"]
    found = content.get(body.media_type, next(iter(content.values())))["example"]
    return json.loads(found) if body.is_lines else found


def bodies(body: BodyType, operation: Operation) -> Iterator[bytes]:
    """The example with each hostile value in each field, and hostile values in its place."""
    if body.model is None:
        yield from (text.encode("utf-8", "surrogatepass") for text in TEXTS)
        return
    good = example(body, operation)
    for value in JSON_VALUES:
        yield json_bytes(value)
        for name, field in SCHEMAS[body.model.__name__]["properties"].items():
            yield json_bytes({**good, name: value})
            inner = SCHEMAS.get(str(field.get("$ref")).rpartition("/")[2], {}).get("properties", {})
            for each in inner:
                yield json_bytes({**good, name: {each: value}})
            if field.get("type") == "array":
                yield json_bytes({**good, name: [value]})
            if field.get("type") == "object":
                yield json_bytes({**good, name: {"a": value, "b": [value]}})


def caller_of(api: Api, operation: Operation) -> Caller:
    key = ADMIN_KEY if operation.access is Access.ADMIN else api.key
    return Caller(api, {"authorization": f"Bearer {key}"})


def path_of(operation: Operation, value: str) -> str:
    return re.sub(r"{\w+}", value, operation.path)


@every_operation
def test_no_parameter_of_an_operation_leads_to_an_error(operation: Operation) -> None:
    """Each text in each place of the path, in each query parameter and in each header gets an answer below 500."""
    names = [*operation.query.model_json_schema(by_alias=True).get("properties", {}), "unknown"]
    headers = [header.name for header in operation.headers]
    headers += ["Idempotency-Key"] if operation.has_idempotency else []

    async def scenario() -> None:
        async with Api() as api:
            caller = caller_of(api, operation)
            for text in TEXTS:
                await caller.send(operation.method, path_of(operation, encoded(text) or "x"))
                for name in names:
                    await caller.send(operation.method, f"{path_of(operation, 'x')}?{form({name: text}).decode()}")
                for name in headers:
                    value = text.encode("utf-8", "surrogatepass").decode("latin-1")
                    await caller.send(operation.method, path_of(operation, "x"), headers={name: value})

    run(scenario())


@every_operation
def test_no_body_of_an_operation_leads_to_an_error(operation: Operation) -> None:
    """Each value in each field of each kind of body gets an answer below 500."""

    async def scenario() -> None:
        async with Api() as api:
            caller = caller_of(api, operation)
            for body in operation.bodies:
                for raw in bodies(body, operation):
                    lines = raw + b"\n" + raw if body.is_lines else raw
                    await caller.send(
                        operation.method, path_of(operation, "1"), lines, {"content-type": body.media_type}
                    )
                assert body.is_lines or len(caller.statuses) > 1, "no field is read"

    run(scenario())


# --- the dashboard


async def signed_in(api: Api) -> tuple[FakeDashboard, Caller, str]:
    """A dashboard with data, a visitor with a session, and the session's CSRF field."""
    dashboard, visitor = FakeDashboard(api), Visitor(api)
    await visitor.sign_in()
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.http.cookies.items())
    await visitor.close()
    return dashboard, Caller(api, {"cookie": cookie, "origin": "http://localhost"}), visitor.csrf


FORM: Final = {"content-type": "application/x-www-form-urlencoded"}


async def visit(caller: Caller, page: Page, path: str, csrf: str, fields: dict[str, str]) -> None:
    """Sends the fields to the page, as its query or as its form."""
    if page.method == "GET":
        await caller.send("GET", f"/dashboard{path}?{form(fields).decode()}")
    else:
        await caller.send("POST", f"/dashboard{path}", form({"csrf": csrf, **fields}), FORM)


@every_page
def test_no_field_of_a_page_leads_to_an_error(page: Page) -> None:
    """Each text in the path, and in all fields of the query or form, gets an answer below 500.

    `test_form_texts.py` tries each field alone.
    """

    async def scenario() -> None:
        async with Api() as api:
            dashboard, caller, csrf = await signed_in(api)
            path = dashboard.filled(page.path)
            own = [name for name in FIELDS if name != "csrf"]
            for text in TEXTS:
                await visit(caller, page, path, csrf, dict.fromkeys(own, text))
                if "{" in page.path:
                    await visit(caller, page, re.sub(r"{\w+}", encoded(text) or "x", page.path), csrf, {})
            assert caller.statuses - {303} or page.path in {"/sign-out", "/first-run"}, "no page was shown"

    run(scenario())


#: Also characters that no text should have.
ANY_TEXT: Final = st.text(st.characters(), max_size=60) | st.sampled_from(TEXTS)


@settings(max_examples=60)
@given(data=st.data())
def test_any_fields_of_any_page_are_answered(data: st.DataObject) -> None:
    """No combination of fields in the query or form of a page leads to an error."""
    pages = data.draw(st.lists(st.sampled_from(PAGES), min_size=5, max_size=5))
    filled = [data.draw(st.dictionaries(st.sampled_from(FIELDS), ANY_TEXT, max_size=6)) for _ in pages]

    async def scenario() -> None:
        async with Api() as api:
            dashboard, caller, csrf = await signed_in(api)
            for page, fields in zip(pages, filled, strict=True):
                await visit(caller, page, dashboard.filled(page.path), csrf, {**fields, "csrf": csrf})

    run(scenario())
