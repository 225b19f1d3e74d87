"""`feedback-loops erase`: removes a person from everything, and shows the progress."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.cli.address import add_address, address_of
from api.cli.api_client import Refused, Service, Unreachable, path
from api.cli.command_group import ACCOUNT, ADMIN, EXIT_CODES, add_service_options, exit_code, run_with_service
from api.cli.confirmation import refusal
from api.cli.console import Screen, local_time, state
from api.cli.help import Parser
from api.cli.terminal import INTERRUPTED, OK

RECIPIENT: Final = "/v1/recipients/{}"
ERASURE: Final = "/v1/erasures/{}"
DESCRIPTION: Final = """\
Erases a person: removes the address and all that reveals the person from messages, events, returned mails, deliveries
and profiles, in the ledger and in all front ends. What happened stays, without the person. Pending deliveries are not
sent any more. This cannot be undone.
"""
#: Seconds between two looks at an erasure.
POLL_S: Final = 0.5
#: Seconds for which a service that does not answer is waited for: a restart takes less.
PATIENCE_S: Final = 60.0
#: Seconds after which to say how to end a wait.
HINT_S: Final = 30.0
HINT: Final = "A front end that is gone for ever: `feedback-loops edges forget NAME` ends the wait for it."


def parser() -> Parser:
    made = Parser(
        prog="feedback-loops erase",
        description=DESCRIPTION,
        epilog=f"Example: feedback-loops erase john@example.com --wait\n\n{EXIT_CODES}",
    )
    add_address(made)
    made.add_argument(
        "--keep-opt-out",
        action="store_true",
        help="keep that and when the person unsubscribed, in a form that only matches the address",
    )
    made.add_argument(
        "--all-accounts",
        dest="credentials_of",
        action="store_const",
        const=ADMIN,
        help=f"in all accounts, with {ADMIN.name}",
    )
    made.add_argument("--wait", action="store_true", help="return when the erasure has completed; show its progress")
    made.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    add_service_options(made, ACCOUNT)
    made.set_defaults(act=erase, code_of=exit_code)
    return made


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Erases, and returns the exit code."""
    options = parser().parse_args(arguments)
    if options.credentials_of is not None:
        options.credentials = options.credentials_of
    return run_with_service("erase", options, environment)


def erase(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    where = path(RECIPIENT, address_of(options))
    question = "Erasing a person cannot be undone. Erase?"
    if (code := refusal(screen, "feedback-loops erase", question, yes=options.yes)) is not None:
        return code
    query = {"keep_opt_out": "true"} if options.keep_opt_out else {}
    if options.credentials_of is not None:
        query["accounts"] = "all"
    erasure = service.ask("DELETE", where, params=query)
    if options.wait:
        try:
            erasure = follow(service, screen, erasure)
        except KeyboardInterrupt:
            screen.beside(f"{erasure['id']} continues in the background.")
            return INTERRUPTED
    show(screen, erasure)
    return OK


def follow(service: Service, screen: Screen, erasure: Mapping[str, Any]) -> Mapping[str, Any]:
    """Shows what an erasure is doing and what it waits for, until it has completed. Returns its last state."""
    began_s = answered_s = time.monotonic()
    shown, has_hinted = "", False
    while erasure["state"] == "running":
        waiting = ", ".join(erasure["waiting_for"])
        doing = f"{erasure['step']}: waiting for {waiting}" if waiting else erasure["step"]
        if doing != shown:
            screen.beside(doing)
            shown = doing
        if erasure["step"] == "front_ends" and waiting and not has_hinted and time.monotonic() - began_s > HINT_S:
            screen.beside(HINT)
            has_hinted = True
        time.sleep(POLL_S)
        try:
            erasure = service.ask("GET", path(ERASURE, erasure["id"]))
            answered_s = time.monotonic()
        except (Unreachable, Refused) as exc:
            is_passing = isinstance(exc, Unreachable) or exc.is_passing
            if not is_passing or time.monotonic() - answered_s > PATIENCE_S:
                raise
    return erasure


def show(screen: Screen, erasure: Mapping[str, Any]) -> None:
    """Shows an erasure: what was removed, what it waits for, and what it cannot reach."""
    screen.json(erasure)
    screen.facts(
        {
            "id": erasure["id"],
            "state": state(erasure["state"]),
            "requested": local_time(erasure["requested_at"]),
            "completed": local_time(erasure["completed_at"]),
            **{name: str(number) for name, number in erasure["counts"].items()},
            "waits for": erasure["waiting_for"],
        }
    )
    for sentence in erasure["outside"]:
        screen.say(sentence)
