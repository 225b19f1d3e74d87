"""Reports end to end on the real service: from the cause to the POST, in both formats, as PHP decodes it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.event_catalogue.triggers import REPORTED
from tests.paths import FIXTURES
from tests.ports import free_port
from tests.service import Account, Service, eventually

pytestmark = [
    pytest.mark.php,
    pytest.mark.skipif(shutil.which("php") is None, reason="PHP is not installed"),
]
CASES = sorted((FIXTURES / "reports").glob("*.json"))
#: Decodes a POST of either format, as a customer's script does, and keeps it.
SCRIPT = """<?php
$is_json = strpos($_SERVER['CONTENT_TYPE'], 'application/json') === 0;
$post = $is_json ? json_decode(file_get_contents('php://input'), true, 512, JSON_THROW_ON_ERROR) : $_POST;
file_put_contents(__DIR__ . '/got.ndjson', json_encode($post, JSON_THROW_ON_ERROR) . "\\n", FILE_APPEND | LOCK_EX);
"""


class PhpHandler:
    """PHP's server on a folder with the script."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "script.php").write_text(SCRIPT)
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        limits = ["-d", "post_max_size=8M", "-d", "max_input_vars=10000"]
        self._server = subprocess.Popen(
            ["php", *limits, "-S", f"127.0.0.1:{port}", "-t", str(folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(self._answers, 10, "PHP's server answers")

    def close(self) -> None:
        self._server.kill()
        self._server.wait()

    def _answers(self) -> bool:
        try:
            return httpx.get(self.base, trust_env=False, verify=False).status_code in {200, 404}
        except httpx.HTTPError:
            return False

    def got(self) -> list[dict[str, Any]]:
        """All POSTs so far. PHP may still be writing the last line."""
        file = self.folder / "got.ndjson"
        text = file.read_text() if file.exists() else ""
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def wait_for(self, events: set[str]) -> dict[str, dict[str, Any]]:
        """The POSTs of these events, by type."""

        def arrived() -> dict[str, dict[str, Any]] | None:
            found = {post["type"]: post for post in self.got() if post["event"] in events}
            return found if len(found) == len(events) else None

        posts: dict[str, dict[str, Any]] = eventually(arrived, 20, f"POSTs of {events}")
        return posts


@pytest.fixture(scope="module", params=["form", "json"])
def world(request: pytest.FixtureRequest, service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An account with a message, and a loop of all reported triggers in one of the formats."""
    account = service.account()
    php = PhpHandler(tmp_path_factory.mktemp("php") / request.param)
    body = {"url": f"{php.base}/script.php", "triggers": list(REPORTED), "format": request.param}
    loop = account.call("POST", "/v1/feedback-loops", json=body).json()
    (php.folder / loop["verification"]["file_name"]).write_text(loop["verification"]["file_content"])
    assert account.call("POST", f"/v1/feedback-loops/{loop['id']}/verify").status_code == 200
    data = {"fields": {"name": "Zoë & co", "score": 1.5}, "interests": ["ham", "jam"]}
    account.call("PUT", "/v1/databases/1/profiles/123", json=data)
    message = {
        "recipient": "john@example.com",
        "id": "m-1",
        "reference": "<mid-1@example.com>",
        "tags": ["spring", "new letter"],
        "mailing": "may",
        "profile": {"database": "1", "id": "123"},
    }
    assert account.call("POST", "/v1/messages", json=message).status_code == 201
    try:
        yield account, php, request.param
    finally:
        php.close()


def as_form(value: Any) -> Any:
    """The value as PHP has it after decoding a form: all scalars are texts."""
    if isinstance(value, dict):
        return {name: as_form(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_form(item) for item in value]
    return str(value)


def newest_reports(account: Account, count: int) -> list[dict[str, Any]]:
    """The newest reports, once there are `count`."""

    def found() -> list[dict[str, Any]] | None:
        data: list[dict[str, Any]] = account.call("GET", "/v1/reports", params={"limit": 200}).json()["data"]
        return data if len(data) >= count else None

    reports: list[dict[str, Any]] = eventually(found, 20, "the report is recorded")
    return reports


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_each_cause_arrives_with_its_golden_values(world: tuple[Account, PhpHandler, str], case: Path) -> None:
    """Each report and each mail causes exactly the golden POSTs, with the contract's fields."""
    account, php, format_ = world
    golden = json.loads(case.read_text())
    before = len(account.call("GET", "/v1/reports", params={"limit": 200}).json()["data"])
    now_s = int(time.time())
    if golden["content_type"] == "application/json":
        report = golden["send"] | {"time": datetime.fromtimestamp(now_s - 60, UTC).isoformat()}
        answer = account.call("POST", "/v1/events", json=report)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "errors": []})
    else:
        headers = {"Content-Type": golden["content_type"]}
        answer = account.call("POST", "/v1/mime", content=golden["send"].encode(), headers=headers)
        assert answer.status_code == 202
        assert answer.json()["id"].startswith("rep_")
    newest = newest_reports(account, before + 1)[0]
    posts = php.wait_for(set(newest["events"]))

    assert len(posts) == len(golden["posts"])
    for expected in golden["posts"]:
        got = posts[expected["type"]]
        wanted = as_form(expected) if format_ == "form" else expected
        for name in [name for name, value in expected.items() if value == "@any"]:
            got.pop(name, None)
            wanted.pop(name)
        at_s = int(got.pop("time"))
        assert got.pop("timestamp") == datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
        is_report = golden["content_type"] == "application/json"
        assert at_s == now_s - 60 if is_report else now_s <= at_s <= now_s + 20
        assert got.pop("event") in newest["events"]
        assert got == wanted


def test_a_mail_is_carried_by_the_post_only(world: tuple[Account, PhpHandler, str]) -> None:
    """Lists, streams and histories do not have it; the POST of an attempt shows it; a large one is cut and sent."""
    account, php, _ = world
    mail = "From: x@y.example\r\nSubject: \u00e9\r\n\r\n" + "\u00e9\x01\x7f" * 200_000
    content = mail.encode("latin-1")
    answer = account.call("POST", "/v1/mime", content=content, headers={"Content-Type": "message/rfc822"})
    report_id = answer.json()["id"]
    eventually(lambda: account.call("GET", f"/v1/reports/{report_id}").status_code == 200, 20, "recorded")
    report = account.call("GET", f"/v1/reports/{report_id}").json()
    posts = php.wait_for(set(report["events"]))

    (post,) = posts.values()
    assert post["mime"] == mail[: 512 * 1024]
    assert (post["mime_charset"], str(post["mime_truncated"])) == ("iso-8859-1", "1")
    (listed,) = account.call("GET", "/v1/events", params={"limit": 1}).json()["data"]
    assert listed["id"] == report["events"][0]
    assert "mime" not in listed["fields"]


def test_a_report_twice_is_one_event(world: tuple[Account, PhpHandler, str]) -> None:
    """The answer counts the repeat; its report names the first."""
    account, _, _ = world
    before = len(account.call("GET", "/v1/reports", params={"limit": 200}).json()["data"])
    report = {"type": "delivery", "message": "m-1", "event": f"twice-{before}"}
    assert account.call("POST", "/v1/events", json=[report, report]).json() == {"accepted": 2, "errors": []}
    first, second = sorted(newest_reports(account, before + 2)[:2], key=lambda each: str(each["state"]))

    assert (first["state"], second["state"], second["first"]) == ("matched", "repeated", first["id"])
    assert (len(first["events"]), second["events"]) == (1, [])
    found = account.call("GET", "/v1/reports", params={"state": "repeated"}).json()["data"]
    assert second["id"] in [each["id"] for each in found]
