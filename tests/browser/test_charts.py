"""Charts as drawn: no label is cut in any locale, and every value is visible, however few or small."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from actors.commands.statistics import AttemptMinute, Counts, EventMinute
from domain.statistics import ANSWERS, BUCKETS
from tests.browser.chromium import Watched, answering, needs_chromium
from tests.browser.long_data import TRIGGERS
from tests.browser.site import signed_in
from tests.unit.api.dashboard.fake_dashboard import FakeDashboard

pytestmark = [needs_chromium, pytest.mark.timeout(240)]

LOCALES: Final = ("en-US", "de-DE", "es-MX", "ko-KR", "ar-EG", "my-MM")
#: Records which texts are drawn where on each canvas, since it was cleared.
_RECORD: Final = """
window.drawnTexts = new Map();
const { fillText, clearRect } = CanvasRenderingContext2D.prototype;
CanvasRenderingContext2D.prototype.clearRect = function (...area) {
  drawnTexts.set(this.canvas, []);
  return clearRect.apply(this, area);
};
CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
  const size = this.measureText(text);
  const { e, f } = this.getTransform();
  if (text) drawnTexts.get(this.canvas)?.push({
    text,
    left: x + e - size.actualBoundingBoxLeft, right: x + e + size.actualBoundingBoxRight,
    top: y + f - size.actualBoundingBoxAscent, bottom: y + f + size.actualBoundingBoxDescent,
  });
  return fillText.apply(this, arguments);
};
"""
#: The texts on the canvases of a page, and those that are cut or drawn over another one.
_CUT: Final = """() => {
  const shown = [], misplaced = [];
  for (const [canvas, texts] of drawnTexts) {
    if (!canvas.isConnected) continue;
    for (const one of texts) {
      shown.push(one.text);
      const isCut = one.left < 0 || one.top < 0 || one.right > canvas.width || one.bottom > canvas.height;
      const isOver = texts.some((other) => one !== other && one.left < other.right && other.left < one.right
        && one.top < other.bottom && other.top < one.bottom);
      if (isCut || isOver) misplaced.push(`${one.text} from ${one.left} to ${one.right} of ${canvas.width}`);
    }
  }
  return [shown, misplaced];
}"""
#: The number of pixels in this colour inside the chart, at least 3 px above its lower edge.
_PIXELS: Final = """([name, style]) => {
  const place = document.querySelector(`[data-chart="${name}"]`);
  const canvas = place.querySelector("canvas"), box = place.querySelector(".u-over");
  const ratio = canvas.width / canvas.offsetWidth;
  const area = [box.offsetLeft, box.offsetTop, box.offsetWidth, box.offsetHeight - 3].map((length) => length * ratio);
  const { data } = canvas.getContext("2d").getImageData(...area);
  const wanted = getComputedStyle(document.documentElement).getPropertyValue(`--${style}`).trim();
  const rgb = [1, 3, 5].map((at) => parseInt(wanted.slice(at, at + 2), 16));
  let found = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] > 200 && rgb.every((part, n) => Math.abs(part - data[at + n]) < 12)) found += 1;
  }
  return found;
}"""


@pytest.fixture(scope="module")
def wide(browser: Browser, base: str) -> Iterator[Watched]:
    """A signed-in page on a usual screen, for the tests that look at pixels."""
    with signed_in(browser, base, viewport={"width": 1200, "height": 800}) as watched:
        yield watched


def now_minute() -> int:
    return time.time_ns() // 60_000_000_000


def minute(ago: int, answers: Sequence[int], bucket: int | None = None) -> AttemptMinute:
    """The attempts of a minute: counts by kind of response, and one response time, or none."""
    buckets = [0] * BUCKETS
    if bucket is not None:
        buckets[bucket] = sum(answers)
    return AttemptMinute(minute=now_minute() - ago, counts=Counts(answers=list(answers), buckets=buckets))


def open_chart(watched: Watched, path: str) -> Page:
    """Opens the page, with its charts drawn."""
    watched.open(f"/dashboard{path}")
    page = watched.page
    expect(page.locator("[data-chart] canvas").first).to_be_visible()
    return page


@pytest.mark.parametrize("locale", LOCALES)
def test_no_label_is_cut(browser: Browser, base: str, dashboard: FakeDashboard, locale: str) -> None:
    """All labels of both axes are inside the chart and apart, in each locale and width, also for huge values."""
    client, loop = dashboard.api.client, dashboard.loop.id
    with signed_in(browser, base, locale=locale, device_scale_factor=1.5) as watched:
        watched.page.add_init_script(_RECORD)
        for count in (1000, 10**15):
            client.attempt_minutes[loop] = [minute(n, [count, 0, 0, 1, 0], -1) for n in range(60)]
            client.event_minutes = [EventMinute(minute=now_minute() - n, type="open", count=count) for n in range(60)]
            for path in ("/", f"/loops/{loop}"):
                page = open_chart(watched, path)
                for width in (320, 768, 1440):
                    watched.resize(width)
                    with answering("the labels"):
                        texts, misplaced = page.evaluate(_CUT)
                    assert len(texts) >= 3, (locale, path)
                    assert misplaced == [], (locale, count, width, path)


def visible(page: Page, chart: str, style: str) -> bool:
    with answering("the pixels"):
        return bool(page.evaluate(_PIXELS, [chart, style]) >= 4)


def in_one_minute(look: Callable[[], list[bool]]) -> list[bool]:
    """The result of `look` when no minute ended meanwhile, because every minute moves the chart by one."""
    while True:
        before, found = now_minute(), look()
        if now_minute() == before:
            return found


STYLES: Final = ("good", "wait", "bad", "bad-2", "quiet")


@pytest.mark.parametrize("many", [10, 10_000, 10**12])
@pytest.mark.parametrize("ago", [0, 30, 59])
def test_one_failure_is_visible_beside_many_successes(
    wide: Watched, dashboard: FakeDashboard, many: int, ago: int
) -> None:
    """A single failure of each kind stands out of the chart, whatever the number of successes and its minute."""
    client, loop = dashboard.api.client, dashboard.loop.id
    for kind in range(1, len(ANSWERS)):
        failed = [many, *(int(n == kind) for n in range(1, len(ANSWERS)))]

        def look(failed: list[int] = failed) -> list[bool]:
            client.attempt_minutes[loop] = [minute(n, failed if n == ago else [many, 0, 0, 0, 0], 3) for n in range(60)]
            page = open_chart(wide, f"/loops/{loop}")
            return [visible(page, "answers", style) for style in STYLES]

        seen = in_one_minute(look)
        assert seen == [n in {0, kind} for n in range(len(STYLES))], (kind, seen)


@pytest.mark.parametrize("ago", [0, 1, 30, 59])
def test_a_single_minute_is_visible(wide: Watched, dashboard: FakeDashboard, ago: int) -> None:
    """Data of one minute is visible in each chart: counts, response times and events."""
    client, loop = dashboard.api.client, dashboard.loop.id

    def look() -> list[bool]:
        client.attempt_minutes[loop] = [minute(ago, [3, 0, 0, 0, 0], 4)]
        client.event_minutes = [EventMinute(minute=now_minute() - ago, type="open", count=1)]
        page = open_chart(wide, f"/loops/{loop}")
        seen = [visible(page, "answers", "good")]
        seen += [visible(page, "durations", style) for style in ("accent", "wait", "bad")]
        return [*seen, visible(open_chart(wide, "/"), "events", "line-1")]

    assert in_one_minute(look) == [True] * 5


def test_rare_events_are_visible_beside_many(wide: Watched, dashboard: FakeDashboard) -> None:
    """One complaint is visible beside thousands of deliveries, and the exact numbers are shown on hover."""
    client = dashboard.api.client
    client.event_minutes = [
        EventMinute(minute=now_minute() - n, type=trigger, count=1 if trigger == "abuse" else 54_321)
        for n in range(60)
        for trigger in ("open", "delivery", "abuse")
    ]
    page = open_chart(wide, "/")
    assert [visible(page, "events", style) for style in ("line-1", "line-2")] == [True, False]
    assert [visible(page, "reports", style) for style in ("good", "wait", "bad", "bad-2")] == [
        True,
        False,
        False,
        True,
    ]
    reports = page.locator('[data-chart="reports"]')
    reports.locator(".u-over").hover()
    expect(reports.locator(".u-legend")).to_contain_text("54,321")
    expect(reports.locator(".u-legend .u-series").last).to_contain_text("Complaints")
    expect(reports.locator(".u-legend .u-series").last.locator(".u-value")).to_have_text("1")
    assert {"open", "delivery", "abuse"} <= set(TRIGGERS)


def test_changes_of_profiles_have_a_chart_once_there_are_some(
    browser: Browser, base: str, dashboard: FakeDashboard
) -> None:
    """It is below the others; an account without profiles has two charts, in each width without an overflow."""
    client = dashboard.api.client
    with signed_in(browser, base) as watched:
        for trigger, names in (("open", ["events", "reports"]), ("update", ["events", "reports", "profiles"])):
            client.event_minutes = [EventMinute(minute=now_minute() - 1, type=trigger, count=3)]
            page = open_chart(watched, "/")
            for width in (320, 768, 1440):
                watched.resize(width)
                shown = page.locator("[data-chart]").evaluate_all("(all) => all.map((place) => place.dataset.chart)")
                assert shown == names
                assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        assert visible(page, "profiles", "line-3")
