"""What docs/connectors/standard.md shows is what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

from connectors.standard.files import COLUMNS
from connectors.standard.orders import order_row, to_order
from connectors.standard.sandbox import Switches
from connectors.standard.settings import StandardSettings
from tests.unit.connectors.standard.vendor import RULES, committed

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "connectors" / "standard.md").read_text(encoding="utf-8")


def test_the_schema_is_shown_as_it_ships() -> None:
    shown = re.search(r"```json schema\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    assert shown[1] == (ROOT / "connectors" / "standard" / "schema.json").read_text(encoding="utf-8")


def test_the_order_that_is_shown_is_one() -> None:
    shown = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    found = to_order(order_row(json.dumps(json.loads(shown[1])).encode()), RULES, fetched_at=None)
    assert committed(found) == {"1": 2, "2": 0}


def test_every_setting_column_and_switch_is_named() -> None:
    for name in (*StandardSettings.model_fields, *COLUMNS, *Switches.model_fields):
        assert f"`{name}`" in PAGE, name
