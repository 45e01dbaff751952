"""What is written about the metrics fits them: the page, the alert rules, the dashboard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from worker.web.metrics.names import ABOUT, Label, Type
from worker.web.metrics.reference import markdown

ROOT = Path(__file__).parents[4]
RULES = ROOT / "config" / "prometheus" / "trueup.rules.yml"
DASHBOARD = ROOT / "config" / "grafana" / "trueup.json"
SUFFIXES = {Type.COUNTER: ("_total",), Type.GAUGE: ("",), Type.HISTOGRAM: ("_bucket", "_sum", "_count")}
SERIES = {f"{name}{suffix}": about for name, about in ABOUT.items() for suffix in SUFFIXES[about.type]}


def expressions() -> Iterator[str]:
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def test_the_page_is_as_the_metrics_are() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert page == markdown(), "make it again: python -m worker.web.metrics.reference > docs/metrics.md"


@pytest.mark.parametrize("expression", list(expressions()))
def test_rules_and_dashboard_name_what_there_is(expression: str) -> None:
    selected = re.findall(r"(trueup_\w+)(?:\{([^}]*)\})?", expression)
    assert selected
    for series, matchers in selected:
        assert set(re.findall(r"(\w+)=", matchers)) <= {label.value for label in SERIES[series].labels}
    for group in re.findall(r"(?:by|without) \(([^)]*)\)", expression):
        assert set(group.split(", ")) <= {label.value for label in Label} | {"le"}


def test_every_panel_reads_the_chosen_data_source() -> None:
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert {panel["datasource"]["uid"] for panel in panels} == {"${source}"}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_every_rule_says_what_to_do_and_how_bad_it_is() -> None:
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"critical", "warning"}
            assert rule["annotations"]["summary"].endswith(".")
