"""Tables on a phone: each row is a card that fits the screen, and screen readers still get a table."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

from actors.commands.events import EventView
from tests.browser.chromium import Watched, needs_chromium
from tests.browser.site import signed_in
from tests.unit.api.dashboard.fake_dashboard import FakeDashboard

pytestmark = [needs_chromium, pytest.mark.timeout(240)]

PHONE = {"width": 360, "height": 740}
LONG = "Newsletter-of-the-society-for-very-long-names-without-any-space-in-them-at-all"
PAGES = (
    "/",
    "/loops",
    "/loops/{id}",
    "/events",
    "/messages/{id}",
    "/reports",
    "/reports/{id}",
    "/loops/{id}/replays",
    "/service",
    "/account",
)
#: Elements that are wider than their container, or outside the window.
_OUTSIDE = """() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  const found = [];
  for (const place of [document.documentElement, ...document.querySelectorAll(".scroll")]) {
    const wider = place.scrollWidth - place.clientWidth;
    if (wider > 0) found.push(`${place.className} ${wider} px`);
  }
  for (const cell of document.querySelectorAll("main tbody :is(th, td), main tbody .state")) {
    const box = cell.getBoundingClientRect();
    if (box.width && (box.left < 0 || box.right > innerWidth)) found.push(cell.textContent);
  }
  return found;
}"""
#: Labels of the cards' cells, with the headings of their columns; buttons need no label.
_LABELS = """() => [...document.querySelectorAll(".cards tbody td:not(.act)")].map((cell) => [
  getComputedStyle(cell, "::before").content.split(" / ")[0].replaceAll('"', ""),
  cell.closest("table").tHead.rows[0].cells[cell.cellIndex].textContent,
])"""


def rows_of(page: Page, name: str) -> list[str]:
    """The visible text of each row of the region's table."""
    return page.get_by_role("region", name=name).locator("tbody tr").all_inner_texts()


def check(watched: Watched) -> None:
    """Fails if anything is outside, a cell lacks its column's label, or a table's part lacks its role."""
    page = watched.page
    assert page.evaluate(_OUTSIDE) == [], page.url
    labels = page.evaluate(_LABELS)
    assert [pair for pair in labels if pair[0] != pair[1]] == []
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    roles = Counter(node["role"]["value"] for node in nodes if not node["ignored"])
    shown = page.evaluate(
        """() =>
        ["tr", "tbody th", "thead th"].map((part) => document.querySelectorAll(`.cards ${part}`).length)"""
    )
    assert [roles["row"] >= shown[0], roles["rowheader"] >= shown[1], roles["columnheader"] >= shown[2]] == [True] * 3


def test_nothing_is_off_a_narrow_screen(browser: Browser, base: str, dashboard: FakeDashboard) -> None:
    """Every page with a table fits a phone, even with long names without spaces, and shows states as words."""
    dashboard._loop("https://h.example/long.php", LONG)
    with signed_in(browser, base, viewport=PHONE) as watched:
        for path in PAGES:
            watched.open(f"/dashboard{dashboard.filled(path)}")
            expect(watched.page.locator("main table").first).to_be_attached()
            check(watched)
        watched.open("/dashboard/loops")
        rows = rows_of(watched.page, "Feedback loops")
        assert ["failing" in rows[0], "unverified" in rows[-1], LONG in rows[-1]] == [True] * 3
        watched.page.get_by_role("button", name="Check all now").click()
        expect(watched.page.get_by_role("row").filter(has_text="accepted")).to_be_visible()
        check(watched)
        watched.check_both_schemes()


def test_live_rows_are_cards_too(browser: Browser, base: str, dashboard: FakeDashboard) -> None:
    """New events and deliveries appear as cards on open pages."""
    with signed_in(browser, base, viewport=PHONE) as watched:
        page = watched.page
        watched.open("/dashboard/events")
        fields = {"type": "bounce", "recipient": f"{'long' * 20}@example.com", "id": "m" * 90, "tags": ["t" * 80]}
        event = EventView(
            id="evt_00000000000000000000000000000009",
            type="bounce",
            time_ms=1_767_225_700_000,
            fields=msgspec.Raw(msgspec.json.encode(fields)),
        )
        dashboard.api.client.events.insert(0, event)
        expect(page.get_by_role("row").filter(has_text="longlong")).to_be_visible()
        check(watched)
        watched.open(f"/dashboard/loops/{dashboard.loop.id}")
        delivery = dashboard._delivery(9, "dead", dashboard._attempt(None, "dns"))
        dashboard.api.client.deliveries[dashboard.loop.id].insert(0, msgspec.structs.replace(delivery, type="bounce"))
        row = page.get_by_role("row").filter(has_text="bounce")
        expect(row).to_contain_text("its host name could not be resolved")
        expect(row.locator(".state")).to_have_text("■ dead")
        check(watched)
        watched.check()
