"""A feedback loop: a handler's subscription to events, with its verification and its secret.

    unverified ──verify──▶ active ◀──resume── paused, disabled
                           active ──pause──▶ paused
                           active, paused ──disable──▶ disabled
    any ──change of URL──▶ unverified          any ──delete──▶ gone: every command raises NotFound

A loop can be verified again in every state; paused and disabled loops keep their state. A command that the state does
not allow raises `Conflict`, whose text says what to do instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final, Self
from uuid import UUID

from eventsourcing.domain import AggregateCreated

from domain.aggregate import EventSourced
from domain.errors import Conflict, NotFound
from domain.loop_secrets import LoopSecrets
from domain.loop_settings import LoopSettings, check_settings
from domain.values import HandlerUrl, LoopState


class FeedbackLoop(EventSourced):
    """A loop. Times are Unix milliseconds."""

    TOPIC = "feedback-loop"

    class Event(EventSourced.Event):
        """An event of a feedback loop."""

    class Registered(Event, AggregateCreated):
        """The loop was created, unverified."""

        TOPIC = "feedback-loop.registered"
        account_no: int
        account_id: str
        url: str
        #: `LoopSettings.to_json`.
        settings: str
        verification_token: str
        #: Id of the installation key that the first secret is derived from.
        key_id: int

    class Changed(Event):
        """Settings were changed; `changes` is a JSON object of their new values."""

        TOPIC = "feedback-loop.changed"
        changes: str

        def apply(self, aggregate: FeedbackLoop) -> None:
            aggregate.settings = aggregate.settings.replaced(json.loads(self.changes))

    class UrlChanged(Event):
        """The URL was changed, which makes the former verification void."""

        TOPIC = "feedback-loop.url-changed"
        url: str
        verification_token: str

        def apply(self, aggregate: FeedbackLoop) -> None:
            aggregate.url = self.url
            aggregate.verification_token = self.verification_token
            aggregate.is_moving = aggregate.is_moving or aggregate.state in {LoopState.ACTIVE, LoopState.PAUSED}
            aggregate.state = LoopState.UNVERIFIED
            aggregate.verified_at_ms = None
            aggregate.disabled_reason = None

    class VerificationAttempted(Event):
        """The service searched for the proof; `findings` is a JSON list of `[location, matched, found]`."""

        TOPIC = "feedback-loop.verification-attempted"
        succeeded: bool
        findings: str

    class Verified(Event):
        """The proof was found at `location`."""

        TOPIC = "feedback-loop.verified"
        location: str

        def apply(self, aggregate: FeedbackLoop) -> None:
            aggregate.verified_at_ms = self.at_ms
            aggregate.is_moving = False
            if aggregate.state is LoopState.UNVERIFIED:
                aggregate.state = LoopState.ACTIVE

    class Paused(Event):
        """The owner stopped deliveries; the backlog is kept."""

        TOPIC = "feedback-loop.paused"

        def apply(self, aggregate: FeedbackLoop) -> None:
            aggregate.state = LoopState.PAUSED

    class Resumed(Event):
        """Deliveries continue."""

        TOPIC = "feedback-loop.resumed"

        def apply(self, aggregate: FeedbackLoop) -> None:
            aggregate.state = LoopState.ACTIVE
            aggregate.disabled_reason = None

    class Disabled(Event):
        """The service stopped deliveries, for a reason that the owner can read."""

        TOPIC = "feedback-loop.disabled"
        reason: str

        def apply(self, aggregate: FeedbackLoop) -> None:
            aggregate.state = LoopState.DISABLED
            aggregate.disabled_reason = self.reason

    class SecretRotated(Event):
        """A new version of the secret is valid; the secret itself is derived and never stored."""

        TOPIC = "feedback-loop.secret-rotated"
        version: int
        #: Id of the installation key that it is derived from.
        key_id: int

        def apply(self, aggregate: FeedbackLoop) -> None:
            aggregate.secrets.add(self.key_id, self.at_ms)

    class FormerSecretsRevoked(Event):
        """All versions of the secret but the current one stop signing."""

        TOPIC = "feedback-loop.former-secrets-revoked"

        def apply(self, aggregate: FeedbackLoop) -> None:
            aggregate.secrets.revoke_former()

    class Deleted(Event):
        """The loop was deleted."""

        TOPIC = "feedback-loop.deleted"

        def apply(self, aggregate: FeedbackLoop) -> None:
            aggregate.is_deleted = True

    def __init__(
        self,
        account_no: int,
        account_id: str,
        url: str,
        settings: str,
        verification_token: str,
        key_id: int,
        at_ms: int,
    ) -> None:
        self.account_no = account_no
        self.account_id = account_id
        self.url = url
        self.settings = LoopSettings.from_json(settings)
        self.verification_token = verification_token
        self.created_at_ms = at_ms
        self.state = LoopState.UNVERIFIED
        self.verified_at_ms: int | None = None
        self.disabled_reason: str | None = None
        #: Whether it was active or paused when its URL was changed, and the new URL is not verified yet.
        self.is_moving = False
        self.secrets = LoopSecrets([key_id])
        self.is_deleted = False

    @classmethod
    def register(
        cls,
        loop_id: UUID,
        account_no: int,
        account_id: str,
        url: str,
        settings: LoopSettings,
        verification_token: str,
        key_id: int,
        at_ms: int,
    ) -> Self:
        """A new, unverified loop. The caller checks whether the URL's address is allowed (`domain.handler_policy`).

        Raises:
            InvalidInput: with every invalid setting.
        """
        HandlerUrl(url)
        _check(asdict(settings))
        return cls._create(
            cls.Registered,
            id=loop_id,
            account_no=account_no,
            account_id=account_id,
            url=url,
            settings=settings.to_json(),
            verification_token=verification_token,
            key_id=key_id,
            at_ms=at_ms,
        )

    def change(self, changes: Mapping[str, object], at_ms: int) -> None:
        """Changes settings, except the URL. Equal values change nothing.

        Raises:
            InvalidInput: with every invalid setting; nothing was changed.
        """
        self._must_exist()
        _check(changes)
        if new := self.settings.differences(self.settings.replaced(changes)):
            self.trigger_event(self.Changed, changes=json.dumps(new), at_ms=at_ms)

    def change_url(self, url: str, verification_token: str, at_ms: int) -> None:
        """Changes the URL, which has to be verified again with the new token. The same URL changes nothing.

        Raises:
            InvalidInput: a handler cannot have this URL.
        """
        self._must_exist()
        HandlerUrl(url)
        if url != self.url:
            self.trigger_event(self.UrlChanged, url=url, verification_token=verification_token, at_ms=at_ms)

    def note_attempt(self, succeeded: bool, findings: Sequence[tuple[str, bool, str]], at_ms: int) -> None:
        """Records the result of a search for the proof, in any state. `verify` follows a success."""
        self._must_exist()
        as_json = json.dumps([list(finding) for finding in findings])
        self.trigger_event(self.VerificationAttempted, succeeded=succeeded, findings=as_json, at_ms=at_ms)

    def verify(self, location: str, at_ms: int) -> None:
        """Accepts the proof found at `location`: an unverified loop becomes active, others keep their state."""
        self._must_exist()
        self.trigger_event(self.Verified, location=location, at_ms=at_ms)

    def pause(self, at_ms: int) -> None:
        """Stops deliveries and keeps the backlog. Only for active loops."""
        self._must_be({LoopState.ACTIVE}, "Only an active loop can be paused")
        self.trigger_event(self.Paused, at_ms=at_ms)

    def resume(self, at_ms: int) -> None:
        """Continues deliveries. Only for paused or disabled loops."""
        self._must_be({LoopState.PAUSED, LoopState.DISABLED}, "Only a paused or disabled loop can be resumed")
        self.trigger_event(self.Resumed, at_ms=at_ms)

    def disable(self, reason: str, at_ms: int) -> None:
        """Stops deliveries to a failing handler. The owner reads `reason`. Only for active or paused loops."""
        self._must_be({LoopState.ACTIVE, LoopState.PAUSED}, "Only an active or paused loop can be disabled")
        self.trigger_event(self.Disabled, reason=reason, at_ms=at_ms)

    def rotate_secret(self, key_id: int, at_ms: int, *, revoke: bool = False) -> None:
        """Starts the next version of the secret; former ones also sign for 24 h, or no longer if `revoke` is set.

        `key_id`: of the installation key that the new version is derived from.

        Raises:
            TemporaryConflict: too many versions sign; it has the time until the oldest one ends.
        """
        self._must_exist()
        if not revoke:
            self.secrets.must_have_room(at_ms)
        self._rotate(key_id, at_ms)
        if revoke:
            self.trigger_event(self.FormerSecretsRevoked, at_ms=at_ms)

    def follow_key(self, key_id: int, at_ms: int) -> None:
        """Starts a version of the secret that is derived from another installation key. The same key changes nothing.

        Former versions also sign for 24 h. If there are too many, the oldest ends now: a leaked key cannot wait.
        """
        self._must_exist()
        if self.secrets.key_id != key_id:
            self._rotate(key_id, at_ms)

    def _rotate(self, key_id: int, at_ms: int) -> None:
        self.trigger_event(self.SecretRotated, version=self.secrets.version + 1, key_id=key_id, at_ms=at_ms)

    def delete(self, at_ms: int) -> None:
        """Deletes the loop, in any state."""
        self._must_exist()
        self.trigger_event(self.Deleted, at_ms=at_ms)

    @property
    def may_receive(self) -> bool:
        """Whether events may be POSTed to the handler now (I6)."""
        return self.state is LoopState.ACTIVE and not self.is_deleted

    def _must_exist(self) -> None:
        if self.is_deleted:
            raise NotFound("The feedback loop was deleted.")

    def _must_be(self, allowed: set[LoopState], rule: str) -> None:
        self._must_exist()
        if self.state not in allowed:
            raise Conflict(f"{rule}; this one is {self.state}. {_WHAT_TO_DO[self.state]}")


def _check(settings: Mapping[str, object]) -> None:
    """Checks settings without the headers, which were checked before they were sealed."""
    check_settings({name: value for name, value in settings.items() if name != "headers"})


_WHAT_TO_DO: Final[dict[LoopState, str]] = {
    LoopState.UNVERIFIED: "Place its verification file or DNS record, and verify it first.",
    LoopState.ACTIVE: "It receives events; there is nothing to do.",
    LoopState.PAUSED: "Resume it first.",
    LoopState.DISABLED: "Repair its handler, and resume it first.",
}
