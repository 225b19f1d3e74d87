"""Pages with texts of the greatest length: nothing scrolls sideways, and no short word is broken, at any width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from playwright.sync_api import Browser, Page

from api.dashboard.pages import PAGES
from tests.browser.chromium import Watched, answering, needs_chromium
from tests.browser.long_data import EMAIL, LINK, MESSAGE_ID, NAME, TRIGGERS, URL, fill_with_long_data
from tests.browser.site import served, signed_in
from tests.browser.test_every_page import PARTS
from tests.unit.api.dashboard.fake_dashboard import PASSWORD, FakeDashboard
from tests.unit.api.fake_api import Api

pytestmark = [needs_chromium, pytest.mark.timeout(240)]

#: Common widths, and widths beside those where the layout changes.
WIDTHS = (320, 360, 641, 767, 768, 900, 1120, 1440)
#: Parts that can be scrolled sideways or are cut, parts outside the window, and short words that are on two lines.
_MISPLACED = r"""() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  const found = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth - root.clientWidth} px too wide`);
  const hidden = `.only-read, .skip, [hidden]${innerWidth < 768 ? ", .cards thead" : ""}`;
  const isHidden = (element) => element.closest(hidden);
  for (const element of document.querySelectorAll("body *")) {
    if (isHidden(element)) continue;
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    const name = `<${element.localName} class="${element.className}"> ${element.textContent.trim().slice(0, 40)}`;
    if (box.left < -1 || box.right > innerWidth + 1) found.push(`${name} is outside`);
    const style = getComputedStyle(element);
    const cuts = style.overflowX !== "visible" && !["INPUT", "TEXTAREA", "SELECT"].includes(element.tagName);
    if (cuts && element.scrollWidth > element.clientWidth + 1 && style.textOverflow !== "ellipsis") {
      found.push(`${name} cuts ${element.scrollWidth - element.clientWidth} px`);
    }
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  while (texts.nextNode()) {
    const text = texts.currentNode;
    if (isHidden(text.parentElement) || text.parentElement.closest("pre, script, svg, textarea, select")) continue;
    for (const word of text.data.matchAll(/(?<![^\s])\p{L}{2,13}(?![^\s])/gu)) {
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
      if (lines.size > 1) found.push(`“${word[0]}” is broken in “${text.data.trim().slice(0, 40)}”`);
    }
  }
  return [...new Set(found)].slice(0, 10);
}"""


@pytest.fixture(scope="module")
def long_dashboard() -> FakeDashboard:
    dashboard = FakeDashboard(Api())
    fill_with_long_data(dashboard)
    return dashboard


@pytest.fixture(scope="module")
def long_base(long_dashboard: FakeDashboard) -> Iterator[str]:
    with served(long_dashboard.api) as url:
        yield url


def paths(dashboard: FakeDashboard) -> list[str]:
    """The path of every page, for the loops, events, messages and deliveries with long texts."""
    shown = [page.path for page in PAGES if page.method == "GET" and page.path not in PARTS]
    found = [dashboard.filled(path) for path in shown]
    others = [loop_id for loop_id in dashboard.api.client.loops if loop_id != dashboard.loop.id]
    found += [
        path.replace("{id}", loop)
        for loop in others
        for path in shown
        if path.startswith("/loops/{id}") and "{replay}" not in path
    ]
    found += [f"/deliveries/{d.id}" for loop in others for d in dashboard.api.client.deliveries[loop][:4]]
    client = dashboard.api.client
    found += [f"/events/{event.id}" for event in client.events[: len(TRIGGERS)]]
    found += [f"/reports/{report.id}" for report in client.reports]
    found += [
        "/reports?state=refused&cursor=1",
        f"/reports?state={NAME}",
        f"/messages/{MESSAGE_ID}",
        "/first-run",
        f"/messages/{'unknown' * 90}",
        f"/events?tag={NAME}&since={NAME}",
    ]
    return found


def misplaced(page: Page) -> list[str]:
    with answering(f"the layout of {page.url[:200]}"):
        return [f"{page.url[:100]}: {what}" for what in page.evaluate(_MISPLACED)]


def check_widths(watched: Watched, widths: Sequence[int]) -> list[str]:
    """The misplaced parts of the open page in each width."""
    found: list[str] = []
    for width in widths:
        watched.resize(width)
        found += [f"{width} px: {what}" for what in misplaced(watched.page)]
    return found


def test_no_page_scrolls_sideways(browser: Browser, long_base: str, long_dashboard: FakeDashboard) -> None:
    """On every page, all texts wrap inside the window, and words that fit on a line are not broken."""
    found: list[str] = []
    with signed_in(browser, long_base) as watched:
        for path in paths(long_dashboard):
            watched.open(f"/dashboard{path}")
            found += check_widths(watched, WIDTHS)
    assert not found, "\n" + "\n".join(found)


def test_no_result_scrolls_sideways(browser: Browser, long_base: str, long_dashboard: FakeDashboard) -> None:
    """The results of forms, and forms with errors in every field, fit as well."""
    found: list[str] = []
    with signed_in(browser, long_base) as watched:
        for steps in (check_all, refused_loop, refused_message, refused_user, new_key, wrong_proof, failed_test):
            steps(watched, long_dashboard)
            found += check_widths(watched, WIDTHS)
    assert not found, "\n" + "\n".join(found)


def press(watched: Watched, button: str) -> None:
    """Sends the form as it is, also if the browser would refuse it."""
    watched.page.evaluate("for (const form of document.forms) form.noValidate = true")
    watched.page.get_by_role("button", name=button, exact=True).click()
    watched.page.wait_for_load_state("domcontentloaded")


def check_all(watched: Watched, _: FakeDashboard) -> None:
    watched.open("/dashboard/loops")
    press(watched, "Check all now")


def refused_loop(watched: Watched, _: FakeDashboard) -> None:
    watched.open("/dashboard/loops/new")
    watched.page.get_by_label("Where is your script?").fill(f"ftp{URL}")
    watched.page.get_by_text("Advanced").click()
    watched.page.get_by_label("POSTs per second").fill(NAME)
    watched.page.get_by_label("Only profiles in these databases").fill(NAME * 2)
    press(watched, "Create the feedback loop")


def refused_message(watched: Watched, _: FakeDashboard) -> None:
    watched.open("/dashboard/messages")
    watched.page.get_by_label("Recipient").fill(NAME)
    watched.page.get_by_label("Links").fill(f"ftp{LINK}")
    watched.page.get_by_label("Tags").fill(NAME)
    press(watched, "Register")


def refused_user(watched: Watched, _: FakeDashboard) -> None:
    watched.open("/dashboard/account")
    watched.page.get_by_role("textbox", name="E-mail address").fill(EMAIL)
    watched.page.get_by_label("Initial password").fill(PASSWORD)
    press(watched, "Add")


def new_key(watched: Watched, _: FakeDashboard) -> None:
    watched.open("/dashboard/account")
    watched.page.get_by_label("Name of the new key").fill(NAME)
    press(watched, "Create key")


def wrong_proof(watched: Watched, dashboard: FakeDashboard) -> None:
    watched.open(f"/dashboard/loops/{dashboard.unverified.id}/verify")
    press(watched, "Verify")
    watched.page.get_by_text("Not found yet").wait_for()


def failed_test(watched: Watched, dashboard: FakeDashboard) -> None:
    watched.open(f"/dashboard/loops/{dashboard.loop.id}/test")
    press(watched, "Send now")
    watched.page.get_by_text("did not accept it").wait_for()
