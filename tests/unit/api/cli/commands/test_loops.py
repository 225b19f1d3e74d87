"""`feedback-loops loops`, `accounts` and `messages`, against a service over HTTP."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.commands.loops import ChangeLoop, CreateLoop, Health, SampleResult, SendSample
from actors.commands.messages import RegisterMessages
from domain.errors import StoreUnavailable
from tests.paths import ROOT
from tests.unit.api.cli.fake_service import RunningService, running_service
from tests.unit.api.fake_api import ADMIN_KEY, NOW_MS

GROUPS = ("accounts", "loops", "messages", "events", "deliveries", "replay")


@pytest.fixture
def service(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    with running_service(capsys, monkeypatch) as running:
        yield running


def test_a_new_user_gets_from_an_account_to_a_sample(service: RunningService) -> None:
    """Each step shows what the next one needs: the key, the file to place, the id."""
    opened = service.run("accounts", "create", "Example", FEEDBACK_LOOPS_ADMIN_KEY=ADMIN_KEY)
    assert "\\n" not in opened.out
    assert opened.code == 0
    (export,) = (line.strip() for line in opened.out.splitlines() if "export" in line)
    service.environment["FEEDBACK_LOOPS_API_KEY"] = export.partition("=")[2]

    created = service.run("loops", "create", "https://h.example/dir/x.php", "--trigger", "open,click")
    (loop_id,) = service.client.loops
    assert created.code == 0
    assert "whsec_" in created.out
    assert "feedback-loops-" in created.out
    assert f"feedback-loops loops verify {loop_id}" in created.out

    missing = service.run("loops", "verify", loop_id)
    assert missing.code == 1
    assert "https://h.example/dir/feedback-loops-" in missing.out
    assert "404 Not Found" in missing.out
    service.client.proved.add(loop_id)
    assert service.run("loops", "verify", loop_id) == (0, f"{loop_id} is active\n", "")

    sample = service.run("loops", "test", loop_id, "--data", '{"recipient": "x@y.example"}')
    (command,) = service.client.called(SendSample)
    assert (sample.code, command.type, command.data) == (0, "open", {"recipient": "x@y.example"})
    assert "200 ok" in sample.out


def test_every_setting_of_a_loop_can_be_given(service: RunningService) -> None:
    """Options reach the service as the API's fields."""
    shown = service.run(
        *("loops", "create", "https://h.example/", "--trigger", "open", "--trigger", "click", "--format", "json"),
        *("--tag", "a", "--tag", "b", "--database", "1", "--collection", "c", "--rate-limit", "2.5", "--ordered"),
        *("--max-concurrency", "3", "--description", "mine", "--json"),
    )
    loop = json.loads(shown.out)

    assert loop["triggers"] == ["open", "click"]
    assert loop["filters"] == {"tags": ["a", "b"], "databases": ["1"], "collections": ["c"]}
    assert (loop["format"], loop["rate_limit"], loop["max_concurrency"]) == ("json", 2.5, 3)
    assert (loop["ordered"], loop["description"]) == (True, "mine")


def test_headers_can_be_given_in_an_option_or_a_file(service: RunningService, tmp_path: Path) -> None:
    """A file keeps their values out of the list of processes; a change replaces all headers, or removes them."""
    file = tmp_path / "headers"
    file.write_text("Authorization: Basic dXNlcjpwYXNz\n\nX-Two:2\n")
    service.run("loops", "create", "https://h.example/", "--trigger", "open", "--header", f"@{file}")
    (loop_id,) = service.client.loops

    def changes(*options: str) -> dict[str, object]:
        assert service.run("loops", "update", loop_id, *options).code == 0
        called: dict[str, object] = service.client.called(ChangeLoop)[-1].changes
        return called

    assert service.client.called(CreateLoop)[0].settings.headers == {
        "Authorization": "Basic dXNlcjpwYXNz",
        "X-Two": "2",
    }
    assert changes("--header", "X-A: b: c", "--header", "X-B:d") == {"headers": {"X-A": "b: c", "X-B": "d"}}
    assert changes("--no-headers") == {"headers": {}}
    for wrong in ("no colon", f"@{tmp_path}/missing"):
        refused = service.run("loops", "update", loop_id, "--header", wrong)
        assert (refused.code, "--header" in refused.err) == (2, True)


def test_loops_are_listed_shown_and_changed(service: RunningService) -> None:
    """A failing loop shows why and since when; pausing and resuming print the state; --json prints the API's JSON."""
    first, second = service.loop(active=True), service.loop()
    service.client.health[first] = Health(
        breaker="open",
        failing_since_ms=NOW_MS,
        failures=12,
        last_error="503 Service Unavailable",
        waiting=1234,
        next_attempt_ms=NOW_MS,
        next_probe_ms=NOW_MS,
    )

    lines = service.run("loops", "list").out.splitlines()
    assert [first in lines[1], "12 failures since" in lines[1], "probing" in lines[1]] == [True] * 3
    why = "503 Service Unavailable: 12 failures since"
    assert [why in lines[1], "next attempt now, 1,234 waiting" in lines[1]] == [True] * 2
    assert [second in lines[2], "unverified" in lines[2]] == [True] * 2
    listed = json.loads(service.run("loops", "list", "--json").out)
    assert listed == service.request_json("GET", "/v1/feedback-loops")["data"]
    assert json.loads(service.run("loops", "show", first, "--json").out) == listed[0]
    shown = service.run("loops", "show", first).out
    assert why in shown
    assert re.search("last error +503 Service Unavailable", shown)
    assert re.search("next attempt +now", shown)
    assert service.run("loops", "pause", first).out == f"{first} is paused\n"
    assert service.run("loops", "resume", first).out == f"{first} is active\n"
    assert "whsec_" in service.run("loops", "rotate-secret", first).out


def test_an_update_keeps_settings_that_are_not_given(service: RunningService) -> None:
    """Only the given settings reach the service; a limit can be lifted, filters emptied, a switch turned off."""
    service.run("loops", "create", "https://h.example/x.php", "--trigger", "open", "--rate-limit", "5", "--tag", "a")
    (loop_id,) = service.client.loops

    def changes(*options: str) -> dict[str, object]:
        assert service.run("loops", "update", loop_id, *options).code == 0
        called: dict[str, object] = service.client.called(ChangeLoop)[-1].changes
        return called

    assert changes("--rate-limit", "none", "--no-ordered") == {"rate_limit": None, "ordered": False}
    assert changes("--trigger", "open,click", "--max-concurrency", "4") == {
        "triggers": ["open", "click"],
        "max_concurrency": 4,
    }
    assert changes("--handler", "https://h.example/y.php") == {"url": "https://h.example/y.php"}
    assert changes("--no-filters", "--tag", "b") == {"tags": ["b"], "databases": [], "collections": []}
    nothing = service.run("loops", "update", loop_id)
    assert (nothing.code, "nothing to change" in nothing.err) == (2, True)


@pytest.mark.parametrize("rate", ["nan", "inf", "-1", "0", "fast"])
def test_an_invalid_rate_is_refused(service: RunningService, rate: str) -> None:
    """The error names the option, and the service gets no request."""
    refused = service.run("loops", "create", "https://h.example/x.php", "--trigger", "open", "--rate-limit", rate)

    assert (refused.code, service.client.loops) == (2, {})
    assert "--rate-limit" in refused.err
    assert "must be a number above 0, or none" in refused.err


def test_invalid_json_is_refused(service: RunningService) -> None:
    """Python's parser accepts NaN, which JSON does not have."""
    refused = service.run("loops", "test", "fl_1", "--data", '{"a": NaN}')

    assert (refused.code, "NaN is not JSON" in refused.err) == (2, True)


def test_deleting_requires_confirmation(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal nothing is deleted unless --yes is given."""
    loop_id = service.loop()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    refused = service.run("loops", "delete", loop_id)

    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert service.run("loops", "show", loop_id).code == 0
    assert service.run("loops", "delete", loop_id, "--yes").code == 0
    assert service.run("loops", "show", loop_id).code == 1


def test_a_handler_that_fails_makes_test_and_check_fail(service: RunningService) -> None:
    """Both commands end with 1 and show the handler's response."""
    good, bad = service.loop(active=True), service.loop(active=True)
    service.client.samples[bad] = SampleResult(
        loop_id=bad, status=500, duration_ms=3, response_excerpt="\x1b[31moh\u009b", error="status: 500 Oh"
    )
    tested, checked = service.run("loops", "test", bad), service.run("loops", "check")

    assert (service.run("loops", "test", good).code, tested.code, checked.code) == (0, 1, 1)
    assert "500 status: 500 Oh" in tested.out
    assert "\x1b" not in tested.out + checked.out
    assert "\\x1b[31moh\\x9b" in tested.out
    assert "\u009b" not in service.run("loops", "test", bad, "--json").out
    assert [good in checked.out, bad in checked.out] == [True, True]


def test_problems_are_shown_with_their_pointers(service: RunningService) -> None:
    """Every wrong field has its own line, and nothing is shown twice; --json prints only the problem document."""
    wrong = ("loops", "create", "ftp://h.example/", "--trigger", "open,opened")
    result = service.run(*wrong)

    assert result.code == 1
    assert result.out == ""
    assert result.err.startswith("feedback-loops loops: Invalid input (status 422)\n")
    assert result.err.count("must start with") == 1
    assert "  /url: must start with http:// or https://" in result.err
    assert "  /triggers/1: must be " in result.err
    assert f"see {service.url}/problems/invalid-input" in result.err
    as_json = service.run(*wrong, "--json")
    assert (json.loads(as_json.out)["type"], as_json.err) == ("/problems/invalid-input", "")
    assert "API key is unknown" in service.run("loops", "list", "--key", "flk_x").err


def test_an_unreachable_service_ends_with_3(service: RunningService) -> None:
    """A failed connection ends with 3 and names the URL; an invalid URL or key ends with 2."""
    away = service.run("loops", "list", "--url", "http://127.0.0.1:9")

    assert (away.code, "http://127.0.0.1:9" in away.err) == (3, True)
    assert service.run("loops", "list", "--url", "localhost").code == 2
    missing = service.run("loops", "list", FEEDBACK_LOOPS_API_KEY="")
    assert (missing.code, "FEEDBACK_LOOPS_API_KEY" in missing.err) == (2, True)


def test_a_restart_of_the_service_is_waited_out(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 is retried a few times, and a POST has an idempotency key, so nothing is done twice."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    service.client.failures[CreateLoop] = [StoreUnavailable("away")] * 2
    shown = service.run("loops", "create", "https://h.example/", "--trigger", "open")

    assert (shown.code, waits) == (0, [1.0, 1.0])
    assert len(service.client.loops) == 1
    assert len({command.seed for command in service.client.called(CreateLoop)}) == 1


def test_a_message_is_registered(service: RunningService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracking URLs are printed as a table or as JSON; with --html, standard output has only the tracked HTML."""
    link = "https://shop.example/"
    table = service.run("messages", "register", "a@b.example", "--link", link, "--tag", "t", "--profile", "1/2")
    (command,) = service.client.called(RegisterMessages)
    (spec,) = command.messages
    assert (spec.recipient, spec.tags, spec.database, spec.profile) == ("a@b.example", ["t"], "1", "2")
    assert [link in table.out, "https://t.example/" in table.out] == [True, True]

    html = tmp_path / "mail.html"
    html.write_text(f'<html><body><a href="{link}">x</a><a href="http://">y</a></body></html>')
    mail = service.run("messages", "register", "a@b.example", "--html", str(html))
    assert mail.out.startswith('<html><body><a href="https://t.example/')
    assert "List-Unsubscribe: <https://t.example/" in mail.err
    assert "not tracked: http:// is not a URL that browsers can open" in mail.err

    monkeypatch.setattr(sys, "stdin", io.StringIO('{"recipient": "a@b.example"}\n{"recipient": "a"}\n'))
    many = service.run("messages", "register", "--lines", "-")
    assert (many.code, len(many.out.splitlines())) == (1, 2)
    assert "1 registered, 1 refused" in many.err
    assert service.run("messages", "register", "--lines", str(tmp_path / "none")).code == 2


def test_the_admin_key_of_the_data_directory_is_found(
    service: RunningService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the machine of a running service, `accounts create` finds the admin key by itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert service.run("accounts", "create", "x").code == 2
    usual = tmp_path / ".local/state/feedback-loops"
    usual.mkdir(parents=True)
    (usual / "admin.key").write_text(f"{ADMIN_KEY}\n")

    assert service.run("accounts", "create", "x").code == 0


@pytest.mark.parametrize("group", ["accounts", "users"])
def test_the_data_directory_of_the_environment_is_used(
    service: RunningService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str
) -> None:
    """FEEDBACK_LOOPS_DATA_DIR names the service: its admin key, and the URL at which it runs."""
    monkeypatch.setenv("FEEDBACK_LOOPS_DATA_DIR", str(tmp_path))
    (tmp_path / "admin.key").write_text(f"{ADMIN_KEY}\n")
    (tmp_path / "run").mkdir()
    host, _, port = service.url.removeprefix("http://").rpartition(":")
    (tmp_path / "run" / "settings.json").write_text(json.dumps({"host": host, "port": port}))

    assert service.run(group, "list", FEEDBACK_LOOPS_URL="").code == 0


@pytest.mark.parametrize("name", GROUPS)
def test_groups_explain_themselves_quickly(name: str) -> None:
    """Help lists every command, the exit codes and an example, and imports nothing of the service."""
    code = (
        f"import sys\nfrom api.cli.main import main\ntry: main([{name!r}, '--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'ray', 'starlette', 'eventsourcing', 'pydantic', 'uvicorn'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True, timeout=30
    )

    assert "exit codes:" in done.stdout
    assert done.stdout.endswith("[]\n")


def test_a_closed_pipe_is_not_an_error(service: RunningService) -> None:
    """`… | head` ends the command without output."""
    for _ in range(50):
        service.loop()
    done = subprocess.run(
        f"{sys.executable} -m api.cli.main loops list --json | head -c 1",
        shell=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=service.environment,
        timeout=30,
        check=True,
    )

    assert (done.stdout, done.stderr) == ("[", "")
