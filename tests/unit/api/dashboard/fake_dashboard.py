"""A fake account with a loop, deliveries, events, messages, keys and a replay, and a client that acts as a browser."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any, Final

import httpx
import msgspec

from actors.commands.accounts import IssueApiKey
from actors.commands.deliveries import AttemptView, DeliveryView, StartReplay
from actors.commands.erasures import EraseRecipient
from actors.commands.events import EventView
from actors.commands.loops import CreateLoop, Health, Loop, VerifyLoop
from actors.commands.messages import MessageSpec, RegisterMessages
from actors.commands.reports import ReportView
from actors.commands.service import ActorProcess, ClusterInventory, ClusterNode
from actors.commands.statistics import AttemptMinute, Counts, EventMinute
from actors.commands.users import CreateUser
from api.dashboard.session import COOKIE
from domain.loop_settings import LoopSettings
from domain.values import id_text
from tests.unit.api.fake_api import NOW_MS, Api, run

EMAIL: Final = "ann@example.com"
PASSWORD: Final = "correct horse battery"
ORIGIN: Final = {"Origin": "http://localhost"}
MINUTE: Final = 60_000
#: A returned mail.
MAIL: Final = (
    "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example\r\nSubject: Undelivered <i>Mail</i>\r\n\r\n"
    "<h1>The body is not shown</h1>\r\n"
)


class FakeDashboard:
    """The data that the dashboard of one account shows, on a `FakeClient`."""

    def __init__(self, api: Api, email: str = EMAIL) -> None:
        self.api = api
        client = api.client
        self.user = client._create_user(CreateUser(email=email, password=PASSWORD, account_name="Acme"))
        self.account = account = self.user.account
        other = CreateUser(email=f"second-{email}", password=PASSWORD, account_id=account.id)
        self.other_user = client._create_user(other)
        key_hash = sha256(f"{account.no}".encode()).hexdigest()
        self.key = client._issue_api_key(IssueApiKey(account=account, name="Shop", key_hash=key_hash))
        self.loop = self._loop("https://h.example/dir/script.php", "Newsletter")
        client.proved.add(self.loop.id)
        client._verify_loop(VerifyLoop(account=account, loop_id=self.loop.id))
        self.unverified = self._loop("https://h.example/another.php", "")
        client.health[self.loop.id] = Health(
            breaker="open", failing_since_ms=NOW_MS, failures=3, last_error="connect: refused", next_attempt_ms=NOW_MS
        )
        self.delivery_id = f"dlv_{account.no}1"
        self.event_id = id_text("evt", account.no.to_bytes(16, "big"))
        client.deliveries[self.loop.id] = [
            self._delivery(1, "delivered", self._attempt(200, None)),
            self._delivery(2, "dead", self._attempt(500, "status")),
            self._delivery(3, "pending", self._attempt(None, "timeout")),
        ]
        fields = {"type": "click", "recipient": "john@example.com", "id": "m-1", "tags": ["spring"], "ip": "192.0.2.7"}
        event = EventView(
            id=self.event_id, type="click", time_ms=1_767_225_600_000, fields=msgspec.Raw(msgspec.json.encode(fields))
        )
        client.events.insert(0, event)
        client.events_of = account.no
        self._add_returned_mail()
        client._register_messages(
            RegisterMessages(
                account=account,
                messages=[MessageSpec(recipient="john@example.com", id="m-1", links=["https://shop.example/"])],
            )
        )
        client.cluster_inventory = ClusterInventory(
            nodes=[
                ClusterNode(id="1a" * 28, is_alive=True, cpus=2, memory_bytes=4_000_000_000),
                ClusterNode(id="2b" * 28, is_alive=False, cpus=0, memory_bytes=0),
            ],
            processes=[
                ActorProcess(
                    name=name,
                    is_answering=True,
                    node="1a" * 28,
                    started_ms=NOW_MS,
                    memory_bytes=75_200_000,
                    loops=loops,
                )
                for name, loops in (("ledger", 0), ("supervisor", 0), ("enricher/0", 0), ("feedback-loop", 1))
            ]
            + [
                ActorProcess(
                    name="loop-host/0", is_answering=False, node="", started_ms=None, memory_bytes=None, loops=40
                )
            ],
            process_count=6,
        )
        self.erasure = client._erase_recipient(EraseRecipient(account=account, email=f"erased-{email}"))
        self.replay = client._start_replay(StartReplay(account=account, loop_id=self.loop.id, since_ms=0))
        now = time.time_ns() // 1_000_000 // MINUTE
        counts = Counts(answers=[90, 0, 1, 9, 0], buckets=[0, 10, 50, 30, 5, 3, 2, 0, 0, 0, 0, 0])
        client.attempt_minutes[self.loop.id] = [AttemptMinute(minute=now - n, counts=counts) for n in range(3)]
        client.event_minutes = [EventMinute(minute=now - n, type="click", count=5 + n) for n in range(3)]

    def _add_returned_mail(self) -> None:
        """A mail that became a failure and a bounce of the message, and a report that matched nothing."""
        client, number = self.api.client, self.account.no
        own = [id_text("evt", (n + 500 + 10 * number).to_bytes(16, "big")) for n in range(2)]
        self.failure_id, self.bounce_id = own
        of_message: dict[str, Any] = {"recipient": "john@example.com", "id": "m-1", "tags": ["spring"]}
        reply = {"code": "550", "extended": "5.1.1", "description": "User <b>unknown</b>", "category": "address"}
        failure = of_message | reply | {"type": "failure", "action": "failed", "state": "bounce", "permanent": 1}
        bounce = of_message | {"type": "bounce", "category": "address", "permanent": 1, "envelope": "b-x@r.example"}
        self.put_event(self.failure_id, failure)
        self.put_event(self.bounce_id, bounce | {"mime_charset": "utf-8"})
        client.mails[self.bounce_id] = MAIL
        self.report_id = id_text("rep", (500 + 10 * number).to_bytes(16, "big"))
        about: dict[str, Any] = {"source": "mail", "arrived_at_ms": NOW_MS}
        client.reports[:0] = [
            ReportView(id=self.report_id, state="matched", kind="failed", events=own, **about),
            ReportView(id=id_text("rep", bytes(16)), state="unmatched", kind="auto-reply", **about),
        ]
        client.reports_of = number

    def put_event(self, event_id: str, fields: dict[str, Any], time_ms: int = NOW_MS) -> None:
        """Adds an event with these fields as the newest one."""
        view = EventView(
            id=event_id, type=fields["type"], time_ms=time_ms, fields=msgspec.Raw(msgspec.json.encode(fields))
        )
        self.api.client.events.insert(0, view)

    def _loop(self, url: str, description: str) -> Loop:
        command = CreateLoop(
            account=self.account,
            url=url,
            settings=LoopSettings(triggers=("open", "click"), description=description),
        )
        return self.api.client._create_loop(command)

    def _delivery(self, number: int, state: str, attempt: AttemptView) -> DeliveryView:
        return DeliveryView(
            id=f"dlv_{self.account.no}{number}",
            event=self.event_id,
            type="click",
            state=state,
            created_at_ms=NOW_MS,
            next_attempt_at_ms=NOW_MS if state == "pending" else None,
            attempts=[attempt],
        )

    def _attempt(self, status: int | None, error: str | None) -> AttemptView:
        return AttemptView(
            no=1,
            at_ms=NOW_MS,
            duration_ms=12,
            status=status,
            error=error,
            response_excerpt="<b>thank you</b>",
            response_headers="" if status is None else "Server: <i>nginx</i>\nX-Request-Id: 7",
            address="192.0.2.1",
        )

    def filled(self, path: str) -> str:
        """The path of a page, with this account's ids as its parameters."""
        ids = {
            "/loops/": self.loop.id,
            "/deliveries/": self.delivery_id,
            "/events/{id}/mail": self.bounce_id,
            "/events/": self.event_id,
            "/reports/": self.report_id,
            "/messages/": "m-1",
            "/people/erasures/": self.erasure.id,
            "/account/keys/": self.key.id,
            "/account/users/": self.other_user.id,
        }
        for prefix, id_ in ids.items():
            if path.startswith(prefix):
                path = path.replace("{id}", id_)
        return path.replace("{replay}", self.replay.id)


class Visitor:
    """A browser without scripts: keeps its cookie, and sends the origin of forms."""

    def __init__(self, api: Api) -> None:
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(api.app), base_url="http://localhost", headers=ORIGIN, timeout=10
        )
        self.csrf = ""

    async def get(self, path: str, **request: Any) -> httpx.Response:
        answer = await self.http.get(f"/dashboard{path}", **request)
        if found := re.search(r'name="csrf" value="(\w+)"', answer.text):
            self.csrf = found[1]
        return answer

    async def post(self, path: str, **fields: Any) -> httpx.Response:
        """Sends a form with the session's CSRF field, unless another one is given."""
        return await self.http.post(f"/dashboard{path}", data={"csrf": self.csrf, **fields})

    async def sign_in(self, email: str = EMAIL, password: str = PASSWORD) -> httpx.Response:
        answer = await self.post("/sign-in", email=email, password=password)
        if COOKIE in answer.cookies:
            # httpx sends the cookie with its path; the client keeps it.
            await self.get("/")
        return answer

    async def close(self) -> None:
        await self.http.aclose()


Scenario = Callable[[FakeDashboard, Visitor], Awaitable[None]]


def with_visitor(scenario: Scenario) -> None:
    """Runs the scenario with a signed-in visitor."""

    async def within() -> None:
        async with Api() as api:
            dashboard, visitor = FakeDashboard(api), Visitor(api)
            await visitor.sign_in()
            await scenario(dashboard, visitor)
            await visitor.close()

    run(within())
