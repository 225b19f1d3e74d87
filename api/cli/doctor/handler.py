"""Checks of one loop and its handler."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from actors.adapters.http_client import PinnedHttpClient
from actors.adapters.http_connector import tls_context
from actors.adapters.proof_fetcher import PinnedProofFetcher
from actors.adapters.resolver import HandlerResolver, ResolveError
from actors.commands.accounts import Account
from actors.commands.deliveries import AttemptView, ListDeliveries
from actors.ledger.loop_projection import LoopRow
from actors.ledger.reader import LedgerReader
from api.cli.doctor.findings import Finding, ok, problem, warning
from domain.breaker import OPEN
from domain.errors import FeedbackLoopsError
from domain.values import HandlerUrl

#: Number of latest attempts shown.
ATTEMPTS: Final = 3


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
