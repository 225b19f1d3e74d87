"""Contract suite for answers under an Idempotency-Key that show messages of an erased person. A store subclasses it."""

from __future__ import annotations

import pytest

from actors.application.erasure_profiles import ErasureChanges
from actors.application.event_recorder import EventRecorder
from actors.commands.service import ClaimKey, KeepAnswer, StoredAnswer
from actors.ledger.erasure.runner import Batches
from actors.ledger.erasure.step import ErasureAction
from actors.ledger.erasure.steps.idempotency import IdempotencyStep
from actors.ledger.erasure.steps.messages import MessagesStep
from actors.ledger.writer import StoreWriter
from tests.contract.erasing import Eraser
from tests.contract.ledger_facts import Store, Tenant

ANSWER = StoredAnswer(status=201, content_type="application/json", body=b"\x00cipher")


def answer_steps(writer: StoreWriter, recorder: EventRecorder, changes: ErasureChanges) -> list[ErasureAction]:
    store = writer.erasure_store
    return [Batches(MessagesStep(lambda: b"k" * 32), store), Batches(IdempotencyStep(), store, limit=3)]


class IdempotencyErasureSuite:
    """The step of an erasure about kept answers."""

    @pytest.fixture
    def tenant(self, store: Store) -> Tenant:
        """An account with ten messages to each of two people: odd ones to John."""
        tenant = store.account()
        for key in range(1, 21):
            store.append(tenant.message(key, recipient="john@example.com" if key % 2 else "jane@example.com"))
        return tenant

    @staticmethod
    def claim(store: Store, key: str) -> StoredAnswer | None:
        return store.run(store.writer.claim_key(ClaimKey(scope="acc_1", key=key, fingerprint="f")))

    @staticmethod
    def keep(store: Store, key: str, *message_keys: int) -> None:
        command = KeepAnswer(scope="acc_1", key=key, fingerprint="f", answer=ANSWER, message_keys=list(message_keys))
        store.run(store.writer.keep_answer(command))

    def test_answers_about_the_person_go(self, store: Store, tenant: Tenant) -> None:
        """All answers that show one of the messages, also together with others; the requests may run again."""
        answers = {"a": [1], "b": [2], "c": [2, 3, 4, 3], "d": [1], "e": [], "f": [1], "g": [1], "h": [19]}
        for key, message_keys in answers.items():
            self.claim(store, key)
            self.keep(store, key, *message_keys)
        eraser = Eraser(store, answer_steps)
        eraser.erase("john@example.com", tenant.no)

        assert [key for key in answers if self.claim(store, key) == ANSWER] == ["b", "e"]
        assert eraser.rows("SELECT key, message_key FROM idempotency_messages") == [("b", 2)]

    def test_an_answer_that_is_late_is_not_kept(self, store: Store, tenant: Tenant) -> None:
        """The request was carried out before the erasure, and its answer comes after it."""
        self.claim(store, "late")
        Eraser(store, answer_steps).erase("john@example.com", tenant.no)
        self.keep(store, "late", 2, 1)

        assert self.claim(store, "late") is None

    def test_messages_of_an_answer_go_with_it(self, store: Store, tenant: Tenant) -> None:
        """When it has expired, when its key is claimed again, and when nobody uses the key any more."""
        eraser = Eraser(store, answer_steps)
        for key in ("a", "b", "c"):
            self.claim(store, key)
            self.keep(store, key, 1, 2)
        store.clock.ms += 24 * 3600 * 1000
        assert self.claim(store, "a") is None
        assert {row[0] for row in eraser.rows("SELECT key FROM idempotency_messages")} == set()
        self.keep(store, "a", 5)
        store.clock.ms += 24 * 3600 * 1000
        assert store.drop() == 1

        assert eraser.rows("SELECT key FROM idempotency_messages") == []
