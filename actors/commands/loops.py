"""Feedback loops: their settings, their verification, samples."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.commands.accounts import Account
from actors.commands.command import Command
from actors.compatibility import Crossing


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
