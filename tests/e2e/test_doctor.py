"""`feedback-loops doctor` on a real service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.test_main_job import verified_loop
from tests.handler import Handler
from tests.paths import ROOT
from tests.service import Account, Service


def examined(service: Service, *arguments: str, **variables: str) -> tuple[int, dict[str, Any]]:
    """The doctor's exit code, and its findings by name."""
    command = [sys.executable, "-m", "api.cli.main", "doctor", "--data-dir", str(service.data_dir), "--json"]
    environment = {**os.environ, **service.environment, "FEEDBACK_LOOPS_PORT": str(service.port), **variables}
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    report = json.loads(done.stdout)
    return done.returncode, {finding["check"]: finding for finding in report["findings"]}


def test_the_doctor_checks_a_running_service(service: Service, account: Account, handler: Handler) -> None:
    """On a running service every check passes, including that of a loop's handler; a lost handler is a problem."""
    loop = verified_loop(account, handler)
    code, found = examined(service, "--loop", loop["id"])

    bad = {name: finding for name, finding in found.items() if finding["level"] == "problem"}
    assert (code, bad) == (0, {})
    for name in ("service", "journal", "Ray", "store", "keys", "handler", "loop"):
        assert found[name]["level"] == "ok", found[name]
    assert "supervisor" in found["actors"]["found"]

    handler.__exit__(None, None, None)
    code, found = examined(service, "--loop", loop["id"])
    assert (code, found["handler"]["level"]) == (1, "problem")


def test_the_doctor_is_not_fooled(service: Service, tmp_path: Path) -> None:
    """A wrong store in the environment, and the URL of a service with another data directory, are problems."""
    code, found = examined(service, FEEDBACK_LOOPS_STORE="postgresql://x@db.invalid/y")
    assert (code, found["store"]["level"]) == (1, "problem")
    assert "uses SQLite" in found["store"]["found"]

    url = f"http://127.0.0.1:{service.port}"
    code, found = examined(service, "--data-dir", str(tmp_path), "--url", url)
    assert (code, found["service"]["level"]) == (1, "problem")
    assert "no service runs on this data directory" in found["service"]["found"]
