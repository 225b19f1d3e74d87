"""Contract suite for replays of events that a loop missed. A store subclasses it with a fixture `store`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from actors.commands.deliveries import ListDeliveries
from actors.ledger import missed_events
from actors.ledger.loop_projection import LoopRow
from domain.errors import TemporaryConflict
from domain.feedback_loop import FeedbackLoop
from tests.contract.ledger_facts import NOW_MS, Store, Tenant, event, event_id, outcome


@dataclass
class Outage:
    """A loop whose events are recorded one per second, with their numbers as names."""

    store: Store
    tenant: Tenant
    loop: LoopRow
    numbers: dict[str, int]

    def record(self, count: int = 1, **more: Any) -> list[list[int]]:
        """Records events, with a delivery if the loop is routed. Returns the ids of their deliveries."""
        ids = []
        routed = {route.loop_no for route in self.store.reader.routing_table().routes}
        for _ in range(count):
            self.store.clock.ms += 1000
            at_ms = self.store.clock.ms
            made = event(self.tenant, loop_nos=sorted(routed & {self.loop.no}), time_ms=at_ms, **more)
            self.numbers[f"evt_{made.event_id.hex()}"] = len(self.numbers)
            ids += self.store.record(made).delivery_ids
        return ids

    def change(self, name: str, *args: Any) -> None:
        self.store.clock.ms += 1000

        def act(loop: FeedbackLoop) -> None:
            getattr(loop, name)(*args, self.store.clock.ms)

        self.store.change(self.loop.id, act)

    def disable(self) -> None:
        self.change("disable", "410 Gone")

    def resume(self) -> None:
        self.change("resume")

    def replay(self, limit: int = 500, **period: int) -> tuple[int, int]:
        """Replays to the end; returns `count` at the start, and `done` at the end."""
        started = self.store.replay(self.loop.no, "missed", **period)
        ended = self.store.replay_to_the_end(started, limit)
        assert (ended.count, ended.is_estimate) == (ended.done, False)
        return started.count, ended.done

    def owed(self) -> list[int]:
        """The numbers of the events that have a delivery, in the order in which they are delivered."""
        far_ms = self.store.clock.ms + 1
        found = self.store.reader.due_deliveries(self.loop.no, far_ms, 10_000, [], in_order=True)
        return [self.numbers[f"evt_{d.event_id.hex()}"] for d in found]


class MissedSuite:
    """Replays of `missed` events."""

    @pytest.fixture
    def outage(self, store: Store) -> Outage:
        tenant = store.account()
        return Outage(store, tenant, store.active_loop(tenant), {})

    @pytest.mark.parametrize("limit", [1, 2, 3, 500])
    def test_events_are_replayed_in_order_of_arrival(self, outage: Outage, limit: int) -> None:
        """Those of the outages, whatever their trigger, and none from before, between and after."""
        outage.record(2)
        outage.disable()
        outage.record(2)
        outage.record(2, type="click")
        outage.record()
        outage.resume()
        outage.record(2)
        outage.change("pause")
        outage.disable()
        outage.record(2)
        outage.resume()
        outage.record()

        assert outage.owed() == [0, 1, 7, 8, 11]
        assert outage.replay(limit) == (7, 7)
        assert outage.owed() == [0, 1, 7, 8, 11, 2, 3, 4, 5, 6, 9, 10]

    def test_each_event_is_replayed_once(self, outage: Outage) -> None:
        """Also if it is requested again, while the delivery is pending, delivered or dead."""
        outage.disable()
        outage.record(4)
        outage.resume()

        assert outage.replay() == (4, 4)
        query = ListDeliveries(account=outage.tenant.view, loop_id="")
        ids = sorted(
            int(d.id.removeprefix("dlv_")) for d in outage.store.reader.list_deliveries(outage.loop.no, query).data
        )
        outage.store.outcomes(outcome(ids[0]), outcome(ids[1], state=2, status=500))
        assert outage.replay() == (0, 0)
        assert outage.owed() == [2, 3]

        outage.disable()
        outage.record()
        outage.resume()
        assert outage.replay() == (1, 1)

    def test_triggers_and_filters_of_now_apply(self, outage: Outage) -> None:
        """Not those of the outage."""
        outage.disable()
        for tags in ([], ["a"], ["b"], ["a", "b"]):
            outage.record(fields={"tags": tags, "database": "1"})
        outage.record(type="click", fields={"tags": ["a"], "database": "1"})
        outage.record(type="unsubscribe", fields={"tags": ["a"], "database": "2"})
        outage.resume()
        outage.change("change", {"triggers": ["open", "unsubscribe"], "tags": ["a"]})

        assert outage.replay() == (3, 3)
        assert outage.owed() == [1, 3, 5]

        outage.change("change", {"triggers": ["click"], "tags": [], "databases": ["1"]})
        assert outage.replay() == (1, 1)
        assert outage.owed() == [1, 3, 5, 4]

    @pytest.mark.parametrize("limit", [1, 3, 7, 500])
    def test_few_events_among_many_pass_the_filter(
        self, outage: Outage, limit: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A step looks at several pages, and makes no more deliveries than it may."""
        monkeypatch.setattr(missed_events, "PAGE", 4)
        outage.disable()
        wanted = [n for n in range(60) if n % 7 == 0 or n > 50]
        for n in range(60):
            outage.record(type=["open", "click"][n % 2], fields={"tags": ["a"] if n in wanted else []})
        outage.resume()
        outage.change("change", {"tags": ["a"]})
        progress = outage.store.replay(outage.loop.no, "missed")
        assert progress.count == len(wanted)
        while progress.state == "running":
            done = progress.done
            progress = outage.store.advance(progress.id, limit)
            assert progress.done - done <= limit

        assert outage.owed() == wanted

    def test_only_the_order_of_the_log_decides(self, outage: Outage) -> None:
        """An event that arrived before the outage and was recorded in it was missed; the reverse was not."""
        late, early = event_id(NOW_MS + 500), event_id(NOW_MS + 9_000)
        outage.record()
        outage.disable()
        outage.numbers[f"evt_{late.hex()}"] = 100
        outage.store.record(event(outage.tenant, event_id=late))
        outage.resume()
        outage.numbers[f"evt_{early.hex()}"] = 101
        outage.store.record(event(outage.tenant, event_id=early))

        assert outage.replay() == (1, 1)
        assert outage.owed() == [0, 100]

    def test_a_new_url_ends_the_outage_when_it_is_verified(self, outage: Outage) -> None:
        """The time until then belongs to the outage, because the loop was disabled before."""
        outage.disable()
        outage.record()
        outage.change("change_url", "https://example.org/new", "token-2")
        outage.record()
        outage.change("verify", "https://example.org/token")
        outage.record()

        assert outage.replay() == (2, 2)
        assert outage.owed() == [2, 0, 1]

    def test_a_loop_that_was_never_disabled_missed_nothing(self, outage: Outage) -> None:
        """Events from before its verification, and those that its filters of then excluded, are not replayed."""
        outage.record(type="unsubscribe")
        outage.store.record(event(outage.tenant))

        assert outage.replay() == (0, 0)

    def test_the_period_is_about_arrival(self, outage: Outage) -> None:
        """It includes its start and excludes its end."""
        outage.disable()
        outage.record(5)
        outage.resume()
        since_ms = NOW_MS + 3000

        assert outage.replay(since_ms=since_ms, until_ms=since_ms + 2000) == (2, 2)
        assert outage.owed() == [1, 2]

    def test_an_outage_that_has_not_ended(self, outage: Outage) -> None:
        """What is recorded until the end of the period is replayed."""
        outage.disable()
        outage.record(2)

        assert outage.replay() == (2, 2)

    def test_expired_events_are_left_out(self, outage: Outage) -> None:
        """Also if they expire after they were counted."""
        outage.disable()
        outage.record(4)
        outage.resume()
        started = outage.store.replay(outage.loop.no, "missed")
        assert started.count == 4
        outage.store.drop(events=NOW_MS + 3500)

        assert outage.store.replay_to_the_end(started).done == 2
        assert outage.owed() == [2, 3]

    def test_other_accounts_and_loops_are_left_alone(self, outage: Outage) -> None:
        """Events of other accounts are not replayed, and other loops get nothing."""
        other = outage.store.active_loop(outage.tenant)
        outage.disable()
        outage.store.record(event(outage.store.account()))
        outage.record()
        outage.resume()

        assert outage.replay() == (1, 1)
        assert outage.store.reader.pending_count(other.no, 9) == 0

    def test_a_restart_in_the_middle(self, outage: Outage) -> None:
        """The next writer continues after the last step, and neither repeats nor skips an event."""
        outage.disable()
        outage.record(7)
        outage.resume()
        started = outage.store.replay(outage.loop.no, "missed")
        outage.store.advance(started.id, 3)
        outage.store.writer = outage.store.successor()

        assert outage.store.replay_to_the_end(started, 3).done == 7
        assert outage.owed() == list(range(7))

    def test_a_cancelled_replay_can_be_started_again(self, outage: Outage) -> None:
        """The second one makes what the first one left; two at once are refused."""
        outage.disable()
        outage.record(5)
        outage.resume()
        first = outage.store.replay(outage.loop.no, "missed")
        outage.store.advance(first.id, 2)
        with pytest.raises(TemporaryConflict):
            outage.store.replay(outage.loop.no, "missed")
        outage.store.run(outage.store.writer.cancel_replay(first.id))

        assert outage.replay() == (3, 3)

    def test_a_large_number_is_an_estimate(self, outage: Outage, monkeypatch: pytest.MonkeyPatch) -> None:
        """Until the end, when the number is known."""
        monkeypatch.setattr(missed_events, "MAX_COUNTED", 4)
        monkeypatch.setattr(missed_events, "PAGE", 2)
        outage.disable()
        outage.record(4)
        outage.resume()
        assert not outage.store.replay(outage.loop.no, "missed").is_estimate
        outage.store.run(outage.store.writer.cancel_replay(1))
        outage.disable()
        outage.record(5)
        outage.resume()
        started = outage.store.replay(outage.loop.no, "missed")

        assert (started.count, started.is_estimate) == (9, True)
        ended = outage.store.replay_to_the_end(started)
        assert (ended.count, ended.done, ended.is_estimate) == (9, 9, False)
