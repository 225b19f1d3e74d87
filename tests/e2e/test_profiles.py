"""Profiles end to end on the real service: from the API call to the POST, in both formats, as PHP decodes it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_main_job import path_of
from tests.e2e.test_metrics import scrape
from tests.e2e.test_reports import PhpHandler, as_form
from tests.service import Account, Service, eventually

pytestmark = [
    pytest.mark.php,
    pytest.mark.skipif(shutil.which("php") is None, reason="PHP is not installed"),
]
P = "/v1/databases/1/profiles/123"
SUB = f"{P}/collections/orders/subprofiles/7"
#: Fields whose values are different on every run.
VARYING = ("event", "timestamp", "time", "created", "modified")


@pytest.fixture(params=["form", "json"])
def php_format(request: pytest.FixtureRequest) -> str:
    """The format of the loop."""
    return str(request.param)


@pytest.fixture
def account(service: Service) -> Account:
    return service.account()


@pytest.fixture
def php(tmp_path: Path, account: Account, php_format: str) -> Iterator[PhpHandler]:
    """A PHP handler of a loop for the three triggers; the loop also filters by a tag, which profiles do not have."""
    handler = PhpHandler(tmp_path / "php")
    body = {
        "url": f"{handler.base}/script.php",
        "triggers": ["create", "update", "delete", "unsubscribe"],
        "format": php_format,
        "filters": {"tags": ["spring"], "databases": ["1"], "collections": ["orders"]},
    }
    loop = account.call("POST", "/v1/feedback-loops", json=body).json()
    (handler.folder / loop["verification"]["file_name"]).write_text(loop["verification"]["file_content"])
    assert account.call("POST", f"/v1/feedback-loops/{loop['id']}/verify").status_code == 200
    try:
        yield handler
    finally:
        handler.close()


def expect(account: Account, php: PhpHandler, php_format: str, *wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """Waits for the POSTs, compares them with these fields and with the event log, and returns them in order."""

    def arrived() -> list[dict[str, Any]] | None:
        posts = sorted(php.got(), key=lambda post: str(post["event"]))
        return posts if len(posts) == len(wanted) else None

    posts: list[dict[str, Any]] = eventually(arrived, 20, f"{len(wanted)} POSTs")
    for post, fields in zip(posts, wanted, strict=True):
        shown = as_form(fields) if php_format == "form" else fields
        assert {name: value for name, value in post.items() if name not in VARYING} == shown
        assert set(VARYING) <= set(post)
    logged = account.call("GET", "/v1/events?limit=100").json()["data"]
    assert [event["id"] for event in reversed(logged)] == [post["event"] for post in posts]
    (php.folder / "got.ndjson").unlink()
    return posts


def test_each_call_is_a_post_with_every_field(account: Account, php: PhpHandler, php_format: str) -> None:
    """`create`, `update` and `delete` of a profile and a subprofile, and nothing for a call that changes nothing."""
    profile, sub = {"database": "1", "profile": "123"}, {"collection": "orders", "subprofile": "7"}
    fields = {"name": "Zoë & co", "score": 1.5, "address": {"city": "Ede"}}
    data = {"fields": fields, "interests": ["ham", "jam"]}
    order = {"fields": {"item": "tea"}, "interests": []}
    assert account.call("PUT", P, json=data).status_code == 201
    assert account.call("PUT", SUB, json=order).status_code == 201
    assert account.call("PUT", P, json=data | {"interests": ["jam", "ham"]}).status_code == 200
    patched = account.call("PATCH", P, json={"fields": {"score": None, "name": "Ann"}, "interests": ["jam"]})
    assert (patched.status_code, patched.json()["fields"]) == (200, {"name": "Ann", "address": {"city": "Ede"}})
    assert account.call("PATCH", SUB, json={"fields": {"item": "tea"}}).status_code == 200
    assert account.call("GET", SUB).json()["collection"] == "orders"
    assert account.call("DELETE", P).status_code == 204
    assert [account.call("GET", each).status_code for each in (P, SUB)] == [404, 404]

    last = {"fields": patched.json()["fields"], "interests": ["jam"]}
    empty: dict[str, Any] = {} if php_format == "form" else {"interests": []}
    of_order = {"fields": order["fields"], **empty}
    null = "" if php_format == "form" else None
    expect(
        account,
        php,
        php_format,
        {
            "type": "create",
            **profile,
            **data,
            "parameters": {**fields, "ham": 1, "jam": 1},
            "changed": ["name", "score", "address", "ham", "jam"],
        },
        {"type": "create", **profile, **sub, **of_order, "parameters": {"item": "tea"}, "changed": ["item"]},
        {
            "type": "update",
            **profile,
            **last,
            "parameters": {"score": null, "name": "Ann", "jam": 1, "ham": 0},
            "changed": ["name", "score", "ham"],
        },
        {"type": "delete", **profile, **sub, **of_order},
        {"type": "delete", **profile, **last},
    )


def test_an_import_is_answered_line_by_line(account: Account, php: PhpHandler, php_format: str) -> None:
    """Each line is a profile of its own; with `events=none`, handlers hear nothing about it."""
    lines = [
        json.dumps({"id": "a", "fields": {"n": 1}}),
        "",
        json.dumps({"id": "a", "fields": {"n": 1.0}}),
        json.dumps({"id": "b", "fields": {"x[": 1}}),
        json.dumps({"id": "..", "fields": {}}),
    ]
    headers = {"Content-Type": "application/x-ndjson"}

    def send(query: str, *some: str) -> list[dict[str, Any]]:
        answer = account.call("PUT", f"/v1/databases/1/profiles{query}", content="\n".join(some), headers=headers)
        assert answer.status_code == 200
        return [json.loads(line) for line in answer.text.splitlines()]

    assert send("?events=none", json.dumps({"id": "z", "fields": {"n": 1}})) == [
        {"line": 1, "id": "z", "result": "created"}
    ]
    answers = send("", *lines)
    assert answers[:3] == [
        {"line": 1, "id": "a", "result": "created"},
        {"line": 2},
        {"line": 3, "id": "a", "result": "unchanged"},
    ]
    assert [(each["line"], each["id"], each["status"]) for each in answers[3:]] == [(4, "b", 422), (5, "..", 422)]
    assert [each["errors"][0]["pointer"] for each in answers[3:]] == ["/fields", "/id"]
    empty: dict[str, Any] = {} if php_format == "form" else {"interests": []}
    created = {"type": "create", "database": "1", "profile": "a", "fields": {"n": 1}, **empty}
    expect(account, php, php_format, {**created, "parameters": {"n": 1}, "changed": ["n"]})


def test_an_unsubscribe_has_the_profile(service: Service, account: Account, php: PhpHandler, php_format: str) -> None:
    """A POST to `/u/` fires an event with the profile's names and data."""
    data = {"fields": {"name": "Zoë"}, "interests": ["jam"]}
    headers = {"Content-Type": "application/x-ndjson"}
    body = json.dumps({"id": "123", **data})
    account.call("PUT", "/v1/databases/1/profiles?events=none", content=body, headers=headers)
    message = {"recipient": "a@example.com", "tags": ["spring"], "profile": {"database": "1", "id": "123"}}
    made = account.call("POST", "/v1/messages", json=message).json()
    form = {"List-Unsubscribe": "One-Click"}
    assert service.http.post(path_of(made["unsubscribe_url"]), data=form).status_code == 200

    posts = eventually(php.got, 20, "the POST")
    found = {name: posts[0].get(name) for name in ("type", "database", "profile", "fields", "interests")}
    assert found == {"type": "unsubscribe", "database": "1", "profile": "123", **data}


def test_events_about_profiles_are_counted(service: Service, account: Account) -> None:
    """The metric of events has them by type, with their source."""
    account.call("PUT", P, json={"fields": {}})

    def counted() -> bool:
        return scrape(service).get(("feedback_loops_events_total", "profile", "create"), 0) > 0

    eventually(counted, 20, "the metric")
