"""Subcommands of `events` that report what happened to messages: `report`, and `mime` for returned mails."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from api.cli.api_client import Misused, Refused, Service
from api.cli.command_group import TIME_HELP, Group, moment
from api.cli.console import Screen
from api.cli.terminal import FAILED, OK, read_bytes
from domain.event_catalogue.report_fields import REPORT_FIELDS, ReportField
from domain.event_catalogue.report_values import ReportChoice

EVENTS: Final = "/v1/events"
MIME: Final = "/v1/mime"
#: Exit codes of sysexits.h, by which a mail server decides what to do with a mail that it has piped to a command.
EX_DATAERR: Final = 65
EX_TEMPFAIL: Final = 75
#: These refuse the mail itself. After any other failure, the same mail can be accepted later.
_BAD_MAIL: Final = {httpx.codes.REQUEST_ENTITY_TOO_LARGE, httpx.codes.UNPROCESSABLE_ENTITY}
_UNIX_SECONDS: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")


def report(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    """Sends one report made of options, or the content of a file."""
    given = {name: value for name in REPORT_FIELDS if (value := getattr(options, name)) is not None}
    if bool(given) == (options.file is not None):
        raise Misused("give the fields of one report as options, or a FILE with reports")
    if options.file is not None:
        body = _content(options.file)
    else:
        body = json.dumps(given | ({"mime": _mail_text(options.mime)} if options.mime else {})).encode()
    answer = service.ask("POST", EVENTS, content=body, headers={"Content-Type": _media_type(body)})
    screen.json(answer)
    screen.say(f"{answer['accepted']} accepted")
    for error in answer["errors"]:
        screen.beside(f"  line {error['line']}: {error['pointer'] or 'the report'}: {error['detail']}")
    return FAILED if answer["errors"] else OK


def mime(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    """Sends mails, one after the other, up to the first failure. Prints the id of each report."""
    for file in options.files:
        answer = service.ask("POST", MIME, content=_content(file), headers={"Content-Type": "message/rfc822"})
        screen.json(answer)
        screen.say(answer["id"])
    return OK


def mail_exit_code(failure: Exception) -> int:
    """EX_DATAERR if the service refuses the mail itself, else EX_TEMPFAIL, so that a mail server keeps the mail."""
    # A problem document comes from the service. A proxy may have a lower limit, which can be mended.
    is_final = isinstance(failure, Refused) and failure.status in _BAD_MAIL and "type" in failure.problem
    return EX_DATAERR if is_final else EX_TEMPFAIL


def _content(file: Path) -> bytes:
    try:
        return read_bytes(file)
    except OSError as exc:
        raise Misused(f"{file} cannot be read: {exc.strerror}") from exc


def _mail_text(file: Path) -> str:
    mail = _content(file)
    try:
        return mail.decode()
    except UnicodeDecodeError:
        return mail.decode("latin-1")


def _media_type(body: bytes) -> str:
    """The media type of a body: JSON if it is one value, else lines of JSON."""
    try:
        json.loads(body)
    except RecursionError:
        pass
    except ValueError:
        if not body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            return "application/x-ndjson"
    return "application/json"


def _time(text: str) -> float | str:
    """A time as the API accepts it: Unix seconds, or RFC 3339."""
    return float(text) if _UNIX_SECONDS.fullmatch(text) else moment(text)


#: How options differ from a text.
_SPECIAL: Final[Mapping[str, Mapping[str, Any]]] = {
    "message": {"metavar": "ID"},
    "reference": {"metavar": "ID"},
    "event": {"metavar": "ID"},
    "recipient": {"metavar": "ADDRESS"},
    "envelope": {"metavar": "ADDRESS"},
    "emailfrom": {"metavar": "ADDRESS"},
    "ip": {"metavar": "ADDRESS"},
    "code": {"metavar": "CODE"},
    "extended": {"metavar": "STATUS"},
    "time": {"metavar": "TIME", "type": _time, "help": f"when it happened: Unix seconds, or {TIME_HELP}; default: now"},
    "mime": {"metavar": "FILE", "type": Path, "help": "the returned mail; - reads stdin"},
}


def _add_field(parser: argparse._ArgumentGroup, field: ReportField) -> None:
    settings: dict[str, Any] = {"metavar": "TEXT", "help": f"{field.meaning[0].lower()}{field.meaning[1:].rstrip('.')}"}
    if isinstance(field.type, ReportChoice):
        settings |= {"metavar": "NAME", "choices": field.type.names, "help": ", ".join(field.type.names)}
    parser.add_argument(f"--{field.name}", **settings | dict(_SPECIAL.get(field.name, {})))


def add_report_commands(group: Group) -> None:
    """Adds the subcommands to `events`."""
    reporting = group.command(
        "report",
        report,
        "report what happened to messages",
        "--type failure --reference '<1@shop.example>' --code 550",
        "Reports a delivery, failure, bounce, complaint or unsubscription that your own software or mail server knows "
        "of. Give one report as options, or many in FILE: as a JSON array, which is accepted completely or not at all, "
        "or as lines with a JSON object each, which are accepted one by one. The same report twice is one event.",
    )
    reporting.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the reports as JSON; - reads stdin")
    fields = reporting.add_argument_group("fields of one report")
    for field in REPORT_FIELDS.values():
        _add_field(fields, field)
    returning = group.command(
        "mime",
        mime,
        "report returned mails",
        "bounce.eml",
        "Reports mails as they came back: bounces, delivery status notifications, complaints, automatic replies. "
        "Prints the id of each report, for `reports show`. The same mail twice is one report.\n\nA mail server can "
        f"pipe mails to it: the exit code is {EX_TEMPFAIL} (EX_TEMPFAIL) if a mail was not accepted but can be later, "
        f"whatever has to be corrected first, and {EX_DATAERR} (EX_DATAERR) if the service refuses this mail because "
        "it is empty or over 10 MiB.",
        makes="id",
        code_of=mail_exit_code,
    )
    returning.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a mail, as it arrived; - reads stdin")
