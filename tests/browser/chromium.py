"""A real Chromium, and what every page must keep to, however it was come by."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

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
#: What is further down a page is cut off its picture.
_PICTURE_MAX_HEIGHT_PX: Final = 800
#: Goes to the top of the page, and gives where its content ends, a margin of 24 px included, and the window's width.
_TO_THE_END: Final = """() => {
  scrollTo(0, 0);
  return [document.querySelector("main").lastElementChild.getBoundingClientRect().bottom + 24, innerWidth];
}"""
#: Of a picture, out of 100: letters have no halo that is seen, and a page stays under 80 kB.
_PICTURE_QUALITY: Final = 75
#: Longer than axe needs for any page on a busy machine.
_ANSWER_WITHIN_S: Final = 45
#: WCAG 2.2 AA, and what axe holds to be good practice.
_TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: Runs axe, and gives what it found as JSON text.
_RUN: Final = f"""
axe.run(document, {{runOnly: {json.dumps(_TAGS)}}}).then((found) => JSON.stringify(found.violations.map((v) => ({{
  id: v.id, help: v.help, nodes: v.nodes.map((n) => n.html.slice(0, 200) + " | " + n.failureSummary),
}}))))
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser of its own, which is gone afterwards."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def answering(what: str, within_s: float = _ANSWER_WITHIN_S) -> Iterator[None]:
    """Fails when the block takes longer, and ends this process's browsers then.

    Evaluating in a page has no time-out in Playwright, and waits for ever for a page whose script never ends.
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
    """A page whose console, errors and requests are noted."""

    def __init__(self, page: Page, base: str, pictures: Path | None = None) -> None:
        self.page = page
        self.base = base
        #: The folder that pictures of the steps go to; without one there are none.
        self.pictures = pictures
        #: What the browser complained of: scripts' errors, and violations of the content security policy.
        self.complaints: list[str] = []
        #: Requests to other places than the service.
        self.elsewhere: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        # An answer that says what is wrong with a form is no mistake of the page's.
        if message.type in {"error", "warning"} and "status of 422" not in message.text:
            self.complaints.append(message.text)

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self.base, "data:", "blob:")):
            self.elsewhere.append(request.url)

    def picture(self, name: str) -> None:
        """Keeps what a visitor sees at this step, down to the end of the content, if pictures are wanted."""
        if self.pictures is None:
            return
        with answering(f"picture {name}"):
            end, width = self.page.evaluate(_TO_THE_END)
            size = {"width": width, "height": min(end, _PICTURE_MAX_HEIGHT_PX)}
            # Playwright's own screenshots are PNG or JPEG: several times as large, or with halos around the letters.
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
        """Goes to a page; its live parts need not have ended."""
        self.page.goto(self.base + path, wait_until="domcontentloaded")

    def check(self) -> None:
        """What axe finds, what overflows, what the browser complains of: nothing of it."""
        with answering(f"axe on {self.page.url}"):
            violations = axe_violations(self.page)
            width = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert violations == [], json.dumps(violations, indent=1)
        assert width <= 0, f"{self.page.url} is {width} px wider than the window"
        assert self.complaints == []
        assert self.elsewhere == []


def axe_violations(page: Page) -> list[dict[str, Any]]:
    """What axe-core finds on the page. It comes in beside the page's own scripts, which its policy holds."""
    session = page.context.new_cdp_session(page)
    try:
        session.send("Runtime.evaluate", {"expression": AXE})
        answer = session.send(
            "Runtime.evaluate",
            {
                "expression": _RUN,
                "awaitPromise": True,
                "returnByValue": True,
            },
        )
    finally:
        session.detach()
    found: list[dict[str, Any]] = json.loads(answer["result"]["value"])
    return found
