"""What the pages for operators claim to list is listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.alerts import Kind

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations" / "README.md"


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_anomaly_is_explained(kind: Kind) -> None:
    assert f"| `{kind.value}` |" in OPERATIONS.read_text(encoding="utf-8")
