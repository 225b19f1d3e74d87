"""All pages of the dashboard. If two paths match, the first one wins."""

from __future__ import annotations

from typing import Final

from api.dashboard.pages import (
    account,
    deliveries,
    events,
    loop,
    loop_form,
    loop_proof,
    loops,
    messages,
    overview,
    people,
    replays,
    reports,
    service,
    sign_in,
    testing,
)
from api.dashboard.request import Page

PAGES: Final[tuple[Page, ...]] = (
    *sign_in.PAGES,
    *overview.PAGES,
    *loop_form.PAGES,
    *loops.PAGES,
    *loop.PAGES,
    *loop_proof.PAGES,
    *testing.PAGES,
    *replays.PAGES,
    *deliveries.PAGES,
    *events.PAGES,
    *messages.PAGES,
    *reports.PAGES,
    *people.PAGES,
    *account.PAGES,
    *service.PAGES,
)
