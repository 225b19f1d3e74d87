"""The read model of a loop, compared with its aggregate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import msgspec
from eventsourcing.utils import get_topic
from hypothesis import given
from hypothesis import strategies as st

from actors.commands.loops import Health
from actors.ledger.loop_projection import LoopKey, LoopProjection
from actors.ledger.projector import HANDLERS
from domain.errors import DomainError
from domain.feedback_loop import FeedbackLoop
from domain.loop_settings import LoopSettings
from domain.tracking_event import ReturnedMailKept
from tests.event_topics import event_topics

KEY = LoopKey(7, "fl_1", 3)
Command = Callable[[FeedbackLoop, int], None]

COMMANDS: list[Command] = [
    lambda loop, at: loop.verify("https://example.com/x.txt", at),
    lambda loop, at: loop.pause(at),
    lambda loop, at: loop.resume(at),
    lambda loop, at: loop.disable("410 Gone", at),
    lambda loop, at: loop.rotate_secret(at % 3 + 1, at, revoke=at % 2 == 0),
    lambda loop, at: loop.note_attempt(False, [("dns:x", False, "nothing")], at),
    lambda loop, at: loop.change_url(f"https://example.com/{at}", f"token-{at}", at),
    lambda loop, at: loop.change({"triggers": ["open"], "rate_limit": at / 2}, at),
    lambda loop, at: loop.change({"ordered": at % 2 == 0, "tags": [f"t{at}"], "description": "é"}, at),
]


@given(commands=st.lists(st.sampled_from(COMMANDS), max_size=25), is_deleted=st.booleans())
def test_the_document_equals_the_aggregate(commands: list[Command], is_deleted: bool) -> None:
    """After any commands, stored and read at each step, the document has the aggregate's attributes."""
    loop = new_loop()
    for at_ms, command in enumerate(commands, start=2):
        try:
            command(loop, at_ms)
        except DomainError:  # the state forbids the command
            continue
    if is_deleted:
        loop.delete(99)
    registered, *rest = loop.collect_events()
    document = LoopProjection.registered(registered)  # type: ignore[arg-type]
    for event in (e for e in rest if get_topic(type(e)) in HANDLERS):
        document = LoopProjection.from_text(document.to_text())
        document.apply(event)  # type: ignore[arg-type]

    same = set(LoopProjection.__struct_fields__) - {"secret_key"}
    expected = {name: getattr(loop, name) for name in same} | {"secret_key": loop.secrets.key_id}
    assert msgspec.structs.asdict(document) == expected
    is_owed = loop.state in {"active", "paused"} or loop.is_moving
    assert (document.route(KEY) is not None) == (is_owed and not is_deleted)
    row: Any = document.row(KEY, Health())
    assert (row.no, row.id, row.account_no, row.deleted, row.state) == (7, "fl_1", 3, is_deleted, loop.state)


def test_every_event_is_projected_or_deliberately_left_out() -> None:
    """A new topic needs a decision on whether the read models follow it."""
    unprojected = (FeedbackLoop.VerificationAttempted, ReturnedMailKept, FeedbackLoop.FormerSecretsRevoked)
    left_out = {event.TOPIC for event in unprojected}

    assert set(HANDLERS) == set(event_topics()) - left_out


def new_loop() -> FeedbackLoop:
    return FeedbackLoop.register(
        uuid4(),
        account_no=3,
        account_id="acc_1",
        url="https://example.com/hook",
        settings=LoopSettings(triggers=("click",), databases=("1",)),
        verification_token="t" * 32,
        key_id=1,
        at_ms=1,
    )
