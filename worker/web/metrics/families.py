"""Metrics as Prometheus's library wants them, by name: what they say and their labels stand in `names`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from worker.web.metrics.names import ABOUT, Name


def gauge(name: Name, value: float) -> Metric:
    """One number."""
    return GaugeMetricFamily(name, ABOUT[name].says, value=value)


def gauges(name: Name, values: Iterable[tuple[Sequence[str], float]]) -> Metric:
    """A number for each set of label values."""
    family = GaugeMetricFamily(name, ABOUT[name].says, labels=ABOUT[name].labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def counters(name: Name, values: Iterable[tuple[Sequence[str], float]]) -> Metric:
    """The same, of what only grows."""
    family = CounterMetricFamily(name, ABOUT[name].says, labels=ABOUT[name].labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def histogram(name: Name, values: Iterable[tuple[Sequence[str], Sequence[tuple[str, float]], float]]) -> Metric:
    """For each set of label values its buckets, cumulative and named by their upper bounds, and the sum."""
    family = HistogramMetricFamily(name, ABOUT[name].says, labels=ABOUT[name].labels)
    for labels, buckets, total in values:
        family.add_metric(labels, buckets, total)
    return family
