"""All operations of the API, in the order of the document. If two paths match, the first one wins."""

from __future__ import annotations

from typing import Final

from api.http.operation import Operation
from api.routes import (
    accounts,
    api_keys,
    deliveries,
    events,
    feedback_loops,
    loop_actions,
    messages,
    profiles,
    service,
    users,
)

OPERATIONS: Final[tuple[Operation, ...]] = (
    *accounts.OPERATIONS,
    *users.OPERATIONS,
    *api_keys.OPERATIONS,
    *feedback_loops.COLLECTION_OPERATIONS,
    *loop_actions.COLLECTION_OPERATIONS,
    *feedback_loops.OPERATIONS,
    *loop_actions.OPERATIONS,
    *deliveries.OPERATIONS,
    *messages.OPERATIONS,
    *profiles.OPERATIONS,
    *events.OPERATIONS,
    *service.OPERATIONS,
)
