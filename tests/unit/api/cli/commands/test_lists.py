"""Lists, and the output for scripts: `--quiet`, `--print` and the files of a loop."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from actors.commands.events import EventView
from domain.event_catalogue.event_fields import example_of, fields_of
from domain.event_catalogue.triggers import EVENT_TYPES
from tests.unit.api.cli.fake_service import RunningService, running_service
from tests.unit.api.fake_api import ADMIN_KEY, NOW_MS


@pytest.fixture
def service(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    with running_service(capsys, monkeypatch) as running:
        running.environment["FEEDBACK_LOOPS_ADMIN_KEY"] = ADMIN_KEY
        yield running


def test_quiet_prints_only_the_id(service: RunningService) -> None:
    """Each command that creates something prints one line, which the next command takes."""
    loop = service.run("loops", "create", "https://h.example/", "--trigger", "open", "--quiet")
    message = service.run("messages", "register", "a@b.example", "--id", "m 1", "--quiet")
    account = service.run("accounts", "create", "Acme", "--quiet")
    user = service.run("users", "create", "ann@example.com", "--quiet")
    key = service.run("keys", "create", "Shop", "--quiet")

    assert [r.code for r in (loop, message, account, user, key)] == [0] * 5
    assert loop.out == f"{next(iter(service.client.loops))}\n"
    assert message.out == "m 1\n"
    assert [r.out[:4] for r in (account, user, key)] == ["acc_", "usr_", "key_"]
    assert all(r.out.count("\n") == 1 and r.err == "" for r in (loop, message, account, user, key))
    assert service.run("loops", "list", "--quiet").out == loop.out
    assert service.run("messages", "list", "--quiet").out == message.out
    assert service.run("keys", "list", "--quiet").out.split() == [key["id"] for key in _keys(service)]


def _keys(service: RunningService) -> list[dict[str, str]]:
    found: list[dict[str, str]] = service.request_json("GET", "/v1/api-keys")["data"]
    return found


def test_one_part_of_the_json_can_be_printed(service: RunningService) -> None:
    """A text as it is, an object as its values, a list as its items; an unknown name is an error."""
    key = service.run("accounts", "create", "Acme", "--print", "api_key")
    assert key.out.startswith("flk_")
    assert service.run("loops", "list", FEEDBACK_LOOPS_API_KEY=key.out.strip()).code == 0
    links = ("--link", "https://x.example/", "--link", "https://y.example/")
    register = ("messages", "register", "a@b.example", "--id", "m", *links)
    assert service.run(*register, "--print", "links").out.count("https://t.example/c/") == 2
    assert service.run("messages", "show", "m", "--print", "open_url").out.startswith("https://t.example/o/")
    wrong = service.run(*register, "--print", "nothing")
    assert (wrong.code, wrong.out) == (1, "")
    assert "no 'nothing'" in wrong.err


def test_messages_are_listed_and_filtered(service: RunningService) -> None:
    """Newest first, as a table or as JSON; filters are combined."""
    for number, tag in enumerate(("spring", "autumn", "spring")):
        about = ("--id", f"m{number}", "--tag", tag, "--mailing", "7")
        about = ("--id", f"m{number}", "--tag", tag, "--mailing", "7")
        service.run("messages", "register", f"r{number}@b.example", "--reference", f"{number}@b", *about)
    table = service.run("messages", "list", "--tag", "spring", "--mailing", "7")
    assert [line.split()[0] for line in table.out.splitlines()] == ["id", "m2", "m0"]
    found = json.loads(service.run("messages", "list", "--recipient", "r1@b.example", "--json").out)
    assert [(message["id"], "history" in message) for message in found] == [("m1", False)]
    assert "No such messages" in service.run("messages", "list", "--tag", "none").out
    shown = service.run("messages", "show", "m1")
    assert [text in shown.out for text in ("r1@b.example", "1@b", "https://t.example/o/")] == [True, True, True]


def test_events_are_listed(service: RunningService) -> None:
    """Newest first, with the fields that tell the most."""
    fields = msgspec.Raw(b'{"type":"click","recipient":"a@b.example","original":"https://x.example/"}')
    service.client.events = [EventView(id=f"evt_{n:032x}", type="click", time_ms=NOW_MS, fields=fields) for n in (2, 1)]
    table = service.run("events", "list", "--type", "click", "--since", "1h")

    assert [line.split()[0] for line in table.out.splitlines()[1:]] == [event.id for event in service.client.events]
    assert "original=https://x.example/" in table.out
    assert service.run("events", "list", "--quiet").out.split() == [event.id for event in service.client.events]


@pytest.mark.parametrize("trigger", EVENT_TYPES)
def test_every_type_of_event_has_details(service: RunningService, trigger: str) -> None:
    """The line has what happened, even if the event has no message; the mail itself is too long for it."""
    facts = {field.name: example_of(trigger, field) for field in fields_of(trigger) if not field.always}
    facts = {name: value for name, value in facts.items() if name not in {"id", "message", "recipient", "tags"}}
    fields = msgspec.Raw(msgspec.json.encode({"type": trigger, **facts}))
    service.client.events = [EventView(id=f"evt_{1:032x}", type=trigger, time_ms=NOW_MS, fields=fields)]

    (line,) = service.run("events", "list").out.splitlines()[1:]

    shown = set(re.findall(r"(\w+)=", line))
    assert shown & {"original", "ip", "code", "category", "emailfrom", "profile"}, line
    assert not shown & {"mime", "fields"}


def test_accounts_are_listed_page_by_page(service: RunningService) -> None:
    """Oldest first, with the admin key; every account once."""
    for name in ("B", "C", "D"):
        service.run("accounts", "create", name)
    assert service.run("accounts", "list", "--print", "name").out.split() == ["x", "B", "C", "D"]
    assert service.run("accounts", "list", FEEDBACK_LOOPS_ADMIN_KEY="wrong").code == 1


def test_the_proof_is_written_to_a_file(service: RunningService, tmp_path: Path) -> None:
    """Standard output has the content and nothing else; a directory gets the file with its name."""
    loop = service.loop()
    proof = service.request_json("GET", f"/v1/feedback-loops/{loop}")["verification"]

    assert service.run("loops", "proof", loop) == (0, proof["file_content"], "")
    done = service.run("loops", "proof", loop, "--dir", str(tmp_path / "web"))
    assert (done.code, done.out) == (0, "")
    assert (tmp_path / "web" / proof["file_name"]).read_text() == proof["file_content"]
    secret = service.run("loops", "secret", loop)
    assert secret.out.startswith("whsec_")
    assert secret.out.count("\n") == 1
