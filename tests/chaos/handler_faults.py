"""Faults of the handler: it misbehaves, disappears, or its name does not resolve."""

from __future__ import annotations

from tests.chaos.service_under_load import Allowed, Fault, ServiceUnderLoad
from tests.service import eventually

#: Time until a recovered handler gets its events, in addition to the retry delay that grows with the outage.
RECOVERY_S = 10.0
#: Time until a cached DNS answer has expired.
FORGOTTEN_S = 20.0


class Misbehaving(Fault):
    """The handler does not accept POSTs, in one of several ways."""

    def __init__(self, name: str, behaviour: str, lasts_s: float) -> None:
        super().__init__(f"handler {name}", _allowed(lasts_s))
        self.lasts_s = lasts_s
        self._behaviour = behaviour

    def begin(self, load: ServiceUnderLoad) -> None:
        load.sink.command(self._behaviour)

    def end(self, load: ServiceUnderLoad) -> None:
        load.sink.command("accept")


class NameFails(Fault):
    """The handler closes its connections, and its name does not resolve."""

    def __init__(self, lasts_s: float) -> None:
        super().__init__("handler's DNS", _allowed(lasts_s + FORGOTTEN_S))
        self.lasts_s = lasts_s

    def reason_to_skip(self, load: ServiceUnderLoad) -> str | None:
        return None if load.sandbox.has_own_hosts else "a separate hosts file needs root and mounts"

    def begin(self, load: ServiceUnderLoad) -> None:
        load.sink.command("part")
        load.sandbox.hide_handler()
        eventually(lambda: self._is_noticed(load), FORGOTTEN_S, "an attempt fails with a DNS error", 0.2)

    def _is_noticed(self, load: ServiceUnderLoad) -> bool:
        if load.call("GET")["health"]["breaker"] == "closed":
            return False
        # Newest first: events that arrived during the outage and were not attempted precede the failed ones.
        query = {"state": "pending", "limit": 200}
        while True:
            page = load.call("GET", "/deliveries", params=query)
            if any(attempt["error"] == "dns" for delivery in page["data"] for attempt in delivery["attempts"]):
                return True
            if page["next"] is None:
                return False
            query["cursor"] = page["next"]

    def end(self, load: ServiceUnderLoad) -> None:
        load.sandbox.show_handler()
        load.sink.command("accept")


def _allowed(lasts_s: float) -> Allowed:
    """The retry delay grows with the outage: up to its length, and at most a minute."""
    return Allowed(recovery_s=RECOVERY_S + 1.2 * min(lasts_s, 60.0))
