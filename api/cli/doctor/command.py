"""`feedback-loops doctor`: checks everything that the service needs and advises what to do."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from rich.text import Text

from actors.adapters.resolver import HandlerResolver
from actors.ledger import factory
from actors.settings import Settings
from api.cli.command_group import DEFAULT_URL, URL_VARIABLE
from api.cli.console import Screen, printable
from api.cli.doctor import machine, network, stores
from api.cli.doctor.disk import check_disk, check_reserve
from api.cli.doctor.findings import Check, Finding, Level, carried_out, problem
from api.cli.doctor.handler import check_handler
from api.cli.doctor.service import check_service
from api.cli.help import Parser
from api.cli.running_service import local_url, running_service
from api.cli.terminal import FAILED, OK
from domain.errors import InvalidInput
from domain.handler_policy import HandlerPolicy

DESCRIPTION: Final = """\
Checks the data directory, its keys and disk, the store, the journal, the clock, DNS names, the running service and the
processes behind it. Reports the state of each, and how to fix problems. The service may be running or not. The command
changes nothing and sends no event. Run it on the service's machine as the service's own user, with the same environment
variables as `serve`.
"""
EPILOG: Final = """\
exit codes:
  0  no problems; there may be warnings
  1  there is a problem
  2  wrong usage
"""
#: Checks that read the store.
_ABOUT_STORE: Final = frozenset({"store", "backlog", "loop"})
COLOURS: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}


def parser() -> Parser:
    """The command's options."""
    made = Parser(prog="feedback-loops doctor", description=DESCRIPTION, epilog=EPILOG)
    made.add_argument("--data-dir", metavar="DIR", help="the service's data directory; default: as for `serve`")
    made.add_argument("--loop", metavar="ID", help="also check this feedback loop and its handler")
    made.add_argument("--url", metavar="URL", help=f"the service's URL; default: ${URL_VARIABLE}, or from its settings")
    made.add_argument("--json", action="store_true", help="print one JSON object with all findings")
    return made


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs the checks; returns 1 if there is a problem."""
    options = parser().parse_args(arguments)
    findings = asyncio.run(examine(options, environment))
    _tell(findings, Screen(is_json=options.json))
    return FAILED if any(finding.level is Level.PROBLEM for finding in findings) else OK


async def examine(options: argparse.Namespace, environment: Mapping[str, str]) -> list[Finding]:
    """All findings, in the order in which to fix them."""
    try:
        settings = Settings.from_env(environment, data_dir=options.data_dir)
    except InvalidInput as exc:
        advice = "Correct it where the service is started; `feedback-loops serve --help` explains each option."
        return [problem("settings", f"{name} {what}", advice) for name, what in exc.problems]
    runs = machine.is_running(settings.data_dir)
    service = running_service(settings.data_dir, settings) if runs else None
    found: list[Finding] = []
    wrong_store = None if service is None else stores.check_same_store(service.store_place, settings.store)
    for name, check in _checks(service.settings if service else settings, options, environment, runs=runs):
        # The store that is named here is not the service's: what is found in it would mislead.
        if wrong_store is not None and name in _ABOUT_STORE:
            continue
        found += await carried_out(name, check)
    return found + ([] if wrong_store is None else [wrong_store])


def _checks(
    settings: Settings, options: argparse.Namespace, environment: Mapping[str, str], *, runs: bool
) -> list[tuple[str, Check]]:
    data_dir, now_ms = settings.data_dir, time.time_ns() // 1_000_000
    own_url = local_url(settings.host, settings.port)
    url = options.url or environment.get(URL_VARIABLE) or (own_url if settings.port else DEFAULT_URL)
    # Other machines do not get the key.
    admin_key = machine.admin_key(settings) if url == own_url else None
    instance = settings.instance if runs else None
    reader = factory.make_reader(settings)
    checks: list[tuple[str, Check]] = [
        ("data directory", partial(asyncio.to_thread, machine.check_data_dir, data_dir)),
        ("keys", partial(asyncio.to_thread, machine.check_keys, data_dir)),
        ("disk", partial(asyncio.to_thread, check_disk, data_dir)),
        ("reserve", partial(asyncio.to_thread, check_reserve, settings)),
        ("open files", partial(asyncio.to_thread, machine.check_open_files, data_dir, runs=runs)),
        ("clock", partial(asyncio.to_thread, machine.check_clock, data_dir)),
        ("port", partial(asyncio.to_thread, machine.check_port, settings, runs=runs)),
        ("DNS", partial(network.check_names, settings.public_url, settings.nameserver)),
        ("service", partial(check_service, url, runs=runs, admin_key=admin_key, instance=instance)),
        ("Ray", partial(network.check_ray_address, settings.ray_address, runs=runs)),
    ]
    if not runs:
        checks.append(("journal", partial(asyncio.to_thread, stores.check_journal, data_dir / "journal", now_ms)))
    path = data_dir / factory.LEDGER_FILE
    if settings.store is None:
        checks.append(("store", partial(asyncio.to_thread, stores.check_ledger_file, path)))
    else:
        checks.append(("store", partial(asyncio.to_thread, stores.check_left_behind, data_dir)))
    if settings.store is not None or path.exists():
        checks.append(("backlog", partial(asyncio.to_thread, stores.check_backlog, reader, now_ms)))
    if options.loop:
        resolver = HandlerResolver(HandlerPolicy(settings.allowed_handler_networks))
        ca_pem = settings.handler_ca_file_pem
        checks.append(("loop", partial(check_handler, options.loop, reader, resolver, ca_pem)))
    return checks


def _tell(findings: Sequence[Finding], screen: Screen) -> None:
    if screen.is_json:
        is_well = all(finding.level is not Level.PROBLEM for finding in findings)
        screen.json({"ok": is_well, "findings": [finding._asdict() for finding in findings]})
        return
    for finding in findings:
        level, check = (f"{finding.level:8}", COLOURS[finding.level]), (f"{finding.check:15}", "dim")
        advice = (f" {printable(finding.advice)}" if finding.advice else "", "bold")
        screen.line({}, Text.assemble(level, check, f"{printable(finding.found)}.", advice))
