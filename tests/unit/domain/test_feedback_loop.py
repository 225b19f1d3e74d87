"""`domain.feedback_loop`. Random sequences of commands are in tests/properties."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from domain.errors import Conflict, InvalidInput, NotFound, TemporaryConflict
from domain.feedback_loop import FeedbackLoop
from domain.loop_secrets import SECRET_OVERLAP_MS
from domain.values import LoopState
from tests.loops import LOOP_ID, TOKEN, URL, a_loop


def unverified() -> FeedbackLoop:
    return a_loop()


def active() -> FeedbackLoop:
    loop = a_loop()
    loop.verify(URL, 10)
    return loop


def paused() -> FeedbackLoop:
    loop = active()
    loop.pause(20)
    return loop


def disabled() -> FeedbackLoop:
    loop = active()
    loop.disable("410 Gone", 20)
    return loop


STATES: dict[LoopState, Callable[[], FeedbackLoop]] = {
    LoopState.UNVERIFIED: unverified,
    LoopState.ACTIVE: active,
    LoopState.PAUSED: paused,
    LoopState.DISABLED: disabled,
}
COMMANDS: dict[str, Callable[[FeedbackLoop], None]] = {
    "change": lambda loop: loop.change({"ordered": True}, 30),
    "change_url": lambda loop: loop.change_url("https://example.org/", "token-2", 30),
    "note_attempt": lambda loop: loop.note_attempt(succeeded=False, findings=[], at_ms=30),
    "verify": lambda loop: loop.verify(URL, 30),
    "pause": lambda loop: loop.pause(30),
    "resume": lambda loop: loop.resume(30),
    "disable": lambda loop: loop.disable("410 Gone", 30),
    "rotate_secret": lambda loop: loop.rotate_secret(1, 30),
    "delete": lambda loop: loop.delete(30),
}


def test_a_new_loop_is_unverified() -> None:
    """A loop begins with its given attributes, unverified, and gets no events."""
    loop = a_loop(5, tags=["a"], rate_limit=2.5)
    assert (loop.id, loop.url, loop.settings.triggers, loop.settings.tags, loop.settings.rate_limit) == (
        LOOP_ID,
        URL,
        ("open", "click"),
        ("a",),
        2.5,
    )
    assert (loop.state, loop.created_at_ms, loop.verified_at_ms) == (LoopState.UNVERIFIED, 5, None)
    assert (loop.verification_token, loop.secrets.version, loop.secrets.rotations_ms) == (TOKEN, 1, [])
    assert not loop.may_receive


def test_an_invalid_loop_is_refused() -> None:
    """A wrong URL or setting is refused with its pointer, and no loop is created."""
    with pytest.raises(InvalidInput) as caught:
        a_loop(url="ftp://example.com/")
    assert caught.value.problems[0][0] == "/url"
    with pytest.raises(InvalidInput) as caught:
        a_loop(triggers=[], max_concurrency=0)
    assert [p for p, _ in caught.value.problems] == ["/triggers", "/max_concurrency"]


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        ("pause", {LoopState.ACTIVE: LoopState.PAUSED}),
        ("resume", {LoopState.PAUSED: LoopState.ACTIVE, LoopState.DISABLED: LoopState.ACTIVE}),
        ("disable", {LoopState.ACTIVE: LoopState.DISABLED, LoopState.PAUSED: LoopState.DISABLED}),
        ("verify", dict(zip(LoopState, [LoopState.ACTIVE, *list(LoopState)[1:]], strict=True))),
        ("change_url", dict.fromkeys(LoopState, LoopState.UNVERIFIED)),
        ("rotate_secret", {state: state for state in LoopState}),
        ("change", {state: state for state in LoopState}),
        ("note_attempt", {state: state for state in LoopState}),
    ],
)
@pytest.mark.parametrize("state", LoopState)
def test_each_state_allows_its_commands(command: str, allowed: dict[LoopState, LoopState], state: LoopState) -> None:
    """A command changes the states that allow it; in all others it raises Conflict and changes nothing."""
    loop = STATES[state]()
    version = loop.version
    if state in allowed:
        COMMANDS[command](loop)
        assert (loop.state, loop.version) == (allowed[state], version + 1)
    else:
        with pytest.raises(Conflict, match=f"this one is {state}"):
            COMMANDS[command](loop)
        assert (loop.state, loop.version) == (state, version)
    assert loop.may_receive == (loop.state is LoopState.ACTIVE)


def test_a_conflict_has_advice() -> None:
    """Resuming a loop that was never verified raises an error that explains how to verify it."""
    with pytest.raises(Conflict, match="Place its verification file or DNS record, and verify it first"):
        a_loop().resume(2)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_deleted_loop_is_not_found(command: str) -> None:
    """A deleted loop refuses every command and gets no events."""
    loop = active()
    loop.delete(20)
    assert loop.is_deleted
    assert not loop.may_receive
    with pytest.raises(NotFound):
        COMMANDS[command](loop)


def test_a_verification_is_refreshed_in_any_state() -> None:
    """Another verification renews the proof, and leaves a paused or disabled loop in its state."""
    for make in (active, paused, disabled):
        loop = make()
        loop.verify(URL, 99)
        assert (loop.verified_at_ms, loop.state) == (99, make().state)


def test_another_url_voids_the_proof() -> None:
    """A changed URL has its own token, and earlier proofs and failures no longer count."""
    loop = disabled()
    loop.change_url("https://example.org/x", "token-2", 30)
    assert (loop.url, loop.verification_token) == ("https://example.org/x", "token-2")
    assert (loop.state, loop.verified_at_ms, loop.disabled_reason) == (LoopState.UNVERIFIED, None, None)


def test_the_same_url_changes_nothing() -> None:
    """Setting the URL to its current value keeps the proof."""
    loop = active()
    loop.change_url(URL, "token-2", 30)
    assert (loop.state, loop.verification_token, loop.version) == (LoopState.ACTIVE, TOKEN, 2)


def test_an_invalid_url_changes_nothing() -> None:
    """A URL that no handler can have is refused, and the loop stays the same."""
    loop = active()
    with pytest.raises(InvalidInput):
        loop.change_url("http://user:secret@example.com/", "token-2", 30)
    assert (loop.url, loop.version) == (URL, 2)


def test_settings_change_together() -> None:
    """All changed settings get their values in one event, which holds only the new ones."""
    loop = active()
    loop.collect_events()
    loop.change({"triggers": ["bounce"], "rate_limit": 2, "description": "Zoë", "ordered": False}, 30)
    (event,) = loop.collect_events()
    assert (loop.settings.triggers, loop.settings.rate_limit, loop.settings.description) == (("bounce",), 2, "Zoë")
    assert isinstance(event, FeedbackLoop.Changed)
    assert json.loads(event.changes) == {"triggers": ["bounce"], "rate_limit": 2, "description": "Zoë"}


def test_a_change_without_a_difference_is_no_event() -> None:
    """Equal values, or no values, record nothing."""
    loop = active()
    loop.change({}, 30)
    loop.change({"ordered": False, "triggers": ["open", "click"]}, 30)
    assert loop.version == 2


def test_a_change_is_all_or_nothing() -> None:
    """One wrong value keeps the other values and the URL from being changed."""
    loop = active()
    with pytest.raises(InvalidInput):
        loop.change({"ordered": True, "format": "xml"}, 30)
    with pytest.raises(InvalidInput, match="url is not a setting"):
        loop.change({"url": "https://example.org/"}, 30)
    assert (loop.settings.ordered, loop.url, loop.version) == (False, URL, 2)


def test_an_attempt_is_stored_verbatim() -> None:
    """The finding at each place is stored unchanged, whatever characters a server sent."""
    loop = a_loop()
    findings = [(URL, False, "404 Not Found"), ("dns:x", True, 'text "\ud800" é')]
    loop.note_attempt(succeeded=True, findings=findings, at_ms=2)
    event = loop.collect_events()[-1]
    assert isinstance(event, FeedbackLoop.VerificationAttempted)
    assert (event.succeeded, json.loads(event.findings)) == (True, [list(finding) for finding in findings])
    assert loop.state is LoopState.UNVERIFIED


def test_a_disabled_loop_has_a_reason_until_it_is_resumed() -> None:
    """The reason is shown while the loop is disabled, and removed afterwards."""
    loop = disabled()
    assert loop.disabled_reason == "410 Gone"
    loop.resume(30)
    assert loop.disabled_reason is None


def test_a_replaced_secret_signs_for_a_day() -> None:
    """The former secret signs next to the new one for 24 h after the rotation, and not a millisecond longer."""
    loop = a_loop()
    assert loop.secrets.signing(0) == [1]
    loop.rotate_secret(1, 1000)
    assert (loop.secrets.version, loop.secrets.rotations_ms) == (2, [1000])
    assert loop.secrets.signing(1000) == [2, 1]
    assert loop.secrets.signing(1000 + SECRET_OVERLAP_MS - 1) == [2, 1]
    assert loop.secrets.signing(1000 + SECRET_OVERLAP_MS) == [2]


def test_each_replaced_secret_has_its_own_day() -> None:
    """Rotating twice in a day does not shorten the first secret's time; a fourth time has to wait."""
    loop = a_loop()
    loop.rotate_secret(1, 1000)
    loop.rotate_secret(1, 2000)
    assert loop.secrets.signing(3000) == [3, 2, 1]
    assert loop.secrets.signing(1000 + SECRET_OVERLAP_MS) == [3, 2]
    loop.rotate_secret(1, 3000)
    with pytest.raises(TemporaryConflict) as caught:
        loop.rotate_secret(1, 4000)
    assert caught.value.retry_after_s == (1000 + SECRET_OVERLAP_MS - 4000) / 1000
    assert loop.secrets.signing(4000) == [4, 3, 2, 1]
    loop.rotate_secret(1, 1000 + SECRET_OVERLAP_MS)
    assert loop.secrets.signing(1000 + SECRET_OVERLAP_MS) == [5, 4, 3, 2]


def test_former_secrets_can_be_revoked() -> None:
    """Then only the new secret signs, and the next rotations start from there, however many there were before."""
    loop = a_loop()
    for at_ms in (1000, 2000, 3000):
        loop.rotate_secret(1, at_ms)
    loop.rotate_secret(1, 4000, revoke=True)
    assert loop.secrets.signing(4000) == [5]
    loop.rotate_secret(1, 5000)
    assert loop.secrets.signing(5000) == [6, 5]
