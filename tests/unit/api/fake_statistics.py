"""Statistics in memory, as the actors return them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, defaultdict

from actors.commands.accounts import Account
from actors.commands.deliveries import (
    CountDeliveries,
    DeliveryCount,
    DeliveryView,
    EventDelivery,
    GetLoopDelivery,
    GetPost,
    ListEventDeliveries,
    Post,
)
from actors.commands.events import EventMail, EventView, GetEvent, GetEventMail
from actors.commands.statistics import (
    AttemptMinute,
    Counts,
    EventMinute,
    ListAttemptMinutes,
    ListEventMinutes,
    ListStatistics,
    LoopStatistics,
)
from domain.errors import NotFound
from domain.statistics import ANSWERS, NOTHING


class FakeStatistics(ABC):
    """The part of `FakeClient` that returns statistics. Tests set them."""

    def __init__(self) -> None:
        super().__init__()
        #: By loop.
        self.attempt_minutes: defaultdict[str, list[AttemptMinute]] = defaultdict(list)
        self.event_minutes: list[EventMinute] = []
        self.backlogs: defaultdict[str, int] = defaultdict(int)
        #: Bodies of POSTs, by delivery.
        self.post_bodies: dict[str, str] = {}
        #: Returned mails by event.
        self.mails: dict[str, str] = {}

    @abstractmethod
    def own_loop(self, account: Account, loop_id: str) -> object:
        """Raises `NotFound` if the account has no such loop."""

    @abstractmethod
    def own_delivery(self, account: Account, delivery_id: str) -> tuple[str, DeliveryView]:
        """Returns a delivery and the id of its loop, or raises `NotFound`."""

    @abstractmethod
    def own_deliveries(self, account: Account) -> list[EventDelivery]:
        """The account's deliveries."""

    @abstractmethod
    def own_events(self, account: Account) -> list[EventView]:
        """The account's events."""

    def _list_statistics(self, x: ListStatistics) -> list[LoopStatistics]:
        return [self._statistics_of(x.account, loop_id) for loop_id in x.loop_ids]

    def _statistics_of(self, account: Account, loop_id: str) -> LoopStatistics:
        self.own_loop(account, loop_id)
        minutes = [minute.counts for minute in self.attempt_minutes[loop_id]]
        rows = [list(NOTHING), *([*counts.answers, *counts.buckets] for counts in minutes)]
        total = [sum(column) for column in zip(*rows, strict=True)]
        return LoopStatistics(
            loop_id=loop_id,
            counts=Counts(answers=total[: len(ANSWERS)], buckets=total[len(ANSWERS) :]),
            backlog=self.backlogs[loop_id],
            last_event_ms=None,
        )

    def _list_attempt_minutes(self, x: ListAttemptMinutes) -> list[AttemptMinute]:
        self.own_loop(x.account, x.loop_id)
        return self.attempt_minutes[x.loop_id]

    def _list_event_minutes(self, _: ListEventMinutes) -> list[EventMinute]:
        return self.event_minutes

    def _get_loop_delivery(self, x: GetLoopDelivery) -> EventDelivery:
        loop_id, delivery = self.own_delivery(x.account, x.delivery_id)
        return EventDelivery(loop_id=loop_id, delivery=delivery)

    def _get_post(self, x: GetPost) -> Post:
        _, delivery = self.own_delivery(x.account, x.delivery_id)
        if not any(attempt.no == x.attempt_no for attempt in delivery.attempts):
            raise NotFound(f"delivery {x.delivery_id} has no attempt {x.attempt_no}")
        body = self.post_bodies.get(x.delivery_id, f"event={delivery.event}")
        return Post(url="https://h.example/hook", headers=[("webhook-id", delivery.event)], body=body)

    def _get_event(self, x: GetEvent) -> EventView:
        for event in self.own_events(x.account):
            if event.id == x.event_id:
                return event
        raise NotFound(f"there is no event {x.event_id} in this account")

    def _get_event_mail(self, x: GetEventMail) -> EventMail:
        self._get_event(GetEvent(account=x.account, event_id=x.event_id))
        if x.event_id not in self.mails:
            raise NotFound(f"no returned mail is stored with event {x.event_id}")
        return EventMail(mime=self.mails[x.event_id])

    def _count_deliveries(self, x: CountDeliveries) -> list[DeliveryCount]:
        owed = [each.delivery for each in self.own_deliveries(x.account) if each.delivery.event in x.event_ids]
        counts = Counter((delivery.event, delivery.state) for delivery in owed)
        return [DeliveryCount(event=event, state=state, count=n) for (event, state), n in counts.items()]

    def _list_event_deliveries(self, x: ListEventDeliveries) -> list[EventDelivery]:
        self._get_event(GetEvent(account=x.account, event_id=x.event_id))
        return [owed for owed in self.own_deliveries(x.account) if owed.delivery.event == x.event_id]
