"""Projection of a feedback loop's events: one JSON document in the table `loops`."""

from __future__ import annotations

from typing import Final, NamedTuple, Self, cast

import msgspec

from actors.commands.loops import Health, Loop
from domain.feedback_loop import FeedbackLoop
from domain.loop_settings import LoopSettings
from domain.tracking import Route
from domain.values import LoopState

#: States in which events are routed to a loop.
ROUTED_STATES: Final = (LoopState.ACTIVE, LoopState.PAUSED)


class LoopRow(Loop, frozen=True, kw_only=True):
    """A loop's read model: the API's view of the loop, and its number and account."""

    no: int
    account_no: int
    account_id: str
    deleted: bool = False


class LoopKey(NamedTuple):
    """The identity of a loop, stored in columns next to the document."""

    no: int
    id: str
    account_no: int


class LoopProjection(msgspec.Struct, kw_only=True):
    """The attributes of `domain.feedback_loop.FeedbackLoop` that its owner sees or that decide its routes."""

    account_id: str
    url: str
    settings: LoopSettings
    verification_token: str
    #: Id of the installation key that the current secret is derived from.
    secret_key: int
    created_at_ms: int
    state: LoopState = LoopState.UNVERIFIED
    verified_at_ms: int | None = None
    disabled_reason: str | None = None
    is_moving: bool = False
    is_deleted: bool = False

    @classmethod
    def registered(cls, event: FeedbackLoop.Registered) -> Self:
        """The projection of a new loop."""
        return cls(
            account_id=event.account_id,
            url=event.url,
            settings=LoopSettings.from_json(event.settings),
            verification_token=event.verification_token,
            secret_key=event.key_id,
            created_at_ms=event.at_ms,
        )

    @classmethod
    def from_text(cls, text: str) -> Self:
        return msgspec.json.decode(text, type=cls)

    def to_text(self) -> str:
        return msgspec.json.encode(self).decode()

    def apply(self, event: FeedbackLoop.Event) -> None:
        """Applies an event as the aggregate does; the projection has the aggregate's attributes."""
        if isinstance(event, FeedbackLoop.SecretRotated):
            self.secret_key = event.key_id
        else:
            event.apply(cast(FeedbackLoop, self))

    @property
    def is_routed(self) -> bool:
        """Whether events are routed to the loop. While a loop moves to a new URL, they wait until it is verified."""
        return (self.state in ROUTED_STATES or self.is_moving) and not self.is_deleted

    def route(self, key: LoopKey) -> Route | None:
        """The loop's entry in the routing table; None while no events are routed to it."""
        if not self.is_routed:
            return None
        return Route(*key, self.settings.event_filter())

    def row(self, key: LoopKey, health: Health) -> LoopRow:
        """The read model of the loop with the health of its handler."""
        return LoopRow(
            no=key.no,
            id=key.id,
            account_no=key.account_no,
            deleted=self.is_deleted,
            health=health,
            settings=self.settings.masked(),
            **{name: getattr(self, name) for name in _SHOWN},
        )


_NOT_SHOWN: Final = {"is_moving", "is_deleted", "settings", "secret_key"}
_SHOWN: Final = tuple(name for name in LoopProjection.__struct_fields__ if name not in _NOT_SHOWN)
