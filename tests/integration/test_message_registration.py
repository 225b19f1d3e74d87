"""Registration of messages on a real SQLite ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from eventsourcing.persistence import StoredEvent

from actors.application.messages import MessageRegistration
from actors.commands.messages import MessageResult, MessageSpec, RegisterMessages
from domain.errors import InternalError
from tests.application_context import application_context
from tests.contract.ledger_erasure_suite import JOHN, erase
from tests.contract.ledger_facts import Store, Tenant
from tests.contract.ledger_front_ends_suite import install
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

    assert first.message is not None
    assert not first.message.is_known
    known = MessageResult(message=msgspec.structs.replace(first.message, is_known=True))
    assert again == twin == known
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


class PickyWriter:
    """A ledger's writer that fails unexpectedly if it has to write a certain text."""

    def __init__(self, store: Store, text: bytes) -> None:
        self._writer = store.writer
        self._text = text

    async def append(self, events: Sequence[StoredEvent]) -> None:
        if any(self._text in event.state for event in events):
            raise InternalError("this cannot be written")
        await self._writer.append(events)


def test_an_unexpected_error_in_a_message_does_not_affect_others(store: Store) -> None:
    """The message is rejected as an internal error, whether it fails before or while it is written."""
    registration = MessageRegistration(application_context(store, ledger=PickyWriter(store, b"poison")))
    tenant = store.account()
    tags: Any = 5
    for bad in (MessageSpec(recipient="a@example.com", tags=tags), MessageSpec(recipient="poison@example.com")):
        fine, rejected, also_fine = register(
            registration, tenant, MessageSpec(recipient="b@example.com"), bad, MessageSpec(recipient="c@example.com")
        )

        assert fine.message is not None
        assert also_fine.message is not None
        assert rejected.rejection is not None
        assert rejected.rejection.error == "InternalError"


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


def test_names_of_an_erased_message_are_not_used_again(store: Store, registration: MessageRegistration) -> None:
    """Its id and its reference are refused, alone and among others; a new message to the address is welcome."""
    install(store)
    tenant = store.account()
    spec = MessageSpec(recipient=JOHN, id="m-1", reference="<r-1@x>")
    register(registration, tenant, spec)
    erase(store, tenant)
    fresh = MessageSpec(recipient=JOHN, id="m-2", reference="<r-2@x>")
    results = register(
        registration, tenant, spec, MessageSpec(recipient="b@x.org", id="m-3", reference="<r-1@x>"), fresh
    )

    rejections = [result.rejection.error if result.rejection else None for result in results]
    assert rejections == ["Erased", "Erased", None]
