"""A real process among vendors that do everything a vendor must not, and beside a connector that does the same."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from connectors.registry import GROUP
from tests.deployment import OPENING, deployed, until
from tests.shops import Mood, open_shops

pytestmark = pytest.mark.timeout(600)

MOST_MEMORY_KB = 640 * 1024
"""A process holds two answers of the largest size that is taken, unpacked, and whatever it takes to read them."""
GOOD = "good"
LISTING = str(uuid.uuid5(uuid.NAMESPACE_URL, GOOD))
TRICKS = ("blocks", "raises", "no-exception", "recursion", "memory", "nothing", "circle")


def install(folder: Path) -> None:
    """The hostile connector, as a package that names it by entry point."""
    made = folder / "hostile-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n", encoding="utf-8")
    (made / "entry_points.txt").write_text(f"[{GROUP}]\nhostile = tests.hostile:CONNECTOR\n", encoding="utf-8")


def peak_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def test_a_process_outlives_whatever_vendors_and_connectors_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with open_shops() as shops:
        ill = {f"shop-{mood.value.replace(' ', '-')}": mood for mood in Mood if mood is not Mood.WELL}
        shops.moods |= ill
        channels = [
            f'[channels.{name}]\nconnector = "standard"\nany_seller = true\norders_url = "{shops.url}/{name}/orders"\n'
            for name in (GOOD, *ill)
        ]
        channels += [
            f'[channels.hostile-{trick}]\nconnector = "hostile"\nany_seller = true\ntrick = "{trick}"\n'
            for trick in TRICKS
        ]
        with deployed(tmp_path, channels, call_seconds=5) as site:
            site.prepare({GOOD: LISTING})
            with site.running("run") as pids:
                for number in range(3):
                    shops.sell(GOOD, str(number), {"A": 1})
                    until(lambda sold=number + 1: site.totals()[LISTING] == OPENING - sold, site.totals)  # type: ignore[misc]

                def told() -> set[str]:
                    found = {entry["channel"] for entry in site.ask("anomalies", "list")["anomalies"]}
                    return found | {name for name, is_so in site.conditions().items() if is_so == "does not answer"}

                expected = {*ill, *(f"hostile-{trick}" for trick in TRICKS)}
                until(lambda: told() == expected, lambda: expected - told())
                assert peak_kb(pids["run"]) < MOST_MEMORY_KB
                shops.sell(GOOD, "last", {"A": 1})
                until(lambda: site.totals()[LISTING] == OPENING - 4, site.totals)
                examined = site.ask("doctor")["checks"]
                assert {check["subject"] for check in examined} >= {*expected, GOOD}
                assert [check for check in examined if check["subject"] == GOOD and not check["ok"]] == []
