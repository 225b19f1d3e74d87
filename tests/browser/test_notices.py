"""Notices and errors in a real browser: each is shown once, next to what it is about."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chromium import needs_chromium
from tests.browser.site import signed_in
from tests.unit.api.dashboard.fake_dashboard import FakeDashboard

pytestmark = [needs_chromium, pytest.mark.timeout(240)]


def test_a_confirmation_is_shown_once(browser: Browser, base: str, dashboard: FakeDashboard) -> None:
    """Pausing is reported by one notice, and what was confirmed is not confirmed again after reloading the page."""
    with signed_in(browser, base) as watched:
        page = watched.page
        watched.open(f"/dashboard/loops/{dashboard.loop.id}")
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_text("Events are kept until you resume")).to_have_count(1)
        page.get_by_role("button", name="Resume").click()
        confirmation = page.get_by_text("Resumed. The backlog is being delivered.")
        expect(confirmation).to_be_visible()
        page.wait_for_url(f"**/loops/{dashboard.loop.id}")
        page.reload(wait_until="domcontentloaded")
        expect(page.get_by_role("button", name="Pause")).to_be_visible()
        expect(confirmation).to_have_count(0)
        watched.check()


def test_an_error_in_a_sample_is_at_its_field(browser: Browser, base: str, dashboard: FakeDashboard) -> None:
    """The error appears below the data without reloading the page, and disappears when the data is correct."""
    with signed_in(browser, base) as watched:
        page = watched.page
        watched.open(f"/dashboard/loops/{dashboard.loop.id}/test")
        data = page.get_by_label("POST data, as JSON")
        problem = page.locator("#data-problem")
        data.fill('{\n  "recipient": "ann@example.com",\n}')
        page.get_by_role("button", name="Send now").click()
        expect(problem).to_have_text("This is not JSON: a name in double quotes is missing at line 3, column 1.")
        data.fill('{"recipient": "ann@example.com"}')
        page.get_by_role("button", name="Send now").click()
        expect(page.get_by_text("The script accepted it")).to_be_visible()
        expect(problem).to_have_text("")
        watched.check()
