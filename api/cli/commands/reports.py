"""`feedback-loops reports`: reports and returned mails, and what became of them."""

from __future__ import annotations

import argparse
from typing import Final

from api.cli.api_client import Service, path
from api.cli.command_group import Group, limit
from api.cli.console import Screen, local_time
from api.cli.terminal import OK
from domain.reports.intake import ReportState

REPORTS: Final = "/v1/reports"
STATES: Final = tuple(state.name.lower() for state in ReportState)


def list_reports(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    reports = list(service.items(REPORTS, options.limit, state=options.state))
    screen.json(reports)
    heads = ("id", "arrived", "source", "kind", "state", "events")
    rows = ([r["id"], local_time(r["time"]), r["source"], r["kind"], r["state"], len(r["events"])] for r in reports)
    screen.table(heads, rows, "No such reports of the last 30 days.")
    return OK


def show(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    report = service.ask("GET", path(f"{REPORTS}/{{}}", options.report))
    screen.json(report)
    facts = {name: report[name] for name in ("id", "state", "source", "kind")}
    facts |= {"arrived": local_time(report["time"]), "events": report["events"]}
    screen.facts(facts | {name: report[name] for name in ("truncated", "first") if name in report})
    return OK


def group() -> Group:
    made = Group("reports", "Reports: statements about your messages by other systems, and returned mails.")
    listing = made.command(
        "list",
        list_reports,
        "list reports of the last 30 days, newest first",
        "--state unmatched",
        "Lists reports of the last 30 days, newest first, with what became of each.",
        makes="state",
    )
    listing.add_argument("--state", choices=STATES, help="only reports in this state")
    listing.add_argument("--limit", type=limit, default=50, metavar="N", help="list at most N; default: 50")
    showing = made.command("show", show, "show a report and the ids of its events", "rep_…", makes="events")
    showing.add_argument("report", metavar="REPORT", help="its id, rep_…")
    return made
