"""Kill of the whole service during a replay."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tests.chaos.process_faults import KILLED, Kill
from tests.chaos.service_under_load import ServiceUnderLoad, utc_text

REPLAYED = 600
#: POSTs per second: a replay takes a few seconds, so that there is something to interrupt.
RATE_LIMIT = 300


class KillInReplay(Kill):
    """kill -9 of everything in the middle of a replay, which must continue by itself and be complete."""

    def __init__(self) -> None:
        super().__init__("tree")
        self.name = "kill in a replay"
        self.allowed = KILLED["tree"]

    def reason_to_skip(self, load: ServiceUnderLoad) -> str | None:
        paths = load.service.http.get("/openapi.json").json()["paths"]
        return None if any(path.endswith("/replay") for path in paths) else "the API has no replay"

    def prepare(self, load: ServiceUnderLoad) -> Mapping[int, int]:
        since = utc_text(load.sandbox.clock.now_ns())
        clicks = load.click(REPLAYED, rate=4 * load.rate)
        numbers = {click.number for click in load.note(clicks, clicks.finish())}
        assert load.missing_in_the_end(numbers, 30) == 0
        load.call("PATCH", json={"rate_limit": RATE_LIMIT})
        load.sink.command("reset")
        load.call("POST", "/replay", json={"since": since, "state": "all"})
        return dict.fromkeys(numbers, time.monotonic_ns())

    def end(self, load: ServiceUnderLoad) -> None:
        load.service.wait_ready()
        load.call("PATCH", json={"rate_limit": None})
