"""A handler behind an unknown certificate authority, with the real service; `test_options.py` has one that is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_doctor import examined
from tests.handler import Handler
from tests.raw_handler import make_certificates
from tests.service import Service


def contents(service: Service) -> bytes:
    """Everything that the service has written: its data directory and its log."""
    files = [*service.data_dir.rglob("*"), service.log]
    return b"".join(path.read_bytes() for path in files if path.is_file() and not path.is_symlink())


@pytest.mark.ray
def test_an_unknown_authority_is_explained(service: Service, handler_with_tls: Handler) -> None:
    """Without the option, the answers of verification name it, and so does the doctor."""
    account = service.account()
    created = account.call("POST", "/v1/feedback-loops", json={"url": handler_with_tls.url, "triggers": ["open"]})
    loop_id = created.json()["id"]
    verified = account.call("POST", f"/v1/feedback-loops/{loop_id}/verify")
    _, found = examined(service, "--loop", loop_id)

    assert verified.status_code == 422
    assert "--handler-ca-file" in verified.text
    assert "--handler-ca-file" in found["handler"]["found"]


@pytest.fixture
def handler_with_tls(tmp_path: Path) -> Iterator[Handler]:
    with Handler(tls=make_certificates(tmp_path, "127.0.0.1").server) as made:
        yield made
