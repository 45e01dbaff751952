"""Everything that runs, in each mode: the vendors' sandboxes behind lines, what trueup stands on, and trueup itself."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx

from tests import servers
from tests.chaos import plan
from tests.chaos.backing import Postgres, RabbitServer, RedisServer, rabbitmq
from tests.chaos.disk import small_disk
from tests.chaos.parts import TRUEUP, Part, wait_until
from tests.chaos.plan import Possibility
from tests.chaos.proxy import Line, Lines
from tests.chaos.strikes import Targets
from tests.chaos.watching import Calls, Deliveries
from worker.demo import setting
from worker.demo.catalogue import Catalogue
from worker.demo.vendors import Channel, Marketplace
from worker.demo.vendors.sharetribe import SharetribeMarketplace
from worker.demo.vendors.shopify import ShopifyShop

WORKERS = ("worker-1", "worker-2")
LEASE_SECONDS = 5
"""What a killed one had leased is taken over soon; who stands still for longer finds its leases run out."""


@dataclass(frozen=True)
class Stage:
    """What a run plays on."""

    marketplace: Marketplace
    shop: Channel
    configuration: Path
    receiver_url: str
    """Through the line."""
    database_url: str
    """Around the line: what watches is not disturbed."""
    targets: Targets
    possibilities: Sequence[Possibility]
    own_parts: Sequence[Part]
    """trueup's processes."""
    calls: Mapping[str, Calls]
    """By vendor."""
    deliveries: Deliveries
    cannot: Sequence[str] = field(default_factory=tuple)
    """What this machine does not permit, in words."""

    def mend(self) -> None:
        """Make everything whole, and wait until the receiver answers."""
        for line in self.targets.lines.values():
            line.mend()
        if self.targets.disk is not None:
            self.targets.disk.free()
        for part in self.targets.parts.values():
            with part.fault:
                part.start()
        wait_until(self._receives, "the receiver")

    def _receives(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.receiver_url}/healthz", trust_env=False, timeout=2).status_code == 200
        return False


@contextmanager
def stage(folder: Path, catalogue: Catalogue, *, mode: str, broker: str, seed: int) -> Iterator[Stage]:
    """Set everything up: listings on sale, links imported, webhooks registered, every process started."""
    with ExitStack() as stack:
        yield _Builder(stack, folder, mode, broker, seed).build(catalogue)


class _Builder:
    def __init__(self, stack: ExitStack, folder: Path, mode: str, broker: str, seed: int) -> None:
        self._stack = stack
        self._folder = folder
        self._mode = mode
        self._broker = broker
        self._seed = seed
        self._network = stack.enter_context(Lines())
        self._lines: dict[str, Line] = {}
        self._parts: dict[str, Part] = {}
        self._possibilities: list[Possibility] = []
        self._cannot: list[str] = []

    def build(self, catalogue: Catalogue) -> Stage:
        stack = self._stack
        marketplace, shop = SharetribeMarketplace(self._seed), ShopifyShop(self._seed)
        for vendor in (marketplace, shop):
            stack.enter_context(vendor.start(self._folder))
        for vendor in (marketplace, shop):
            stack.enter_context(vendor.connect())
        setting.put_on_sale(marketplace, shop, catalogue)
        calls = {"marketplace": Calls(), "shop": Calls()}
        self._line("marketplace", httpx.URL(marketplace.control.url).port, calls["marketplace"].ear)
        self._line("shop", httpx.URL(shop.control.url).port, calls["shop"].ear)
        deliveries = Deliveries()
        web_port = servers.free_port()
        receiver_url = f"http://127.0.0.1:{self._line('webhooks', web_port, deliveries.ear).port}"

        postgres, disk, sections = None, None, ""
        if self._mode == "embedded":
            disk = stack.enter_context(small_disk(self._folder / "disk"))
            if disk is None:
                self._cannot.append("disk full: this user may not mount a file system")
            database_url = url_of_trueup = f"sqlite:///{self._folder / 'disk' / 'trueup.db'}"
        else:
            postgres, database_url, url_of_trueup = self._postgres()
            sections = self._brokers()
        configuration = setting.write_configuration(self._folder, marketplace, shop, database_url=url_of_trueup)
        self._adjust(configuration, marketplace.control.url, shop.control.url, web_port, receiver_url, sections)
        setting.prepare(configuration, catalogue)
        own = self._trueup(configuration)
        self._possibilities += plan.embedded() if self._mode == "embedded" else plan.service(WORKERS)
        if disk is None:
            self._possibilities = [one for one in self._possibilities if one.kind is not plan.Kind.FULL]
        made = Stage(
            marketplace=marketplace,
            shop=shop,
            configuration=configuration,
            receiver_url=receiver_url,
            database_url=database_url,
            targets=Targets(
                parts=self._parts,
                lines=self._lines,
                paused_only={"marketplace": marketplace.process.pid, "shop": shop.process.pid},
                postgres=postgres,
                disk=disk,
            ),
            possibilities=self._possibilities,
            own_parts=own,
            calls=calls,
            deliveries=deliveries,
            cannot=self._cannot,
        )
        made.mend()
        setting.subscribe(configuration, receiver_url)
        return made

    def _line(self, name: str, port: int | None, ear: Callable[[], Any] | None = None) -> Line:
        assert port is not None
        line = self._network.open(name, "127.0.0.1", port, Random(f"line {name} {self._seed}"), ear)
        self._lines[name] = line
        return line

    def _postgres(self) -> tuple[Postgres, str, str]:
        # Directly in the temporary folder: the run's own is closed to the user that root has to become.
        folder = Path(tempfile.mkdtemp(prefix="trueup-pg-"))
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres = Postgres(folder)
        # "Fast shutdown": sessions are ended, not waited for.
        self._stack.callback(postgres.end, signal.SIGINT)
        self._parts["postgresql"] = postgres
        postgres.start()
        line = self._line("postgresql", postgres.port)
        return postgres, postgres.url(), postgres.url(line.port)

    def _brokers(self) -> str:
        """Start Redis, and RabbitMQ when that is the broker; returns the section of the configuration."""
        redis: RedisServer | RabbitServer = self._broker_part(RedisServer(self._folder))
        shared = redis.url(self._lines["redis"].port)
        if self._broker == "redis":
            return f'[broker]\nurl = "{shared}"\n'
        rabbit = self._broker_part(self._stack.enter_context(rabbitmq(self._folder)))
        self._possibilities += plan.broker("rabbitmq")
        (self._folder / "broker_url").write_text(rabbit.url(self._lines["rabbitmq"].port), encoding="utf-8")
        return f'[broker]\nurl = "file:broker_url"\nbudgets_url = "{shared}"\n'

    def _broker_part(self, part: RedisServer | RabbitServer) -> RedisServer | RabbitServer:
        self._stack.callback(part.end)
        self._parts[part.name] = part
        part.start()
        self._line(part.name, part.port)
        return part

    def _adjust(
        self, configuration: Path, market_url: str, shop_url: str, web_port: int, receiver_url: str, sections: str
    ) -> None:
        """What the demo wrote, with lines in front of both vendors, and short leases."""
        text = configuration.read_text(encoding="utf-8")
        for old, new in (
            (market_url, f"http://127.0.0.1:{self._lines['marketplace'].port}"),
            (shop_url, f"http://127.0.0.1:{self._lines['shop'].port}"),
            ("[web]\nport = 0", f'[web]\nport = {web_port}\npublic_url = "{receiver_url}"'),
            ("[policy]", f"[policy]\nlease_seconds = {LEASE_SECONDS}"),
            # A shop that was refused for too long ends the subscription, as the vendor does.
            ("[schedule]", "[schedule]\nsubscriptions_seconds = 30"),
        ):
            assert old in text, f"the demo's configuration has no {old}"
            text = text.replace(old, new)
        configuration.write_text(text + "\n" + sections, encoding="utf-8")

    def _trueup(self, configuration: Path) -> list[Part]:
        if self._mode == "embedded":
            commands = {"trueup": "run"}
        else:
            commands = {**dict.fromkeys(WORKERS, "worker"), "beat": "beat", "web": "web"}
        made = []
        for name, command in commands.items():
            part = Part(name, self._folder, [*TRUEUP, command, "--config", configuration])
            self._stack.callback(part.end)
            self._parts[name] = part
            made.append(part)
        return made


def python() -> str:
    """What the processes of trueup run on, for the report."""
    return f"Python {sys.version.split()[0]}, {os.cpu_count()} cores"
