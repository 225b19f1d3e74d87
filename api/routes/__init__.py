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
    front_ends,
    installation_keys,
    loop_actions,
    messages,
    profiles,
    recipients,
    reports,
    service,
    users,
)

OPERATIONS: Final[tuple[Operation, ...]] = (
    *accounts.OPERATIONS,
    *users.OPERATIONS,
    *api_keys.OPERATIONS,
    *installation_keys.OPERATIONS,
    *front_ends.OPERATIONS,
    *feedback_loops.COLLECTION_OPERATIONS,
    *loop_actions.COLLECTION_OPERATIONS,
    *feedback_loops.OPERATIONS,
    *loop_actions.OPERATIONS,
    *deliveries.OPERATIONS,
    *messages.OPERATIONS,
    *profiles.OPERATIONS,
    *events.OPERATIONS,
    *reports.OPERATIONS,
    *recipients.OPERATIONS,
    *service.OPERATIONS,
)
