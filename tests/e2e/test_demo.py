"""Demo of the main job, run to the end or interrupted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.service import MARK, eventually, marked

pytestmark = pytest.mark.ray


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_leaves_nothing_behind(number: int, code: int, tmp_path: Path) -> None:
    """The demo cleans up despite repeated signals, reports it, and exits with the signal's code."""
    mark = uuid.uuid4().hex
    environment = os.environ | {MARK: mark, "TMPDIR": str(tmp_path), "FEEDBACK_LOOPS_UNKNOWN": "x"}
    demo = subprocess.Popen(
        [sys.executable, "-m", "api.cli.main", "demo"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with demo:
        # The handler starts last.
        eventually(lambda: any("listen" in p.cmdline() for p in marked(mark)), 20, "the processes run")
        demo.send_signal(number)
        assert demo.stderr is not None
        assert demo.stderr.readline() == "stopping: a few seconds to clean up\n"
        demo.send_signal(number)
        demo.send_signal(number)
        assert demo.wait(20) == code
        assert demo.stderr.read() == "stopped; everything is cleaned up\n"

    eventually(lambda: marked(mark) == [], 5, "no process is left")
    assert list(tmp_path.iterdir()) == []


def test_the_demo_shows_the_main_job(tmp_path: Path) -> None:
    """The demo ends with a signed open and a signed click at its handler, and leaves no process behind."""
    mark = uuid.uuid4().hex
    command = [sys.executable, "-m", "api.cli.main", "demo"]
    environment = os.environ | {MARK: mark, "TMPDIR": str(tmp_path)}

    demo = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90)

    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert re.search(r"open\s+john@example.com\s+signature ok", demo.stdout), demo.stdout
    assert re.search(r"click\s+john@example.com\s+signature ok", demo.stdout), demo.stdout
    eventually(lambda: marked(mark) == [], 5, "no process is left")
    assert list(tmp_path.iterdir()) == []
