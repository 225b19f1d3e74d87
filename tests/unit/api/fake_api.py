"""A fake of the actors in memory, and the API on top of it, for tests. Commands and answers go through the gateway's
encoding, so everything here can also cross the socket. Loops are the domain's real aggregates, so they refuse what
the real service refuses.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final, Self, TypeVar, cast
from uuid import UUID, uuid4, uuid5

import httpx
import msgspec

from actors.commands import protocol as wire
from actors.commands.accounts import Account
from actors.commands.command import Command, Page
from actors.commands.deliveries import (
    CancelReplay,
    DeliveryView,
    EventDelivery,
    GetDelivery,
    GetReplay,
    ListDeliveries,
    ListReplays,
    Replay,
    RetryDelivery,
    StartReplay,
)
from actors.commands.events import EventView, ListEvents
from actors.commands.loops import (
    ChangeLoop,
    CheckLoops,
    CreateLoop,
    DeleteLoop,
    Finding,
    GetLoop,
    GetSecret,
    Health,
    ListLoops,
    Loop,
    PauseLoop,
    ResumeLoop,
    RotateSecret,
    SampleResult,
    SendSample,
    VerificationReport,
    VerifyLoop,
)
from actors.commands.messages import (
    GetMessage,
    ListMessages,
    MessageResult,
    MessageSpec,
    MessageView,
    RegisteredMessage,
    RegisterMessages,
    Rejection,
)
from actors.commands.metrics import ReadMetrics, Snapshot
from actors.commands.profiles import (
    DeleteProfile,
    GetProfile,
    ImportProfiles,
    ImportResult,
    PatchProfile,
    Profile,
    PutProfile,
)
from actors.commands.service import (
    CheckReadiness,
    ClaimKey,
    ClusterInventory,
    KeepAnswer,
    ReadClusterInventory,
    Readiness,
    StoredAnswer,
)
from actors.ipc import frames
from api.app import create_app
from api.journal.spool import Spool
from domain.delivery import LaneHealth
from domain.errors import (
    Conflict,
    FeedbackLoopsError,
    IdempotencyConflict,
    InvalidInput,
    JournalUnavailable,
    NotFound,
    TemporaryConflict,
)
from domain.feedback_loop import FeedbackLoop
from domain.kept_ip import KeepIp
from domain.key_set import KeySet
from domain.message import Message
from domain.profile_change import ProfileKey
from domain.signing import loop_keys, loop_secret, secret_text
from domain.tokens import TrackingTokens
from domain.values import id_text
from domain.verification import TOKEN_BYTES, dns_name, file_locations
from tests.keys import KEYS, FixedKeys
from tests.unit.api import fake_access
from tests.unit.api.fake_access import FakeAccess
from tests.unit.api.fake_erasures import FakeErasures
from tests.unit.api.fake_keys import FakeKeys
from tests.unit.api.fake_pages import page_of
from tests.unit.api.fake_people import FakePeople
from tests.unit.api.fake_reports import FakeReports
from tests.unit.api.fake_statistics import FakeStatistics

R = TypeVar("R")

ADMIN_KEY: Final = "the-admin-key"
PUBLIC_URL: Final = "https://t.example"
NOW_MS: Final = fake_access.NOW_MS


def _secret(loop_id: str, loop: FeedbackLoop) -> str:
    return secret_text(loop_secret(loop_keys(KEYS, loop_id), loop.secrets.key_id, loop.secrets.version))


def _method_name(command: str) -> str:
    return re.sub("([A-Z])", r"_\1", command).lower()


class FakeClient(FakeAccess, FakeReports, FakeStatistics, FakeKeys, FakeErasures, FakePeople):
    """Implements `actors.gateway.client.Client`, with ways for tests to change its state."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Command[Any]] = []
        #: Errors for the next commands of a type, in order.
        self.failures: defaultdict[type, list[Exception]] = defaultdict(list)
        #: Events that commands of a type wait for.
        self.gates: dict[type, asyncio.Event] = {}
        self.entered: defaultdict[type, asyncio.Event] = defaultdict(asyncio.Event)
        self.running: Counter[type] = Counter()
        self.most_running: Counter[type] = Counter()
        self.proved: set[str] = set()
        self.samples: dict[str, SampleResult] = {}
        self.deliveries: defaultdict[str, list[DeliveryView]] = defaultdict(list)
        self.replays: defaultdict[str, list[Replay]] = defaultdict(list)
        self.health: dict[str, Health] = {}
        #: By recipient.
        self.rejections: dict[str, Rejection] = {}
        #: Newest first.
        self.events: list[EventView] = []
        #: Number of the account that they belong to.
        self.events_of = 1
        self.problems: list[str] = []
        self.of_store: list[int] = []
        self.snapshot = Snapshot([], [])
        self.cluster_inventory = ClusterInventory(nodes=[], processes=[], process_count=0)
        self.is_open = True
        self.lease_is_over = False
        self.answers: dict[tuple[str, str], tuple[str, StoredAnswer | None]] = {}
        self.loops: dict[str, tuple[int, FeedbackLoop]] = {}
        self.messages: dict[tuple[int, str], MessageView] = {}
        self.profiles: dict[tuple[int, ProfileKey], Profile] = {}
        self.imports: list[ImportProfiles] = []
        self._handlers = {cls: getattr(self, _method_name(name)) for name, cls in wire.COMMANDS.items()}

    async def close(self) -> None:
        self.is_open = False

    async def record_intake(self, entries: list[bytes]) -> None:
        raise AssertionError("the API records no hits by itself")

    async def call(self, command: Command[R]) -> R:
        kind = type(command)
        self.calls.append(command)
        self.entered[kind].set()
        self.running[kind] += 1
        self.most_running[kind] = max(self.most_running[kind], self.running[kind])
        try:
            if kind in self.gates:
                await self.gates[kind].wait()
            await asyncio.sleep(0)
            if self.failures[kind]:
                raise self.failures[kind].pop(0)
            answer = self._handlers[kind](wire.read_call(wire.call_body(command)))
        except FeedbackLoopsError as exc:
            raise frames.read_error(frames.error_body(exc)) from None
        finally:
            self.running[kind] -= 1
        return cast(R, wire.read_answer(command, wire.answer_body(answer)))

    def called(self, kind: type[Command[R]]) -> list[Any]:
        """The commands of this kind so far."""
        return [command for command in self.calls if isinstance(command, kind)]

    # --- owners of statistics

    def own_loop(self, account: Account, loop_id: str) -> FeedbackLoop:
        """The loop of this account."""
        return self._loop(account, loop_id)

    def own_delivery(self, account: Account, delivery_id: str) -> tuple[str, DeliveryView]:
        """The delivery of this account, and the id of its loop."""
        for loop_id, deliveries in self.deliveries.items():
            for delivery in deliveries:
                if delivery.id == delivery_id and self.loops[loop_id][0] == account.no:
                    return loop_id, delivery
        raise NotFound(f"there is no delivery {delivery_id} in this account")

    def own_deliveries(self, account: Account) -> list[EventDelivery]:
        """The deliveries of this account's loops."""
        return [
            EventDelivery(loop_id=loop_id, delivery=delivery)
            for loop_id, deliveries in self.deliveries.items()
            for delivery in deliveries
            if self.loops[loop_id][0] == account.no
        ]

    def own_events(self, account: Account) -> list[EventView]:
        """The events, if they belong to this account."""
        return self.events if account.no == self.events_of else []

    # --- loops

    def _create_loop(self, x: CreateLoop) -> Loop:
        loop_uuid = uuid5(UUID(x.account.id.removeprefix("acc_")), x.seed) if x.seed else uuid4()
        loop_id = id_text("fl", loop_uuid)
        if loop_id not in self.loops:
            loop = FeedbackLoop.register(
                loop_id=loop_uuid,
                account_no=x.account.no,
                account_id=x.account.id,
                url=x.url,
                settings=x.settings,
                verification_token=os.urandom(TOKEN_BYTES).hex(),
                key_id=1,
                at_ms=NOW_MS,
            )
            self.loops[loop_id] = (x.account.no, loop)
        return self._view(loop_id, with_secret=True)

    def _loop(self, account: Account, loop_id: str) -> FeedbackLoop:
        no, loop = self.loops.get(loop_id, (0, None))
        if loop is None or no != account.no or loop.is_deleted:
            raise NotFound(f"there is no feedback loop {loop_id} in this account")
        return loop

    def _view(self, loop_id: str, *, with_secret: bool = False) -> Loop:
        loop = self.loops[loop_id][1]
        secret = _secret(loop_id, loop) if with_secret else None
        health = self.health.get(loop_id, Health())
        return msgspec.structs.replace(Loop.of(loop_id, loop, LaneHealth(), secret), health=health)

    def _list_loops(self, x: ListLoops) -> Page[Loop]:
        ids = [loop_id for loop_id, (no, loop) in self.loops.items() if no == x.account.no and not loop.is_deleted]
        data, following = page_of(ids, x.limit, x.cursor)
        return Page(data=[self._view(loop_id) for loop_id in data], next=following)

    def _get_loop(self, x: GetLoop) -> Loop:
        self._loop(x.account, x.loop_id)
        return self._view(x.loop_id)

    def _change_loop(self, x: ChangeLoop) -> Loop:
        loop = self._loop(x.account, x.loop_id)
        settings = {name: value for name, value in x.changes.items() if name != "url"}
        loop.change(settings, NOW_MS)
        if "url" in x.changes:
            loop.change_url(x.changes["url"], os.urandom(TOKEN_BYTES).hex(), NOW_MS)
        return self._view(x.loop_id)

    def _delete_loop(self, x: DeleteLoop) -> None:
        self._loop(x.account, x.loop_id).delete(NOW_MS)

    def _verify_loop(self, x: VerifyLoop) -> VerificationReport:
        loop = self._loop(x.account, x.loop_id)
        places = [*file_locations(loop.url, loop.verification_token), f"dns:{dns_name(loop.url)}"]
        is_proved = x.loop_id in self.proved
        findings = [Finding(location=p, matched=is_proved, found="404 Not Found") for p in places]
        if is_proved:
            loop.verify(places[0], NOW_MS)
        return VerificationReport(verified=is_proved, loop=self._view(x.loop_id), findings=findings)

    def _pause_loop(self, x: PauseLoop) -> Loop:
        self._loop(x.account, x.loop_id).pause(NOW_MS)
        return self._view(x.loop_id)

    def _resume_loop(self, x: ResumeLoop) -> Loop:
        self._loop(x.account, x.loop_id).resume(NOW_MS)
        return self._view(x.loop_id)

    def _rotate_secret(self, x: RotateSecret) -> Loop:
        self._loop(x.account, x.loop_id).rotate_secret(1, NOW_MS, revoke=x.revoke)
        return self._view(x.loop_id, with_secret=True)

    def _get_secret(self, x: GetSecret) -> str:
        loop = self._loop(x.account, x.loop_id)
        return _secret(x.loop_id, loop)

    def _send_sample(self, x: SendSample) -> SampleResult:
        if not self._loop(x.account, x.loop_id).may_receive:
            raise Conflict("Only an active loop can be tested. Verify it first.")
        return self._sample(x.loop_id)

    def _sample(self, loop_id: str) -> SampleResult:
        good = SampleResult(loop_id=loop_id, status=200, duration_ms=12, response_excerpt="OK", error=None)
        return self.samples.get(loop_id, good)

    def _check_loops(self, x: CheckLoops) -> list[SampleResult]:
        return [self._sample(i) for i, (no, loop) in self.loops.items() if no == x.account.no and loop.may_receive]

    def _list_deliveries(self, x: ListDeliveries) -> Page[DeliveryView]:
        self._loop(x.account, x.loop_id)
        wanted = [
            d
            for d in self.deliveries[x.loop_id]
            if x.state in {None, d.state}
            and x.type in {None, d.type}
            and (x.since_ms or 0) <= d.created_at_ms < (x.until_ms or 1 << 60)
        ]
        data, following = page_of(wanted, x.limit, x.cursor)
        return Page(data=data, next=following)

    def _get_delivery(self, x: GetDelivery | RetryDelivery) -> DeliveryView:
        return self.own_delivery(x.account, x.delivery_id)[1]

    def _retry_delivery(self, x: RetryDelivery) -> DeliveryView:
        delivery = self._get_delivery(x)
        retried = msgspec.structs.replace(delivery, state="pending", next_attempt_at_ms=NOW_MS)
        for deliveries in self.deliveries.values():
            deliveries[:] = [retried if d is delivery else d for d in deliveries]
        return retried

    # --- replays; they make no progress by themselves

    def _start_replay(self, x: StartReplay) -> Replay:
        self._loop(x.account, x.loop_id)
        now_ms = time.time_ns() // 1_000_000  # the command line and the pages use the wall clock
        if x.since_ms >= (now_ms if x.until_ms is None else x.until_ms):
            problem = "must be before now" if x.until_ms is None else "must be before `until`"
            raise InvalidInput(f"since {problem}", [("/since", problem)])
        if any(replay.state == "running" for replay in self.replays[x.loop_id]):
            raise TemporaryConflict("Another replay of this loop is running. Wait for it, or cancel it.")
        replay = Replay(
            id=f"rpl_{len(self.replays[x.loop_id]) + 1}",
            state="running",
            which=x.which,
            since_ms=x.since_ms,
            until_ms=NOW_MS if x.until_ms is None else x.until_ms,
            count=len(self.deliveries[x.loop_id]),
            done=0,
            created_at_ms=NOW_MS,
        )
        self.replays[x.loop_id].insert(0, replay)
        return replay

    def _list_replays(self, x: ListReplays) -> Page[Replay]:
        self._loop(x.account, x.loop_id)
        data, following = page_of(self.replays[x.loop_id], x.limit, x.cursor)
        return Page(data=data, next=following)

    def _get_replay(self, x: GetReplay | CancelReplay) -> Replay:
        self._loop(x.account, x.loop_id)
        for replay in self.replays[x.loop_id]:
            if replay.id == x.replay_id:
                return replay
        raise NotFound(f"there is no replay {x.replay_id} of feedback loop {x.loop_id}")

    def _cancel_replay(self, x: CancelReplay) -> Replay:
        return self.advance_replay(x.loop_id, self._get_replay(x).id, state="cancelled")

    def advance_replay(self, loop_id: str, replay_id: str, **changes: Any) -> Replay:
        """Sets the progress of a replay without the API."""
        replays = self.replays[loop_id]
        (at,) = (n for n, replay in enumerate(replays) if replay.id == replay_id)
        if replays[at].state == "running":
            replays[at] = msgspec.structs.replace(replays[at], **changes)
        return replays[at]

    # --- messages, profiles, events

    def _register_messages(self, x: RegisterMessages) -> list[MessageResult]:
        return [self._register(x.account, spec) for spec in x.messages]

    def _register(self, account: Account, spec: MessageSpec) -> MessageResult:
        if spec.recipient in self.rejections:
            return MessageResult(rejection=self.rejections[spec.recipient])
        message_id = spec.id if spec.id is not None else f"msg_{uuid4().hex}"
        names = ("recipient", "tags", "mailing", "database", "profile", "links", "reference")
        content: dict[str, Any] = {name: getattr(spec, name) for name in names}
        key, owner = len(self.messages) + 1, UUID(account.id.removeprefix("acc_"))
        try:
            Message.register(owner, account.no, message_id, key, at_ms=NOW_MS, **content)
        except InvalidInput as exc:
            return MessageResult(rejection=Rejection(error="InvalidInput", detail=str(exc), problems=exc.problems))
        view = MessageView(key=key, account_no=account.no, id=message_id, created_at_ms=NOW_MS, history=[], **content)
        is_known = (account.no, message_id) in self.messages
        known = self.messages.setdefault((account.no, message_id), view)
        if any(getattr(known, name) != getattr(spec, name) for name in names):
            return MessageResult(rejection=Rejection(error="Conflict", detail=f"message {spec.id} is another"))
        registered = RegisteredMessage(id=message_id, key=known.key, account_no=account.no, is_known=is_known)
        return MessageResult(message=registered)

    def _list_messages(self, x: ListMessages) -> Page[MessageView]:
        wanted = [
            msgspec.structs.replace(message, history=[])
            for (no, _), message in reversed(self.messages.items())
            if no == x.account.no
            and x.recipient in {None, message.recipient}
            and x.mailing in {None, message.mailing}
            and (x.tag is None or x.tag in message.tags)
        ]
        data, following = page_of(wanted, x.limit, x.cursor)
        return Page(data=data, next=following)

    def _get_message(self, x: GetMessage) -> MessageView:
        found = self.messages.get((x.account.no, x.message_id))
        if found is None:
            raise NotFound(f"there is no message {x.message_id} in this account")
        return msgspec.structs.replace(found, history=self.events[::-1])

    def _put_profile(self, x: PutProfile) -> Profile:
        profile = Profile(
            key=x.key,
            fields=x.fields,
            interests=x.interests,
            created_at_ms=NOW_MS,
            modified_at_ms=NOW_MS,
            created=(x.account.no, x.key) not in self.profiles,
        )
        self.profiles[x.account.no, x.key] = profile
        return profile

    def _patch_profile(self, x: PatchProfile) -> Profile:
        known = self._get_profile(GetProfile(account=x.account, key=x.key))
        fields = {**msgspec.json.decode(known.fields), **msgspec.json.decode(x.fields)}
        interests = known.interests if x.interests is None else x.interests
        raw = msgspec.Raw(msgspec.json.encode(fields))
        return self._put_profile(PutProfile(account=x.account, key=x.key, fields=raw, interests=interests))

    def _get_profile(self, x: GetProfile) -> Profile:
        found = self.profiles.get((x.account.no, x.key))
        if found is None:
            raise NotFound(f"there is no {x.key} of this account")
        return found

    def _delete_profile(self, x: DeleteProfile) -> None:
        self._get_profile(GetProfile(account=x.account, key=x.key))
        del self.profiles[x.account.no, x.key]

    def _import_profiles(self, x: ImportProfiles) -> list[ImportResult]:
        self.imports.append(x)
        for spec in x.profiles:
            key = ProfileKey(x.database, spec.id)
            self._put_profile(PutProfile(account=x.account, key=key, fields=spec.fields, interests=spec.interests))
        return [ImportResult(result="created") for _ in x.profiles]

    def _list_events(self, x: ListEvents) -> Page[EventView]:
        wanted = [e for e in self.events if x.type in {None, e.type}]
        if x.after is not None:
            wanted = sorted((e for e in wanted if e.id > str(x.after)), key=lambda e: e.id)
        data, following = page_of(wanted, x.limit, x.cursor)
        return Page(data=data, next=following)

    # --- the service itself

    def _claim_key(self, x: ClaimKey) -> StoredAnswer | None:
        fingerprint, answer = self.answers.get((x.scope, x.key), (None, None))
        if fingerprint is None or (answer is None and self.lease_is_over):
            self.answers[x.scope, x.key] = (x.fingerprint, None)
            return None
        if fingerprint != x.fingerprint:
            raise IdempotencyConflict("The Idempotency-Key was used for another request.", False)
        if answer is None:
            raise IdempotencyConflict("A request with this Idempotency-Key is in progress.", True)
        return answer

    def _keep_answer(self, x: KeepAnswer) -> None:
        if x.answer is None:
            del self.answers[x.scope, x.key]
        else:
            self.answers[x.scope, x.key] = (self.answers[x.scope, x.key][0], x.answer)

    def _check_readiness(self, _: CheckReadiness) -> Readiness:
        return Readiness(problems=self.problems, of_store=self.of_store)

    def _read_cluster_inventory(self, _: ReadClusterInventory) -> ClusterInventory:
        return self.cluster_inventory

    def _read_metrics(self, _: ReadMetrics) -> Snapshot:
        return self.snapshot


class FakeJournal:
    """The part of the edge journal that the API uses."""

    def __init__(self, steps: list[str], folder: Path | None = None) -> None:
        self.problem: str | None = None
        self.is_open = True
        self.depth = 0
        self.reports: list[bytes] = []
        self.spool = Spool(folder or Path("/nonexistent"), 1 << 30)
        self._steps = steps

    async def append_reports(self, entries: Sequence[bytes]) -> None:
        if self.problem is not None:
            raise JournalUnavailable(self.problem)
        self.reports += entries

    def discard_file_without_record(self, name: str) -> None:
        """Keeps it."""

    async def flush(self, timeout_s: float) -> None:
        self._steps.append("journal written")

    async def close(self, timeout_s: float) -> None:
        self._steps.append("journal closed")


class FakeForwarder:
    """Records when it is started and stopped."""

    def __init__(self, steps: list[str]) -> None:
        self._steps = steps

    async def start(self) -> None:
        self._steps.append("forwarder started")

    async def stop(self, drain_s: float) -> None:
        self._steps.append(f"forwarder stopped within {drain_s:.0f} s")


class FakeTracking:
    """Answers every path below /c/ with the path."""

    def handles(self, path: str) -> bool:
        return path.startswith("/c/")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 302, "headers": [(b"location", scope["path"].encode())]})
        await send({"type": "http.response.body", "body": b""})


class FakeSettings:
    """The settings that the front end needs."""

    public_url = PUBLIC_URL
    public_url_problem: str | None = None
    return_domain: str | None = None
    keep_ip: KeepIp = KeepIp.FULL
    admin_key = ADMIN_KEY
    store: str | None = None
    data_dir: Path | None = None
    trusted_proxies = (IPv4Network("10.0.0.0/8"),)


class Api:
    """The API as a caller sees it, on a `FakeClient`."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.client = FakeClient()
        self.journal = FakeJournal(self.steps)
        self.tokens = TrackingTokens(KeySet.single(b"k" * 32))
        self.app = create_app(
            FakeSettings(),
            self.client,
            self.tokens,
            FakeTracking(),
            self.journal,
            FakeForwarder(self.steps),
            installation_keys=FixedKeys(),
        )
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://api.example")
        self.key = ""

    async def __aenter__(self) -> Self:
        self.key = await self.new_key()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def new_key(self, name: str = "Test") -> str:
        """The API key of a new account."""
        answer = await self.call("POST", "/v1/accounts", key=ADMIN_KEY, json={"name": name})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["api_key"])

    async def call(self, method: str, path: str, *, key: str | None = None, **arguments: Any) -> httpx.Response:
        """A request with the test account's key, or another."""
        headers = {"Authorization": f"Bearer {key or self.key}"} | dict(arguments.pop("headers", {}))
        return await self.http.request(method, path, headers=headers, **arguments)

    async def stream(self, path: str, is_enough: Callable[[str], bool], **headers: str) -> httpx.Response:
        """The output of a stream until it ended or the client closed it."""
        gone, got = asyncio.Event(), bytearray()
        start: dict[str, Any] = {}
        request = httpx.Request("GET", f"http://localhost{path}")

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            start.update(message if message["type"] == "http.response.start" else {})
            got.extend(message.get("body", b""))
            if is_enough(got.decode()):
                gone.set()

        scope = {
            "type": "http",
            "method": "GET",
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "client": ("127.0.0.1", 1),
            "headers": [
                (name.lower().replace("_", "-").encode(), value.encode())
                for name, value in {"Host": "localhost", "Authorization": f"Bearer {self.key}", **headers}.items()
            ],
        }
        async with asyncio.timeout(10):
            await self.app(scope, receive, send)
        return httpx.Response(start["status"], headers=start["headers"], content=bytes(got), request=request)

    async def loop(self, *, active: bool = False, **settings: Any) -> dict[str, Any]:
        """A new loop's JSON."""
        body = {"url": "https://h.example/dir/script.php", "triggers": ["click", "open"], **settings}
        answer = await self.call("POST", "/v1/feedback-loops", json=body)
        assert answer.status_code == 201, answer.text
        loop: dict[str, Any] = answer.json()
        if active:
            self.client.proved.add(loop["id"])
            await self.call("POST", f"/v1/feedback-loops/{loop['id']}/verify")
        return loop


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The answer's problem document, which must be of this status and kind."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["type"] == f"/problems/{slug}", document
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    return document


def pointers(document: dict[str, Any]) -> list[str]:
    """The pointers of a problem's errors."""
    return [error["pointer"] for error in document["errors"]]


def run(scenario: Coroutine[Any, Any, R]) -> R:
    """Runs one test's scenario."""
    return asyncio.run(scenario)
