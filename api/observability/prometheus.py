"""Prometheus exporter: the metrics of the whole service in text format."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from actors.commands.metrics import HistogramData, Number, ReadMetrics, Snapshot
from actors.gateway.client import Client
from actors.metrics import catalogue as m
from actors.metrics.process_metrics import process_snapshot
from actors.metrics.registry import Registry
from domain.errors import FeedbackLoopsError

#: Seconds that all actors have to respond; a scrape waits for ten.
ACTORS_S: Final = 6.0
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
#: Seconds for which metrics are cached.
FRESH_S: Final = 1.0


class PrometheusExporter:
    """Exports the metrics of this process and, through the client, those of the gateway and all actors."""

    def __init__(
        self,
        client: Client,
        registry: Registry,
        timeout_s: float = ACTORS_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._registry = registry
        self._timeout_s = timeout_s
        self._monotonic_s = monotonic_s
        self._cached: asyncio.Task[list[Metric]] | None = None
        self._cached_s = float("-inf")

    async def text(self, accept: str) -> tuple[bytes, str]:
        """The metrics in the format that the client accepts, and the content type.

        If the gateway does not respond in time, only this process's metrics are included, and the gateway is reported
        as silent. Requests within one second get the same metrics: anyone may request them, and hits must not wait.
        """
        families = _Families(await self.metrics())
        # The library's own content negotiation fails on versions that are not numbers, and echoes client input.
        if "application/openmetrics-text" in accept:
            return bytes(openmetrics.generate_latest(families)), OPENMETRICS  # type: ignore[no-untyped-call]
        return generate_latest(families), CONTENT_TYPE_PLAIN_0_0_4

    def own(self, metric: m.Metric) -> float:
        """This process's value of a metric without labels; 0 if it has none."""
        numbers = process_snapshot(m.FRONT_END, self._registry).snapshot.numbers
        return next((value for name, _, value in numbers if name == metric.short_name), 0.0)

    async def metrics(self) -> list[Metric]:
        """The metrics, at most a second old."""
        is_over = self._cached is None or self._cached.done()
        if self._cached is None or (is_over and self._monotonic_s() - self._cached_s >= FRESH_S):
            self._cached = asyncio.create_task(self._collect(), name="collect metrics")
        return await asyncio.shield(self._cached)

    async def _collect(self) -> list[Metric]:
        own = process_snapshot(m.FRONT_END, self._registry).snapshot
        behind = await self._behind()
        presence: list[Number] = [(m.RUNNING.short_name, (m.FRONT_END,), 1.0)]
        if behind is None:
            presence.append((m.SILENT.short_name, (m.GATEWAY,), 1.0))
            behind = Snapshot([], [])
        self._cached_s = self._monotonic_s()
        return families(Snapshot(own.numbers + presence + behind.numbers, own.histograms + behind.histograms))

    async def _behind(self) -> Snapshot | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._client.call(ReadMetrics())
        except (TimeoutError, FeedbackLoopsError):
            return None


def families(snapshot: Snapshot) -> list[Metric]:
    """Metric families in the order of the catalogue. Series that are not in the catalogue are left out."""
    numbers: dict[str, list[tuple[tuple[str, ...], float]]] = {}
    for name, labels, value in snapshot.numbers:
        numbers.setdefault(name, []).append((labels, value))
    histograms: dict[str, list[tuple[tuple[str, ...], HistogramData]]] = {}
    for name, labels, data in snapshot.histograms:
        histograms.setdefault(name, []).append((labels, data))
    found: list[Metric] = []
    for metric in m.METRICS:
        if metric.kind is m.Kind.HISTOGRAM:
            if series := histograms.get(metric.short_name):
                found.append(_histogram(metric, series))
        elif values := numbers.get(metric.short_name):
            found.append(_simple(metric, values))
    return found


def _simple(metric: m.Metric, values: Sequence[tuple[tuple[str, ...], float]]) -> Metric:
    made = CounterMetricFamily if metric.kind is m.Kind.COUNTER else GaugeMetricFamily
    family = made(metric.name, metric.help, labels=list(metric.labels))
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def _histogram(metric: m.Metric, series: Sequence[tuple[tuple[str, ...], HistogramData]]) -> Metric:
    family = HistogramMetricFamily(metric.name, metric.help, labels=list(metric.labels))
    bounds = [*map(floatToGoString, metric.buckets), "+Inf"]
    for labels, data in series:
        family.add_metric(labels, list(zip(bounds, map(float, accumulate(data.counts)), strict=True)), data.total)
    return family


class _Families(Collector):
    """Collector of ready-made metrics, which is what the encoders expect."""

    def __init__(self, found: Sequence[Metric]) -> None:
        self._found = found

    def collect(self) -> Sequence[Metric]:
        return self._found
