"""The command line: fast help, plain error messages, and a log with one line per record."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from actors.process_setup.logging_setup import LineFormatter
from api.cli.commands.bench import event_time_ms, percentile
from api.cli.main import COMMANDS
from domain.values import id_text
from tests.paths import ROOT
from tests.ports import free_port


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api.cli.main", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=30,
        check=False,
    )


def test_help_loads_no_heavy_libraries() -> None:
    """The list of commands is shown without loading Ray, the web framework or the terminal library."""
    code = (
        "import sys\nfrom api.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'ray', 'starlette', 'rich', 'httpx', 'eventsourcing'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True, timeout=30
    )

    assert done.stdout.endswith("[]\n")
    assert all(f"  {name}" in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    """`COMMAND --help` prints the usage."""
    done = command(name, "--help")

    assert done.returncode == 0
    assert done.stdout.startswith("usage: ")
    assert f"feedback-loops {name}" in done.stdout


def test_an_unknown_command_is_refused() -> None:
    """A misspelt command ends with 2 and the list of commands; no command at all shows the help."""
    done = command("sevre")

    assert done.returncode == 2
    assert "serve" in done.stderr
    assert command().returncode == 2


def test_all_wrong_options_of_serve_are_named() -> None:
    """`serve` ends with 2 and a line for each wrong option, before it changes anything."""
    done = command("serve", "--port", "http", FEEDBACK_LOOPS_ENRICHERS="many")

    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "feedback-loops serve: --port (FEEDBACK_LOOPS_PORT) must be a whole number from 0 to 65535",
        "feedback-loops serve: --enrichers (FEEDBACK_LOOPS_ENRICHERS) must be a whole number from 1 to 64",
    ]


def test_a_port_in_use_stops_serve(tmp_path: Path) -> None:
    """`serve` ends with 1, names the port and gives advice; no process is left running."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = command("serve", "--port", str(port), "--data-dir", str(tmp_path / "data"))

    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is in use" in done.stderr
    assert "--port" in done.stderr


def test_bench_needs_a_key() -> None:
    """Without the account's key, `bench` names the variable to set."""
    done = command("bench", "--loop", "fl_x")

    assert (done.returncode, "FEEDBACK_LOOPS_API_KEY" in done.stderr) == (2, True)


def test_percentiles_are_measured_values() -> None:
    """A percentile is the smallest value that enough of the others do not exceed."""
    values = [float(n) for n in range(100, 0, -1)]

    assert [percentile(values, share) for share in (0.5, 0.9, 0.99, 1)] == [50, 90, 99, 100]
    assert percentile([7], 0.01) == 7


def test_an_event_s_id_contains_the_time_of_its_hit() -> None:
    """The first 48 bits of a UUIDv7 are Unix milliseconds."""
    uuid7 = (1_700_000_000_123).to_bytes(6, "big") + bytes(10)

    assert event_time_ms(id_text("evt", uuid7)) == 1_700_000_000_123


def test_a_record_is_one_line() -> None:
    """Whatever a record contains, its line has its fields by name and no unprintable characters."""
    record = logging.makeLogRecord(
        {"name": "api", "levelname": "INFO", "msg": 'a "b"\nc=%s', "args": ("\x1b[31m",), "created": 0}
    )
    record.__dict__ |= {"action": "hit_lost", "lost": 3, "problem": None, "path": "C:\\x"}
    line = LineFormatter("front").format(record)

    assert line == (
        "time=1970-01-01T00:00:00.000Z level=info process=front logger=api "
        'message="a \\"b\\"\\nc=\\x1b[31m" action=hit_lost lost=3 path="C:\\\\x"'
    )


def test_a_json_record_keeps_the_types_of_its_fields() -> None:
    """With `--log-format json` a line is one object; numbers stay numbers, and there are no line breaks."""
    record = logging.makeLogRecord({"name": "api", "levelname": "INFO", "msg": "it\u2028is\nso", "created": 0.5})
    record.__dict__ |= {"action": "hit_lost", "lost": 3, "problem": None, "path": Path("/x"), "text": "\x1b\x85é"}
    line = LineFormatter("front-end", "json").format(record)

    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.500Z",
        "level": "info",
        "process": "front-end",
        "logger": "api",
        "message": "it\u2028is\nso",
        "action": "hit_lost",
        "lost": 3,
        "path": "/x",
        "text": "\x1b\x85é",
    }


def test_an_exception_stays_on_the_line() -> None:
    """A traceback is part of its record's line."""
    try:
        int("no\ngood")
    except ValueError:
        record = logging.LogRecord("api", logging.ERROR, "", 0, "it failed", (), sys.exc_info())
    line = LineFormatter("front").format(record)

    assert "\n" not in line
    assert "ValueError: invalid literal" in line


@pytest.mark.parametrize(("arguments", "warns"), [(["--retry-schedule", ""], True), (["--retry-schedule", "5"], False)])
def test_each_start_without_retries_is_logged(tmp_path: Path, arguments: list[str], warns: bool) -> None:
    """Also a start that fails, here because the port is taken."""
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = str(taken.getsockname()[1])
        done = command("serve", "--port", port, "--data-dir", str(tmp_path / "data"), *arguments)

    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is in use" in done.stderr
    assert ("failed deliveries are not retried" in done.stderr) == warns
