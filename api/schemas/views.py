"""Conversion of the actors' answers to API models."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.commands.deliveries import AttemptView, DeliveryView, Replay
from actors.commands.erasures import Erasure
from actors.commands.events import EventView
from actors.commands.loops import Health, Loop, SampleResult
from actors.commands.messages import MessageView
from actors.commands.profiles import Profile
from actors.commands.reports import ReportView
from api.http.response import Response
from api.schemas import deliveries, loops, messages, profiles, recipients, reports
from api.schemas.base import AnswerModel, time_text
from api.schemas.loop_settings import shown_settings
from api.tracking.urls import TrackingUrls
from domain import verification


def _time_or_none(unix_ms: int | None) -> str | None:
    return None if unix_ms is None else time_text(unix_ms)


def loop_view(loop: Loop) -> AnswerModel:
    """A loop with its verification block; with its secret only if that was created just now."""
    settings = shown_settings(loop.settings)
    fields: dict[str, Any] = {
        "id": loop.id,
        "url": loop.url,
        "state": loop.state,
        "disabled_reason": loop.disabled_reason,
        "created_at": time_text(loop.created_at_ms),
        "verified_at": _time_or_none(loop.verified_at_ms),
        "health": _health(loop.health),
        "verification": verification_view(loop),
    }
    if loop.secret is not None:
        fields["secret"] = loop.secret
    return loops.FeedbackLoop(**settings, **fields)


def _health(health: Health) -> loops.LoopHealth:
    breaker: Any = health.breaker
    return loops.LoopHealth(
        breaker=breaker,
        failing_since=_time_or_none(health.failing_since_ms),
        last_success_at=_time_or_none(health.last_success_ms),
        last_failure_at=_time_or_none(health.last_failure_ms),
        last_error=health.last_error or None,
        failures=health.failures,
        waiting=health.waiting,
        next_attempt_at=_time_or_none(health.next_attempt_ms),
        next_probe_at=_time_or_none(health.next_probe_ms),
    )


def verification_view(loop: Loop) -> loops.Verification:
    """The ways to verify the loop's URL."""
    url, token = loop.url, loop.verification_token
    name = verification.dns_name(url)
    return loops.Verification(
        file_name=verification.file_name(token),
        file_content=verification.file_content(token),
        locations=verification.file_locations(url, token),
        dns=None if name is None else loops.DnsProof(name=name, type="TXT", value=verification.dns_value(token)),
    )


def verification_file(loop: Loop) -> Response:
    """The verification file as a download, under its name."""
    token = loop.verification_token
    return Response(
        body=verification.file_content(token).encode(),
        content_type="text/plain; charset=utf-8",
        headers=(("Content-Disposition", f'attachment; filename="{verification.file_name(token)}"'),),
    )


def sample_view(result: SampleResult) -> loops.SampleResult:
    """The result of a sample event."""
    return loops.SampleResult.model_validate(result, from_attributes=True)


def check_view(result: SampleResult) -> loops.LoopCheck:
    """The result of a sample event, with the loop."""
    return loops.LoopCheck(feedback_loop=result.loop_id, **sample_view(result).model_dump())


def delivery_view(delivery: DeliveryView) -> deliveries.Delivery:
    """A delivery with its attempts."""
    fields: dict[str, Any] = {"type": delivery.type, "state": delivery.state}
    return deliveries.Delivery(
        id=delivery.id,
        event=delivery.event,
        created_at=time_text(delivery.created_at_ms),
        next_attempt_at=_time_or_none(delivery.next_attempt_at_ms),
        attempts=[_attempt(attempt) for attempt in delivery.attempts],
        **fields,
    )


def _attempt(attempt: AttemptView) -> deliveries.Attempt:
    return deliveries.Attempt(
        number=attempt.no,
        time=time_text(attempt.at_ms),
        status=attempt.status,
        duration_ms=attempt.duration_ms,
        error=attempt.error,
        response_headers=[
            deliveries.ResponseHeader(name=name, value=value)
            for name, _, value in (line.partition(": ") for line in attempt.response_headers.split("\n") if line)
        ],
        response_excerpt=attempt.response_excerpt,
        response_bytes=attempt.response_bytes,
        address=attempt.address,
    )


def replay_view(replay: Replay) -> deliveries.Replay:
    """A replay with its progress."""
    fields: dict[str, Any] = {"state": replay.state, "which": replay.which}
    return deliveries.Replay(
        id=replay.id,
        since=time_text(replay.since_ms),
        until=time_text(replay.until_ms),
        count=replay.count,
        count_is_estimate=replay.is_estimate,
        done=replay.done,
        created_at=time_text(replay.created_at_ms),
        **fields,
    )


def event_view(event: EventView) -> messages.Event:
    """A recorded event with the fields that handlers receive."""
    decoded = msgspec.json.decode(event.fields)
    is_erased = decoded.pop("erased", None) is not None
    fields: dict[str, Any] = {"type": event.type, "fields": decoded} | ({"erased": True} if is_erased else {})
    return messages.Event(id=event.id, time=time_text(event.time_ms), **fields)


def message_view(message: MessageView, urls: TrackingUrls) -> messages.Message:
    """A message with its tracking URLs, which are generated again, and its history."""
    history = [event_view(event) for event in message.history]
    return listed_message_view(message, urls).model_copy(update={"history": history})


def listed_message_view(message: MessageView, urls: TrackingUrls) -> messages.Message:
    """A message with its tracking URLs, without its history."""
    no, key = message.account_no, message.key
    profile = None
    if message.profile is not None:
        profile = messages.ProfileName(database=message.database or "", id=message.profile)
    view = messages.Message(
        id=message.id,
        recipient=message.recipient or None,
        tags=message.tags,
        mailing=message.mailing,
        reference=message.reference,
        profile=profile,
        open_url=urls.open_url(no, key),
        unsubscribe_url=urls.unsubscribe_url(no, key),
        links={link: urls.link_url(no, key, link) for link in message.links},
        created_at=time_text(message.created_at_ms),
    )
    return_path = urls.return_path(no, key)
    more = {} if return_path is None else {"return_path": return_path}
    if message.erased_at_ms is not None:
        more["erased_at"] = time_text(message.erased_at_ms)
    return view.model_copy(update=more) if more else view


def profile_view(profile: Profile) -> profiles.Profile | profiles.Subprofile:
    """The data of a profile or subprofile."""
    key = profile.key
    data: dict[str, Any] = {
        "fields": msgspec.json.decode(profile.fields),
        "interests": profile.interests,
        "created_at": time_text(profile.created_at_ms),
        "modified_at": time_text(profile.modified_at_ms),
    }
    if key.collection is None:
        return profiles.Profile(database=key.database, id=key.profile_id, **data)
    return profiles.Subprofile(
        database=key.database, profile=key.profile_id, collection=key.collection, id=key.subprofile_id or "", **data
    )


def report_view(report: ReportView) -> reports.Report:
    """A report and what became of it."""
    state: Any = report.state
    found = reports.Report(
        id=report.id,
        state=state,
        source=report.source,
        kind=report.kind,
        time=time_text(report.arrived_at_ms),
        events=report.events,
    )
    more: dict[str, object] = {}
    if report.is_truncated:
        more["truncated"] = True
    if report.first_id is not None:
        more["first"] = report.first_id
    return found.model_copy(update=more)


def erasure_view(erasure: Erasure) -> recipients.Erasure:
    """An erasure, which does not show the address."""
    state: Any = erasure.state
    return recipients.Erasure(
        id=erasure.id,
        state=state,
        requested_at=time_text(erasure.requested_at_ms),
        completed_at=_time_or_none(erasure.completed_at_ms),
        step=erasure.step,
        waiting_for=erasure.waiting_for,
        counts=recipients.ErasureCounts.model_validate(erasure.counts, from_attributes=True),
        outside=erasure.outside,
    )
