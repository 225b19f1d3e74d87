"""Erasure of a person on the real service: nothing is left anywhere, and statistics stay the same."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest

from actors.settings.data_dir import runtime_dir_path
from api.journal.journal import Journal
from tests.e2e.test_main_job import path_of, verified_loop
from tests.erasures import bounce, completed_erasure, erase
from tests.handler import Handler
from tests.paths import ROOT
from tests.personal_traces import files_of, tables_of, where
from tests.postgres import PostgresServer, running_server
from tests.service import Service, eventually

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

EMAIL: Final = "Zebra.Crossing93@kvx-erasure.example"
PERSON: Final = EMAIL.lower()
OTHER: Final = "quiet.neighbour@kvx-erasure.example"
ADDRESS: Final = "203.0.113.88"
FORWARDED: Final = "198.51.100.231"
AGENT: Final = "Okapi-Agent-77310/5"
#: Everything that reveals the person and no one else.
PERSONAL: Final = (
    *(EMAIL, PERSON, ADDRESS, AGENT),
    *("Zebra.Crossing93", "zebra.crossing93"),
    *("Quokka-73122", "Ouagadougou-5567", "Zanzibar-88123", "aardvark-5541", "Narwhal-reference-1"),
    "Wombat-idempotency-4",
)
UNMATCHED: Final = """\
From: someone@else.example
To: bounces@sender.example
Subject: Out of office
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: base64

{body}
"""


class World:
    """A service with a person about whom it keeps everything that it can keep."""

    def __init__(self, service: Service, good: Handler, bad: Handler) -> None:
        self.service = service
        self.account = service.account()
        self.good, self.bad = good, bad
        for handler in (good, bad):
            handler.answer = f"got {EMAIL}".encode()
            handler.answer_headers = {"X-Echo": EMAIL}
        bad.status = 500
        triggers = ["open", "click", "unsubscribe", "bounce", "failure", "create", "update", "delete"]
        self.loops = [verified_loop(self.account, handler, triggers=triggers)["id"] for handler in (good, bad)]

    def call(self, method: str, path: str, status: int, **arguments: Any) -> Any:
        answer = self.account.call(method, path, **arguments)
        assert answer.status_code == status, (path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def live(self) -> None:
        """What happens to two people, only one of whom is erased."""
        profile = {"fields": {"email": EMAIL, "nickname": "Quokka-73122"}, "interests": ["Ouagadougou-5567"]}
        self.call("PUT", "/v1/databases/1/profiles/p1", 201, json=profile)
        self.call(
            "PUT",
            "/v1/databases/1/profiles/p1/collections/orders/subprofiles/o1",
            201,
            json={"fields": {"item": "Zanzibar-88123"}},
        )
        self.call("PATCH", "/v1/databases/1/profiles/p1", 200, json={"fields": {"town": "Ouagadougou-5567"}})
        self._history(EMAIL, "Narwhal-reference-1@mail.example")
        eventually(lambda: self.settled(10), 40, "everything about the person is recorded and delivered", 0.2)
        for handler in (self.good, self.bad):
            handler.answer, handler.answer_headers = b"thank you", {}
        self._history(OTHER, "other-reference@mail.example")
        eventually(lambda: self.settled(16), 40, "everything about the other person, too", 0.2)

    def _history(self, email: str, reference: str) -> None:
        is_person = email == EMAIL
        message: dict[str, Any] = {
            "recipient": email,
            "tags": ["spring", "shop"],
            "mailing": "m-9",
            "reference": reference,
        }
        message["links"] = [f"https://shop.example/?who={'aardvark-5541' if is_person else 'x'}"]
        if is_person:
            message["profile"] = {"database": "1", "id": "p1"}
        key = {"Idempotency-Key": "Wombat-idempotency-4" if is_person else "other-key"}
        made = self.call("POST", "/v1/messages", 201, json=message, headers=key)
        headers = {"X-Forwarded-For": ADDRESS if is_person else "203.0.113.9", "User-Agent": AGENT}
        if is_person:
            headers |= {"Forwarded": f"for=192.0.2.1;host={FORWARDED}", "Via": f"1.1 {FORWARDED}"}
        else:
            headers["User-Agent"] = "Plain-Agent/1"
        for url in (made["open_url"], made["open_url"], *made["links"].values()):
            assert self.service.http.get(path_of(url), headers=headers).status_code in {200, 302}
        path = path_of(made["unsubscribe_url"])
        one_click = {"List-Unsubscribe": "One-Click"}
        assert self.service.http.post(path, data=one_click, headers=headers).status_code == 200
        self.mail(bounce(email, reference, "Quokka-73122" if is_person else "Jane"))
        if is_person:
            self.mail(UNMATCHED.format(body=b64encode(f"I am {EMAIL} and I am away.".encode()).decode()))

    def mail(self, text: str) -> None:
        self.call("POST", "/v1/mime", 202, content=text.encode(), headers={"Content-Type": "message/rfc822"})

    def events(self) -> list[dict[str, Any]]:
        found, cursor = [], None
        while True:
            query = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
            page = self.call("GET", "/v1/events", 200, params=query)
            found += page["data"]
            cursor = page["next"]
            if cursor is None:
                return found

    def statistics(self) -> Counter[Any]:
        """Events by type, mailing, tags and day."""
        return Counter(
            (event["type"], event["fields"].get("mailing"), *event["fields"].get("tags", []), event["time"][:10])
            for event in self.events()
        )

    def settled(self, events: int) -> bool:
        """Whether everything is recorded, and delivered to the handler that accepts it.

        The other one has had some attempts, and then its breaker opened.
        """
        # Three about the profile, the unmatched mail, and for each person four hits, a failure and a bounce.
        if len(self.events()) < events:
            return False
        good, bad = map(self.deliveries, self.loops)
        return all(each["state"] == "delivered" for each in good) and any(each["attempts"] for each in bad)

    def deliveries(self, loop: str) -> list[dict[str, Any]]:
        path = f"/v1/feedback-loops/{loop}/deliveries"
        found: list[dict[str, Any]] = self.call("GET", path, 200, params={"limit": "200"})["data"]
        assert found
        return found

    def restart_with_a_broken_entry(self) -> None:
        """Puts an entry into the journal that no enricher can read, which is then set aside."""
        self.service.terminate()

        async def append() -> None:
            journal = Journal.open(self.service.data_dir / "journal", 1 << 28)
            await journal.append(b"\xc1 cannot be read: " + EMAIL.encode())
            await journal.close()

        asyncio.run(append())
        self.service.start()
        eventually(lambda: self.metric("hits_set_aside") == 1, 30, "the entry has been set aside")

    def metric(self, name: str) -> float:
        for line in self.metrics().splitlines():
            if line.startswith(f"feedback_loops_{name}_total"):
                return float(line.rpartition(" ")[2])
        return 0.0

    def metrics(self) -> str:
        return self.service.http.get("/metrics").text

    def erase(self) -> dict[str, Any]:
        """Erases the person, and waits until it is complete."""
        return completed_erasure(self.account, erase(self.account, EMAIL))


def command(*arguments: str | Path) -> None:
    """Runs `feedback-loops` with these arguments."""
    line = [sys.executable, "-m", "api.cli.main", *map(str, arguments)]
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[World, PostgresServer | None]]:
    """A service on each store."""
    folder = tmp_path_factory.mktemp(request.param)
    settings = {
        "FEEDBACK_LOOPS_RETRY_SCHEDULE": "3600",
        "FEEDBACK_LOOPS_TRUSTED_PROXIES": "127.0.0.0/8",
        "FEEDBACK_LOOPS_PUBLIC_URL": "https://track.example.com",
    }
    if request.param == "sqlite":
        yield from _world(folder, settings, None)
    else:
        with running_server() as server:
            yield from _world(folder, settings | {"FEEDBACK_LOOPS_STORE": server.new_database()}, server)


def _world(
    folder: Path, settings: dict[str, str], server: PostgresServer | None
) -> Iterator[tuple[World, PostgresServer | None]]:
    service = Service(folder / "data", **settings)
    try:
        service.start()
        with Handler() as good, Handler() as bad:
            yield World(service, good, bad), server
    finally:
        service.end()


def test_nothing_of_an_erased_person_is_left(world: tuple[World, PostgresServer | None], tmp_path: Path) -> None:
    """No file, table, log, metric or later backup has a trace of the person; statistics are the same as before."""
    here, server = world
    service = here.service
    here.live()
    here.restart_with_a_broken_entry()
    before = here.statistics()
    export = here.account.call("GET", f"/v1/recipients/{quote(EMAIL, safe='')}").text
    lines = [json.loads(line) for line in export.splitlines()]
    kinds = Counter(line["record"] for line in lines)
    assert lines[-1] == {"record": "end", "lines": len(lines) - 1}
    assert kinds.keys() >= {"message", "event", "delivery", "returned_mail", "profile", "subprofile", "profile_version"}
    assert kinds["report"] == 1  # the search decodes
    for text in PERSONAL:
        if text != "Wombat-idempotency-4":
            assert text.lower() in export.lower(), text
    assert OTHER not in export
    assert where(files_of(service.data_dir), PERSONAL)  # the search finds what is there

    erasure = here.erase()
    posts = len(here.good.got) + len(here.bad.got)

    assert PERSON not in json.dumps(erasure).lower()
    assert erasure["counts"]["messages"] == 1
    places = {"metrics": here.metrics().encode(), "log": service.log.read_bytes()}
    places |= files_of(service.data_dir, runtime_dir_path(service.data_dir))
    assert where(places, PERSONAL) == {}
    if server is not None:
        url = service.environment["FEEDBACK_LOOPS_STORE"]
        assert where(tables_of(url), PERSONAL) == {}
        assert erasure["outside"]
        command("compact", "--yes", "--data-dir", service.data_dir, "--store", url)
        assert where(files_of(server.data / "base"), PERSONAL) == {}
        service.wait_ready()
    command("backup", tmp_path / "copy", "--data-dir", service.data_dir)
    assert where(files_of(tmp_path / "copy"), PERSONAL) == {}

    assert +here.statistics() - before == Counter({k: n for k, n in here.statistics().items() if k[0] == "delete"})
    assert before - here.statistics() == Counter()
    answer = here.account.call("GET", f"/v1/recipients/{quote(EMAIL, safe='')}").text
    assert [json.loads(line)["record"] for line in answer.splitlines()] == ["end"]
    pages = here.call("GET", "/v1/messages", 200, params={"recipient": EMAIL})
    assert pages["data"] == []
    later = [*here.good.got, *here.bad.got]
    assert len(later) - posts <= 2 * 2  # only the `delete` of the profile and its subprofile
    kept = where(files_of(service.data_dir), (OTHER,)) if server is None else where(tables_of(url), (OTHER,))
    assert kept, "the other person is still there"


def test_forwarding_headers_are_never_stored(world: tuple[World, PostgresServer | None]) -> None:
    """`Forwarded`, `X-Forwarded-For` and `Via` decide a hit's `ip` at most; nothing else of them is kept."""
    here, server = world
    account = here.service.account()
    message = account.call("POST", "/v1/messages", json={"recipient": OTHER}).json()
    headers = {
        "X-Forwarded-For": f"{FORWARDED}, 203.0.113.5",
        "Forwarded": f"for={FORWARDED};by={FORWARDED}",
        "Via": f"1.1 {FORWARDED}",
    }
    assert here.service.http.get(path_of(message["open_url"]), headers=headers).status_code == 200
    [event] = eventually(lambda: account.call("GET", "/v1/events").json()["data"], 20, "the open is recorded")

    assert event["fields"]["ip"] == "203.0.113.5"
    places = files_of(here.service.data_dir) | {"log": here.service.log.read_bytes()}
    if server is not None:
        places |= tables_of(here.service.environment["FEEDBACK_LOOPS_STORE"])
    assert where(places, (FORWARDED,)) == {}
