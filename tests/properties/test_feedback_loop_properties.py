"""`domain.feedback_loop`: the aggregate against a small model and against its own history."""

from __future__ import annotations

from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain.errors import Conflict, DomainError, NotFound, TemporaryConflict
from domain.event_catalogue.triggers import Trigger
from domain.feedback_loop import FeedbackLoop
from domain.ledger import domain_events, stored_events
from domain.loop_secrets import SECRET_OVERLAP_MS
from tests.loops import URL, a_loop

CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "triggers": st.lists(st.sampled_from([t.value for t in Trigger]), min_size=1, unique=True),
    "format": st.sampled_from(["form", "json"]),
    "tags": st.lists(st.text(st.characters(categories=["L", "N", "S"]), min_size=1, max_size=9), max_size=3),
    "rate_limit": st.one_of(st.none(), st.floats(0.01, 1000)),
    "max_concurrency": st.integers(1, 1000),
    "description": st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20),
}


class LoopMachine(RuleBasedStateMachine):
    """Any commands in any order."""

    @initialize()
    def register(self) -> None:
        self.now_ms = 1
        self.loop = a_loop(self.now_ms)
        self.stored: list[StoredEvent] = []
        self.model: dict[str, Any] = {"state": "unverified", "url": URL, "verified_at_ms": None, "reason": None}
        self.settings: dict[str, Any] = {}
        self.rotations: list[int | None] = []
        self.is_deleted = False

    def command(self, name: str, *args: Any, allowed: set[str] | None = None, **effects: Any) -> bool:
        """Runs a command, and returns whether the model accepts it."""
        self.now_ms += 1
        error: type[DomainError] | None = None
        if self.is_deleted:
            error = NotFound
        elif allowed is not None and self.model["state"] not in allowed:
            error = Conflict
        if error is not None:
            with pytest.raises(error):
                getattr(self.loop, name)(*args, self.now_ms)
            return False
        getattr(self.loop, name)(*args, self.now_ms)
        self.model |= effects
        return True

    @rule()
    def verify(self) -> None:
        if self.command("verify", URL):
            self.model["verified_at_ms"] = self.now_ms
            if self.model["state"] == "unverified":
                self.model["state"] = "active"

    @rule()
    def pause(self) -> None:
        self.command("pause", allowed={"active"}, state="paused")

    @rule()
    def resume(self) -> None:
        self.command("resume", allowed={"paused", "disabled"}, state="active", reason=None)

    @rule(reason=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9))
    def disable(self, reason: str) -> None:
        self.command("disable", reason, allowed={"active", "paused"}, state="disabled", reason=reason)

    @rule(path=st.sampled_from(["", "a", "b/c"]))
    def change_url(self, path: str) -> None:
        url = f"https://example.org/{path}"
        if self.command("change_url", url, f"token-{path}") and url != self.model["url"]:
            self.model = {"state": "unverified", "url": url, "verified_at_ms": None, "reason": None}

    @rule(changes=st.fixed_dictionaries({}, optional=CHANGES))
    def change(self, changes: dict[str, Any]) -> None:
        if self.command("change", changes):
            self.settings |= changes

    @rule(succeeded=st.booleans(), found=st.text(max_size=9))
    def note_attempt(self, succeeded: bool, found: str) -> None:
        self.command("note_attempt", succeeded, [(URL, succeeded, found)])

    @rule(wait_ms=st.sampled_from([0, 1000, SECRET_OVERLAP_MS // 3]), revoke=st.sampled_from([False, False, True]))
    def rotate_secret(self, wait_ms: int, revoke: bool) -> None:
        self.now_ms += wait_ms + 1
        old = [at_ms for at_ms in self.rotations if at_ms is not None and self.now_ms - at_ms < SECRET_OVERLAP_MS]
        if self.is_deleted:
            with pytest.raises(NotFound):
                self.loop.rotate_secret(1, self.now_ms, revoke=revoke)
        elif len(old) == 3 and not revoke:
            with pytest.raises(TemporaryConflict) as caught:
                self.loop.rotate_secret(1, self.now_ms)
            assert self.now_ms + caught.value.retry_after_s * 1000 == old[0] + SECRET_OVERLAP_MS
        else:
            self.loop.rotate_secret(1, self.now_ms, revoke=revoke)
            self.rotations = [None] * (len(self.rotations) + 1) if revoke else [*self.rotations, self.now_ms]

    @rule(sure=st.sampled_from([False, False, False, True]))
    def delete(self, sure: bool) -> None:
        if sure:
            self.is_deleted = self.command("delete") or self.is_deleted

    @invariant()
    def is_as_the_model_expects(self) -> None:
        """State, proof, settings and secrets equal the model's; only an active loop gets events."""
        loop = self.loop
        seen = {
            "state": loop.state,
            "url": loop.url,
            "verified_at_ms": loop.verified_at_ms,
            "reason": loop.disabled_reason,
        }
        assert seen == self.model
        assert loop.settings == loop.settings.replaced(self.settings)
        assert loop.is_deleted == self.is_deleted
        assert loop.may_receive == (self.model["state"] == "active" and not self.is_deleted)
        recent = sum(at_ms is not None and self.now_ms - at_ms < SECRET_OVERLAP_MS for at_ms in self.rotations)
        newest = len(self.rotations) + 1
        assert loop.secrets.signing(self.now_ms) == list(range(newest, newest - recent - 1, -1))

    @invariant()
    def equals_its_folded_history(self) -> None:
        """Stored and loaded again, all events fold into an equal aggregate."""
        self.stored.extend(stored_events(self.loop))
        assert [event.originator_version for event in self.stored] == list(range(1, len(self.stored) + 1))
        assert FeedbackLoop.from_events(domain_events(self.stored)) == self.loop


TestLoops = LoopMachine.TestCase
