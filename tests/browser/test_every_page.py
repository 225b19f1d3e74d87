"""Every page with data, on narrow and wide screens, light and dark: it is accessible, and nothing overflows."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from actors.commands.events import EventView
from api.dashboard.pages import PAGES
from api.dashboard.request import Page as ListedPage
from tests.browser.chromium import Watched, answering, needs_chromium
from tests.browser.site import signed_in
from tests.unit.api.dashboard.fake_dashboard import EMAIL, PASSWORD, FakeDashboard

pytestmark = [needs_chromium, pytest.mark.timeout(240)]

#: Paths of streams, files and parts of pages.
PARTS = {
    "/live",
    "/loops/sample",
    "/loops/{id}/live",
    "/loops/{id}/file",
    "/events/live",
    "/first-run",
    "/events/{id}/mail",
}


def test_every_page_is_accessible(browser: Browser, base: str, dashboard: FakeDashboard) -> None:
    """Every page with data passes all checks in each width and scheme."""
    shown = [dashboard.filled(page.path) for page in PAGES if is_shown(page) and not page.is_open]
    context = browser.new_context()
    check_widths(Watched(context.new_page(), base), "/sign-in")
    context.close()
    with signed_in(browser, base) as watched:
        for path in shown:
            check_widths(watched, path)


def is_shown(page: ListedPage) -> bool:
    return page.method == "GET" and page.path not in PARTS


def check_widths(watched: Watched, path: str) -> None:
    watched.open(f"/dashboard{path}")
    for width in (360, 1440):
        watched.resize(width)
        watched.check_both_schemes()


def test_pages_can_be_reached_by_keyboard(browser: Browser, base: str) -> None:
    """The keyboard is enough to get from the sign-in page to the form of a new loop, with visible focus."""
    context = browser.new_context(viewport={"width": 1440, "height": 800})
    page = context.new_page()
    page.goto(f"{base}/dashboard/sign-in")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type(EMAIL)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard/")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == "New feedback loop":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard/loops/new")
    context.close()


def test_every_form_works_without_scripts(browser: Browser, base: str, dashboard: FakeDashboard) -> None:
    """Without JavaScript, a loop can be created, verified, tested, paused, edited and deleted."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{base}/dashboard/sign-in")
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"{base}/dashboard/loops/new")
    page.get_by_label("Where is your script?").fill("https://plain.example/hook")
    page.get_by_label("Opens").uncheck()
    page.get_by_role("button", name="Show a sample of the selected event").click()
    assert "type=click" in page.locator("#sample pre").inner_text()
    page.get_by_role("button", name="Create the feedback loop").click()
    loop_id = page.url.partition("/loops/")[2].partition("/")[0]
    page.get_by_role("button", name="Verify", exact=True).click()
    assert "Not found yet" in page.locator("#proof").inner_text()
    dashboard.api.client.proved.add(loop_id)
    page.get_by_role("button", name="Verify", exact=True).click()
    assert "Verified." in page.get_by_role("status").inner_text()
    page.get_by_role("link", name="Send a test").click()
    page.get_by_role("button", name="Send now").click()
    assert "The script accepted it" in page.locator("#result").inner_text()
    page.goto(f"{base}/dashboard/loops/{loop_id}")
    page.get_by_role("button", name="Pause").click()
    assert "Paused." in page.get_by_role("status").inner_text()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("What is it for?").fill("Plain")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_label("To confirm, type its name").fill("Plain")
    page.get_by_role("button", name="Delete permanently").click()
    assert "was deleted" in page.get_by_role("status").inner_text()
    context.close()


def test_charts_are_redrawn_when_the_window_is_resized(browser: Browser, base: str, dashboard: FakeDashboard) -> None:
    """After a change of size or scheme, each chart exists once and fits its container, and the page responds."""
    with signed_in(browser, base, viewport={"width": 1200, "height": 800}) as watched:
        page = watched.page
        for path in ("/", dashboard.filled("/loops/{id}")):
            page.set_viewport_size({"width": 1200, "height": 800})
            page.goto(f"{base}/dashboard{path}", wait_until="domcontentloaded")
            places = page.locator("[data-chart]")
            drawn = page.locator("[data-chart] .uplot")
            expect(drawn).to_have_count(places.count())
            before = places.first.evaluate("(place) => place.querySelector('.uplot').offsetWidth")
            page.set_viewport_size({"width": 700, "height": 800})
            with answering("the charts after resizing"):
                expect(drawn.first).not_to_have_css("width", f"{before}px")
                expect(drawn).to_have_count(places.count())
                page.emulate_media(color_scheme="dark")
                expect(drawn).to_have_count(places.count())
                assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_times_are_in_the_viewers_zone(browser: Browser, base: str, dashboard: FakeDashboard) -> None:
    """Times are shown in the viewer's time zone, with UTC on hover."""
    with signed_in(browser, base, timezone_id="Asia/Tokyo", locale="en-GB") as watched:
        page = watched.page
        page.goto(f"{base}/dashboard/events/{dashboard.event_id}", wait_until="domcontentloaded")
        time_shown = page.locator("time").first
        assert time_shown.get_attribute("title") == "2026-01-01 00:00:00 UTC"
        assert time_shown.inner_text() == "1 Jan 2026, 09:00:00"


def test_the_fake_dashboard_has_data(dashboard: FakeDashboard) -> None:
    """The fake dashboard has data, because a check of empty pages would find nothing."""
    assert dashboard.api.client.loops
    assert isinstance(dashboard.api.client.events[0], EventView)
