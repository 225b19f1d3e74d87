"""`feedback-loops export` and `feedback-loops erase`, against a service over HTTP."""

from __future__ import annotations

import io
import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from actors.commands.erasures import EraseRecipient
from api.cli.commands import erase
from tests.unit.api.cli.fake_service import RunningService, running_service
from tests.unit.api.fake_api import ADMIN_KEY
from tests.unit.api.sample_person import EMAIL, records


@pytest.fixture
def service(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    with running_service(capsys, monkeypatch) as running:
        running.client.people[1, EMAIL] = records()
        yield running


def test_an_export_goes_to_standard_output_or_to_a_new_file(service: RunningService, tmp_path: Path) -> None:
    """A file can only be read by its owner, and no file is overwritten."""
    shown = service.run("export", EMAIL)
    assert (shown.code, shown.err) == (0, "")
    assert json.loads(shown.out.splitlines()[-1]) == {"record": "end", "lines": len(records())}

    file = tmp_path / "john.ndjson"
    written = service.run("export", EMAIL, "--output", str(file))
    assert (written.code, written.out) == (0, "")
    assert file.read_text() == shown.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = service.run("export", EMAIL, "--output", str(file))
    assert (again.code, "exists already" in again.err) == (1, True)


def test_an_incomplete_export_fails(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export whose last line is a problem has the exit code 1, and names the problem."""

    async def broken(*_: object) -> object:
        yield b'{"record":"message"}\n'
        yield b'{"record":"problem","detail":"Storage unavailable"}\n'

    monkeypatch.setattr("api.routes.recipients.export_lines", broken)
    done = service.run("export", EMAIL)

    assert done.code == 1
    assert "the export is not complete: Storage unavailable" in done.err


def test_the_address_can_come_from_standard_input(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` keeps it out of the list of processes; anything but one address is refused."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f" {EMAIL}\n".encode())))
    assert service.run("export", "-").out.endswith(f'"lines":{len(records())}}}\n')

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a@b.example c@d.example")))
    done = service.run("export", "-")
    assert (done.code, "one e-mail address" in done.err) == (2, True)


def test_an_erasure_needs_a_confirmation(service: RunningService) -> None:
    """Without a terminal, that is `--yes`."""
    done = service.run("erase", EMAIL)
    assert (done.code, "--yes" in done.err) == (2, True)
    assert service.client.called(EraseRecipient) == []


def test_an_erasure_shows_what_it_waits_for(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--wait` returns once it has completed; the progress goes to standard error, without the address.

    The hint about lost front ends comes only while it waits for one.
    """
    looks = iter(("lanes", "front_ends", "front_ends", "bytes"))

    def go_on(_seconds: float) -> None:
        [(erasure_id, (account, person, erasure))] = service.client.erasures.items()
        step = next(looks)
        waiting = {"lanes": ["loops-1"], "front_ends": ["edge-1"]}.get(step, [])
        state, at_ms = ("completed", 1) if step == "bytes" else ("running", None)
        changed = replace(erasure, step=step, waiting_for=waiting, state=state, completed_at_ms=at_ms)
        service.client.erasures[erasure_id] = (account, person, changed)

    monkeypatch.setattr("time.sleep", go_on)
    monkeypatch.setattr(erase, "HINT_S", 0.0)
    done = service.run("erase", EMAIL, "--yes", "--wait", "--keep-opt-out", "--json")

    assert done.code == 0
    assert json.loads(done.out)["state"] == "completed"
    assert done.err.splitlines() == [
        *("messages", "lanes: waiting for loops-1"),
        *("front_ends: waiting for edge-1", erase.HINT),
    ]
    assert EMAIL not in done.out + done.err
    (command,) = service.client.called(EraseRecipient)
    assert (command.email, command.keep_opt_out) == (EMAIL, True)


def test_the_admin_key_erases_in_all_accounts(service: RunningService) -> None:
    """`--all-accounts` sends the admin key, and only that."""
    done = service.run("erase", EMAIL, "--yes", "--all-accounts", FEEDBACK_LOOPS_ADMIN_KEY=ADMIN_KEY)
    assert done.code == 0
    assert "running" in done.out
    (command,) = service.client.called(EraseRecipient)
    assert command.account is None

    refused = service.run("erase", EMAIL, "--yes", "--all-accounts", "--key", "wrong")
    assert (refused.code, "401" in refused.err) == (1, True)
