"""Web server for the dashboard of a fake service, and browser pages that are signed in to it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from playwright.sync_api import Browser

from api.main import server_config
from tests.browser.chromium import Watched
from tests.unit.api.dashboard.fake_dashboard import EMAIL, PASSWORD
from tests.unit.api.fake_api import Api


@contextmanager
def served(api: Api, port: int = 0) -> Iterator[str]:
    """Serves the application on this port, or on a free one. Yields its URL."""
    listening = socket.create_server(("127.0.0.1", port))
    config = server_config(api.app)
    config.lifespan, config.loop = "off", "asyncio"
    # Streams are ended after this time. Idle connections must be closed before, since this process does not end.
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def signed_in(browser: Browser, base: str, **context: Any) -> Iterator[Watched]:
    """An empty page in a new browser context with a signed-in user; `context` holds the context's options."""
    visiting = browser.new_context(**context)
    try:
        # As the form does, without the time that a browser needs to show it.
        answer = visiting.request.post(
            f"{base}/dashboard/sign-in",
            form={"email": EMAIL, "password": PASSWORD},
            headers={"Origin": base},
            max_redirects=0,
        )
        assert answer.status == 303, answer.text()
        yield Watched(visiting.new_page(), base)
    finally:
        visiting.close()
