"""`feedback-loops events report`, `events mime` and `reports`, against a service over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.commands.intake import encode_batch, read_batch
from actors.commands.reports import ReportView
from domain.event_catalogue.report_fields import REPORT_FIELDS
from domain.reports.intake import Report, ReturnedMailEntry
from tests.ports import free_port
from tests.unit.api.cli.fake_service import RunningService, running_service
from tests.unit.api.cli.test_terminal import answering, check, run
from tests.unit.api.fake_api import NOW_MS

#: A value of each field but `mime`, as the option has it.
OPTIONS = {name: str(field.example) for name, field in REPORT_FIELDS.items() if name not in {"mime", "message", "time"}}
MAIL = b"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example\r\n\r\nNo such user \xff\r\n"


@pytest.fixture
def service(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    with running_service(capsys, monkeypatch) as running:
        yield running


def journaled(service: RunningService) -> list[Any]:
    """The reports in the journal: bodies of reports, and bytes of mails."""
    entries = read_batch(encode_batch(service.api.journal.reports)).entries
    assert all(isinstance(entry, Report | ReturnedMailEntry) for entry in entries)
    return [json.loads(entry.body) if isinstance(entry, Report) else getattr(entry, "mime", None) for entry in entries]


def test_a_report_is_made_of_options(service: RunningService, tmp_path: Path) -> None:
    """Each field of the API is an option; a mail is read from a file, whatever its bytes."""
    (tmp_path / "mail.eml").write_bytes(MAIL)
    options = [word for name, value in OPTIONS.items() for word in (f"--{name}", value)]
    done = service.run("events", "report", *options, "--time", "1m", "--mime", str(tmp_path / "mail.eml"))

    assert (done.code, done.out, done.err) == (0, "1 accepted\n", "")
    (report,) = journaled(service)
    assert report.keys() == REPORT_FIELDS.keys() - {"message"}
    assert report["mime"] == MAIL.decode("latin-1")
    assert {name: str(report[name]) for name in OPTIONS} == OPTIONS | {"reference": OPTIONS["reference"].strip("<>")}


@pytest.mark.parametrize("time", ["1m", "@now", "@now.5"])
def test_the_time_of_a_report_is_given_in_several_ways(service: RunningService, time: str) -> None:
    """How long ago, or as Unix seconds; the API decides whether it is acceptable."""
    given = time.replace("@now", str(NOW_MS // 1000))
    done = service.run("events", "report", "--type", "delivery", "--message", "m", "--time", given, "--json")
    if done.code == 0:
        assert json.loads(done.out) == {"accepted": 1, "errors": []}
    else:
        assert json.loads(done.out)["errors"][0]["pointer"] == "/time"


GOOD = '{"type": "delivery", "message": "m"}'
BAD = '{"type": "delivery"}'


@pytest.mark.parametrize(
    ("content", "code", "accepted"),
    [
        (GOOD, 0, 1),
        (f"\ufeff{GOOD}", 0, 1),
        (GOOD.replace(",", ",\n"), 0, 1),
        (f"[{GOOD},\n{GOOD}]", 0, 2),
        (f"{GOOD}\n\n{GOOD}\n", 0, 2),
        (f"{GOOD}\n{BAD}\n{{\n", 1, 1),
        (f"[{GOOD}, {BAD}]", 1, 0),
        (f"[{GOOD}", 1, 0),
        ("", 1, 0),
        ("[" * 100_000, 1, 0),
    ],
)
def test_reports_are_read_from_a_file(
    service: RunningService, tmp_path: Path, content: str, code: int, accepted: int
) -> None:
    """One, an array or lines; what is wrong is listed, and makes the exit code 1."""
    file = tmp_path / "reports"
    file.write_text(content, "utf-8")
    done = service.run("events", "report", str(file))

    assert (done.code, len(journaled(service))) == (code, accepted)
    assert bool(done.err) == (code == 1)
    assert ("  line 2: " in done.err) == ("\n{\n" in content)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "give the fields of one report as options, or a FILE"),
        (("--type", "delivery", "file"), "give the fields of one report as options, or a FILE"),
        (("--type", "open"), "invalid choice"),
        (("--time", "yesterday"), "must be a time"),
        (("no such file",), "no such file cannot be read: No such file or directory"),
        (("--type", "bounce", "--mime", "/"), "/ cannot be read: Is a directory"),
    ],
)
def test_misuse_of_report_is_explained(service: RunningService, arguments: tuple[str, ...], says: str) -> None:
    """Nothing is sent."""
    done = service.run("events", "report", *arguments)

    assert (done.code, says in done.err, journaled(service)) == (2, True, [])


def test_a_mail_is_piped_as_a_mail_server_does_it(service: RunningService) -> None:
    """It arrives byte for byte, in every locale, and the report's id is printed."""
    sent = b"From MAILER-DAEMON Mon Nov 30 09:00:00 2026\n" + MAIL
    for locale in ({}, {"LC_ALL": "C", "PYTHONUTF8": "0"}):
        code, out, err = run("events", "mime", "-", sent=sent, **service.environment, **locale)
        assert (code, out.startswith("rep_"), out.count("\n"), err) == (0, True, 1, "")
    assert journaled(service) == [sent, sent]


def test_several_mails_are_reported_up_to_a_failure(service: RunningService, tmp_path: Path) -> None:
    """One id for each; a mail that is refused for good ends the command with EX_DATAERR."""
    good, empty = tmp_path / "good.eml", tmp_path / "empty.eml"
    good.write_bytes(MAIL)
    empty.touch()
    two = service.run("events", "mime", str(good), str(good))
    assert (two.code, [line[:4] for line in two.out.splitlines()]) == (0, ["rep_", "rep_"])
    assert json.loads(service.run("events", "mime", str(good), "--json").out)["id"].startswith("rep_")
    assert service.run("events", "mime", str(good), "--quiet").out.startswith("rep_")
    refused = service.run("events", "mime", str(good), str(empty), str(good))
    assert (refused.code, refused.out.count("rep_"), "must not be empty" in refused.err) == (65, 1, True)
    (tmp_path / "large.eml").write_bytes(b"x" * (10 * 1024 * 1024 + 1))
    assert service.run("events", "mime", str(tmp_path / "large.eml")).code == 65
    assert journaled(service) == [MAIL] * 5


def test_a_mail_that_cannot_be_accepted_now_is_a_temporary_failure(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever has to be corrected first, the mail server must keep the mail."""
    key = service.environment["FEEDBACK_LOOPS_API_KEY"]
    monkeypatch.setattr("time.sleep", lambda _: None)
    service.api.journal.problem = "the disk is full"
    file = "tests/fixtures/returned_mail/written/arf.eml"
    full = service.run("events", "mime", file)
    assert (full.code, "the disk is full" in full.err or "503" in full.err) == (75, True)
    service.api.journal.problem = None
    for environment in (
        {"FEEDBACK_LOOPS_URL": f"http://127.0.0.1:{free_port()}"},
        {"FEEDBACK_LOOPS_URL": "http://["},
        {"FEEDBACK_LOOPS_API_KEY": "wrong"},
        {"FEEDBACK_LOOPS_API_KEY": ""},
    ):
        check(run("events", "mime", "-", sent=MAIL, **service.environment | environment), 75)
    for status in (200, 301, 413):
        with answering(status, "text/html", b"<html>") as url:
            check(run("events", "mime", "-", sent=MAIL, FEEDBACK_LOOPS_URL=url, FEEDBACK_LOOPS_API_KEY=key), 75)
    check(run("events", "mime", "no such file", **service.environment), 75)
    assert journaled(service) == []


def test_reports_are_listed_and_shown(service: RunningService) -> None:
    """Newest first, by state; a report shows its events, or the report that it repeats."""
    about: dict[str, Any] = {"source": "api", "kind": "delivery", "arrived_at_ms": NOW_MS}
    mail: dict[str, Any] = {"source": "mail", "kind": "bounce", "arrived_at_ms": NOW_MS, "is_truncated": True}
    service.client.reports = [
        ReportView(id="rep_3", state="repeated", first_id="rep_1", **about),
        ReportView(id="rep_2", state="unmatched", events=["evt_2", "evt_3"], **mail),
        ReportView(id="rep_1", state="matched", events=["evt_1"], **about),
    ]
    table = service.run("reports", "list")
    assert [line.split()[0] for line in table.out.splitlines()] == ["id", "rep_3", "rep_2", "rep_1"]
    assert service.run("reports", "list", "--state", "unmatched", "--quiet").out == "rep_2\n"
    assert service.run("reports", "list", "--print", "state").out.split() == ["repeated", "unmatched", "matched"]
    assert "No such reports" in service.run("reports", "list", "--state", "refused").out
    assert len(json.loads(service.run("reports", "list", "--limit", "2", "--json").out)) == 2
    shown = service.run("reports", "show", "rep_2").out
    assert all(text in shown for text in ("unmatched", "mail", "bounce", "evt_2, evt_3", "truncated"))
    assert service.run("reports", "show", "rep_3", "--print", "first").out == "rep_1\n"
    missing = service.run("reports", "show", "rep_4")
    assert (missing.code, "there is no report rep_4" in missing.err) == (1, True)
