"""Frozen events: one stored event of each topic and version, read by today's code. The files are never edited. An
event that changes gets a new `class_version`, an upcast, and another file.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from uuid import UUID

import pytest
from eventsourcing.persistence import StoredEvent

from domain.account import Account
from domain.feedback_loop import FeedbackLoop
from domain.ledger import domain_events, event_mapper
from domain.message import Message
from domain.profile import Profile
from domain.profile_change import ProfileKey
from domain.tracking_event import ReturnedMailKept, TrackingEventRecorded
from domain.user import User
from domain.values import LoopState
from tests.event_topics import event_topics
from tests.paths import FIXTURES

FROZEN = sorted((FIXTURES / "events").glob("*.json"))
MAPPER = event_mapper()
T_MS = 1_767_225_600_000


def read(path: Path) -> StoredEvent:
    document = json.loads(path.read_text())
    state = json.dumps(document["state"], ensure_ascii=False).encode()
    return StoredEvent(UUID(document["originator_id"]), document["originator_version"], document["topic"], state)


def history(topic: str) -> list[StoredEvent]:
    """The frozen events of one aggregate, in order."""
    events = [read(path) for path in FROZEN if path.name.startswith(f"{topic}.")]
    return sorted(events, key=lambda event: event.originator_version)


def test_every_event_in_code_is_frozen() -> None:
    """Each topic has a file for each version of its event, and every file has its topic."""
    expected = {
        f"{topic}.v{version}.json"
        for topic, event in event_topics().items()
        for version in range(1, getattr(event, "class_version", 1) + 1)
    }
    assert {path.name for path in FROZEN} == expected


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.name)
def test_a_frozen_event_is_read(path: Path) -> None:
    """The mapper restores today's event, with every attribute of the class."""
    stored = read(path)
    event = MAPPER.to_domain_event(stored)
    attributes = {field.name for field in fields(event_topics()[stored.topic])}
    assert set(vars(event)) == attributes
    assert type(event) is event_topics()[stored.topic]
    assert path.name.startswith(f"{stored.topic}.v")


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.name)
def test_a_frozen_event_is_written_the_same(path: Path) -> None:
    """The current version of each event is stored exactly like the file: attributes, names and types."""
    stored = read(path)
    event = MAPPER.to_domain_event(stored)
    if path.name == f"{stored.topic}.v{getattr(type(event), 'class_version', 1)}.json":
        again = MAPPER.to_stored_event(event)
        assert json.loads(again.state) == json.loads(stored.state)
        assert (again.topic, again.originator_id, again.originator_version) == (
            stored.topic,
            stored.originator_id,
            stored.originator_version,
        )


def test_a_frozen_account_folds() -> None:
    """The account's history folds into the expected account."""
    account = Account.from_events(domain_events(history("account")))
    assert account is not None
    assert (account.name, account.created_at_ms, account.version) == ("Acme Zoë", T_MS, 3)
    assert account.key_hashes == []


def test_a_frozen_user_folds() -> None:
    """The user's history folds into the expected user."""
    events = domain_events(history("user"))
    user = User.from_events(events)
    assert user is not None
    assert (user.account_id, user.email) == ("acc_0197f0a0000040008000000000000001", "zoe@example.com")
    assert (user.joined_at_ms, user.password_hash[-7:], user.has_left) == (T_MS + 16, "b3RoZXI", True)
    before = User.from_events(events[:1])
    assert before is not None
    assert not before.has_left


def test_a_frozen_loop_folds() -> None:
    """The loop's history, with all eleven kinds of event, folds into the expected loop."""
    events = domain_events(history("feedback-loop"))
    loop = FeedbackLoop.from_events(events)
    assert loop is not None
    assert (loop.account_no, loop.url, loop.settings.triggers, loop.settings.tags) == (
        1,
        "https://example.org/hook",
        ("bounce",),
        ("spring",),
    )
    assert (loop.settings.rate_limit, loop.settings.description, loop.settings.signature) == (None, "Zoë", "cavage")
    assert (loop.state, loop.disabled_reason) == (LoopState.DISABLED, "The handler answered 410 Gone.")
    assert (loop.created_at_ms, loop.verified_at_ms, loop.secrets.rotations_ms) == (T_MS + 2, T_MS + 6, [T_MS + 10])
    assert (loop.secrets.version, loop.secrets.oldest) == (2, 2)
    assert loop.verification_token == "fedcba9876543210" * 2 + "00112233445566778899aabbccddeeff" * 2
    assert loop.is_deleted
    before_the_end = FeedbackLoop.from_events(events[:7])
    assert before_the_end is not None
    assert before_the_end.may_receive


def test_a_frozen_message_folds() -> None:
    """The message's registration folds into the expected message, under today's id; its erasure empties it."""
    registered, erased = history("message")
    message = Message.from_events(domain_events([registered]))
    assert message is not None
    assert (message.message_id, message.key, message.recipient) == ("order-17", 3706187186995201234, "john@example.com")
    assert (message.tags, message.mailing, message.database) == (["spring", "shop"], "may", "1")
    account_id = history("account")[0].originator_id
    assert isinstance(account_id, UUID)
    assert message.id == Message.create_id(account_id, "order-17")
    gone = Message.from_events(domain_events([registered, erased]))
    assert gone is not None
    assert (gone.recipient, gone.links, gone.reference, gone.erased_at_ms) == ("", [], None, T_MS + 16)
    assert (gone.message_id, gone.key, gone.tags) == (message.message_id, message.key, message.tags)


def test_a_frozen_profile_folds() -> None:
    """The profile's history folds into the expected profile, under today's id."""
    profile = Profile.from_events(domain_events(history("profile")))
    assert profile is not None
    assert (profile.fields_json, profile.interests) == ('{"name":"Ann","n":2}', [])
    assert (profile.created_at_ms, profile.modified_at_ms) == (T_MS + 16, T_MS + 17)
    updated = Profile.from_events(domain_events(history("profile"))[:2])
    assert updated is not None
    assert (updated.fields_json, updated.interests) == ('{"name":"Zoë","n":1.5}', ["golf", "chess"])
    assert (updated.created_at_ms, updated.modified_at_ms) == (T_MS + 13, T_MS + 14)
    account_id = history("account")[0].originator_id
    assert isinstance(account_id, UUID)
    assert profile.id == Profile.create_id(account_id, ProfileKey("1", "123"))


def test_a_frozen_tracking_event_is_complete() -> None:
    """The tracking event has its attributes, its fields are JSON text, and its mail shares its id."""
    event, mail = domain_events([*history("tracking-event.recorded"), *history("tracking-event.mail-kept")])
    assert isinstance(event, TrackingEventRecorded)
    assert (event.type, event.account_no, event.time_ms) == ("click", 1, T_MS + 15)
    assert json.loads(event.fields)["recipient"] == "john@example.com"
    assert isinstance(mail, ReturnedMailKept)
    assert (mail.originator_id, mail.mime[-6:]) == (event.originator_id, "Zurück")
