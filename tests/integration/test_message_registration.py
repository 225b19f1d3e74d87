"""Registration of messages and profiles on a real SQLite ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from eventsourcing.persistence import StoredEvent

from actors.application.messages import MessageRegistration
from actors.commands.messages import MessageResult, MessageSpec, Profile, PutProfile, RegisterMessages
from domain.errors import InvalidInput
from tests.application_context import application_context
from tests.contract.ledger_facts import Store, Tenant
from tests.contract.sqlite_store import sqlite_stores


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A real ledger."""
    with sqlite_stores(tmp_path) as made:
        yield made


@pytest.fixture
def registration(store: Store) -> MessageRegistration:
    return MessageRegistration(application_context(store))


def register(registration: MessageRegistration, tenant: Tenant, *specs: MessageSpec) -> Sequence[MessageResult]:
    return asyncio.run(registration.register_messages(RegisterMessages(account=tenant.view, messages=list(specs))))


def put(registration: MessageRegistration, tenant: Tenant, fields: str, *interests: str) -> Profile:
    command = PutProfile(
        account=tenant.view,
        database="1",
        profile_id="p",
        fields=msgspec.Raw(fields.encode()),
        interests=list(interests),
    )
    return asyncio.run(registration.put_profile(command))


def test_messages_can_be_read_back(store: Store, registration: MessageRegistration) -> None:
    """Each message gets a key, and an id if it has none, and is stored unchanged."""
    tenant = store.account()
    results = register(
        registration,
        tenant,
        MessageSpec(recipient="a@example.com", id="m-1", tags=["x"]),
        MessageSpec(recipient="b@x.org"),
    )

    first, second = (result.message for result in results)
    assert first is not None
    assert second is not None
    assert first.id == "m-1"
    assert second.id.startswith("msg_")
    assert first.key != second.key
    known = store.reader.message(tenant.no, "m-1")
    assert known is not None
    assert (known.key, known.recipient, known.tags) == (first.key, "a@example.com", ["x"])


def test_the_same_message_again_answers_the_same(store: Store, registration: MessageRegistration) -> None:
    """A registration can be repeated, as a whole or in part, with the same keys and without new events."""
    tenant = store.account()
    spec = MessageSpec(recipient="a@example.com", id="m-1")
    (first,) = register(registration, tenant, spec)
    before = len(store.log())

    again, twin, new = register(registration, tenant, spec, spec, MessageSpec(recipient="b@example.com", id="m-2"))

    assert again == twin == first
    assert new.message is not None
    assert len(store.log()) == before + 1


def test_another_message_with_a_used_id_is_a_conflict(store: Store, registration: MessageRegistration) -> None:
    """The rejection names the difference; other messages of the call are registered."""
    tenant = store.account()
    register(registration, tenant, MessageSpec(recipient="a@example.com", id="m-1"))

    taken, fine = register(
        registration,
        tenant,
        MessageSpec(recipient="other@example.com", id="m-1", tags=["x"]),
        MessageSpec(recipient="c@example.com", id="m-3"),
    )

    assert taken.rejection is not None
    assert taken.rejection.error == "Conflict"
    assert "recipient, tags" in taken.rejection.detail
    assert fine.message is not None


def test_a_bad_message_is_rejected_with_its_field(store: Store, registration: MessageRegistration) -> None:
    """An invalid message is rejected with the field's name; other messages of the call are registered."""
    tenant = store.account()

    bad, fine = register(registration, tenant, MessageSpec(recipient="nobody"), MessageSpec(recipient="a@example.com"))

    assert bad.rejection is not None
    assert bad.rejection.problems[0][0] == "/recipient"
    assert fine.message is not None


def test_accounts_may_use_the_same_id(store: Store, registration: MessageRegistration) -> None:
    """Two accounts may use the same message id."""
    results = [
        register(registration, store.account(), MessageSpec(recipient=f"{name}@example.com", id="m-1"))[0]
        for name in ("a", "b")
    ]

    assert all(result.message for result in results)


def test_a_profile_is_created_and_then_replaced(store: Store, registration: MessageRegistration) -> None:
    """The first PUT creates the profile, the second replaces all its data."""
    tenant = store.account()
    made = put(registration, tenant, '{"name": "John", "age": 3}', "jam")
    changed = put(registration, tenant, '{"name": "Jane"}')

    assert made.created
    assert not changed.created
    assert msgspec.json.decode(changed.fields) == {"name": "Jane"}
    assert changed.interests == []


def test_a_profile_changed_by_two_at_once_keeps_both_changes_in_its_history(
    store: Store, registration: MessageRegistration
) -> None:
    """A writer that loses the race reads the profile again, and writes after the other writer."""
    tenant = store.account()
    put(registration, tenant, '{"n": 0}')
    slow = MessageRegistration(application_context(store, ledger=OvertakenLedger(store, registration, tenant)))

    assert msgspec.json.decode(put(slow, tenant, '{"n": 2}').fields) == {"n": 2}
    assert [e.originator_version for e in store.log() if e.topic.startswith("profile.")] == [1, 2, 3]


def test_fields_must_be_an_object(store: Store, registration: MessageRegistration) -> None:
    """The error names the field."""
    with pytest.raises(InvalidInput) as refused:
        put(registration, store.account(), "[1]")

    assert refused.value.problems[0][0] == "/fields"


class OvertakenLedger:
    """A ledger in which another writer changes the profile first, once."""

    def __init__(self, store: Store, rival: MessageRegistration, tenant: Tenant) -> None:
        self._store = store
        self._rival: MessageRegistration | None = rival
        self._tenant = tenant

    async def append(self, events: Sequence[StoredEvent]) -> None:
        if self._rival is not None:
            rival, self._rival = self._rival, None
            await rival.put_profile(
                PutProfile(
                    account=self._tenant.view,
                    database="1",
                    profile_id="p",
                    fields=msgspec.Raw(b'{"n": 1}'),
                    interests=[],
                )
            )
        await self._store.writer.append(events)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store.writer, name)
