"""Catalogue of metrics."""

from __future__ import annotations

from actors.metrics import catalogue as m


def test_names_and_labels_follow_the_rules_of_prometheus() -> None:
    """Names are unique and valid; buckets grow; every label has few values, none twice."""
    names = [metric.name for metric in m.METRICS]

    assert len(set(names)) == len(names)
    for metric in m.METRICS:
        assert metric.name.replace("_", "").isalpha()
        assert list(metric.buckets) == sorted(set(metric.buckets))
        assert bool(metric.buckets) is (metric.kind is m.Kind.HISTOGRAM)
        assert metric.help.endswith(".")
        assert set(metric.source) <= set(m.PROCESSES)
        for values in metric.labels.values():
            assert len(set(values)) == len(values) <= 13
