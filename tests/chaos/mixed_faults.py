"""Rows of the fault matrix under a mixed load: kill -9 of each process, and a store that is down for ten minutes."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Final

import psutil

from api.http.authentication import key_hash
from tests.chaos.mixed_load import TRIGGERS, Counts, MixedLoad
from tests.postgres import PostgresServer, running_server
from tests.service import Account, Service, Sink, eventually, running

KILLED: Final = (
    *("front", "gateway", "ledger", "enricher", "loop", "host", "supervisor", "raylet", "gcs", "parser"),
    *("serve", "tree"),
)
KILL: Final = "mixed kill "
STORE_DOWN: Final = "mixed store down"
NAMES: Final = (*(f"{KILL}{role}" for role in KILLED), STORE_DOWN)
#: Seconds for which the store is down; the front end is killed in between.
STORE_DOWN_S: Final = 600.0
#: Seconds within which everything must be recorded and delivered after a kill. Ray takes half a minute to start.
RECOVERY_S: Final = 90.0
#: Seconds for the backlog of a store that was down.
BACKLOG_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedRow:
    """Results of one fault."""

    fault: str
    #: Clicks, reports, mails and profile changes that were answered.
    sent: dict[str, int]
    counts: Counts
    #: Whether every delivery reached the handler.
    is_delivered: bool
    #: Seconds from the load's end until everything was recorded, and no delivery was pending.
    recovery_s: float

    HEAD: ClassVar[str] = (
        f"{'fault':<22}{'clicks':>9}{'reports':>9}{'mails':>8}{'spooled':>8}{'profiles':>9}"
        f"{'events':>8}{'lost':>6}{'recorded twice':>15}{'recovery s':>11}"
    )

    def __str__(self) -> str:
        clicks, reports, mails, spooled, profiles = self.sent.values()
        return (
            f"{self.fault:<22}{clicks:>9}{reports:>9}{mails:>8}{spooled:>8}{profiles:>9}"
            f"{self.counts.owed:>8}{self.counts.lost:>6}{self.counts.recorded_twice:>15}{self.recovery_s:>11.1f}"
        )

    def broken_promises(self) -> list[str]:
        """The promises that these results break."""
        broken = []
        if self.counts.lost:
            broken.append(f"{self.counts.lost} answered events were not recorded")
        if self.counts.recorded_twice:
            broken.append(f"{self.counts.recorded_twice} events were recorded twice")
        if not self.is_delivered:
            broken.append("deliveries are pending or dead")
        if not all(self.sent.values()):
            broken.append(f"some kinds were never answered: {self.sent}")
        return broken


class MixedRounds:
    """Faults under a mixed load, each with an account of its own."""

    def __init__(self, service: Service, sink: Sink, rng: random.Random) -> None:
        self._service = service
        self._sink = sink
        self._rng = rng

    def kill(self, role: str) -> MixedRow:
        """kill -9 of every process of the role. The test restarts only `serve` and the tree."""
        with self._loaded(120) as (account, loop_id, load):
            victims = eventually(lambda: self._victims(role), 30, f"a process of role {role} runs")
            time.sleep(self._rng.uniform(0.0, 1.0))  # the kill comes at a random moment on purpose
            for process in victims:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            if role in {"serve", "tree"}:
                self._service.kill()
                self._service.start(wait=False)
            self._all_are_answered(load, RECOVERY_S)
        return self._row(f"{KILL}{role}", account, loop_id, load, RECOVERY_S)

    def store_down(self, server: PostgresServer, seconds: float) -> MixedRow:
        """The database server is down for so long; the front end is killed half-way."""
        with self._loaded(seconds + 60) as (account, loop_id, load):
            server.stop()
            time.sleep(seconds / 2)  # the fault's duration
            for process in self._service.processes("front"):
                process.kill()
            time.sleep(seconds / 2)
            server.start()
            self._all_are_answered(load, RECOVERY_S)
        return self._row(STORE_DOWN, account, loop_id, load, BACKLOG_S)

    def _victims(self, role: str) -> list[psutil.Process]:
        return self._service.processes("serve" if role == "tree" else role)

    @contextlib.contextmanager
    def _loaded(self, seconds: float) -> Iterator[tuple[Account, str, MixedLoad]]:
        """A load that runs in the block, in which each kind has been answered."""
        self._service.wait_ready()
        account = self._service.account()
        loop_id = account.loop(self._sink, triggers=TRIGGERS)["id"]
        listed = self._service.data_dir / "api-keys.json"
        eventually(lambda: key_hash(account.key) in listed.read_text(), 10, "the key is listed")
        load = MixedLoad(account, seconds).start()
        try:
            self._all_are_answered(load, 30)
            yield account, loop_id, load
        finally:
            load.stop()

    def _all_are_answered(self, load: MixedLoad, within_s: float) -> None:
        before = load.sent()
        eventually(
            lambda: all(count > before[kind] for kind, count in load.sent().items()), within_s, "all are answered"
        )

    def _row(self, name: str, account: Account, loop_id: str, load: MixedLoad, within_s: float) -> MixedRow:
        ended_s = time.monotonic()
        self._service.wait_ready(within_s)
        with contextlib.suppress(AssertionError):  # the row shows what is missing
            eventually(lambda: load.counts().lost == 0, within_s, "everything is recorded", 1.0)
            eventually(lambda: not has(account, loop_id, "pending"), within_s, "everything is delivered", 0.2)
        recovery_s = time.monotonic() - ended_s
        return MixedRow(
            fault=name,
            sent=load.sent(),
            counts=load.counts(),
            is_delivered=not has(account, loop_id, "pending") and not has(account, loop_id, "dead"),
            recovery_s=recovery_s,
        )


def has(account: Account, loop_id: str, state: str) -> bool:
    """Whether the loop has deliveries in this state."""
    answer = account.call("GET", f"/v1/feedback-loops/{loop_id}/deliveries", params={"state": state, "limit": 1})
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["data"])


def run(folder: Path, rng: random.Random, chosen: Sequence[str], settings: dict[str, str]) -> list[str]:
    """Prints a row for each of the names, and returns the broken promises."""
    print(MixedRow.HEAD, flush=True)
    broken: list[str] = []
    kills = [name for name in chosen if name != STORE_DOWN]
    if kills:
        with running(folder / "mixed", **settings) as (service, sink):
            rounds = MixedRounds(service, sink, rng)
            for name in kills:
                broken += _printed(name, partial(rounds.kill, name.removeprefix(KILL)))
    if STORE_DOWN in chosen:
        with (
            running_server() as server,
            running(folder / "down", **settings, FEEDBACK_LOOPS_STORE=server.new_database()) as (service, sink),
        ):
            broken += _printed(STORE_DOWN, partial(MixedRounds(service, sink, rng).store_down, server, STORE_DOWN_S))
    return broken


def _printed(name: str, act: Callable[[], MixedRow]) -> list[str]:
    try:
        row = act()
    except AssertionError as exc:
        print(f"{name:<22}BROKEN: {exc}", flush=True)
        return [f"{name}: {exc}"]
    problems = row.broken_promises()
    print(f"{row}{'   BROKEN' if problems else ''}", flush=True)
    return [f"{name}: {problem}" for problem in problems]
