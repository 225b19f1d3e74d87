"""`feedback-loops loops`: set up, proved, tested, paused and looked at."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from rich.text import Text

from api.cli import loop_settings
from api.cli.api_client import Refused, Service, path
from api.cli.command_group import Act, Group, limit
from api.cli.console import Screen, local_time, state
from api.cli.loop_files import LOOP, proof, secret
from api.cli.terminal import FAILED, MISUSED, OK
from domain.delivery import MAX_WAITING
from domain.event_catalogue.triggers import EVENT_TYPES
from domain.loop_settings import SETTINGS

LOOPS: Final = "/v1/feedback-loops"
TRIGGERS: Final = tuple(EVENT_TYPES)
_NOT_VERIFIED: Final = "/problems/not-verified"


def health_text(health: Mapping[str, Any]) -> Text:
    """How a handler does, in a few words."""
    if health["failing_since"] is None:
        return Text("ok" if health["last_success_at"] else "-", "green" if health["last_success_at"] else "dim")
    since = local_time(health["failing_since"])
    breaker = ", probing" if health["next_probe_at"] else ""
    planned = Text.assemble(", next attempt ", _soon(health["next_attempt_at"])) if health["next_attempt_at"] else ""
    failures = f"{health['failures']} failure{'' if health['failures'] == 1 else 's'} since "
    return Text.assemble(
        (f"{health['last_error']}: " if health["last_error"] else "", "red"),
        (failures, "red"),
        since,
        breaker,
        planned,
        f", {health['waiting']:,}{'+' if health['waiting'] >= MAX_WAITING else ''} waiting",
    )


def _soon(text: str) -> Text:
    """A time that is not in the past, or `now`: attempts that are due begin at once."""
    is_now = datetime.fromisoformat(text) <= datetime.now(UTC) + timedelta(seconds=1)
    return Text("now") if is_now else local_time(text)


def list_loops(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    loops = list(service.items(LOOPS, options.limit))
    screen.json(loops)
    rows = ([x["id"], state(x["state"]), health_text(x["health"]), x["triggers"], x["url"]] for x in loops)
    nothing = "No feedback loops yet; `feedback-loops loops create` makes one."
    screen.table(("id", "state", "handler", "triggers", "url"), rows, nothing)
    return OK


def show(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    return _show(screen, service.ask("GET", path(LOOP, options.loop)))


def _show(screen: Screen, loop: Mapping[str, Any]) -> int:
    screen.json(loop)
    screen.facts(
        {
            "id": loop["id"],
            "url": loop["url"],
            "state": Text.assemble(state(loop["state"]), f" ({loop['disabled_reason']})")
            if loop["disabled_reason"]
            else state(loop["state"]),
            **_settings(loop),
            "created": local_time(loop["created_at"]),
            "verified": local_time(loop["verified_at"]),
            "handler": health_text(loop["health"]),
            "last success": local_time(loop["health"]["last_success_at"]),
            "last failure": local_time(loop["health"]["last_failure_at"]),
            "last error": loop["health"]["last_error"],
            "failures": loop["health"]["failures"],
            "next attempt": _soon(loop["health"]["next_attempt_at"]) if loop["health"]["next_attempt_at"] else None,
            "waiting": loop["health"]["waiting"],
            **({"next probe": local_time(loop["health"]["next_probe_at"])} if loop["health"]["next_probe_at"] else {}),
            **({"secret": loop["secret"]} if "secret" in loop else {}),
        }
    )
    if loop["state"] == "unverified":
        _how_to_verify(screen, loop)
    return OK


def _settings(loop: Mapping[str, Any]) -> dict[str, Any]:
    """The loop's settings, without filters that are not set."""
    filters = {f"only {name}": items for name, items in loop["filters"].items() if items}
    offered = (name for name, setting in SETTINGS.items() if setting.is_offered and not setting.is_filter)
    return {name.replace("_", " "): loop[name] for name in offered} | filters


def _how_to_verify(screen: Screen, loop: Mapping[str, Any]) -> None:
    proof = loop["verification"]
    screen.say()
    screen.say("Nothing is sent until you prove that the server is yours. Place this proof:")
    facts = {"file": proof["file_name"], "content": proof["file_content"], "at": " or ".join(proof["locations"])}
    if record := proof["dns"]:
        facts["DNS"] = f"{record['name']} {record['type']} {record['value']}"
    screen.facts(facts)
    screen.say(f"Then: feedback-loops loops verify {loop['id']}")


def create(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    body = {"url": options.handler, **loop_settings.given(options)}
    return _show(screen, service.ask("POST", LOOPS, json=body))


def update(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    changes = loop_settings.given(options)
    if options.handler is not None:
        changes["url"] = options.handler
    if not changes:
        screen.beside(
            "feedback-loops loops: nothing to change; `feedback-loops loops update --help` lists the settings"
        )
        return MISUSED
    return _show(screen, service.ask("PATCH", path(LOOP, options.loop), json=changes))


def verify(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    """A proof that is not there is an answer here, and no mistake of the caller's."""
    try:
        loop = service.ask("POST", path(f"{LOOP}/verify", options.loop))
    except Refused as exc:
        if exc.problem.get("type") != _NOT_VERIFIED:
            raise
        screen.json(exc.problem)
        screen.say("The proof was not found:")
        screen.table(("looked at", "found"), ((f["location"], f["found"]) for f in exc.problem["locations"]), "")
        return FAILED
    return _changed(screen, loop)


def pause(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    return _changed(screen, service.ask("POST", path(f"{LOOP}/pause", options.loop)))


def resume(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    return _changed(screen, service.ask("POST", path(f"{LOOP}/resume", options.loop)))


def _changed(screen: Screen, loop: Mapping[str, Any]) -> int:
    screen.json(loop)
    screen.say(f"{loop['id']} is {loop['state']}")
    return OK


def rotate_secret(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    query = "?revoke=true" if options.revoke else ""
    loop = service.ask("POST", path(f"{LOOP}/rotate-secret", options.loop) + query)
    screen.json(loop)
    screen.facts({"secret": loop["secret"]})
    if options.revoke:
        screen.say("The former secrets no longer sign: a handler that only knows one of them refuses all POSTs.")
    else:
        screen.say("POSTs are signed with the old secret, too, for 24 hours.")
    return OK


def delete(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    if not options.yes:
        if not sys.stdin.isatty():
            screen.beside("feedback-loops loops: deleting a loop drops its backlog; confirm with --yes")
            return MISUSED
        loop = service.ask("GET", path(LOOP, options.loop))
        screen.beside(f"Delete {loop['id']} ({loop['url']})? Its backlog is dropped. [y/N]")
        try:
            answer = input()
        except EOFError:
            answer = ""
        if answer.strip().lower() not in {"y", "yes"}:
            screen.beside("nothing was deleted")
            return FAILED
    service.ask("DELETE", path(LOOP, options.loop))
    screen.say(f"{options.loop} is deleted")
    return OK


def test(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    trigger = options.type
    if trigger is None:
        trigger = service.ask("GET", path(LOOP, options.loop))["triggers"][0]
    body = {"type": trigger, "data": options.data}
    result = service.ask("POST", path(f"{LOOP}/test", options.loop), json=body)
    screen.json(result)
    screen.facts(
        {
            "sent": f"a sample {trigger}",
            "result": _result(result),
            "took": f"{result['duration_ms']} ms",
            "answer": result["response_excerpt"] or None,
        }
    )
    return FAILED if result["error"] else OK


def check(service: Service, screen: Screen, _options: argparse.Namespace) -> int:
    results = service.ask("POST", f"{LOOPS}/check")["data"]
    screen.json(results)
    rows = ([r["feedback_loop"], _result(r), f"{r['duration_ms']} ms", r["response_excerpt"][:60]] for r in results)
    screen.table(("loop", "result", "took", "answer"), rows, "No loop is active, so nothing was tested.")
    return FAILED if any(r["error"] for r in results) else OK


def _result(result: Mapping[str, Any]) -> Text:
    status = "" if result["status"] is None else f"{result['status']} "
    if result["error"]:
        return Text(f"{status}{result['error']}", "red")
    return Text(f"{status}ok", "green")


def group() -> Group:
    made = Group("loops", "Feedback loops: which events are sent to which script.")
    listing = made.command("list", list_loops, "list the account's feedback loops", makes="state")
    listing.add_argument("--limit", type=limit, default=1000, metavar="N", help="list at most N; default: 1000")
    loop_command(made, "show", show, "show a loop's settings, its handler's health and its proof")
    creating = made.command(
        "create",
        create,
        "create a feedback loop",
        "https://example.com/script.php --trigger open,click",
        makes="secret",
    )
    creating.add_argument("handler", metavar="HANDLER", help="URL of your script, which receives the POSTs")
    loop_settings.add_options(creating, is_new=True)
    updating = loop_command(made, "update", update, "change a loop's settings; others stay as they are")
    updating.add_argument("--handler", metavar="URL", help="URL of another script, which must be verified again")
    loop_settings.add_options(updating, is_new=False)
    proving = loop_command(
        made,
        "proof",
        proof,
        "write the verification file to standard output",
        "fl_… > proof.txt",
        "Writes the content of the verification file to standard output, or with --dir a file with the right name.",
    )
    proving.add_argument("--dir", type=Path, metavar="DIR", help="write the file, with its name, to this directory")
    loop_command(made, "secret", secret, "print the current signing secret", "fl_… > secret")
    loop_command(made, "verify", verify, "check the proof that the handler's server is yours")
    loop_command(made, "pause", pause, "pause deliveries; the backlog is kept")
    loop_command(made, "resume", resume, "resume deliveries of a paused or disabled loop")
    rotating = loop_command(made, "rotate-secret", rotate_secret, "create a new signing secret")
    rotating.add_argument("--revoke", action="store_true", help="end all former secrets at once, not after 24 hours")
    deleting = loop_command(made, "delete", delete, "delete a loop with its backlog")
    deleting.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    testing = loop_command(made, "test", test, "send a sample event to a loop's handler now")
    testing.add_argument(
        "--type", choices=TRIGGERS, metavar="TRIGGER", help="type of the event; default: the loop's first trigger"
    )
    testing.add_argument(
        "--data",
        type=loop_settings.json_object,
        default={},
        metavar="JSON",
        help="fields that replace those of the sample",
    )
    made.command("check", check, "send a sample event to every active loop's handler now")
    return made


def loop_command(
    made: Group,
    name: str,
    act: Act,
    what: str,
    example: str = "fl_…",
    description: str = "",
    *,
    makes: str | None = None,
) -> argparse.ArgumentParser:
    """Adds a subcommand whose first argument is a loop."""
    parser = made.command(name, act, what, example, description, makes=makes)
    parser.add_argument("loop", metavar="LOOP", help="the loop's id, fl_…")
    return parser
