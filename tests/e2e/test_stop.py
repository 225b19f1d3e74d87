"""Stop of the real service while POSTs are in progress."""

from __future__ import annotations

import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.e2e.test_main_job import path_of, register
from tests.service import Account, Service, eventually


class SlowHandler(ThreadingHTTPServer):
    """A handler that answers each POST after a delay, and counts the events."""

    daemon_threads = True

    def __init__(self, delay_s: float) -> None:
        slow = self
        self.proofs: dict[str, bytes] = {}
        self.events: Counter[str] = Counter()
        self.arrived = threading.Semaphore(0)

        class Requests(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(slow.proofs.get(self.path, b""))

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                slow.events[self.headers["webhook-id"]] += 1
                slow.arrived.release()
                time.sleep(delay_s)  # this is what the test is about
                self.reply(b"ok")

            def reply(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Logs nothing."""

        super().__init__(("127.0.0.1", 0), Requests)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/x.php"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def verified_loop(self, account: Account) -> str:
        created = account.call("POST", "/v1/feedback-loops", json={"url": self.url, "triggers": ["open"]})
        loop = created.json()
        self.proofs[f"/{loop['verification']['file_name']}"] = loop["verification"]["file_content"].encode()
        verified = account.call("POST", f"/v1/feedback-loops/{loop['id']}/verify")
        assert verified.json()["state"] == "active", verified.text
        return str(loop["id"])


@pytest.mark.alone
def test_a_stop_waits_for_handlers_that_answer_and_gives_up_those_that_hang(fresh: Service) -> None:
    """POSTs that take 6.5 s are delivered once, although SIGTERM came at their start; the stop takes under 10 s.

    A POST that is not answered within 8 s is given up, and repeated after the start.
    """
    with SlowHandler(6.5) as slow, SlowHandler(12.0) as hanging:
        fresh.start()
        account, other = fresh.account(), fresh.account()
        loop_id = slow.verified_loop(account)
        hanging.verified_loop(other)
        for _ in range(8):
            fresh.http.get(path_of(register(account)["open_url"]))
        fresh.http.get(path_of(register(other)["open_url"]))
        for _ in range(8):
            assert slow.arrived.acquire(timeout=20)
        assert hanging.arrived.acquire(timeout=20)
        late = register(account)["open_url"]
        fresh.http.get(path_of(late))  # not yet delivered: it may wait for the next start
        took_s = fresh.terminate()
        before = slow.events.copy()

        assert 8 <= took_s < 10
        assert not fresh.tree()
        assert "outcomes_lost" not in fresh.log.read_text()
        fresh.start()

        def delivered() -> bool:
            listed = account.call("GET", f"/v1/feedback-loops/{loop_id}/deliveries?state=delivered").json()
            return len(listed["data"]) == 9

        eventually(delivered, 30, "everything is delivered")
        assert hanging.arrived.acquire(timeout=20)
        assert set(before.values()) == {1}
        assert set(slow.events.values()) == {1}
        assert list(hanging.events.values()) == [2]
        slow.shutdown()
        hanging.shutdown()
