"""What can be asked of the system, and what it answers: the one interface between the HTTP API and the actors.

A command is a frozen struct; `Command[R]` names the type of its answer. They cross a socket as JSON
(`actors.client`, `actors.gateway.gateway`). Times are Unix milliseconds. Pages hold an opaque cursor, or None at the
end.
Every command may raise any error of `domain.errors`; those of another account's things raise `NotFound`.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from actors.metrics.census import Census
from actors.metrics.readings import Readings
from actors.wire import Crossing

R_co = TypeVar("R_co", covariant=True)


class Command(Crossing, Generic[R_co], frozen=True, kw_only=True):
    """A request whose answer is an `R_co`."""


# --- answers -----------------------------------------------------------------------------------------------------


class Account(Crossing, frozen=True, kw_only=True):
    no: int
    id: str
    name: str


class Health(Crossing, frozen=True, kw_only=True):
    """`domain.delivery.LaneHealth`, as the API tells it."""

    breaker: str = "closed"
    failing_since_ms: int | None = None
    last_success_ms: int | None = None
    last_failure_ms: int | None = None
    failures: int = 0
    next_probe_ms: int | None = None


class Loop(Crossing, frozen=True, kw_only=True):
    """A feedback loop as its owner sees it. `secret` only where it was made just now."""

    id: str
    url: str
    triggers: list[str]
    state: str
    disabled_reason: str | None
    format: str
    tags: list[str]
    databases: list[str]
    collections: list[str]
    rate_limit: float | None
    max_concurrency: int
    ordered: bool
    signature: str
    description: str
    created_at_ms: int
    verified_at_ms: int | None
    verification_token: str
    health: Health = Health()
    secret: str | None = None


class Replay(Crossing, frozen=True, kw_only=True):
    """`domain.delivery.ReplayProgress`, as the API tells it. `id` is `rpl_<number>`."""

    id: str
    state: str
    which: str
    since_ms: int
    until_ms: int
    count: int
    done: int
    created_at_ms: int


class ReplayPage(Crossing, frozen=True, kw_only=True):
    data: list[Replay]
    next: str | None


class LoopPage(Crossing, frozen=True, kw_only=True):
    data: list[Loop]
    next: str | None


class Finding(Crossing, frozen=True, kw_only=True):
    """What was found at one place where the proof was looked for."""

    #: A URL, or `dns:<name>`.
    location: str
    matched: bool
    #: One plain sentence.
    found: str


class VerificationReport(Crossing, frozen=True, kw_only=True):
    verified: bool
    loop: Loop
    findings: list[Finding]


class SampleResult(Crossing, frozen=True, kw_only=True):
    loop_id: str
    status: int | None
    duration_ms: int
    response_excerpt: str
    error: str | None


class AttemptView(Crossing, frozen=True, kw_only=True):
    no: int
    at_ms: int
    duration_ms: int
    status: int | None
    error: str | None
    response_excerpt: str
    address: str | None
    response_bytes: int = 0
    #: `Name: value`, a line each; the last may be cut.
    response_headers: str = ""


class DeliveryView(Crossing, frozen=True, kw_only=True):
    id: str
    event: str
    type: str
    #: `pending`, `delivered` or `dead`.
    state: str
    created_at_ms: int
    #: None when no attempt is to come.
    next_attempt_at_ms: int | None
    attempts: list[AttemptView]


class DeliveryPage(Crossing, frozen=True, kw_only=True):
    data: list[DeliveryView]
    next: str | None


class EventView(Crossing, frozen=True, kw_only=True):
    """`fields` are the POST's fields, as JSON text."""

    id: str
    type: str
    time_ms: int
    fields: msgspec.Raw


class EventPage(Crossing, frozen=True, kw_only=True):
    data: list[EventView]
    next: str | None


class MessageSpec(Crossing, frozen=True, kw_only=True):
    """A message to register. `id` None: one is made."""

    recipient: str
    id: str | None = None
    tags: list[str] = msgspec.field(default_factory=list)
    mailing: str | None = None
    database: str | None = None
    profile: str | None = None
    #: Distinct original URLs to be tracked.
    links: list[str] = msgspec.field(default_factory=list)


class RegisteredMessage(Crossing, frozen=True, kw_only=True):
    """`key` and `account_no` are what its tracking tokens hold."""

    id: str
    key: int
    account_no: int


class Rejection(Crossing, frozen=True, kw_only=True):
    """Why one of many was not taken. `error` is a class name of `domain.errors`."""

    error: str
    detail: str
    problems: list[tuple[str, str]] = msgspec.field(default_factory=list)


class MessageResult(Crossing, frozen=True, kw_only=True):
    """Exactly one of the two is set."""

    message: RegisteredMessage | None = None
    rejection: Rejection | None = None


class MessageView(Crossing, frozen=True, kw_only=True):
    key: int
    account_no: int
    id: str
    recipient: str
    tags: list[str]
    mailing: str | None
    database: str | None
    profile: str | None
    links: list[str]
    created_at_ms: int
    history: list[EventView]


class Profile(Crossing, frozen=True, kw_only=True):
    database: str
    id: str
    #: JSON text of an object of scalars, lists and maps.
    fields: msgspec.Raw
    interests: list[str]
    created_at_ms: int
    modified_at_ms: int
    #: True when a PUT made it.
    created: bool = False


class StoredAnswer(Crossing, frozen=True, kw_only=True):
    """The answer that a request with this Idempotency-Key got before."""

    status: int
    content_type: str
    body: bytes


class User(Crossing, frozen=True, kw_only=True):
    """Somebody who can sign in to the dashboard of an account."""

    id: str
    account: Account
    email: str
    joined_at_ms: int


class SignedIn(Crossing, frozen=True, kw_only=True):
    """`token` of the new session, None when it was refused; then `wait_ms` is how long to wait before another try."""

    token: str | None
    wait_ms: int = 0


class Session(Crossing, frozen=True, kw_only=True):
    """A session that goes on, and whose."""

    user: User
    ends_at_ms: int


class ApiKey(Crossing, frozen=True, kw_only=True):
    """An API key that opens its account; `id` tells nothing of the key. `used_at_ms` is exact to a minute."""

    id: str
    name: str
    issued_at_ms: int
    used_at_ms: int | None


class Counts(Crossing, frozen=True, kw_only=True):
    """Attempts by class of answer (`domain.figures.ANSWERS`) and by duration (its buckets)."""

    answers: list[int]
    buckets: list[int]


class AttemptMinute(Crossing, frozen=True, kw_only=True):
    #: Unix time divided by 60.
    minute: int
    counts: Counts


class EventMinute(Crossing, frozen=True, kw_only=True):
    minute: int
    type: str
    count: int


class LoopFigures(Crossing, frozen=True, kw_only=True):
    """How a loop does: its attempts in a time, and what waits, counted up to a bound."""

    loop_id: str
    counts: Counts
    backlog: int
    #: When it was owed an event last.
    last_event_ms: int | None


class Post(Crossing, frozen=True, kw_only=True):
    """A POST to a handler, made again from the ledger as it was made for one attempt."""

    url: str
    headers: list[tuple[str, str]]
    body: str


class EventDelivery(Crossing, frozen=True, kw_only=True):
    """A delivery of one event, and to which loop."""

    loop_id: str
    delivery: DeliveryView


class Readiness(Crossing, frozen=True, kw_only=True):
    """`problems` is empty when the service can carry an event from hit to handler."""

    problems: list[str]


# --- accounts ----------------------------------------------------------------------------------------------------


class CreateAccount(Command[Account], frozen=True, kw_only=True):
    name: str
    #: SHA-256 of the API key, hex.
    key_hash: str


class Authenticate(Command[Account | None], frozen=True, kw_only=True):
    key_hash: str


class IssueApiKey(Command[ApiKey], frozen=True, kw_only=True):
    """`key_hash` is the SHA-256 of the key, hex."""

    account: Account
    name: str
    key_hash: str


class ListApiKeys(Command[list[ApiKey]], frozen=True, kw_only=True):
    """Newest first; revoked ones are not there any more."""

    account: Account


class RevokeApiKey(Command[None], frozen=True, kw_only=True):
    """Front ends that know the key let it in for some seconds yet."""

    account: Account
    key_id: str


# --- users and sessions ------------------------------------------------------------------------------------------


class IsFirstRun(Command[bool], frozen=True, kw_only=True):
    """Whether nobody can sign in yet."""


class CreateUser(Command[User], frozen=True, kw_only=True):
    """Makes a user of an account, or (`account_id` None) of a new one with this name.

    `is_first`: only when there is no user yet; Conflict otherwise, and of several at once all but one.
    """

    email: str
    password: str
    account_id: str | None = None
    account_name: str = ""
    is_first: bool = False


class ListUsers(Command[list[User]], frozen=True, kw_only=True):
    """Of an account, or (None) of all."""

    account: Account | None = None


class RemoveUser(Command[None], frozen=True, kw_only=True):
    """Ends the user and all sessions. `account` None: of whichever account. The last of an account is a Conflict."""

    account: Account | None = None
    user_id: str


class SetPassword(Command[None], frozen=True, kw_only=True):
    """Gives a user another password, and ends all sessions."""

    user_id: str
    password: str


class ChangePassword(Command[bool], frozen=True, kw_only=True):
    """Has a user's password changed by the user, who knows the old one; False: that was another.

    All sessions but the one that asks end.
    """

    account: Account
    user_id: str
    old: str
    new: str
    token_hash: str


class SignIn(Command[SignedIn], frozen=True, kw_only=True):
    """Begins a session. Tries are counted by address and by user, for all front ends together."""

    email: str
    password: str
    #: Where from.
    address: str


class FindSession(Command[Session | None], frozen=True, kw_only=True):
    """The session whose token has this SHA-256 (hex), if it goes on; asking keeps it from idling out."""

    token_hash: str


class SignOut(Command[None], frozen=True, kw_only=True):
    """Ends the session; one that is over already is no error."""

    token_hash: str


# --- feedback loops ----------------------------------------------------------------------------------------------


class CreateLoop(Command[Loop], frozen=True, kw_only=True):
    """The URL was validated by the caller; whether its address is allowed is checked here."""

    account: Account
    url: str
    triggers: list[str]
    format: str = "form"
    tags: list[str] = msgspec.field(default_factory=list)
    databases: list[str] = msgspec.field(default_factory=list)
    collections: list[str] = msgspec.field(default_factory=list)
    rate_limit: float | None = None
    max_concurrency: int = 16
    ordered: bool = False
    signature: str = "none"
    description: str = ""
    #: From the Idempotency-Key: the same seed makes the same loop once.
    seed: str | None = None


class ListLoops(Command[LoopPage], frozen=True, kw_only=True):
    account: Account
    limit: int = 50
    cursor: str | None = None


class GetLoop(Command[Loop], frozen=True, kw_only=True):
    account: Account
    loop_id: str


class ChangeLoop(Command[Loop], frozen=True, kw_only=True):
    """`changes` maps a name of `CreateLoop`'s attributes to its new value; what is absent stays."""

    account: Account
    loop_id: str
    changes: dict[str, Any]


class DeleteLoop(Command[None], frozen=True, kw_only=True):
    account: Account
    loop_id: str


class VerifyLoop(Command[VerificationReport], frozen=True, kw_only=True):
    account: Account
    loop_id: str


class PauseLoop(Command[Loop], frozen=True, kw_only=True):
    account: Account
    loop_id: str


class ResumeLoop(Command[Loop], frozen=True, kw_only=True):
    account: Account
    loop_id: str


class RotateSecret(Command[Loop], frozen=True, kw_only=True):
    """The answer holds the new secret; the old one signs beside it for 24 h."""

    account: Account
    loop_id: str


class GetSecret(Command[str], frozen=True, kw_only=True):
    account: Account
    loop_id: str


class SendSample(Command[SampleResult], frozen=True, kw_only=True):
    """Sends one sample event now. `data` overrides the sample's fields."""

    account: Account
    loop_id: str
    type: str
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class CheckLoops(Command[list[SampleResult]], frozen=True, kw_only=True):
    """Tests every active loop of the account."""

    account: Account


class ListDeliveries(Command[DeliveryPage], frozen=True, kw_only=True):
    account: Account
    loop_id: str
    state: str | None = None
    type: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    limit: int = 50
    cursor: str | None = None


class StartReplay(Command[Replay], frozen=True, kw_only=True):
    """Has deliveries created from `since_ms` up to (not including) `until_ms` (None: now) delivered again.

    `which`: `dead`, or `all` (delivered ones too; what is pending is left alone). It goes on in the background, through
    restarts, and gives way to live traffic. One replay at a time for a loop: a second is a Conflict.
    """

    account: Account
    loop_id: str
    since_ms: int
    until_ms: int | None = None
    which: str = "dead"


class ListReplays(Command[ReplayPage], frozen=True, kw_only=True):
    """Newest first."""

    account: Account
    loop_id: str
    limit: int = 50
    cursor: str | None = None


class GetReplay(Command[Replay], frozen=True, kw_only=True):
    account: Account
    loop_id: str
    replay_id: str


class CancelReplay(Command[Replay], frozen=True, kw_only=True):
    """What was given back to the lane already is still delivered. Cancelling what has ended changes nothing."""

    account: Account
    loop_id: str
    replay_id: str


class GetDelivery(Command[DeliveryView], frozen=True, kw_only=True):
    account: Account
    delivery_id: str


class RetryDelivery(Command[DeliveryView], frozen=True, kw_only=True):
    """Makes a delivery due now, whatever its state; its retry schedule begins anew. Conflict while an attempt is on."""

    account: Account
    delivery_id: str


# --- figures -----------------------------------------------------------------------------------------------------


class ListFigures(Command[list[LoopFigures]], frozen=True, kw_only=True):
    """Of each of the loops, in their order, its attempts in the last `minutes` (a day at most are kept)."""

    account: Account
    loop_ids: list[str]
    minutes: int = 24 * 60


class ListAttemptMinutes(Command[list[AttemptMinute]], frozen=True, kw_only=True):
    """Oldest first; minutes without attempts are left out."""

    account: Account
    loop_id: str
    minutes: int = 60


class ListEventMinutes(Command[list[EventMinute]], frozen=True, kw_only=True):
    """Oldest first, by the time of the event; what there was none of is left out."""

    account: Account
    minutes: int = 60


class GetPost(Command[Post], frozen=True, kw_only=True):
    """What one attempt POSTed: the loop as it was set then, the event's fields, and the headers of that second."""

    account: Account
    delivery_id: str
    attempt_no: int


class GetLoopDelivery(Command[EventDelivery], frozen=True, kw_only=True):
    """A delivery, and which loop it is for."""

    account: Account
    delivery_id: str


class GetEvent(Command[EventView], frozen=True, kw_only=True):
    account: Account
    event_id: str


class ListEventDeliveries(Command[list[EventDelivery]], frozen=True, kw_only=True):
    """The deliveries of one event that are kept, at most 200, with the loops they are for."""

    account: Account
    event_id: str


# --- messages, profiles, events ----------------------------------------------------------------------------------


class RegisterMessages(Command[list[MessageResult]], frozen=True, kw_only=True):
    """One result for each spec, in order. An id registered before with the same content answers as it did then."""

    account: Account
    messages: list[MessageSpec]


class GetMessage(Command[MessageView], frozen=True, kw_only=True):
    account: Account
    message_id: str


class PutProfile(Command[Profile], frozen=True, kw_only=True):
    account: Account
    database: str
    profile_id: str
    #: A JSON object.
    fields: msgspec.Raw
    interests: list[str]


class GetProfile(Command[Profile], frozen=True, kw_only=True):
    account: Account
    database: str
    profile_id: str


class ListEvents(Command[EventPage], frozen=True, kw_only=True):
    """Newest first; with `after`, oldest first."""

    account: Account
    #: An event's id: only events with greater ids.
    after: str | None = None
    type: str | None = None
    message_id: str | None = None
    recipient: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    limit: int = 50
    cursor: str | None = None


# --- the service itself ------------------------------------------------------------------------------------------


class ClaimKey(Command[StoredAnswer | None], frozen=True, kw_only=True):
    """Claims an Idempotency-Key for a request. None: go ahead. Raises `IdempotencyConflict`.

    A claim whose request died is free again after `lease_s`.
    """

    scope: str
    key: str
    #: A hash of method, path and body.
    fingerprint: str
    lease_s: int = 60


class KeepAnswer(Command[None], frozen=True, kw_only=True):
    """Keeps the answer of a claimed key for 24 h; None frees the key (the request had no effect).

    Where another request holds the key by now, because this one outlived its lease, nothing happens.
    """

    scope: str
    key: str
    #: As it was claimed with.
    fingerprint: str
    answer: StoredAnswer | None


class CheckReadiness(Command[Readiness], frozen=True, kw_only=True):
    pass


class ReadCensus(Command[Census], frozen=True, kw_only=True):
    """Which nodes and actors there are; as of the same round of questions as the figures."""


class ReadMetrics(Command[Readings], frozen=True, kw_only=True):
    """What all processes behind the front end count and measure; within seconds, without those that do not answer."""
