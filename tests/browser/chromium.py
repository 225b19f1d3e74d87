"""Real Chromium browser, and the checks that every page must pass."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

import psutil
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, sync_playwright

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE: Final = (Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js").read_text()
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

_ARGUMENTS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
]
#: Pictures are cropped to this height.
_PICTURE_MAX_HEIGHT_PX: Final = 800
#: Scrolls to the top, and returns where the content ends, including a margin of 24 px, and the window's width.
_TO_THE_END: Final = """() => {
  scrollTo(0, 0);
  return [document.querySelector("main").lastElementChild.getBoundingClientRect().bottom + 24, innerWidth];
}"""
#: WebP quality out of 100: letters have no visible halo, and a page stays under 80 kB.
_PICTURE_QUALITY: Final = 75
#: Longer than axe needs for any page on a busy machine.
_ANSWER_WITHIN_S: Final = 45
#: WCAG 2.2 AA, and axe's best practices.
_TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: The rules of axe whose findings depend on colours. A colour scheme changes nothing else.
_COLOUR_RULES: Final = ["color-contrast", "link-in-text-block"]
#: Runs axe, and returns its findings as JSON text.
_RUN: Final = """
axe.run(document, {runOnly: %s, resultTypes: ["violations"]}).then((found) => JSON.stringify(
  found.violations.map((v) => ({
    id: v.id, help: v.help, nodes: v.nodes.map((n) => n.html.slice(0, 200) + " | " + n.failureSummary),
  })),
))
"""
#: Whether every drawn chart fits its container. Charts are redrawn some time after the window's size has changed.
_CHARTS_FIT: Final = """() => [...document.querySelectorAll("[data-chart].drawn")].every(
  (place) => place.querySelector(".u-wrap")?.offsetWidth === place.clientWidth)"""
#: Ends after the next frame, in which a page notices another colour scheme.
_NEXT_FRAME: Final = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A new browser, closed afterwards."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def answering(what: str, within_s: float = _ANSWER_WITHIN_S) -> Iterator[None]:
    """Fails if the block takes longer, and then ends the browsers of this process.

    Playwright has no timeout for evaluating code in a page, and waits forever for a page whose script never ends.
    """
    too_late = threading.Event()

    def end() -> None:
        too_late.set()
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if "chrom" in child.name():
                    child.kill()

    timer = threading.Timer(within_s, end)
    timer.start()
    try:
        yield
    except Error as error:
        if too_late.is_set():
            raise AssertionError(f"{what}: the page did not answer within {within_s:.0f} s") from error
        raise
    finally:
        timer.cancel()


class Watched:
    """A page with a record of its console messages, errors and requests."""

    def __init__(self, page: Page, base: str, pictures: Path | None = None) -> None:
        self.page = page
        self.base = base
        #: The folder for pictures of the steps; None takes no pictures.
        self.pictures = pictures
        #: Messages of the browser: script errors, and violations of the content security policy.
        self.complaints: list[str] = []
        #: URLs of requests to other hosts than the service.
        self.elsewhere: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        # A response with the errors of a form is not an error of the page.
        if message.type in {"error", "warning"} and "status of 422" not in message.text:
            self.complaints.append(message.text)

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self.base, "data:", "blob:")):
            self.elsewhere.append(request.url)

    def picture(self, name: str) -> None:
        """Stores a picture of this step, down to the end of the content, if there is a folder for pictures."""
        if self.pictures is None:
            return
        with answering(f"picture {name}"):
            end, width = self.page.evaluate(_TO_THE_END)
            size = {"width": width, "height": min(end, _PICTURE_MAX_HEIGHT_PX)}
            # Playwright's screenshots are PNG or JPEG: several times as large, or with halos around the letters.
            session = self.page.context.new_cdp_session(self.page)
            answer = session.send(
                "Page.captureScreenshot",
                {
                    "format": "webp",
                    "quality": _PICTURE_QUALITY,
                    "clip": {"x": 0, "y": 0, "scale": 1, **size},
                    "captureBeyondViewport": True,
                },
            )
            session.detach()
        (self.pictures / f"{name}.webp").write_bytes(base64.b64decode(answer["data"]))

    def open(self, path: str) -> None:
        """Opens a page, without waiting for its live streams."""
        self.page.goto(self.base + path, wait_until="domcontentloaded")

    def resize(self, width: int) -> None:
        """Changes the window's width, and waits until the charts fit."""
        self.page.set_viewport_size({"width": width, "height": 800})
        self.page.wait_for_function(_CHARTS_FIT)

    def check_both_schemes(self) -> None:
        """Checks the page in light colours, and its colours in the dark ones; the light ones are shown afterwards."""
        self.check()
        self._show("dark")
        self.check(_COLOUR_RULES)
        self._show("light")

    def _show(self, scheme: Literal["light", "dark"]) -> None:
        self.page.emulate_media(color_scheme=scheme)
        with answering(f"the {scheme} colours of {self.page.url}"):
            self.page.evaluate(_NEXT_FRAME)

    def check(self, rules: Sequence[str] = ()) -> None:
        """Fails on any accessibility finding, overflow, browser message or request to another host.

        `rules` are those of axe to check; all if there are none.
        """
        with answering(f"axe on {self.page.url}"):
            violations = axe_violations(self.page, rules)
            width = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert violations == [], json.dumps(violations, indent=1)
        assert width <= 0, f"{self.page.url} is {width} px wider than the window"
        assert self.complaints == []
        assert self.elsewhere == []


def axe_violations(page: Page, rules: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The findings of axe-core, which runs outside the page's content security policy."""
    only = {"type": "rule", "values": [*rules]} if rules else {"type": "tag", "values": _TAGS}
    session = page.context.new_cdp_session(page)
    try:
        if not page.evaluate("'axe' in window"):
            session.send("Runtime.evaluate", {"expression": AXE})
        answer = session.send(
            "Runtime.evaluate",
            {
                "expression": _RUN % json.dumps(only),
                "awaitPromise": True,
                "returnByValue": True,
            },
        )
    finally:
        session.detach()
    found: list[dict[str, Any]] = json.loads(answer["result"]["value"])
    return found
