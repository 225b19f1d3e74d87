"""Commands about feedback loops: settings, verification, samples."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Self

import msgspec

from actors.commands.accounts import Account
from actors.commands.command import Command, Page, R_co
from actors.compatibility import WireStruct, wire_type
from domain.delivery import LaneHealth
from domain.feedback_loop import FeedbackLoop
from domain.loop_settings import LoopSettings

# The domain does not know how values are pickled.
wire_type(LoopSettings)


class Health(WireStruct, frozen=True, kw_only=True):
    """Health of a loop's handler: `domain.delivery.LaneHealth` for the API, and what waits for the handler."""

    breaker: str = "closed"
    failing_since_ms: int | None = None
    last_success_ms: int | None = None
    last_failure_ms: int | None = None
    failures: int = 0
    next_probe_ms: int | None = None
    failing_ms: int = 0
    last_error: str = ""
    #: Pending deliveries, counted up to `domain.delivery.MAX_WAITING`.
    waiting: int = 0
    #: Never in the past; None if nothing is planned, as for a paused loop.
    next_attempt_ms: int | None = None

    @classmethod
    def of(cls, health: LaneHealth) -> Self:
        """The health that a lane reports."""
        return cls(**health._asdict())


class Loop(WireStruct, frozen=True, kw_only=True):
    """A feedback loop as its owner sees it. `secret` is only set if it was created or rotated just now."""

    id: str
    url: str
    settings: LoopSettings
    state: str
    disabled_reason: str | None
    created_at_ms: int
    verified_at_ms: int | None
    verification_token: str
    health: Health = Health()
    secret: str | None = None

    @classmethod
    def of(cls, loop_id: str, loop: FeedbackLoop, health: LaneHealth, secret: str | None = None) -> Self:
        """The loop with the health of its handler."""
        return cls(
            id=loop_id,
            url=loop.url,
            settings=loop.settings.masked(),
            state=str(loop.state),
            disabled_reason=loop.disabled_reason,
            created_at_ms=loop.created_at_ms,
            verified_at_ms=loop.verified_at_ms,
            verification_token=loop.verification_token,
            health=Health.of(health),
            secret=secret,
        )


class Finding(WireStruct, frozen=True, kw_only=True):
    """Result of the search for the proof at one location."""

    #: A URL, or `dns:<name>`.
    location: str
    matched: bool
    #: One sentence for people.
    found: str


class VerificationReport(WireStruct, frozen=True, kw_only=True):
    verified: bool
    loop: Loop
    findings: list[Finding]


class SampleResult(WireStruct, frozen=True, kw_only=True):
    loop_id: str
    status: int | None
    duration_ms: int
    response_excerpt: str
    error: str | None


class LoopCommand(Command[R_co], Generic[R_co], frozen=True, kw_only=True):
    """A command about one feedback loop of an account."""

    account: Account
    loop_id: str


class CreateLoop(Command[Loop], frozen=True, kw_only=True):
    """The caller has validated the URL; the handler of the command checks whether its address is allowed."""

    account: Account
    url: str
    settings: LoopSettings
    #: Derived from the Idempotency-Key: commands with the same seed create one loop.
    seed: str | None = None


class ListLoops(Command[Page[Loop]], frozen=True, kw_only=True):
    account: Account
    limit: int = 50
    cursor: str | None = None


class GetLoop(LoopCommand[Loop], frozen=True, kw_only=True):
    """Shows a loop."""

    is_idempotent: ClassVar[bool] = True


class ChangeLoop(LoopCommand[Loop], frozen=True, kw_only=True):
    """`changes` maps names of settings, or `url`, to their new values; everything else stays as it is."""

    changes: dict[str, Any]


class DeleteLoop(LoopCommand[None], frozen=True, kw_only=True):
    """Ends a loop. Attempts in flight finish; nothing else is delivered."""


class VerifyLoop(LoopCommand[VerificationReport], frozen=True, kw_only=True):
    """Searches for the proof that the owner of the loop owns its handler."""

    is_idempotent: ClassVar[bool] = True


class PauseLoop(LoopCommand[Loop], frozen=True, kw_only=True):
    """Stops delivery, and keeps the backlog."""

    is_idempotent: ClassVar[bool] = True


class ResumeLoop(LoopCommand[Loop], frozen=True, kw_only=True):
    """Restarts delivery."""

    is_idempotent: ClassVar[bool] = True


class RotateSecret(LoopCommand[Loop], frozen=True, kw_only=True):
    """Creates a new secret, which the answer contains. The old ones also sign for 24 h, unless `revoke` is set."""

    revoke: bool = False


class GetSecret(LoopCommand[str], frozen=True, kw_only=True):
    """Shows the current secret."""

    is_idempotent: ClassVar[bool] = True


class SendSample(LoopCommand[SampleResult], frozen=True, kw_only=True):
    """POSTs a sample event now. `data` replaces fields of the sample."""

    type: str
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class CheckLoops(Command[list[SampleResult]], frozen=True, kw_only=True):
    """Sends a sample to every active loop of the account."""

    account: Account
