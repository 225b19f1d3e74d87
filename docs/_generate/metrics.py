"""The reference page of all metrics, made from the catalogue.

python -m docs._generate.metrics > docs/reference/metrics.md
"""

from __future__ import annotations

import sys
from typing import Final

from actors.metrics.catalogue import METRICS, Kind, Merge, Metric

INTRODUCTION: Final = """\
# Metrics

`GET /metrics` on any front end answers in Prometheus' text format, or in OpenMetrics when that is asked for. It needs
no key and tells nothing of any account, but how much is going on: let your proxy keep it from strangers.

One scrape has the figures of the front end and, by way of its gateway, of every process behind it: those that do not
answer within a second are left out, and counted in `feedback_loops_processes_silent`. Processes of a kind are merged:
counters and histograms are summed, gauges as the table says. No metric has a label for an account, a loop, a handler or
an address.

A process that is restarted counts from 0 again. The gateway keeps what it saw of it, so a sum over processes does not
fall when an actor is restarted; what was counted between the last scrape and the restart is lost. When the gateway
itself is restarted its sums begin at 0, which Prometheus takes for what it is.

With several front ends, each tells the same of the processes that they share: take the `max` over instances there, and
the `sum` for what front ends tell of themselves (`front-end` in the last column).
The dashboard (`deploy/grafana/feedback-loops.json`) and the alert rules (`deploy/prometheus/alerts.yml`) do that.

To scrape it, with the alert rules:

<!-- snippet: skip, it is for Prometheus -->
```yaml
scrape_configs:
  - job_name: feedback-loops
    scrape_interval: 15s
    static_configs: [{targets: ["127.0.0.1:8080"]}]
rule_files: [alerts.yml]
```

This page is made from `actors/metrics/catalogue.py`.

| metric | type | tells | labels | of many processes | told by |
|---|---|---|---|---|---|
"""


def page() -> str:
    """The page, in Markdown."""
    return INTRODUCTION + "".join(map(_row, METRICS))


def _row(metric: Metric) -> str:
    labels = "<br>".join(f"`{name}`: {', '.join(values)}" for name, values in metric.labels.items())
    merge = "the greatest" if metric.kind is Kind.GAUGE and metric.merge is Merge.MAX else "the sum"
    return f"| `{metric.name}` | {metric.kind} | {metric.help} | {labels} | {merge} | {', '.join(metric.told_by)} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
