"""Generator of the reference page of all metrics.

python -m docs._generate.metrics > docs/reference/metrics.md
"""

from __future__ import annotations

import sys
from typing import Final

from actors.metrics.catalogue import METRICS, Kind, Merge, Metric

INTRODUCTION: Final = """\
# Metrics

`GET /metrics` on any front end answers in Prometheus' text format, or in OpenMetrics on request. It needs no key. It
shows nothing about any account, but it shows how busy the service is, so block public access to it in your proxy.

A scrape returns the metrics of the front end and, through its gateway, of all processes behind it. Processes that do
not answer within a second are left out and counted in `feedback_loops_processes_silent`. Processes of the same kind are
merged: counters and histograms are summed, gauges are merged as the table says. No metric has a label for an account, a
loop, a handler or an address.

A restarted process counts from 0 again. The gateway remembers the last counts of each process, so a sum over processes
does not fall when an actor restarts; counts between the last scrape and the restart are lost. When the gateway itself
restarts, its sums begin at 0, which Prometheus treats as a counter reset.

Front ends that share actors report the same values for them: use the `max` over instances for those, and the `sum` for
metrics of the front ends themselves (source `front-end`). The dashboard (`deploy/grafana/feedback-loops.json`) and the
alert rules (`deploy/prometheus/alerts.yml`) do this.

To scrape the service and load the alert rules:

<!-- snippet: skip, it is for Prometheus -->
```yaml
scrape_configs:
  - job_name: feedback-loops
    scrape_interval: 15s
    static_configs: [{targets: ["127.0.0.1:8080"]}]
rule_files: [alerts.yml]
```

This page is generated from `actors/metrics/catalogue.py`.

| metric | type | meaning | labels | several processes | source |
|---|---|---|---|---|---|
"""


def page() -> str:
    """The page, in Markdown."""
    return INTRODUCTION + "".join(map(_row, METRICS))


def _row(metric: Metric) -> str:
    labels = "<br>".join(f"`{name}`: {', '.join(values)}" for name, values in metric.labels.items())
    merge = "the maximum" if metric.kind is Kind.GAUGE and metric.merge is Merge.MAX else "the sum"
    return f"| `{metric.name}` | {metric.kind} | {metric.help} | {labels} | {merge} | {', '.join(metric.source)} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
