"""Checks over the network: the running service, DNS, and a loop's handler."""

from __future__ import annotations

import asyncio
import email.utils
import socket
import time
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import dns.exception
import dns.resolver
import httpx
from prometheus_client.parser import text_string_to_metric_families

from actors.adapters.http_client import PinnedHttpClient
from actors.adapters.http_connector import tls_context
from actors.adapters.proof_fetcher import PinnedProofFetcher, stub_resolver
from actors.adapters.resolver import HandlerResolver, ResolveError
from actors.commands.accounts import Account
from actors.commands.deliveries import AttemptView, ListDeliveries
from actors.ledger.loop_projection import LoopRow
from actors.ledger.reader import LedgerReader
from api.cli.api_client import Misused, needs_certificates, service_url
from api.cli.doctor.findings import Finding, ok, problem, warning
from domain.breaker import OPEN
from domain.errors import FeedbackLoopsError
from domain.values import HandlerUrl

ANSWER_S: Final = 8.0
NAMES_S: Final = 4.0
#: Seconds that two machines' clocks may differ before receivers refuse signatures.
OFFSET_S: Final = 30.0
#: A name that always exists.
KNOWN_NAME: Final = "example.com"
#: Number of latest attempts shown.
ATTEMPTS: Final = 3
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


async def check_ray_address(address: str | None, *, runs: bool) -> Sequence[Finding]:
    """Checks the connection to a cluster's head if no service is running."""
    if address is None or runs:
        return []
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(NAMES_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, TimeoutError) as exc:
        advice = "Start Ray's head there, or fix the network; without it hits are answered and wait."
        return [problem("Ray", f"cannot connect to {address}: {exc or 'no response'}", advice)]
    writer.close()
    return [ok("Ray", f"{address} accepts connections")]


async def check_names(public_url: str, nameserver: str | None) -> Sequence[Finding]:
    """Checks that host names can be resolved, including the one in the tracking URLs."""
    host = urlsplit(public_url).hostname or ""
    return [await _public_name(host), await _name_server(nameserver)]


async def _public_name(host: str) -> Finding:
    if _is_address(host) or host == "localhost":
        advice = "Set --public-url to the host name that recipients use, before you send mail."
        return warning("DNS", f"the host of the tracking URLs is {host}", advice)
    try:
        async with asyncio.timeout(NAMES_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as exc:
        advice = "Fix its DNS record: without it no link in any mail works."
        return problem(
            "DNS", f"{host}, the host of the tracking URLs, does not resolve: {exc or 'no response'}", advice
        )
    addresses = ", ".join(sorted({str(address[0]) for *_, address in found}))
    return ok("DNS", f"{host}, the host of the tracking URLs, is at {addresses}")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def _name_server(nameserver: str | None) -> Finding:
    whose = nameserver or "the system's"
    try:
        await stub_resolver(nameserver, NAMES_S).resolve(KNOWN_NAME, "SOA", search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return ok("DNS", f"the name server ({whose}) responds")
    except (dns.exception.DNSException, OSError) as exc:
        reason = "no response in time" if isinstance(exc, dns.exception.Timeout) else str(exc).rstrip(".")
        advice = "Check /etc/resolv.conf, or set --nameserver; until then no handler can be found by name."
        found = f"the name server ({whose}) does not resolve: {reason}"
        return problem("DNS", found, advice) if nameserver else warning("DNS", found, advice)
    return ok("DNS", f"the name server ({whose}) responds")


async def check_handler(
    loop_id: str, reader: LedgerReader, resolver: HandlerResolver, ca_pem: str | None
) -> Sequence[Finding]:
    """Checks that a loop's handler can be reached like in a delivery, and shows its latest attempts.

    It is asked with GET, and gets no event. `ca_pem`: authorities to trust in addition to the public ones.
    """
    try:
        row = await asyncio.to_thread(reader.loop, loop_id)
    except FeedbackLoopsError as exc:
        return [problem("loop", f"the store cannot be read: {exc}", "Fix the store first.")]
    if row is None or row.deleted:
        advice = "`feedback-loops loops list` lists the existing ones."
        return [problem("loop", f"there is no feedback loop {loop_id}", advice)]
    return [_state(row), await _reached(row, resolver, ca_pem), *await _attempts(row, reader)]


def _state(row: LoopRow) -> Finding:
    found = f"{row.id} is {row.state}" + (f" ({row.disabled_reason})" if row.disabled_reason else "")
    advice = {
        "unverified": f"Place its file, then `feedback-loops loops verify {row.id}`; nothing is sent until then.",
        "paused": f"`feedback-loops loops resume {row.id}` resumes its deliveries.",
        "disabled": f"Fix the handler, then run `feedback-loops loops resume {row.id}`.",
    }
    if row.state in advice:
        return warning("loop", found, advice[row.state])
    if row.health.breaker == OPEN:
        found += f", and its handler is down ({row.health.failures} failures in a row)"
        return warning("loop", found, "It is probed at least once a minute; its events are delivered when it responds.")
    return ok("loop", found)


async def _reached(row: LoopRow, resolver: HandlerResolver, ca_pem: str | None) -> Finding:
    host = HandlerUrl(row.url).host
    try:
        addresses = await resolver.addresses(host)
    except ResolveError as exc:
        return problem("handler", str(exc), "Change the loop's URL, its DNS record, or the allowed networks.")
    http_client = PinnedHttpClient(resolver, tls_context(ca_pem))
    began_s = time.perf_counter()
    try:
        has_answered, answer = await PinnedProofFetcher(http_client).probe(row.url)
    finally:
        await http_client.close()
    took_ms = (time.perf_counter() - began_s) * 1000
    where = f"{host} ({', '.join(addresses)})"
    if has_answered:
        return ok("handler", f"{where} responds within {took_ms:.0f} ms ({answer.found[:80]})")
    advice = "Check that its server is running and reachable, and that its certificate is valid for this name."
    return problem("handler", f"{where}: {answer.found}", advice)


async def _attempts(row: LoopRow, reader: LedgerReader) -> Sequence[Finding]:
    account = Account(no=row.account_no, id=row.account_id, name="")
    page = await asyncio.to_thread(
        reader.list_deliveries, row.no, ListDeliveries(account=account, loop_id=row.id, limit=20)
    )
    attempts = sorted((a for d in page.data for a in d.attempts), key=lambda a: a.at_ms)[-ATTEMPTS:]
    if not attempts:
        return [ok("attempts", "no recent attempts")]
    found = "the latest: " + "; ".join(map(_words, attempts))
    if attempts[-1].error is None:
        return [ok("attempts", found)]
    return [warning("attempts", found, "Look into the handler's own log; only 2xx is success.")]


def _words(attempt: AttemptView) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(attempt.at_ms / 1000))
    came = f"{attempt.status}" if attempt.status is not None else f"{attempt.error}"
    return f"{when} UTC {came} after {attempt.duration_ms} ms"
