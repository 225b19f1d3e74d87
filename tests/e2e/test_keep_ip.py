"""Kept addresses of clients, with the real service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.test_main_job import path_of, register, verified_loop
from tests.e2e.test_private_handlers import contents
from tests.handler import Handler
from tests.service import Service

CLIENT = "203.0.113.77"


@pytest.mark.ray
@pytest.mark.parametrize(("keep", "kept"), [("truncated", "203.0.113.0"), ("none", None)])
def test_nothing_on_disk_and_no_post_has_the_whole_address(tmp_path: Path, keep: str, kept: str | None) -> None:
    """Hits and reports are shortened before they are journaled, whatever header has the address."""
    settings = {
        "FEEDBACK_LOOPS_KEEP_IP": keep,
        "FEEDBACK_LOOPS_TRUSTED_PROXIES": "127.0.0.0/8",
        "FEEDBACK_LOOPS_PUBLIC_URL": "https://track.example.com",  # with proxies, a loopback URL would be refused
    }
    service = Service(tmp_path / "data", **settings)
    try:
        service.start()
        account = service.account()
        with Handler() as handler:
            verified_loop(account, handler, triggers=["open", "unsubscribe"])
            message = register(account)
            forwarded = {"X-Forwarded-For": CLIENT, "Forwarded": f"for={CLIENT}", "Via": f"1.1 {CLIENT}"}
            service.http.get(path_of(message["open_url"]), headers=forwarded)
            report = {"type": "unsubscribe", "message": message["id"], "ip": CLIENT}
            assert account.call("POST", "/v1/events", json=report).status_code == 202
            posts = handler.wait_for(2)
            assert {post.fields["type"] for post in posts} == {"open", "unsubscribe"}
            assert [post.fields.get("ip") for post in posts] == [kept] * 2
            assert CLIENT.encode() not in contents(service)
    finally:
        service.end()
