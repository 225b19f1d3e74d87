"""`feedback-loops replay`: deliveries delivered again, with a progress bar."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.cli.api_client import Refused, Service, Unreachable, path
from api.cli.command_group import TIME_HELP, Group, limit, moment
from api.cli.commands.loops import loop_command
from api.cli.console import Screen, local_time, state
from api.cli.loop_files import LOOP
from api.cli.terminal import FAILED, INTERRUPTED, OK

REPLAYS: Final = f"{LOOP}/replays"
REPLAY: Final = f"{REPLAYS}/{{}}"
#: Seconds between two looks at a replay.
POLL_S: Final = 0.5
#: Seconds for which a service that does not answer is waited for: a restart takes less.
PATIENCE_S: Final = 60.0


def start(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    body = {name: getattr(options, name) for name in ("since", "until", "state") if getattr(options, name) is not None}
    replay = service.ask("POST", path(f"{LOOP}/replay", options.loop), json=body)
    if options.detach:
        _show(screen, replay)
        screen.say(
            f"It runs in the background; watch it with: feedback-loops replay watch {options.loop} {replay['id']}"
        )
        return OK
    return _watch(service, screen, options.loop, replay)


def watch(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    replay = service.ask("GET", path(REPLAY, options.loop, options.replay))
    return _watch(service, screen, options.loop, replay)


def _watch(service: Service, screen: Screen, loop: str, replay: Mapping[str, Any]) -> int:
    """Shows the progress until the replay ends. Ctrl-C ends only the display."""
    try:
        replay = _follow(service, screen, loop, replay)
    except KeyboardInterrupt:
        screen.beside(f"{replay['id']} continues in the background.")
        screen.beside(f"  watch it:  feedback-loops replay watch {loop} {replay['id']}")
        screen.beside(f"  cancel it: feedback-loops replay cancel {loop} {replay['id']}")
        return INTERRUPTED
    _show(screen, replay)
    return OK if replay["state"] == "done" else FAILED


def _follow(service: Service, screen: Screen, loop: str, replay: Mapping[str, Any]) -> Mapping[str, Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    answered_s = time.monotonic()
    with Progress(*columns, console=screen.errors, transient=True) as progress:
        task = progress.add_task(f"replaying {replay['id']}", total=max(1, replay["count"]))
        while True:
            progress.update(task, completed=replay["done"])
            if replay["state"] != "running":
                return replay
            time.sleep(POLL_S)
            try:
                replay = service.ask("GET", path(REPLAY, loop, replay["id"]))
                answered_s = time.monotonic()
            except (Unreachable, Refused) as exc:
                is_passing = isinstance(exc, Unreachable) or exc.is_passing
                if not is_passing or time.monotonic() - answered_s > PATIENCE_S:
                    raise


def _show(screen: Screen, replay: Mapping[str, Any]) -> int:
    screen.json(replay)
    screen.table(_HEADS, [_row(replay)], "")
    return OK


_HEADS: Final = ("id", "state", "replayed", "which", "since", "until")


def _row(replay: Mapping[str, Any]) -> list[Any]:
    return [
        replay["id"],
        state(replay["state"]),
        f"{replay['done']} of {'about ' if replay['count_is_estimate'] else ''}{replay['count']}",
        replay["which"],
        local_time(replay["since"]),
        local_time(replay["until"]),
    ]


def list_replays(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    replays = list(service.items(path(REPLAYS, options.loop), options.limit))
    screen.json(replays)
    screen.table(_HEADS, map(_row, replays), "This loop has no replays yet.")
    return OK


def cancel(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    return _show(screen, service.ask("DELETE", path(REPLAY, options.loop, options.replay)))


def group() -> Group:
    made = Group("replay", "Replays: send the deliveries of a period again.")
    starting = loop_command(
        made,
        "start",
        start,
        "send a period's dead deliveries again, or all of them, or missed events",
        "fl_… --since 2d",
        "Sends the deliveries of a period again. The replay runs in the service, survives restarts, and gives way "
        "to live traffic. The bar shows how many deliveries are queued; Ctrl-C ends the bar, not the replay.",
        makes="count",
    )
    starting.add_argument(
        "--since", type=moment, required=True, metavar="TIME", help=f"start of the period: {TIME_HELP}"
    )
    starting.add_argument("--until", type=moment, metavar="TIME", help="end of the period; default: now")
    starting.add_argument(
        "--state",
        choices=("dead", "missed", "all"),
        help="all also repeats delivered ones; missed sends events that happened while the loop was disabled, with its "
        "filters of now; default: dead",
    )
    starting.add_argument("--detach", action="store_true", help="do not wait for the replay to end")
    listing = loop_command(made, "list", list_replays, "list a loop's replays, newest first", makes="state")
    listing.add_argument("--limit", type=limit, default=50, metavar="N", help="list at most N; default: 50")
    for name, act, what in (
        ("watch", watch, "show a replay's progress until it ends"),
        ("cancel", cancel, "cancel a replay; queued deliveries are still made"),
    ):
        one = loop_command(made, name, act, what, "fl_… rpl_…")
        one.add_argument("replay", metavar="REPLAY", help="its id, rpl_…")
    return made
