"""Time zones: filters and replays use the times that the viewer sees."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from actors.commands.deliveries import StartReplay
from actors.commands.events import ListEvents
from tests.browser.chromium import needs_chromium
from tests.browser.site import signed_in
from tests.unit.api.dashboard.fake_dashboard import FakeDashboard

pytestmark = [needs_chromium, pytest.mark.timeout(240)]

#: Time of the fake service's event: 2026-01-01 00:00 UTC.
EVENT_MS = 1_767_225_600_000
HOUR_MS = 3_600_000
#: Browsers differ in how they spell the zone.
FROM_NEPAL, TO_NEPAL = (re.compile(rf"{label} \(Asia/Kath?mandu\)") for label in ("From", "To"))


def queried(dashboard: FakeDashboard) -> tuple[int | None, int | None]:
    """The time range of the last query for events."""
    query = dashboard.api.client.called(ListEvents)[-1]
    return query.since_ms, query.until_ms


def test_filters_use_the_time_zone_of_the_viewer(browser: Browser, base: str, dashboard: FakeDashboard) -> None:
    """A time typed in Kathmandu (+05:45) means local time there, and the URL means the same moment in New York."""
    with signed_in(browser, base, timezone_id="Asia/Kathmandu", locale="en-GB") as watched:
        page = watched.page
        watched.open("/dashboard/events")
        expect(page.locator("main time").first).to_have_text("1 Jan 2026, 05:45:00")
        page.get_by_label(FROM_NEPAL).fill("2026-01-01T05:45")
        page.get_by_label(TO_NEPAL).fill("2026-01-01T06:45:30")
        page.get_by_role("button", name="Search").click()
        page.wait_for_url(re.compile("since=2026-01-01T00%3A00%3A00Z&until=2026-01-01T01%3A00%3A30Z"))
        assert queried(dashboard) == (EVENT_MS, EVENT_MS + HOUR_MS + 30_000)
        expect(page.get_by_label("From (")).to_have_value("2026-01-01T05:45")
        expect(page.get_by_label("To (")).to_have_value("2026-01-01T06:45:30")
        bookmark = page.url.removeprefix(base)
        watched.check()
    with signed_in(browser, base, timezone_id="America/New_York") as watched:
        page = watched.page
        watched.open(bookmark)
        expect(page.get_by_label("From (America/New_York)")).to_have_value("2025-12-31T19:00")
        assert queried(dashboard) == (EVENT_MS, EVENT_MS + HOUR_MS + 30_000)
        page.get_by_role("button", name="Search").click()
        page.wait_for_url(f"**{bookmark}")
        assert queried(dashboard) == (EVENT_MS, EVENT_MS + HOUR_MS + 30_000)


def test_a_time_in_the_repeated_hour_is_kept(browser: Browser, base: str, dashboard: FakeDashboard) -> None:
    """In the hour that clocks repeat, the field is ambiguous, but searching again keeps the moment."""
    with signed_in(browser, base, timezone_id="Europe/Amsterdam") as watched:
        for hour in ("00", "01"):
            watched.open(f"/dashboard/events?since=2026-10-25T{hour}:30:00Z")
            expect(watched.page.get_by_label("From (")).to_have_value("2026-10-25T02:30")
            watched.page.get_by_role("button", name="Search").click()
            watched.page.wait_for_url(re.compile(f"since=2026-10-25T{hour}%3A30%3A00Z"))


def test_a_replay_uses_the_shown_times(browser: Browser, base: str, dashboard: FakeDashboard) -> None:
    """The default and the typed times of a replay are in the viewer's zone, even after an error in the form."""
    client = dashboard.api.client
    client.advance_replay(dashboard.loop.id, dashboard.replay.id, state="done")
    with signed_in(browser, base, timezone_id="Asia/Kathmandu") as watched:
        page = watched.page
        watched.open(f"/dashboard/loops/{dashboard.loop.id}/replays")
        since, until = page.get_by_label(FROM_NEPAL), page.get_by_label(TO_NEPAL)
        served = since.get_attribute("value")
        local = page.evaluate(
            "(utc) => new Date(`${utc}Z`).toLocaleString('sv').replace(' ', 'T').slice(0, 16)", served
        )
        expect(since).to_have_value(local)
        assert local != served
        since.fill("2026-01-01T06:45")
        until.fill("2026-01-01T05:45")
        page.get_by_role("button", name="Replay").click()
        expect(page.locator("#since-problem")).to_have_text("This must be before “To”.")
        expect(since).to_have_value("2026-01-01T06:45")
        expect(until).to_have_value("2026-01-01T05:45")
        watched.check()
        since.fill("2026-01-01T05:45")
        until.fill("2026-01-01T06:45")
        page.get_by_role("button", name="Replay").click()
        page.wait_for_url("**/replays/rpl_*")
        begun = client.called(StartReplay)[-1]
        assert (begun.since_ms, begun.until_ms) == (EVENT_MS, EVENT_MS + HOUR_MS)


def test_without_scripts_times_are_in_utc(browser: Browser, base: str, dashboard: FakeDashboard) -> None:
    """Without JavaScript, shown and typed times are in UTC, and labels name the zone."""
    with signed_in(browser, base, timezone_id="Asia/Kathmandu", java_script_enabled=False) as watched:
        page = watched.page
        watched.open("/dashboard/events?since=2026-01-01T00:00:00Z")
        expect(page.locator("main time").first).to_have_text("2026-01-01 00:00:00 UTC")
        expect(page.get_by_label("From (UTC)")).to_have_value("2026-01-01T00:00")
        page.get_by_label("To (UTC)").fill("2026-01-01T01:00")
        page.get_by_role("button", name="Search").click()
        assert queried(dashboard) == (EVENT_MS, EVENT_MS + HOUR_MS)
