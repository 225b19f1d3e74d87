"""Contract suite for attempts and Idempotency-Keys. A store subclasses it with a fixture `store`."""

from __future__ import annotations

from typing import Any

import pytest

from actors.commands.deliveries import DeliveryView, ListDeliveries
from actors.commands.loops import Health
from actors.commands.service import ClaimKey, KeepAnswer, StoredAnswer
from domain.delivery import AttemptOutcome, LaneHealth
from domain.errors import IdempotencyConflict
from domain.values import DeliveryState
from tests.contract.ledger_facts import NOW_MS, Store, event, failed, outcome


class OutcomesSuite:
    """`LedgerWriter.record_outcomes`."""

    @pytest.fixture
    def owed(self, store: Store) -> tuple[Store, int, Any]:
        tenant = store.account()
        loop = store.active_loop(tenant)
        [[delivery_id]] = store.record(event(tenant, loop_nos=[loop.no])).delivery_ids

        def view() -> DeliveryView:
            [found] = store.reader.list_deliveries(loop.no, ListDeliveries(account=tenant.view, loop_id=loop.id)).data
            return found

        return store, delivery_id, view

    def test_a_success_ends_the_delivery(self, owed: tuple[Store, int, Any]) -> None:
        """A delivered delivery is no longer due, and shows its attempt."""
        store, delivery_id, view = owed
        store.outcomes(outcome(delivery_id))

        assert view().state == "delivered"
        assert view().next_attempt_at_ms is None
        assert [(a.no, a.status, a.response_excerpt, a.address) for a in view().attempts] == [
            (1, 200, "thanks", "203.0.113.9")
        ]
        assert view().attempts[0].response_headers == "Server: nginx\nX-Näme: ü"

    def test_the_same_attempt_twice_is_one(self, owed: tuple[Store, int, Any]) -> None:
        """The first record of an attempt stays."""
        store, delivery_id, view = owed
        store.outcomes(failed(delivery_id, 1, NOW_MS + 5000))
        before = view()
        store.outcomes(failed(delivery_id, 1, NOW_MS + 9000), outcome(delivery_id, 1))

        assert before == view()
        assert view().next_attempt_at_ms == NOW_MS + 5000

    @pytest.mark.parametrize("late", [failed(1, 1, NOW_MS + 1), outcome(1, 1)])
    def test_a_late_attempt_moves_nothing_back(self, owed: tuple[Store, int, Any], late: AttemptOutcome) -> None:
        """An earlier attempt that is recorded later is shown, and does not change the delivery."""
        store, delivery_id, view = owed
        store.outcomes(failed(delivery_id, 2, NOW_MS + 70_000))
        store.outcomes(late._replace(delivery_id=delivery_id))

        assert (view().state, view().next_attempt_at_ms) == ("pending", NOW_MS + 70_000)
        assert [a.no for a in view().attempts] == [1, 2]

    def test_forgiven_attempts_are_kept_and_never_fewer(self, store: Store) -> None:
        """Forgiven attempts stay forgiven for the next lane, and an older outcome does not undo that."""
        tenant = store.account()
        loop = store.active_loop(tenant)
        [[delivery_id]] = store.record(event(tenant, loop_nos=[loop.no])).delivery_ids

        def offered() -> tuple[int, int]:
            [due] = store.reader.due_deliveries(loop.no, NOW_MS, 1, [])
            return due.attempts, due.forgiven

        store.outcomes(failed(delivery_id, 1, NOW_MS)._replace(forgiven=1))
        assert offered() == (1, 1)
        store.outcomes(failed(delivery_id, 2, NOW_MS))
        assert offered() == (2, 1)
        store.outcomes(failed(delivery_id, 3, NOW_MS)._replace(forgiven=2))
        assert offered() == (3, 2)

    def test_a_delivered_delivery_stays_delivered(self, owed: tuple[Store, int, Any]) -> None:
        """With two lanes at once, a failure recorded after a success does not cause another attempt."""
        store, delivery_id, view = owed
        store.outcomes(outcome(delivery_id, 1))
        store.outcomes(failed(delivery_id, 2, NOW_MS))

        assert view().state == "delivered"

    def test_a_dead_delivery_may_have_arrived(self, owed: tuple[Store, int, Any]) -> None:
        """With two lanes at once, a failure does not make a dead delivery pending again, but a success counts."""
        store, delivery_id, view = owed
        store.outcomes(outcome(delivery_id, 1, status=410, state=2))
        store.outcomes(failed(delivery_id, 2, NOW_MS))
        assert view().state == "dead"

        store.outcomes(outcome(delivery_id, 3))
        assert view().state == "delivered"

    def test_an_attempt_is_shown_as_it_was_recorded(self, owed: tuple[Store, int, Any]) -> None:
        """The size of the response is recorded, independently of the excerpt."""
        store, delivery_id, view = owed
        store.outcomes(outcome(delivery_id, response_bytes=70_000))

        assert [a.response_bytes for a in view().attempts] == [70_000]

    def test_health_is_recorded_with_outcomes(self, store: Store) -> None:
        """The last health of a loop is returned, separately and with the loop; a loop without a record is healthy."""
        tenant = store.account()
        loop, other = store.active_loop(tenant), store.active_loop(tenant)
        assert store.reader.health(loop.no) == LaneHealth()
        assert loop.health == Health()

        first = LaneHealth("open", NOW_MS, None, NOW_MS + 1, 5, NOW_MS + 9, 7, "503 Service Unavailable")
        for health in (first, LaneHealth(last_success_ms=NOW_MS + 10), first):
            store.outcomes(health=(loop.no, health))
            assert store.reader.health(loop.no) == health
        listed = store.reader.list_loops(tenant.no, 9, None).data
        shown = Health(
            breaker="open",
            failing_since_ms=NOW_MS,
            last_failure_ms=NOW_MS + 1,
            failures=5,
            next_probe_ms=NOW_MS + 9,
            failing_ms=7,
            last_error="503 Service Unavailable",
        )
        assert [shown, Health()] == [x.health for x in listed]
        found = store.reader.loop(loop.id)
        assert found is not None
        assert found.health == shown
        assert store.reader.health(other.no) == LaneHealth()

    def test_failed_deliveries_are_found(self, store: Store) -> None:
        """A failed delivery waits until it is attempted again; repeated at once or replayed, it counts as new."""
        tenant = store.account()
        loop, other, paused = (store.active_loop(tenant) for _ in range(3))
        recorded = store.record(*(event(tenant, loop_nos=[loop.no, other.no, paused.no]) for _ in range(2)))
        (first, _, third), (second, _, _) = recorded.delivery_ids
        store.outcomes(failed(first, 1, NOW_MS + 60_000)._replace(forgiven=1))
        assert not store.reader.has_failed(loop.no)

        store.outcomes(failed(first, 2, NOW_MS + 60_000)._replace(forgiven=1), failed(third, 1, NOW_MS + 1))
        store.change(paused.id, lambda loop: loop.pause(NOW_MS + 2))
        assert store.reader.has_failed(loop.no)
        assert not store.reader.has_failed(other.no)
        assert store.reader.loops_failing() == [loop.id]

        store.outcomes(outcome(first, attempt_no=3, state=DeliveryState.DEAD), outcome(second))
        assert not store.reader.has_failed(loop.no)
        assert store.reader.loops_failing() == []

    def test_recording_nothing_does_nothing(self, store: Store) -> None:
        """Recording neither outcomes nor health is no error."""
        store.outcomes()

    def test_an_outcome_without_a_delivery_is_dropped(self, owed: tuple[Store, int, Any]) -> None:
        """An attempt of a delivery that does not exist is no error, and is not recorded."""
        store, delivery_id, view = owed
        store.outcomes(outcome(delivery_id + 999), outcome(delivery_id))

        assert view().state == "delivered"


class IdempotencySuite:
    """Claims of Idempotency-Keys."""

    CLAIM = ClaimKey(scope="acc_1", key="k", fingerprint="f", lease_s=60)
    ANSWER = StoredAnswer(status=201, content_type="application/json", body=b"\x00cipher")

    def keep(self, store: Store, answer: StoredAnswer | None, fingerprint: str = "f") -> None:
        kept = KeepAnswer(scope="acc_1", key="k", fingerprint=fingerprint, answer=answer)
        store.run(store.writer.keep_answer(kept))

    def claim(self, store: Store, fingerprint: str = "f", scope: str = "acc_1") -> StoredAnswer | None:
        return store.run(store.writer.claim_key(ClaimKey(scope=scope, key="k", fingerprint=fingerprint, lease_s=60)))

    def test_an_answered_request_gets_its_answer_again(self, store: Store) -> None:
        """A repeated request gets the first answer byte for byte, for 24 h."""
        assert self.claim(store) is None
        self.keep(store, self.ANSWER)
        store.clock.ms += 24 * 3600 * 1000 - 1
        assert self.claim(store) == self.ANSWER

        store.clock.ms += 1
        assert self.claim(store) is None

    def test_a_request_in_progress_is_a_conflict(self, store: Store) -> None:
        """A key is claimed while its request runs, and only in its scope."""
        self.claim(store)

        with pytest.raises(IdempotencyConflict) as refused:
            self.claim(store)
        assert refused.value.in_progress
        assert self.claim(store, scope="acc_2") is None

    def test_a_key_belongs_to_one_request(self, store: Store) -> None:
        """A key with another request is refused, whether the first is in progress or answered."""
        self.claim(store)
        for _ in range(2):
            with pytest.raises(IdempotencyConflict) as refused:
                self.claim(store, fingerprint="other")
            assert not refused.value.in_progress
            self.keep(store, self.ANSWER)

    def test_a_freed_key_is_free(self, store: Store) -> None:
        """A request without effect frees its key for other requests."""
        self.claim(store)
        self.keep(store, None)

        assert self.claim(store, fingerprint="other") is None

    def test_a_dead_requests_lease_ends(self, store: Store) -> None:
        """The claim of a request that died is free after its lease, not earlier."""
        self.claim(store)
        store.clock.ms += 59_999
        with pytest.raises(IdempotencyConflict):
            self.claim(store)
        store.clock.ms += 1
        assert self.claim(store) is None

    def test_an_answer_after_the_lease_is_kept(self, store: Store) -> None:
        """The answer of a request that took longer than its lease is still stored."""
        self.claim(store)
        store.clock.ms += 3_600_000
        self.keep(store, self.ANSWER)

        assert self.claim(store) == self.ANSWER

    @pytest.mark.parametrize("late", [ANSWER, None])
    def test_a_reclaimed_key_belongs_to_the_new_request(self, store: Store, late: StoredAnswer | None) -> None:
        """A request that outlived its lease neither overwrites nor frees another request's claim."""
        self.claim(store)
        store.clock.ms += 60_000
        assert self.claim(store, fingerprint="other") is None
        self.keep(store, late)

        with pytest.raises(IdempotencyConflict) as refused:
            self.claim(store, fingerprint="other")
        assert refused.value.in_progress

    def test_an_answer_is_not_replaced(self, store: Store) -> None:
        """A stored answer is not changed by another answer or a release."""
        self.claim(store)
        self.keep(store, self.ANSWER)
        self.keep(store, StoredAnswer(status=500, content_type="text/plain", body=b""))
        self.keep(store, None)

        assert self.claim(store) == self.ANSWER
