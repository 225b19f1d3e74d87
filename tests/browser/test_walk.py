"""Walk of a marketer through the dashboard in a real browser: from the first sign-in to a verified, working loop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from domain.values import id_text
from tests.browser.chromium import Watched, chromium, needs_chromium
from tests.handler import Handler
from tests.service import Service, eventually

PASSWORD = "correct horse battery"
#: Longer than any step except the start of the service: a loop's actor starts, a breaker probes.
PATIENCE_MS = 30_000

pytestmark = [needs_chromium, pytest.mark.timeout(240)]


@contextmanager
def service_and_browser(folder: Path, pictures: Path | None = None) -> Iterator[tuple[Service, Watched]]:
    """A service with its data in `folder`, and a browser page for it."""
    service = Service(folder / "data", FEEDBACK_LOOPS_RETRY_SCHEDULE="0.2")
    try:
        service.start()
        with chromium() as started:
            page = started.new_context(viewport={"width": 1200, "height": 900}, color_scheme="light").new_page()
            page.set_default_timeout(PATIENCE_MS)
            yield service, Watched(page, f"http://127.0.0.1:{service.port}", pictures)
    finally:
        service.end()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def sign_in_for_the_first_time(browser: Watched, service: Service) -> str:
    """Opens the URL from the service's log; the same token is in a file that only its owner can read. The user joins an
    account that the command line has opened; returns that account's API key.
    """
    page = browser.page
    opened = service.http.post("/v1/accounts", json={"name": "Shop"}, headers=service.admin).json()
    found = eventually(
        lambda: re.search(r"(/dashboard/first-run\?token=\w+)", service.log.read_text()), 30, "the log has the token"
    )
    token_file = service.data_dir / "first-run.token"
    assert found[1].endswith(f"={token_file.read_text().strip()}")
    assert token_file.stat().st_mode & 0o777 == 0o600
    browser.open(found[1])
    browser.check()
    page.locator("select[name=account]").select_option(label="Shop")
    page.get_by_label("Your e-mail address").fill("ann@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    browser.picture("1-first-run")
    press(page, "Create the first user")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert not token_file.exists()
    press(page, "Sign out")
    page.get_by_label("E-mail address").fill("ann@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    press(page, "Sign in")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    return str(opened["api_key"])


def make_a_loop(browser: Watched, url: str) -> None:
    """Creates a loop; the sample next to the form shows the last selected trigger and format."""
    page = browser.page
    page.get_by_role("main").get_by_role("link", name="New feedback loop").click()
    browser.check()
    page.get_by_label("Where is your script?").fill(url)
    page.get_by_label("Unsubscribes").check()
    expect(page.locator("#sample pre")).to_contain_text("type=unsubscribe")
    page.get_by_label("JSON").check()
    expect(page.locator("#sample pre")).to_contain_text('"type":"unsubscribe"')
    page.get_by_label("Form", exact=False).first.check()
    page.get_by_label("What is it for?").fill("Newsletter")
    browser.picture("2-new-loop")
    press(page, "Create the feedback loop")
    expect(page.get_by_role("heading", name="Prove that the server is yours")).to_be_visible()


def verify(browser: Watched, handler: Handler) -> None:
    """Verifies the loop: first without the file, which shows the attempts, then with the file."""
    page = browser.page
    browser.check()
    press(page, "Verify")
    expect(page.locator("#proof")).to_contain_text("Not found yet")
    places = page.locator(".findings li")
    assert places.count() >= 2
    assert "/dir/feedback-loops-" in places.nth(0).inner_text()
    assert "404" in places.nth(0).inner_text()
    browser.picture("3-verify")
    browser.check()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    handler.files[f"/dir/{download.value.suggested_filename}"] = Path(download.value.path()).read_bytes()
    press(page, "Verify")
    expect(page.get_by_text("Verified. Events are delivered from now on.")).to_be_visible()
    expect(page.get_by_role("heading", name="Newsletter")).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("active")


def send_a_test(browser: Watched, handler: Handler) -> None:
    """Sends an edited sample; the page shows the script's response."""
    page = browser.page
    page.get_by_role("link", name="Send a test").click()
    data = page.get_by_label("POST data, as JSON")
    data.fill(data.input_value().replace("john.doe@example.com", "zoe@example.com"))
    press(page, "Send now")
    expect(page.locator("#result")).to_contain_text("The script accepted it")
    expect(page.locator("#result")).to_contain_text("thank you")
    assert handler.got[-1].fields["recipient"] == "zoe@example.com"
    browser.picture("4-send-a-test")
    browser.check()


def tracked_link(browser: Watched) -> str:
    """Registers a message in a form, and returns its tracked link."""
    page = browser.page
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Messages").click()
    page.get_by_label("Recipient").fill("john@example.com")
    page.get_by_label("Links").fill("https://shop.example/spring")
    page.get_by_label("Tags").fill("spring")
    press(page, "Register")
    link = page.locator("#link-1").inner_text()
    browser.picture("5-tracked-link")
    browser.check()
    return link


def click(service: Service, link: str) -> None:
    """Clicks the link as a recipient does."""
    answer = service.http.get(link[link.index("/c/") :], headers={"User-Agent": "Mozilla/5.0 (X11; Linux) Firefox/128"})
    assert answer.status_code == 302


def walk(service: Service, browser: Watched) -> None:
    """Walks from the first run to a replay, with a picture of each step if the browser has a folder for them."""
    page = browser.page
    with Handler() as handler:
        key = sign_in_for_the_first_time(browser, service)
        make_a_loop(browser, handler.url)
        verify(browser, handler)
        send_a_test(browser, handler)
        link = tracked_link(browser)

        # A click appears on the loop's page without a reload.
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Loops").click()
        page.get_by_role("link", name="Newsletter").click()
        page.evaluate("window.stays = true")
        expect(page.get_by_text("No events yet.")).to_be_visible()
        click(service, link)
        row = page.get_by_role("row").filter(has_text="click")
        expect(row).to_contain_text("delivered")
        assert page.evaluate("window.stays") is True
        browser.picture("6-live-click")
        browser.check()

        # The attempt shows the exact request and the response.
        row.get_by_role("link").click()
        request = page.get_by_role("region", name="Request of attempt 1")
        got = handler.got[-1]
        expect(request).to_contain_text(got.body.decode())
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature", "date", "user-agent", "x-feedback-loop"):
            expect(request).to_contain_text(got.headers[name])
        response = page.get_by_role("region", name="Response to attempt 1")
        expect(response).to_contain_text("thank you")
        expect(response).to_contain_text("Server: BaseHTTP")
        browser.picture("7-attempt")
        browser.check()
        page.get_by_role("link", name=id_text("evt", b"")[:4]).click()
        expect(page.get_by_role("heading", name="Click by john@example.com")).to_be_visible()
        browser.check()

        # The script fails: the page shows it without a reload.
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Loops").click()
        page.get_by_role("link", name="Newsletter").click()
        handler.status = 500
        click(service, link)
        expect(page.locator(".facts")).to_contain_text("failing")
        dead = page.get_by_role("row").filter(has_text="dead")
        expect(dead).to_have_count(1)
        expect(dead).to_contain_text("500")
        browser.picture("8-failing")
        browser.check()

        # The script works again, and the event is replayed.
        handler.status = 200
        before = len(handler.got)
        page.get_by_role("link", name="Replay").click()
        press(page, "Replay")
        expect(page.locator("#replay")).to_contain_text("done")
        expect(page.locator("#replay")).to_contain_text("1 of 1")
        assert handler.wait_for(before + 1)[-1].fields["type"] == "click"
        browser.picture("9-replay")
        browser.check()
        page.get_by_role("link", name="Back to the loop").click()
        expect(page.get_by_role("row").filter(has_text="dead")).to_have_count(0)
        expect(page.get_by_role("row").filter(has_text="click")).to_have_count(2)
        expect(page.locator(".facts")).to_contain_text("active")
        returned_mail(browser, service, key)


#: A status notification about the message with this reference.
REFERENCE = "<spring-1@shop.example>"
RETURNED = """\
From: Mail Delivery System <MAILER-DAEMON@mx.example>
To: bounces@shop.example
Subject: Undelivered Mail Returned to Sender
Message-ID: <returned-1@mx.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

The mail to john@example.com could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; john@example.com
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <john@example.com>: user unknown

--b
Content-Type: text/rfc822-headers

From: shop@shop.example
To: john@example.com
Subject: Spring
Message-ID: <spring-1@shop.example>

--b--
"""


def returned_mail(browser: Watched, service: Service, key: str) -> None:
    """A mail that came back: the report, its events, the mail's header, and the history of the message."""
    page = browser.page
    main = page.get_by_role("navigation", name="Main")
    main.get_by_role("link", name="Messages").click()
    page.get_by_label("Recipient").fill("john@example.com")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Reference").fill(REFERENCE)
    press(page, "Register")
    expect(page.locator(".facts")).to_contain_text(REFERENCE.strip("<>"))
    message = page.url
    main.get_by_role("link", name="Reports").click()
    expect(page.get_by_text("No reports yet.")).to_be_visible()
    browser.check()
    answer = service.http.post(
        "/v1/mime",
        content=RETURNED.replace("\n", "\r\n"),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "message/rfc822"},
    )
    assert answer.status_code == 202, answer.text
    report = f"/dashboard/reports/{answer.json()['id']}"
    eventually(
        lambda: page.request.get(browser.base + report).status == 200, PATIENCE_MS / 1000, "the report is recorded"
    )
    main.get_by_role("link", name="Reports").click()
    row = page.get_by_role("row").filter(has_text="matched")
    expect(row).to_contain_text("status notification: failed")
    row.get_by_role("link").click()
    expect(page.get_by_role("region", name="Header of the returned mail")).to_contain_text(
        "Undelivered Mail Returned to Sender"
    )
    events = page.get_by_role("region", name="Events")
    expect(events.get_by_role("row").filter(has_text="failure")).to_contain_text("550 5.1.1 address")
    browser.picture("10-returned-mail")
    browser.check()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as plain text").click()
    assert Path(download.value.path()).read_bytes() == RETURNED.replace("\n", "\r\n").encode()
    events.get_by_role("row").filter(has_text="failure").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Failure for john@example.com")).to_be_visible()
    expect(page.get_by_role("region", name="The server's reply")).to_contain_text("user unknown")
    page.get_by_role("link", name="report", exact=True).click()
    expect(page.get_by_role("heading", name="Report: status notification: failed")).to_be_visible()
    page.goto(message)
    history = page.get_by_role("region", name="History")
    expect(history.get_by_role("row")).to_have_count(1 + 3)
    expect(history).to_contain_text("bounce")
    browser.check()


def look_at_the_service(browser: Watched) -> None:
    """The service page shows operators the node and each kind of actor."""
    page = browser.page
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Service").click()
    expect(page.get_by_role("region", name="Nodes")).to_contain_text("alive")
    actors = page.get_by_role("region", name="Actors")
    for kind in ("ledger", "supervisor", "enricher/0", "feedback-loop"):
        expect(actors.get_by_role("row").filter(has_text=kind).first).to_contain_text("responding")
    browser.check()


def test_the_marketers_walk(tmp_path: Path) -> None:
    """A marketer can create and verify a loop, watch a click arrive, see the script fail, and replay the event."""
    with service_and_browser(tmp_path) as (service, browser):
        walk(service, browser)
        look_at_the_service(browser)
