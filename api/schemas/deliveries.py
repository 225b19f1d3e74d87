"""Deliveries and their attempts on the wire."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.base import AnswerModel, Next, PageQuery, QueryTime, Time, TriggerName

DeliveryStateName = Literal["pending", "delivered", "dead"]


class DeliveryQuery(PageQuery):
    """Which deliveries are wanted."""

    state: DeliveryStateName | None = Field(default=None, description="Only deliveries in this state.")
    type: TriggerName | None = Field(default=None, description="Only deliveries of events of this type.")
    since: QueryTime = Field(default=None, description="Only deliveries made at this time or later.")
    until: QueryTime = Field(default=None, description="Only deliveries made before this time.")


class Attempt(AnswerModel):
    """One POST of a delivery."""

    number: int = Field(description="From 1.")
    time: Time
    status: int | None = Field(description="HTTP status; null when there was no answer.")
    duration_ms: int
    error: str | None = Field(
        description="`timeout`, `connect`, `tls`, `address`, `redirect`, `status`, `protocol`; null when all went well."
    )
    response_excerpt: str
    address: str | None = Field(description="The IP address connected to.")


class Delivery(AnswerModel):
    """One event owed to the loop."""

    id: str
    event: str = Field(description="The event's id.")
    type: TriggerName
    state: DeliveryStateName
    created_at: Time
    next_attempt_at: Time | None = Field(description="Null when no attempt is to come.")
    attempts: list[Attempt]


class DeliveryList(AnswerModel):
    """Deliveries, newest first."""

    data: list[Delivery]
    next: Next
