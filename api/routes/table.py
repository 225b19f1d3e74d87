"""Every operation of the API, in the order of the document. Of two paths that match, the first is taken."""

from __future__ import annotations

from typing import Final

from api.operation import Operation
from api.routes import accounts, events, feedback_loops, health, loop_actions, messages, profiles

OPERATIONS: Final[tuple[Operation, ...]] = (
    *accounts.OPERATIONS,
    *loop_actions.COLLECTION_OPERATIONS,
    *feedback_loops.OPERATIONS,
    *loop_actions.OPERATIONS,
    *messages.OPERATIONS,
    *profiles.OPERATIONS,
    *events.OPERATIONS,
    *health.OPERATIONS,
)
