"""Checks of the running service: its answers, its clock and its metrics."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Sequence
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from api.cli.api_client import Misused, needs_certificates, service_url
from api.cli.doctor.findings import Finding, ok, problem, warning

ANSWER_S: Final = 8.0
#: Seconds that two machines' clocks may differ before receivers refuse signatures.
OFFSET_S: Final = 30.0
_PREFIX: Final = "feedback_loops_"
_MIB: Final = 1 << 20

Samples = dict[tuple[str, ...], float]


async def check_service(
    url: str, *, runs: bool | None, admin_key: str | None = None, instance: str | None = None
) -> Sequence[Finding]:
    """Checks that the service answers at `url` and is ready, and reads its metrics.

    `runs`: whether one should, by the data directory's lock; None when that is not known. `admin_key` is sent to the
    service, which then explains in detail why it is not ready. `instance`: the name that the service with this data
    directory has; another one gets no key.
    """
    try:
        service_url(url)
    except Misused as exc:
        return [problem("service", str(exc), "Set --url to the service's URL.")]
    headers = {"Authorization": f"Bearer {admin_key}"} if admin_key else {}
    async with httpx.AsyncClient(
        base_url=url, timeout=ANSWER_S, trust_env=False, verify=needs_certificates(url)
    ) as http:
        try:
            health = await http.get("/healthz")
        except httpx.HTTPError as exc:
            return [_no_answer(url, exc, runs=runs)]
        if health.status_code != httpx.codes.OK:
            advice = "Is this the service's URL? Set it with --url."
            return [problem("service", f"{url}/healthz answers {health.status_code}", advice)]
        if other := _other_service(url, health, runs=runs, instance=instance):
            return [other]
        ready, metrics = await asyncio.gather(http.get("/readyz", headers=headers), http.get("/metrics"))
    if metrics.status_code != httpx.codes.OK:
        advice = "Is it an older version of this service? Then use that version's doctor."
        return [_ready(url, ready), problem("service", f"{url}/metrics answers {metrics.status_code}", advice)]
    return [_ready(url, ready), *_offset(health), *figures(_samples(metrics.text))]


def _no_answer(url: str, exc: Exception, *, runs: bool | None) -> Finding:
    found = f"nothing answers at {url} ({str(exc) or type(exc).__name__})"
    if runs:
        return problem("service", found, "It is running: find its address in its log and set --url.")
    return warning("service", found, "Start it with `feedback-loops serve`, or set --url to its URL.")


def _other_service(url: str, health: httpx.Response, *, runs: bool | None, instance: str | None) -> Finding | None:
    """A finding if the service at the URL does not run on this data directory."""
    try:
        answered = health.json().get("instance")
    except (ValueError, AttributeError):
        answered = None
    if runs is False:
        found = f"a service answers at {url}, but no service runs on this data directory"
        return problem("service", found, "Name the data directory of that service with --data-dir, or start this one.")
    if instance is None or answered == instance:
        return None
    found = f"{url} is another service: it does not run on this data directory"
    return problem("service", found, "Set --url to the URL of this machine's service, or name the other's --data-dir.")


def _ready(url: str, answer: httpx.Response) -> Finding:
    if answer.status_code == httpx.codes.OK:
        return ok("service", f"{url} is ready")
    problems = answer.json().get("problems", []) if "json" in answer.headers.get("content-type", "") else []
    advice = "Hits are still answered. Wait some seconds, then read the log."
    return problem("service", f"{url} is not ready: {'; '.join(problems) or answer.status_code}", advice)


def _offset(answer: httpx.Response) -> Sequence[Finding]:
    """Compares the clocks of this machine and the service."""
    if "date" not in answer.headers:
        return []
    offset_s = abs(time.time() - email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp())
    if offset_s < OFFSET_S:
        return []
    advice = "Synchronise both with chrony or systemd-timesyncd."
    return [problem("clock", f"the service's clock and this machine's differ by {offset_s:.0f} s", advice)]


def _samples(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def figures(samples: Samples) -> Sequence[Finding]:
    """Findings about journal, actors and Ray from the metrics."""
    return [_journal(samples), _actors(samples), _nodes(samples)]


def _journal(samples: Samples) -> Finding:
    depth = samples.get((f"{_PREFIX}journal_depth",), 0.0)
    age_s = samples.get((f"{_PREFIX}journal_oldest_age_seconds",), 0.0)
    found = f"{depth:.0f} hits are waiting, the oldest for {age_s:.0f} s"
    if samples.get((f"{_PREFIX}journal_trouble",), 0.0):
        advice = "Free space on its disk, or repair it, before you restart the service."
        return problem("journal", f"hits are kept in memory because the disk cannot be written; {found}", advice)
    if samples.get((f"{_PREFIX}journal_reserve_used",), 0.0):
        left = samples.get((f"{_PREFIX}journal_reserve_bytes",), 0.0)
        advice = "Free some space on the disk of the data directory."
        facts = f"the disk is full: hits go into the journal's reserve, of which {left / _MIB:.0f} MiB are left"
        return problem("journal", f"{facts}; {found}", advice)
    if lost := samples.get((f"{_PREFIX}hits_lost_total",), 0.0):
        advice = "Repair the disk: see `hit_lost` in the log."
        return problem("journal", f"{lost:.0f} hits were lost since the start", advice)
    if age_s > 60:
        return problem("journal", found, "See `forwarding_failed` in the log for the reason.")
    return ok("journal", found)


def _actors(samples: Samples) -> Finding:
    silent = {key[1]: value for key, value in samples.items() if key[0] == f"{_PREFIX}processes_silent" and value}
    running = {key[1]: value for key, value in samples.items() if key[0] == f"{_PREFIX}processes" and value}
    if silent:
        found = ", ".join(f"{count:.0f} of kind {kind}" for kind, count in silent.items())
        advice = "They are restarted automatically; if this persists, see the log."
        return problem("actors", f"processes are not responding: {found}", advice)
    found = ", ".join(f"{count:.0f} {kind}" for kind, count in running.items())
    if restarts := sum(value for key, value in samples.items() if key[0] == f"{_PREFIX}actor_restarts_total"):
        advice = "If their number grows, look for the kernel's out-of-memory killer (`journalctl -k`)."
        return warning("actors", f"{found} respond; actors were restarted {restarts:.0f} times", advice)
    return ok("actors", f"{found} respond")


def _nodes(samples: Samples) -> Finding:
    alive = samples.get((f"{_PREFIX}ray_nodes", "alive"), 0.0)
    dead = samples.get((f"{_PREFIX}ray_nodes", "dead"), 0.0)
    if not alive:
        return problem(
            "Ray", "it is not responding", "The service restarts its own Ray; otherwise start the cluster's head."
        )
    if dead:
        advice = "If they were not removed on purpose, start Ray there again."
        return warning("Ray", f"{alive:.0f} nodes are alive, {dead:.0f} are gone", advice)
    return ok("Ray", f"it responds; nodes alive: {alive:.0f}")
