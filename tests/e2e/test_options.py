"""Options that change the whole service, on one service that has all of them: each works, whatever the others do.

It is started in a directory with packages that have the names of its own, with few open files, a private certificate
authority, a trace collector, no retries, and a log in JSON.
"""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.collector import Collector
from tests.e2e.test_doctor import examined
from tests.e2e.test_main_job import path_of, register, verified_loop
from tests.e2e.test_private_handlers import contents
from tests.handler import Handler
from tests.raw_handler import Certificates, make_certificates
from tests.service import Service, eventually

pytestmark = [pytest.mark.ray, pytest.mark.timeout(150)]

#: Hard limit of open files of each process.
FILES = 256
PASSWORD = "correct-horse-battery-staple"
BASIC = f"Basic {base64.b64encode(f'user:{PASSWORD}'.encode()).decode()}"
#: Leaves a trace wherever it is imported.
INTRUDER = """
import os, pathlib
pathlib.Path({trace!r}, f"{{__name__}}-{{os.getpid()}}").touch()
raise ImportError("intruder")
"""


@dataclass(frozen=True)
class Optioned:
    """The service, and what its options refer to."""

    service: Service
    collector: Collector
    certificates: Certificates
    #: The content of the certificate authority's file, which was deleted after the start.
    authority: bytes
    authority_file: Path
    #: The working directory, and where the packages in it leave their trace.
    shop: Path
    trace: Path

    def line(self, action: str) -> dict[str, Any]:
        """Waits for a line of the log with this action."""

        def found() -> dict[str, Any] | None:
            every = [json.loads(text) for text in self.service.log.read_text().splitlines()]
            return next((each for each in every if each.get("action") == action), None)

        got: dict[str, Any] = eventually(found, 30, f"{action} is logged")
        return got


@pytest.fixture(scope="module")
def optioned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Optioned]:
    """The service, ready; its processes are ended afterwards."""
    folder = tmp_path_factory.mktemp("options")
    shop, trace = folder / "shop", folder / "trace"
    trace.mkdir()
    for name in ("api", "actors", "domain", "ray", "msgspec"):
        (shop / name).mkdir(parents=True)
        (shop / name / "__init__.py").write_text(INTRUDER.format(trace=str(trace)))
    certificates = make_certificates(folder, "127.0.0.1")
    authority_file = folder / "server.pem"
    authority = authority_file.read_bytes()
    with Collector() as collector:
        service = Service(
            folder / "data",
            wrapper=("/usr/bin/prlimit", f"--nofile=128:{FILES}"),
            FEEDBACK_LOOPS_HANDLER_CA_FILE=str(authority_file),
            FEEDBACK_LOOPS_LOG_FORMAT="json",
            FEEDBACK_LOOPS_RETRY_SCHEDULE="none",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        )
        service.directory = shop
        try:
            service.start()
            authority_file.unlink()
            yield Optioned(service, collector, certificates, authority, authority_file, shop, trace)
        finally:
            service.end()


def test_a_click_is_one_trace(optioned: Optioned, handler: Handler) -> None:
    """Hit, enrichment, recording and POST are spans of one trace, whose id is the event's id at the handler."""
    service, collector = optioned.service, optioned.collector
    account = service.account()
    loop = verified_loop(account, handler)
    (path,) = account.click_paths(1)
    assert httpx.get(f"http://127.0.0.1:{service.port}{path}", trust_env=False, verify=False).status_code == 302
    eventually(lambda: handler.got, 10, "the event is POSTed")
    event = bytes.fromhex(handler.got[0].fields["event"].removeprefix("evt_"))

    def traced() -> list[Any] | None:
        spans = {span.name: span for span in list(collector.spans) if span.trace_id == event}
        names = ("hit", "enrich", "record", "attempt")
        return [spans[name] for name in names] if spans.keys() >= set(names) else None

    spans = eventually(traced, 20, "the collector has all spans of the event")
    assert {span.parent_span_id for span in spans[1:]} == {spans[0].span_id}
    starts = [span.start_time_unix_nano // 1_000_000 for span in spans]
    assert starts == sorted(starts)
    assert collector.attributes(spans[3])["feedback_loops.loop_id"] == loop["id"]
    assert optioned.line("ready")
    assert '"action": "host_up"' in (service.data_dir / "logs/ray.log").read_text()


def test_packages_in_the_working_directory_are_not_imported(optioned: Optioned) -> None:
    """A shop's own `api`, `actors` and `domain`, beside which the operator starts the service, are left alone."""
    service = optioned.service
    headers = {"Content-Type": "message/rfc822"}
    answer = service.account().call(
        "POST", "/v1/mime", content=b"Subject: returned\r\n\r\nno such user\r\n", headers=headers
    )
    assert answer.status_code == 202, answer.text

    assert list(optioned.trace.iterdir()) == []
    (serve,) = service.processes("serve")
    children = [process for process in service.tree() if process.pid != serve.pid]
    assert len(children) > 5
    inside = {process.name(): process.cwd() for process in children if _is_in(optioned.shop, process.cwd())}
    assert inside == {}
    assert {path for process in children for path in _import_path(process) if _is_in(optioned.shop, path)} == set()


def _is_in(folder: Path, path: str) -> bool:
    return Path(path).is_relative_to(folder)


def _import_path(process: psutil.Process) -> list[str]:
    return [path for path in process.environ().get("PYTHONPATH", "").split(":") if path]


def test_a_hit_is_answered_at_once_when_files_run_out(optioned: Optioned) -> None:
    """More idle connections than the limit allows delay no click; log and metrics show that they were closed."""
    service = optioned.service
    idle: list[socket.socket] = []
    try:
        assert optioned.line("few_open_files")
        path = path_of(register(service.account())["open_url"])
        for _ in range(10):
            idle += [socket.create_connection(("127.0.0.1", service.port), timeout=5) for _ in range(FILES // 5)]
            began_s = time.monotonic()
            assert service.http.get(path, headers={"Connection": "close"}, timeout=5).status_code == 200
            assert time.monotonic() - began_s < 2
        assert optioned.line("open_files_exhausted")
        (line,) = [
            line
            for line in service.http.get("/metrics").text.splitlines()
            if line.startswith("feedback_loops_connections_closed_total ")
        ]
        assert float(line.split()[1]) > FILES
        assert service.is_ready()
    finally:
        for sock in idle:
            sock.close()


def test_actors_and_killed_processes_are_in_the_services_log(optioned: Optioned, handler: Handler) -> None:
    """Breaker, dead deliveries and a disabled loop come from actors; a killed child names memory as the reason."""
    service = optioned.service
    account = service.account()
    loop = verified_loop(account, handler)
    handler.status = 503
    for _ in range(6):
        assert service.http.get(path_of(register(account)["open_url"])).status_code == 200
    assert optioned.line("delivery_dead")["loop_id"] == loop["id"]
    assert optioned.line("breaker_opened")["loop_id"] == loop["id"]
    handler.status = 410
    account.call("POST", f"/v1/feedback-loops/{loop['id']}/replay", json={"since": loop["created_at"]})
    assert optioned.line("loop_disabled")["loop_id"] == loop["id"]

    (front,) = service.processes("front")
    front.kill()
    died = optioned.line("child_died")
    assert (died["child"], died["ending"]) == ("front end", "SIGKILL")
    assert "memory" in died["advice"]
    service.wait_ready()


def test_a_private_handler_gets_its_events(optioned: Optioned) -> None:
    """Verification, tests, deliveries and the doctor trust the authority, whose file was only read at the start.

    POSTs have the loop's headers, and their values are nowhere on the disk, in the log, or in answers.
    """
    service = optioned.service
    account = service.account()
    with Handler(tls=optioned.certificates.server) as handler:
        loop = verified_loop(account, handler, headers={"Authorization": BASIC, "X-Copernica-ID": "account_123"})
        path = f"/v1/feedback-loops/{loop['id']}"
        tested = account.call("POST", f"{path}/test", json={"type": "open"})
        service.http.get(path_of(register(account)["open_url"]))
        posts = handler.wait_for(2)
        listed = account.call("GET", f"{path}/deliveries")

        assert (loop["headers"], tested.json()["status"]) == ({"Authorization": "***", "X-Copernica-ID": "***"}, 200)
        assert [post.headers["authorization"] for post in posts] == [BASIC] * 2
        assert posts[1].headers["x-copernica-id"] == "account_123"
        shown = listed.text + account.call("GET", path).text + service.http.get("/metrics").text
        assert BASIC not in shown
        assert "account_123" not in shown
        # The doctor also checks whether the next start would succeed.
        optioned.authority_file.write_bytes(optioned.authority)
        _, found = examined(service, "--loop", loop["id"])
        assert found["handler"]["level"] == "ok", found["handler"]
    service.terminate()
    written = contents(service)
    assert BASIC.encode() not in written
    assert b"account_123" not in written
    assert b"X-Copernica-ID" in written
