"""What a loop's owner is shown of it."""

from __future__ import annotations

from actors.commands.deliveries import Replay
from actors.commands.loops import Health, Loop
from domain.delivery import LaneHealth, ReplayProgress
from domain.feedback_loop import FeedbackLoop


def loop_view(loop_id: str, loop: FeedbackLoop, health: LaneHealth, secret: str | None = None) -> Loop:
    """A loop, and how its handler does; with its secret only when that is new."""
    return Loop(
        id=loop_id,
        url=loop.url,
        triggers=list(loop.triggers),
        state=str(loop.state),
        disabled_reason=loop.disabled_reason,
        format=loop.format,
        tags=list(loop.tags),
        databases=list(loop.databases),
        collections=list(loop.collections),
        rate_limit=loop.rate_limit,
        max_concurrency=loop.max_concurrency,
        ordered=loop.ordered,
        signature=loop.signature,
        description=loop.description,
        created_at_ms=loop.created_at_ms,
        verified_at_ms=loop.verified_at_ms,
        verification_token=loop.verification_token,
        health=health_view(health),
        secret=secret,
    )


def health_view(health: LaneHealth) -> Health:
    """How a loop's handler does."""
    return Health(**health._asdict())


def replay_view(progress: ReplayProgress) -> Replay:
    """A replay, and how far it has come."""
    return Replay(
        id=f"rpl_{progress.id}",
        state=progress.state,
        which=progress.which,
        since_ms=progress.since_ms,
        until_ms=progress.until_ms,
        count=progress.count,
        done=progress.done,
        created_at_ms=progress.created_at_ms,
    )
