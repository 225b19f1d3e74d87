"""Service page for operators: nodes, actors, and the metrics of journals, ledger and lanes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from prometheus_client.core import Metric

from actors.commands.service import ReadClusterInventory
from actors.metrics import catalogue as m
from api.dashboard.render import count_text, duration_text, size_text
from api.dashboard.request import Page, Visit
from api.http.response import Response
from api.observability.prometheus import ACTORS_S
from domain.errors import FeedbackLoopsError

#: The metrics shown, in groups. None of them belongs to a single account.
GROUPS: Final[tuple[tuple[str, tuple[m.Metric, ...]], ...]] = (
    ("Processes", (m.RESTARTS, m.MEMORY)),
    ("Journals", (m.JOURNAL_DEPTH, m.JOURNAL_AGE, m.JOURNAL_TROUBLE, m.HITS, m.HITS_LOST)),
    ("Disks", (m.DISK_FREE, m.RESERVE_LEFT, m.RESERVE_USED)),
    ("Ledger", (m.LEDGER_WAITING, m.LEDGER_SIZE, m.COMMIT, m.COMMITS_FAILED)),
    ("Lanes", (m.LOOPS, m.BREAKERS, m.WAITING, m.OLDEST_DUE, m.UNDER_WAY, m.EVENT_DELIVERED)),
)
_SHARE: Final = 0.95


class Figure(NamedTuple):
    """One series of a metric, as text."""

    what: str
    of: str
    value: str


def figures(metrics: Sequence[Metric], wanted: Sequence[m.Metric]) -> list[Figure]:
    """The available figures of these metrics."""
    by_name = {metric.name: metric for metric in metrics}
    found: list[Figure] = []
    for metric in wanted:
        family = by_name.get(metric.name.removesuffix("_total")) or by_name.get(metric.name)
        if family is None:
            continue
        if metric.kind is m.Kind.HISTOGRAM:
            found += [Figure(metric.help, "95 % within", value) for value in _within(family)]
        else:
            found += [
                Figure(metric.help, ", ".join(sample.labels.values()), _value(metric.name, sample.value))
                for sample in family.samples
                if not sample.name.endswith("_created")
            ]
    return found


def _within(family: Metric) -> list[str]:
    """The smallest bound that covers 95 % of a histogram, over all its series."""
    buckets: dict[float, float] = {}
    for sample in family.samples:
        if sample.name.endswith("_bucket"):
            bound = float(sample.labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + sample.value
    total = max(buckets.values(), default=0.0)
    if not total:
        return []
    bound = min(bound for bound, count in buckets.items() if count >= _SHARE * total)
    return ["more than the largest measured value" if bound == float("inf") else duration_text(bound * 1000)]


def _value(name: str, value: float) -> str:
    if name.endswith("_bytes"):
        return size_text(value)
    if name.endswith("_seconds"):
        return duration_text(value * 1000)
    return count_text(round(value))


async def service_page(visit: Visit) -> Response:
    """All groups, and the reasons why the service is not ready."""
    problems = [str(problem) for problem in await visit.services.readiness.problems()]
    metrics = await visit.services.metrics.metrics()
    groups: list[dict[str, Any]] = [{"title": title, "rows": figures(metrics, wanted)} for title, wanted in GROUPS]
    return visit.html("service.html", problems=problems, groups=groups, **await _who_is_there(visit))


async def _who_is_there(visit: Visit) -> dict[str, Any]:
    """Nodes and actors, or None if they cannot be listed: operators need the page most when something is down."""
    try:
        async with asyncio.timeout(ACTORS_S):
            inventory = await visit.call(ReadClusterInventory())
    except (TimeoutError, FeedbackLoopsError):
        return {"nodes": None, "processes": None, "unlisted": 0}
    on_node = Counter(process.node for process in inventory.processes)
    nodes = [(node, on_node[node.id]) for node in inventory.nodes]
    unlisted = inventory.process_count - len(inventory.processes)
    return {"nodes": nodes, "processes": inventory.processes, "unlisted": unlisted}


PAGES: Final = (Page(method="GET", path="/service", handler=service_page),)
