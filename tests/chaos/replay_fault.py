"""Everything is killed while old deliveries are being replayed."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tests.chaos.process_faults import KILLED, Kill
from tests.chaos.storm import Storm, utc_text

REPLAYED = 600
#: A second; a replay takes some seconds with it, so that there is something to interrupt.
RATE_LIMIT = 300


class KillInReplay(Kill):
    """kill -9 of all in the middle of a replay, which has to go on by itself and leave nothing out."""

    def __init__(self) -> None:
        super().__init__("tree")
        self.name = "kill in a replay"
        self.allowed = KILLED["tree"]

    def reason_to_skip(self, storm: Storm) -> str | None:
        paths = storm.service.http.get("/openapi.json").json()["paths"]
        return None if any(path.endswith("/replay") for path in paths) else "the API has no replay"

    def prepare(self, storm: Storm) -> Mapping[int, int]:
        since = utc_text(storm.stage.now_ns())
        clicks = storm.click(REPLAYED, rate=4 * storm.rate)
        numbers = {click.number for click in storm.note(clicks, clicks.finish())}
        assert storm.missing_in_the_end(numbers, 30) == 0
        storm.call("PATCH", json={"rate_limit": RATE_LIMIT})
        storm.sink.tell("reset")
        storm.call("POST", "/replay", json={"since": since, "state": "all"})
        return dict.fromkeys(numbers, time.monotonic_ns())

    def end(self, storm: Storm) -> None:
        storm.service.wait_ready()
        storm.call("PATCH", json={"rate_limit": None})
