"""The whole main job, with real processes and HTTP: from creating a loop to the POST at its handler."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from standardwebhooks import Webhook

from api.openapi.webhooks import HEADERS, models
from domain.event_catalogue.event_fields import fields_of
from tests.handler import Handler, Received
from tests.service import Account, Service, eventually

BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Referer": "https://mail.example/inbox",
}
HTML = '<html><body><p>Hello</p><a href="https://shop.example/a?x=1&amp;y=2">shop</a></body></html>'


def path_of(url: str) -> str:
    return httpx.URL(url).raw_path.decode()


def create_loop(account: Account, handler: Handler, **settings: Any) -> dict[str, Any]:
    answer = account.call(
        "POST", "/v1/feedback-loops", json={"url": handler.url, "triggers": ["click", "open"], **settings}
    )
    assert answer.status_code == 201, answer.text
    loop: dict[str, Any] = answer.json()
    return loop


def verified_loop(account: Account, handler: Handler, **settings: Any) -> dict[str, Any]:
    loop = create_loop(account, handler, **settings)
    proof = loop["verification"]
    handler.files[f"/dir/{proof['file_name']}"] = proof["file_content"].encode()
    answer = account.call("POST", f"/v1/feedback-loops/{loop['id']}/verify")
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "active"
    return loop


def register(account: Account, **spec: Any) -> dict[str, Any]:
    answer = account.call("POST", "/v1/messages", json={"recipient": "john@example.com", **spec})
    assert answer.status_code == 201, answer.text
    message: dict[str, Any] = answer.json()
    return message


def test_from_hit_to_handler(service: Service, account: Account, handler: Handler) -> None:
    """An open and a click reach a verified handler at once, with everything that the contract promises."""
    loop = verified_loop(account, handler)
    profile = account.call(
        "PUT",
        "/v1/databases/1/profiles/123",
        json={"fields": {"name": "John", "score": 1.5}, "interests": ["ham", "jam"]},
    )
    assert profile.status_code in {200, 201}, profile.text
    message = register(
        account, id="m-1", tags=["a", "b"], mailing="spring", profile={"database": "1", "id": "123"}, html=HTML
    )
    assert message["html"].startswith("<html><body><p>Hello</p><a href=")
    (tracked,) = message["links"].values()

    opened = service.http.get(path_of(message["open_url"]), headers=BROWSER)
    assert (opened.status_code, opened.headers["content-type"], len(opened.content)) == (200, "image/gif", 43)
    (first,) = handler.wait_for(1)
    clicked = service.http.get(path_of(tracked), headers=BROWSER)
    assert (clicked.status_code, clicked.headers["location"]) == (302, "https://shop.example/a?x=1&y=2")
    _, second = handler.wait_for(2)

    assert first.path == "/dir/script.php"
    assert first.fields["type"] == "open"
    assert second.form[0] == ("id", "m-1")
    expected = {
        "type": "click",
        "recipient": "john@example.com",
        "mailing": "spring",
        "ip": "127.0.0.1",
        "useragent": BROWSER["User-Agent"],
        "referer": BROWSER["Referer"],
        "original": "https://shop.example/a?x=1&y=2",
        "first": "1",
        "database": "1",
        "profile": "123",
        "fields[name]": "John",
        "fields[score]": "1.5",
    }
    assert {name: second.fields[name] for name in expected} == expected
    assert [value for name, value in second.form if name == "tags[]"] == ["a", "b"]
    assert [value for name, value in second.form if name == "interests[]"] == ["ham", "jam"]
    assert "bot" not in second.fields
    assert second.headers["x-feedback-loop"] == loop["id"]
    assert second.headers["content-type"] == "application/x-www-form-urlencoded"
    assert second.headers["webhook-id"] == second.fields["event"]
    _check_signature(loop["secret"], second.headers, second.body)
    for got in (first, second):
        _check_against_the_reference(got)


def _check_against_the_reference(got: Received) -> None:
    """The POST has the fields and headers of docs/reference/events.md, and no other fields."""
    described = fields_of(got.fields["type"])
    names = {name.partition("[")[0] for name, _ in got.form}
    assert names <= {field.name for field in described}
    assert names >= {field.name for field in described if got.fields["type"] in field.always}
    assert got.headers.keys() >= {header.name.lower() for header in HEADERS}


def _check_signature(secret: str, headers: dict[str, str], body: bytes) -> None:
    """Verifies the signature without `standardwebhooks`, which only reads JSON bodies."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert f"v1,{expected}" in headers["webhook-signature"].split()


def test_json_bodies_verify_with_the_standard_library_of_receivers(
    service: Service, account: Account, handler: Handler
) -> None:
    """With `format: json` the body is a JSON object, and the package `standardwebhooks` accepts its signature."""
    loop = verified_loop(account, handler, format="json")
    message = register(account, tags=["é"])

    service.http.get(path_of(message["open_url"]), headers=BROWSER)
    (got,) = handler.wait_for(1)

    fields = Webhook(loop["secret"]).verify(got.body, got.headers)
    assert fields["tags"] == ["é"]
    assert fields["type"] == "open"
    Draft202012Validator({**models()["OpenEvent"], "additionalProperties": False}).validate(fields)


def test_nothing_is_posted_before_verification(service: Service, account: Account, handler: Handler) -> None:
    """I6: an unverified loop gets no events or samples, and verifying it without a file reports the attempts."""
    loop = create_loop(account, handler)
    message = register(account)
    service.http.get(path_of(message["open_url"]), headers=BROWSER)
    refused = account.call("POST", f"/v1/feedback-loops/{loop['id']}/test", json={"type": "open"})
    verify = account.call("POST", f"/v1/feedback-loops/{loop['id']}/verify")

    assert refused.status_code == 409
    assert verify.status_code == 422
    assert len(verify.json()["errors"]) >= 2
    assert any("404" in error["detail"] for error in verify.json()["errors"])
    other = verified_loop(account, handler, description="the second")
    service.http.get(path_of(message["open_url"]), headers=BROWSER)
    (got,) = handler.wait_for(1)
    assert got.headers["x-feedback-loop"] == other["id"]


def test_a_failed_event_is_retried(service: Service, account: Account, handler: Handler) -> None:
    """A response of 500 is retried on the schedule with the same event id, and the API shows each attempt."""
    loop = verified_loop(account, handler)
    handler.status = 500
    message = register(account)
    service.http.get(path_of(message["open_url"]), headers=BROWSER)
    handler.wait_for(2)
    handler.status = 200
    count = len(handler.wait_for(3))

    assert count >= 3
    assert len({got.fields["event"] for got in handler.got}) == 1

    def delivered() -> Any:
        page = account.call("GET", f"/v1/feedback-loops/{loop['id']}/deliveries", params={"state": "delivered"}).json()
        return page["data"]

    (delivery,) = eventually(delivered, 10, "the delivery is recorded as delivered")
    statuses = [attempt["status"] for attempt in delivery["attempts"]]
    assert statuses[:2] == [500, 500]
    assert statuses[-1] == 200


def test_exhausted_retries_end_as_dead(service: Service, account: Account, handler: Handler) -> None:
    """I4: an event that cannot be delivered becomes dead after the last retry, and remains visible."""
    loop = verified_loop(account, handler)
    handler.status = 503
    message = register(account)
    service.http.get(path_of(message["open_url"]), headers=BROWSER)

    def dead() -> Any:
        page = account.call("GET", f"/v1/feedback-loops/{loop['id']}/deliveries", params={"state": "dead"}).json()
        return page["data"]

    (delivery,) = eventually(dead, 20, "the delivery is dead")
    assert len(delivery["attempts"]) == 4
    assert len(handler.got) == 4


def test_a_disabled_loop_says_why_and_gets_what_it_missed(service: Service, account: Account, handler: Handler) -> None:
    """A 410 disables it; what happens until it is resumed is sent once, by a replay of the missed events."""
    loop = verified_loop(account, handler, triggers=["open"])
    path = f"/v1/feedback-loops/{loop['id']}"
    handler.status = 410
    register_and_open(service, account, "before")
    wait_for_state(account, path, "disabled")
    disabled = account.call("GET", path).json()
    assert "410" in disabled["disabled_reason"]
    assert (disabled["health"]["last_error"], disabled["health"]["next_attempt_at"]) == ("410 Gone", None)

    missed = [f"missed-{n}" for n in range(3)]
    for name in missed:
        register_and_open(service, account, name)
    eventually(lambda: len(account.call("GET", "/v1/events").json()["data"]) == 4, 20, "the events are recorded")
    handler.status = 200
    account.call("POST", f"{path}/resume")
    for count in (3, 0):
        body = {"since": disabled["created_at"], "state": "missed"}
        started = account.call("POST", f"{path}/replay", json=body).json()
        assert (started["count"], started["count_is_estimate"]) == (count, False)
        wait_for_state(account, f"{path}/replays/{started['id']}", "done")
    received = handler.wait_for(4)
    assert sorted(post.fields["id"] for post in received[1:]) == missed  # the loop is not ordered


def wait_for_state(account: Account, path: str, state: str) -> None:
    eventually(lambda: account.call("GET", path).json()["state"] == state, 20, f"{path} is {state}")


def register_and_open(service: Service, account: Account, name: str) -> None:
    message = register(account, id=name)
    service.http.get(path_of(message["open_url"]), headers=BROWSER)


def test_a_paused_loop_keeps_its_backlog(service: Service, account: Account, handler: Handler) -> None:
    """A paused loop sends no POSTs; when it resumes, it delivers the events that were recorded meanwhile."""
    loop = verified_loop(account, handler)
    assert account.call("POST", f"/v1/feedback-loops/{loop['id']}/pause").json()["state"] == "paused"
    message = register(account)
    for _ in range(3):
        service.http.get(path_of(message["open_url"]), headers=BROWSER)

    def waiting() -> bool:
        page = account.call("GET", f"/v1/feedback-loops/{loop['id']}/deliveries", params={"state": "pending"}).json()
        return len(page["data"]) == 3

    eventually(waiting, 10, "three deliveries wait")
    assert handler.got == []
    assert account.call("POST", f"/v1/feedback-loops/{loop['id']}/resume").json()["state"] == "active"
    assert len(handler.wait_for(3)) == 3


def test_filters_decide_what_a_loop_gets(service: Service, account: Account, handler: Handler) -> None:
    """A loop with a tag filter only gets the events of messages with that tag."""
    verified_loop(account, handler, filters={"tags": ["wanted"], "databases": [], "collections": []})
    unwanted = register(account, tags=["other"])
    wanted = register(account, tags=["wanted", "x"], id="wanted-1")
    service.http.get(path_of(unwanted["open_url"]), headers=BROWSER)
    service.http.get(path_of(wanted["open_url"]), headers=BROWSER)

    (got,) = handler.wait_for(1)
    assert got.fields["id"] == "wanted-1"


def test_another_url_must_be_verified(service: Service, account: Account, handler: Handler) -> None:
    """A changed URL makes the loop unverified; its events wait, and only go to the new URL."""
    loop = verified_loop(account, handler)
    changed = account.call(
        "PATCH", f"/v1/feedback-loops/{loop['id']}", json={"url": f"{handler.base}/other.php"}
    ).json()

    assert changed["state"] == "unverified"
    assert changed["verification"]["file_name"] != loop["verification"]["file_name"]
    message = register(account)
    service.http.get(path_of(message["open_url"]), headers=BROWSER)
    handler.files[f"/{changed['verification']['file_name']}"] = changed["verification"]["file_content"].encode()
    assert account.call("POST", f"/v1/feedback-loops/{loop['id']}/verify").status_code == 200
    service.http.get(path_of(message["open_url"]), headers=BROWSER)
    assert [got.path for got in handler.wait_for(2)] == ["/other.php", "/other.php"]


def test_links_that_only_mail_programs_and_browsers_understand(
    service: Service, account: Account, handler: Handler
) -> None:
    """They are tracked, and a click on each redirects to its target and reaches the handler with it."""
    verified_loop(account, handler, triggers=["click"])
    html = (
        '<base href="https://shop.example/spring/"><svg><title/><a xlink:href="/svg">x</a></svg>'
        '<!--[if mso]><v:roundrect href="https://shop.example/vml&#127;"><![endif]--><a href="http://">x</a>'
        f"<a href='https:relative'>x</a><a href='https://shop.example/&#{'9' * 5000};'>x</a></body><!-- end"
    )
    lines = [{"recipient": "john@example.com", "html": text} for text in (html, "<a href='https:/b.example'>")]
    answer = account.call(
        "POST",
        "/v1/messages",
        content="\n".join(map(json.dumps, lines)),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == 201, answer.text
    first, second = map(json.loads, answer.text.splitlines())
    assert [link["href"] for link in first["untracked"]] == ["http://"]
    assert first["html"].endswith('alt=""></body><!-- end')
    targets = {
        "https://shop.example/svg": "https://shop.example/svg",
        "https://shop.example/vml%7F": "https://shop.example/vml%7F",
        "https://shop.example/spring/relative": "https://shop.example/spring/relative",
        "https://shop.example/\ufffd": "https://shop.example/%EF%BF%BD",
        "https://b.example/": "https://b.example/",
    }
    links = first["links"] | second["links"]
    assert links.keys() == targets.keys()
    for link, tracked in links.items():
        assert tracked in first["html"] + second["html"]
        clicked = service.http.get(path_of(tracked), headers=BROWSER)
        assert (clicked.status_code, clicked.headers["location"]) == (302, targets[link])
    assert {got.fields["original"] for got in handler.wait_for(len(links))} == links.keys()


def test_forged_tokens_find_nothing(service: Service, account: Account, handler: Handler) -> None:
    """Truncated, changed and swapped tokens get 404 without a redirect, and record nothing."""
    verified_loop(account, handler)
    message = register(account, links=["https://shop.example/"])
    (tracked,) = message["links"].values()
    click, opened = path_of(tracked), path_of(message["open_url"])
    changed = click[:10] + ("A" if click[10] != "A" else "B") + click[11:]
    for path in (
        click[:-1],
        click[:-4],
        changed,
        "/c/" + opened.split("/")[-1],
        "/o/" + click.split("/")[-1],
        "/c/x",
        "/o/",
    ):
        answer = service.http.get(path)
        assert answer.status_code == 404, path
        assert "location" not in answer.headers
    service.http.get(opened, headers=BROWSER)
    handler.wait_for(1)
    events = account.call("GET", "/v1/events").json()["data"]
    assert [event["type"] for event in events] == ["open"]


def test_head_and_get_of_unsubscribe_record_nothing(service: Service, account: Account, handler: Handler) -> None:
    """HEAD answers like GET and records nothing; GET of an unsubscribe link shows a page without unsubscribing."""
    verified_loop(account, handler, triggers=["open", "click", "unsubscribe"])
    message = register(account)
    unsubscribe = path_of(message["unsubscribe_url"])
    assert service.http.head(path_of(message["open_url"])).status_code == 200
    assert "<form" in service.http.get(unsubscribe).text
    answer = service.http.post(unsubscribe, data={"List-Unsubscribe": "One-Click"}, headers=BROWSER)
    assert answer.status_code == 200

    (got,) = handler.wait_for(1)
    assert got.fields["type"] == "unsubscribe"
    assert [event["type"] for event in account.call("GET", "/v1/events").json()["data"]] == ["unsubscribe"]


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/x", "http://169.254.169.254/latest", "http://[::1]/x", "ftp://a.example/"]
)
def test_handlers_at_forbidden_addresses_are_refused(account: Account, url: str) -> None:
    """A loop with a handler at a private or metadata address is refused, and the answer names the field."""
    answer = account.call("POST", "/v1/feedback-loops", json={"url": url, "triggers": ["open"]})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/url"


def test_other_accounts_see_nothing(service: Service, account: Account, handler: Handler) -> None:
    """Another account's loop, message and events do not exist for this one."""
    other = service.account()
    loop = create_loop(other, handler)
    message = register(other, id="private")

    for method, path in (
        ("GET", f"/v1/feedback-loops/{loop['id']}"),
        ("DELETE", f"/v1/feedback-loops/{loop['id']}"),
        ("POST", f"/v1/feedback-loops/{loop['id']}/verify"),
        ("GET", f"/v1/feedback-loops/{loop['id']}/secret"),
        ("GET", f"/v1/feedback-loops/{loop['id']}/deliveries"),
        ("GET", f"/v1/messages/{message['id']}"),
    ):
        assert account.call(method, path).status_code == 404, path


def test_a_rotated_secret_signs_along_with_the_old_one(service: Service, account: Account, handler: Handler) -> None:
    """After a rotation, POSTs have signatures of both secrets, and the API returns the current one."""
    loop = verified_loop(account, handler, format="json")
    rotated = account.call("POST", f"/v1/feedback-loops/{loop['id']}/rotate-secret").json()
    assert rotated["secret"] != loop["secret"]
    assert account.call("GET", f"/v1/feedback-loops/{loop['id']}/secret").json()["secret"] == rotated["secret"]
    message = register(account)
    service.http.get(path_of(message["open_url"]), headers=BROWSER)

    (got,) = handler.wait_for(1)
    for secret in (loop["secret"], rotated["secret"]):
        assert Webhook(secret).verify(got.body, got.headers)["type"] == "open"


def test_a_deleted_loop_gets_nothing_more(service: Service, account: Account, handler: Handler) -> None:
    """A deleted loop is gone from the API, and gets no events."""
    gone = verified_loop(account, handler)
    kept = verified_loop(account, handler)
    assert account.call("DELETE", f"/v1/feedback-loops/{gone['id']}").status_code == 204
    assert account.call("GET", f"/v1/feedback-loops/{gone['id']}").status_code == 404
    message = register(account)
    service.http.get(path_of(message["open_url"]), headers=BROWSER)

    (got,) = handler.wait_for(1)
    assert got.headers["x-feedback-loop"] == kept["id"]
