"""The demo from end to end: four processes, real HTTP, and a proof that can fail."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.progress import Progress

from worker.demo import main
from worker.demo.catalogue import Supply
from worker.demo.main import Options, Scene
from worker.demo.proof import Difference

LINES = 200
PROMISED = """
    orders order_lines unmatched units_committed units_applied units_pending units_waived listings mismatches
    compare_and_sets stock_mismatches_retried unknown_outcomes unknown_settled absent_revoked marketplace_calls
    channel_calls closed reopened anomalies seconds cpu_seconds peak_rss_mb endpoints
"""
TRUEUP = (
    sys.executable,
    "-c",
    # A shell's background jobs, and so their children, ignore Ctrl-C.
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from worker.cli import main; main()",
)
DEMO = (*TRUEUP, "demo")

pytestmark = pytest.mark.timeout(300)


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DEMO, *arguments], capture_output=True, text=True, timeout=280, check=False)


def signed_in(url: str, name: str, password: str) -> str:
    """The console's first page, for this operator."""
    with httpx.Client(base_url=url, trust_env=False, timeout=60, follow_redirects=True) as client:
        token = client.get("/sign-in").text.partition('name="token" value="')[2].partition('"')[0]
        return client.post("/sign-in", data={"token": token, "name": name, "password": password}).text


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Mapping[str, Any]]:
    figures = tmp_path_factory.mktemp("demo") / "figures.json"
    ended = demo("--limit", str(LINES), "--seed", "3", "--json", str(figures))
    return ended, json.loads(figures.read_text()) if figures.exists() else {}


def test_a_slice_is_replayed_and_proved(
    finished: tuple[subprocess.CompletedProcess[str], Mapping[str, Any]],
) -> None:
    ended, figures = finished

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "All " in ended.stdout
    assert figures["differences"] == []
    assert figures["mismatches"] == 0


def test_the_figures_hold_what_is_promised(
    finished: tuple[subprocess.CompletedProcess[str], Mapping[str, Any]],
) -> None:
    _, figures = finished

    assert figures.keys() >= set(PROMISED.split())
    assert figures["order_lines"] == LINES
    assert figures["units_committed"] == figures["units_applied"] + figures["units_pending"]
    assert figures["units_waived"] == 0
    assert figures["units_pending"] == figures["units_missing"] > 0
    assert figures["anomalies"] == {"oversold": figures["oversold_listings"]}
    assert figures["closed"] > 0
    assert figures["peak_rss_mb"] > 0


def test_short_times_and_the_lifted_shadow_are_said(
    finished: tuple[subprocess.CompletedProcess[str], Mapping[str, Any]],
) -> None:
    ended, _ = finished

    said = " ".join(ended.stdout.split())
    assert "Shortened for the demo" in said
    assert "in shadow, was confirmed by the demo itself" in said


@pytest.mark.parametrize(
    ("marketplace", "channel"),
    [
        ("elasticpath", "shopify"),
        ("elasticpath-multi", "woocommerce"),
        ("sharetribe", "elasticpath"),
        ("sharetribe", "standard"),
        ("sharetribe", "marketplacer"),
        ("elasticpath", "sharetribe"),
        ("marketplacer-multi", "shopify"),
    ],
)
def test_every_vendor_plays_its_part(marketplace: str, channel: str, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"

    ended = demo("--limit", "100", "--marketplace", marketplace, "--channel", channel, "--json", str(figures))

    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(figures.read_text())
    assert (told["differences"], told["unknown_outcomes"]) == ([], told["unknown_settled"])
    assert told["compare_and_sets_applied"] > 0


def test_a_vendor_that_no_demo_knows_is_a_usage_error() -> None:
    ended = demo("--channel", "ebay")

    assert ended.returncode == 2
    assert "--channel ebay: no demo knows that. Known are shopify, " in ended.stderr


def test_a_broken_number_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Meddled(Scene):
        """Somebody puts a unit too many on a listing when all is quiet."""

        def _settle(self, progress: Progress) -> list[Difference]:
            restless = super()._settle(progress)
            listing = next(each for each in self._catalogue.listings if each.supply is Supply.AMPLE)
            self._marketplace.control.post(f"/listings/{listing.listing_id}/stock", {"change": 1})
            return restless

    monkeypatch.setattr(main, "Scene", Meddled)
    figures = tmp_path / "figures.json"

    assert main.run(Options(limit=60, json=figures)) == 1

    (difference,) = json.loads(figures.read_text())["differences"]
    assert "units and must have" in difference


def test_it_stays_up_on_demand_until_interrupted() -> None:
    with subprocess.Popen([*DEMO, "--limit", "40", "--keep"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said: dict[str, str] = {}
        try:
            for line in process.stdout:
                name, _, value = line.rstrip().partition("  ")
                said[name] = value.strip()
                if "until Ctrl-C" in line:
                    break
            shown = httpx.get(said["metrics"], trust_env=False, timeout=60)
            state = httpx.get(f"{said['marketplace']}/_control/state", trust_env=False, timeout=60)
            overview = signed_in(said["console"], said["console name"], said["console password"])
            subprocess.run([*TRUEUP, "alerts", "test", "--config", said["configuration"]], check=True, timeout=60)
            told = next(line for line in process.stdout if line.startswith("alerts.test: "))
            process.send_signal(signal.SIGINT)
            process.wait(60)
        finally:
            # Else leaving would wait for it, whatever failed.
            process.kill()

    assert (shown.status_code, state.status_code) == (200, 200)
    assert "Sales by channel" in overview
    assert said["shop webhook secrets"]
    assert "terminal" in told
    assert process.returncode == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(said["metrics"], trust_env=False)
    assert not Path(said["configuration"]).exists()


def test_a_file_that_cannot_be_replayed_is_refused_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("invoice,stock_code,quantity,invoice_date,unit_price\n1,A,many,2011-11-01 08:16:00,1\n")
    ended = demo("--orders", str(path))

    assert ended.returncode == 2
    assert "line 2: quantity 'many' is not a whole number" in ended.stdout + ended.stderr


def test_figures_that_cannot_be_written_are_refused_before_the_work(tmp_path: Path) -> None:
    ended = demo("--json", str(tmp_path / "nowhere" / "figures.json"))

    assert ended.returncode == 2
    assert "figures cannot be written" in ended.stdout


def test_a_trueup_that_dies_ends_the_demo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Killed(Scene):
        def _start_trueup(self) -> None:
            super()._start_trueup()
            self._trueup.stop()

    monkeypatch.setattr(main, "Scene", Killed)

    assert main.run(Options(limit=60)) == 1
    assert "trueup ended; its log ends:" in capsys.readouterr().out


def test_orders_of_ones_own_are_replayed(tmp_path: Path) -> None:
    rows = ["invoice,stock_code,quantity,invoice_date,unit_price"]
    rows += [f"{invoice},SKU-{invoice % 7},{1 + invoice % 3},2026-11-0{1 + invoice % 9},1.0" for invoice in range(40)]
    path = tmp_path / "sales.csv"
    path.write_text("\n".join([*rows, "C40,SKU-3,-2,2026-11-10,1.0"]) + "\n")
    figures = tmp_path / "figures.json"
    ended = demo("--orders", str(path), "--json", str(figures))

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert json.loads(figures.read_text())["orders"] == 40
