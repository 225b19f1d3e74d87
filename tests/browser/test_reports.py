"""Reports and returned mail in a real browser: hostile mails do nothing, and lists are filtered and paged."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, Dialog, expect

from domain.event_catalogue.triggers import EVENT_TYPES
from domain.values import id_text
from tests.browser.chromium import needs_chromium
from tests.browser.site import signed_in
from tests.unit.api.dashboard.fake_dashboard import FakeDashboard

pytestmark = [needs_chromium, pytest.mark.timeout(240)]

#: A header with scripts, remote content and characters that reorder text, and a body of HTML.
HOSTILE = (
    'Subject: <script>alert(1)</script><img src="http://evil.example/x.png" onerror="alert(2)">\r\n'
    "X-Order: \u202eevil\u202c \x00\x1b[2J\r\n"
    "X-Style: </pre><style>body{display:none}</style>\r\n"
    "\r\n"
    '<html><body><iframe src="http://evil.example/"></iframe><script>alert(3)</script></body></html>'
)


def test_a_hostile_mail_is_only_text(browser: Browser, base: str, dashboard: FakeDashboard) -> None:
    """It runs no script, loads nothing, changes no style, and reverses no text; its body is not on the page."""
    dashboard.api.client.mails[dashboard.bounce_id] = HOSTILE
    with signed_in(browser, base) as watched:
        page = watched.page
        dialogs: list[str] = []

        def refuse(dialog: Dialog) -> None:
            dialogs.append(dialog.message)
            dialog.dismiss()

        page.on("dialog", refuse)
        for path in (f"/events/{dashboard.bounce_id}", f"/reports/{dashboard.report_id}"):
            watched.open(f"/dashboard{path}")
            header = page.get_by_role("region", name="Header of the returned mail")
            expect(header).to_contain_text("<script>alert(1)</script>")
            expect(header).to_contain_text("⟨U+202E⟩evil⟨U+202C⟩ ⟨U+0000⟩⟨U+001B⟩[2J")
            assert page.locator("main :is(script, img, style, iframe)").count() == 0
            assert "alert(3)" not in page.content()
            for width in (320, 1440):
                watched.resize(width)
                watched.check()
        assert dialogs == []


def test_the_mail_is_downloaded_as_text(browser: Browser, base: str, dashboard: FakeDashboard) -> None:
    """The link stores the whole mail under the event's id, and the page stays."""
    dashboard.api.client.mails[dashboard.bounce_id] = HOSTILE
    with signed_in(browser, base) as watched:
        page = watched.page
        watched.open(f"/dashboard/reports/{dashboard.report_id}")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download as plain text").click()
        assert download.value.suggested_filename == f"{dashboard.bounce_id}.txt"
        assert Path(download.value.path()).read_bytes() == HOSTILE.encode()
        expect(page.get_by_role("heading", name="Report:")).to_be_visible()


def test_reports_are_found_by_state_and_page_by_page(browser: Browser, base: str, dashboard: FakeDashboard) -> None:
    """From the navigation to a report of a state on the second page, and from there to its event and message."""
    client = dashboard.api.client
    known = client.reports[:]
    unmatched = msgspec.structs.replace(known[-1], events=[dashboard.failure_id])
    client.reports[1:] = [
        msgspec.structs.replace(unmatched, id=id_text("rep", (n + 1).to_bytes(16, "big"))) for n in range(60)
    ]
    with signed_in(browser, base) as watched:
        page = watched.page
        watched.open("/dashboard/")
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Reports").click()
        expect(page.get_by_role("row")).to_have_count(51)
        page.get_by_label("State").select_option("unmatched")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_text("No message of this account belongs to it.")).to_be_visible()
        page.get_by_role("link", name="Older").click()
        expect(page.get_by_role("row")).to_have_count(11)
        watched.check()
        page.get_by_role("row").last.get_by_role("link").click()
        expect(page.get_by_role("heading", name="Report: automatic reply")).to_be_visible()
        page.get_by_role("region", name="Events").get_by_role("link").first.click()
        expect(page.get_by_role("heading", name="Failure for john@example.com")).to_be_visible()
        page.get_by_role("link", name="m-1").click()
        expect(page.get_by_role("region", name="History")).to_contain_text("registered")
    client.reports[:] = known


def test_events_of_every_trigger_have_a_page(browser: Browser, base: str, dashboard: FakeDashboard) -> None:
    """Each is reached from the list, and accessible, light and dark."""
    ids = {}
    for n, trigger in enumerate(EVENT_TYPES):
        ids[trigger] = id_text("evt", (70_000 + n).to_bytes(16, "big"))
        fields = {"type": trigger, "profile": "7", "database": "1", "changed": ["name"], "fields": {"name": "Ann"}}
        dashboard.put_event(ids[trigger], fields | {"permanent": 0, "code": "450"})
    with signed_in(browser, base) as watched:
        for event_id in ids.values():
            watched.open("/dashboard/events")
            watched.page.locator(f'a[href$="{event_id}"]').click()
            expect(watched.page.get_by_role("heading", name="History")).to_be_visible()
            watched.check_both_schemes()
