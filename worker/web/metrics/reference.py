"""The page about the metrics, made from their names: `python -m worker.web.metrics.reference > docs/metrics.md`."""

from __future__ import annotations

import sys

from worker.web.metrics.names import ABOUT, Of, Type
from worker.web.metrics.times import BOUNDS

HEAD = """# Metrics

Made from the code by `python -m worker.web.metrics.reference`.

| process | where | what |
| --- | --- | --- |
| `trueup run`, `trueup web` | `/metrics` beside the receiver's hooks | what the process did, what the database says |
| `trueup worker` | `/metrics` on `metrics_port` of `[worker]`, nowhere without | what the process did |

Let Prometheus scrape every process. The metrics of the first kind are each process's own and add up. Those of the
second are read from the database when somebody asks: two receivers show the same, so take the largest, never the sum.

- Alert rules: [config/prometheus/trueup.rules.yml](../config/prometheus/trueup.rules.yml), with a `summary` that says
  what to do; `promtool test rules` runs their tests beside them.
- A dashboard for Grafana: [config/grafana/trueup.json](../config/grafana/trueup.json), which asks for its data source.

The way of each sale, from its webhook to the marketplace call, is told by [traces](operations/traces.md).

No label holds an id of a listing, an order or a delivery: their number has no bound. Counters end in `_total`; a
histogram is `_bucket`, `_sum` and `_count`.
"""
TITLES = {Of.PROCESS: "Each process's own: add them up", Of.ALL: "The same whoever is asked: take the largest"}


def markdown() -> str:
    """The whole page."""
    tables = [
        f"\n## {title}\n\n| metric | type | labels | what |\n| --- | --- | --- | --- |\n" + "".join(_rows(of))
        for of, title in TITLES.items()
    ]
    bounds = ", ".join(f"{bound:g}" for bound in BOUNDS[:-1])
    return HEAD + "".join(tables) + f"\nBuckets of the histogram, in seconds: {bounds}.\n"


def _rows(of: Of) -> list[str]:
    return [
        f"| `{name}{'_total' if about.type is Type.COUNTER else ''}` | {about.type}"
        f" | {', '.join(f'`{label}`' for label in about.labels)} | {about.says} |\n"
        for name, about in ABOUT.items()
        if about.of is of
    ]


if __name__ == "__main__":
    sys.stdout.write(markdown())
