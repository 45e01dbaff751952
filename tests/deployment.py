"""trueup's real processes on one configuration, with a Sharetribe sandbox as the marketplace: tests from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from config import loading
from connectors.sandbox.serve import serve
from connectors.sharetribe.sandbox import Options, create_app
from connectors.sharetribe.sandbox.options import Profile
from worker.demo.control import Control
from worker.links import Links
from worker.services import Services
from worker.store.migrate import upgrade

CODE = Path(__file__).parents[1]
WITHIN_SECONDS = 150.0
END_SECONDS = 60.0
OPENING = 1000

CONFIGURATION = """
[database]
url = "{database}"
[marketplace]
connector = "sharetribe"
client_id = "{client_id}"
client_secret = "env:ST_SECRET"
base_url = "{market}"
[policy]
confirm_new_channels = false
settle_after_seconds = 3
[schedule]
feed_seconds = 1
poll_seconds = 5
reconcile_seconds = 2
intake_seconds = 5
[worker]
call_seconds = {call_seconds}
[web]
port = 0
[log]
format = "json"
level = "warning"
"""


class Deployment:
    """One configuration, what its commands say, and its processes."""

    def __init__(self, folder: Path, market_url: str, channels: Sequence[str], **settings: Any) -> None:
        """`channels` are tables of the configuration. `settings`: `database`, `call_seconds`, and `more` of it."""
        options = Options(profile=Profile.LIVE)
        self.market = Control(market_url)
        self._folder = folder
        self._configuration = folder / "trueup.toml"
        self._environment: dict[str, str] = {
            "ST_SECRET": options.client_secret.get_secret_value(),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join((str(CODE), str(folder))),
        }
        more = settings.pop("more", "")
        settings.setdefault("database", f"sqlite:///{folder}/trueup.db")
        head = CONFIGURATION.format(client_id=options.client_id, market=market_url, **settings)
        self._configuration.write_text("\n".join((head, more, *channels)), encoding="utf-8")

    def prepare(self, listing_of: Mapping[str, str]) -> None:
        """SKU A of each channel is this listing; of each there are `OPENING` units."""
        listings = [{"id": listing, "title": "Toy", "stock": OPENING} for listing in sorted(set(listing_of.values()))]
        self.market.post("/listings", {"listings": listings})
        rows = "".join(f"{channel},A,{listing},1\n" for channel, listing in listing_of.items())
        with self.services() as services:
            upgrade(services.store)
            services.register_channels()
            services.sweeper.sweep()
            links = Links(services.store, services.clock, services.anomalies)
            links.import_csv(f"channel,sku,listing_id,units\n{rows}")

    @contextmanager
    def services(self) -> Iterator[Services]:
        """The rooms, in this process, on the same database."""
        with closing(Services(loading.load(self._configuration, self._environment))) as services:
            yield services

    @contextmanager
    def running(self, *commands: str) -> Iterator[Mapping[str, int]]:
        """These commands as processes, by pid; none of them may end before the block does, nor fail unheard."""
        started: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for command in commands:
                with self._log(command).open("wb") as log:
                    started[command] = subprocess.Popen(
                        self._line(command), cwd=self._folder, env=self._environment, stderr=log
                    )
            yield {command: process.pid for command, process in started.items()}
            ended = {command: self.log(command) for command, process in started.items() if process.poll() is not None}
            assert not ended
        finally:
            for process in started.values():
                process.terminate()
            for process in started.values():
                try:
                    process.wait(END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def log(self, command: str) -> str:
        return self._log(command).read_text(encoding="utf-8", errors="replace")

    def _log(self, command: str) -> Path:
        return self._folder / f"{command}.log"

    def ask(self, *words: str) -> Any:
        """What a command answers to a program."""
        line = [*self._line(*words), "--json"]
        ended = subprocess.run(line, cwd=self._folder, env=self._environment, capture_output=True, check=False)
        return json.loads(ended.stdout)

    def say(self, *words: str) -> str:
        """What a command says to a person."""
        ended = subprocess.run(
            self._line(*words), cwd=self._folder, env=self._environment, capture_output=True, check=False
        )
        return ended.stdout.decode()

    def _line(self, *words: str) -> list[str]:
        called = [sys.executable, "-c", "from worker.cli import main; main()"]
        return [*called, *words, "--config", str(self._configuration)]

    def totals(self) -> Mapping[str, int]:
        """The marketplace's own numbers, by listing."""
        state = self.market.get("/state", adjustments="false")
        return {listing["id"]: listing["total"] for listing in state["listings"]}

    def conditions(self) -> Mapping[str, str]:
        """How each channel is, as `trueup channels list` has it."""
        return {entry["name"]: entry["condition"] for entry in self.ask("channels", "list")["channels"]}


@contextmanager
def deployed(folder: Path, channels: Sequence[str], **settings: Any) -> Iterator[Deployment]:
    """A deployment with its marketplace, until the block ends."""
    with serve(create_app(Options(profile=Profile.LIVE))) as url:
        made = Deployment(folder, url, channels, **settings)
        with closing(made.market):
            yield made


def until(reached: Callable[[], bool], seen: Callable[[], object]) -> None:
    """Wait for a condition; `seen` is told when it never comes about."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while not reached():
        assert time.monotonic() < deadline, seen()
        time.sleep(0.1)
