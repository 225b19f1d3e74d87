"""Live parts of open pages: they stop when their subject is gone, and resume when the service is back."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page, Request, expect
from playwright.sync_api import TimeoutError as TooLate

from tests.browser.chromium import Watched, needs_chromium
from tests.browser.site import served, signed_in
from tests.unit.api.dashboard.fake_dashboard import FakeDashboard
from tests.unit.api.fake_api import Api

pytestmark = [needs_chromium, pytest.mark.timeout(240)]

#: Longer than the pause before a page requests its stream again.
QUIET_MS = 4000


def is_live(request: Request) -> bool:
    return "/live" in request.url


def expect_silence(page: Page) -> None:
    """Fails if the page makes another request."""
    with pytest.raises(TooLate):
        page.wait_for_event("request", timeout=QUIET_MS)


def open_live(watched: Watched, path: str) -> None:
    """Opens the page, and waits for the response of its stream."""
    with watched.page.expect_response(lambda response: is_live(response.request)):
        watched.open(path)


def test_a_page_reports_that_its_loop_was_deleted(browser: Browser, base: str, dashboard: FakeDashboard) -> None:
    """A deleted loop's page shows a notice, hides old state and buttons, and stops making requests."""
    doomed = dashboard._loop("https://h.example/doomed.php", "Doomed")
    with signed_in(browser, base) as watched:
        page = watched.page
        open_live(watched, f"/dashboard/loops/{doomed.id}")
        expect(page.locator(".facts")).to_contain_text("unverified")
        del dashboard.api.client.loops[doomed.id]
        notice = page.get_by_role("status").filter(has_text="This feedback loop was deleted")
        expect(notice).to_be_in_viewport()
        expect(page.locator(".facts")).to_be_hidden()
        expect(page.get_by_role("link", name="Edit")).to_be_hidden()
        expect_silence(page)
        watched.check()
        notice.get_by_role("link", name="All feedback loops").click()
        page.wait_for_url("**/dashboard/loops")


@pytest.mark.parametrize("path", ["/", "/events", "/loops/{id}"])
def test_a_page_reports_that_its_session_has_ended(
    browser: Browser, base: str, dashboard: FakeDashboard, path: str
) -> None:
    """An open page shows a notice when its session ends, and signing in leads back to the page."""
    where = f"/dashboard{dashboard.filled(path)}"
    with signed_in(browser, base) as watched:
        page = watched.page
        open_live(watched, where)
        dashboard.api.client.sessions.clear()
        notice = page.get_by_role("status").filter(has_text="Your session has ended")
        expect(notice).to_be_in_viewport()
        expect_silence(page)
        watched.check()
        notice.get_by_role("link", name="Sign in again").click()
        expect(page.locator("input[name=to]")).to_have_value(where)


def test_a_page_reconnects_to_its_service(browser: Browser) -> None:
    """A page reports a lost service, retries with growing pauses, and updates when the service is back."""
    dashboard = FakeDashboard(Api())
    with ExitStack() as stack:
        with served(dashboard.api) as base:
            watched = stack.enter_context(signed_in(browser, base))
            page = watched.page
            open_live(watched, f"/dashboard/loops/{dashboard.loop.id}")
        asked: list[float] = []
        for _ in range(4):
            page.wait_for_event("request", is_live)
            asked.append(time.monotonic())
        # The first request may be seen late, because stopping the service takes time.
        assert asked[3] - asked[2] > 1.2 * (asked[2] - asked[1]) > 1
        away = page.get_by_role("status").filter(has_text="The service is not responding")
        expect(away).to_be_visible()
        stack.enter_context(served(dashboard.api, int(base.rpartition(":")[2])))
        page.wait_for_event("response", lambda response: is_live(response.request))
        expect(away).to_be_hidden()
        dashboard.api.client.deliveries[dashboard.loop.id].clear()
        expect(page.get_by_text("No events yet.")).to_be_visible()
