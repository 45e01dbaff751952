"""`trueup demo`: from nothing to a proof.

Four processes, as in life: the two vendors, trueup (embedded mode, which is one process), and this one, which plays the
people. So what is measured of the trueup process is trueup's own, and the proof cannot see anything but what trueup
wrote down and what the vendors say.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from config import loading, logging
from config.settings import LogSettings
from connectors.clock import SystemClock
from worker.demo import buyers, catalogue, proof, quiet, replay, report, sales, setting, vendors
from worker.demo.catalogue import Catalogue
from worker.demo.database import Database
from worker.demo.inbox import Inbox
from worker.demo.processes import ProcessFailureError, ServerProcess
from worker.demo.proof import Difference, Expected
from worker.demo.replay import Replay
from worker.demo.report import Outcome, Usage
from worker.demo.shop import Shop
from worker.demo.vendors.base import DROPPED, DUPLICATED, LOST_AFTER, LOST_BEFORE, REORDERED, Secret, Vendor
from worker.housekeeping import hook_address

DEFAULT_SEED = 1
MOST_WAITING_DELIVERIES = 400

HELD, DIFFERS, WRONG_INPUT = 0, 1, 2
"""Exit codes."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run the demo."""

    limit: int
    """Order lines to place; 0 is all."""
    orders: Path | None = None
    """A file with the columns of the packaged data; None replays those."""
    marketplace: str = "sharetribe"
    """A name of `vendors.MARKETPLACES`."""
    channel: str = "shopify"
    """A name of `vendors.CHANNELS`."""
    seed: int = DEFAULT_SEED
    keep: bool = False
    """Whether to stay up afterwards until Ctrl-C."""
    json: Path | None = None
    """Where to write the figures."""
    backlog: bool = False
    """Whether all orders are placed before trueup starts."""
    database: str | None = None
    """URL of an empty database to use instead of SQLite in the temporary folder."""
    console: Console = field(default_factory=Console)


def run(options: Options) -> int:
    """Run the demo; returns the exit code: 0 every number is right, 1 one is not, 2 the sales cannot be read."""
    try:
        lines = sales.read(options.orders)
    except sales.SalesFileError as error:
        return _refused(options, str(error))
    planned = replay.plan(lines, limit=options.limit)
    del lines
    channel = vendors.CHANNELS[options.channel]
    if channel.lines_per_order == 1:
        planned = replay.one_order_for_each_line(planned)
    if not channel.returns_units:
        planned = replay.whole_orders_only(planned)
    if not planned.lines:
        return _refused(options, "There is no sale to replay in these lines.")
    try:
        if options.json is not None:
            options.json.touch()
    except OSError as error:
        return _refused(options, f"The figures cannot be written to {options.json}: {error.strerror}.")
    folder = Path(tempfile.mkdtemp(prefix="trueup-demo-"))
    try:
        with _logged_to(folder / "demo.log"), Scene(options, planned, folder) as scene:
            outcome = scene.play()
            report.show(outcome, options.console)
            if options.json is not None:
                report.write_json(outcome, options.json)
            if options.keep:
                scene.stay()
            return DIFFERS if outcome.differences else HELD
    except ProcessFailureError as failure:
        options.console.print(str(failure), style="red", markup=False, highlight=False)
        return DIFFERS
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _refused(options: Options, why: str) -> int:
    options.console.print(why, style="red", markup=False, highlight=False, soft_wrap=True)
    return WRONG_INPUT


class Scene:
    """One run: everything it starts, it stops."""

    def __init__(self, options: Options, planned: Replay, folder: Path) -> None:
        self._options = options
        self._console = options.console
        self._replay = planned
        self._folder = folder
        self._stack = ExitStack()
        self._marketplace = vendors.MARKETPLACES[options.marketplace](options.seed)
        self._shop = vendors.CHANNELS[options.channel](options.seed)
        self._catalogue: Catalogue = catalogue.build(
            planned.committed_by_sku(), options.seed, named=self._marketplace.listing_id
        )
        self._half_way_peak_rss_mb = 0.0
        self._clock = SystemClock()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        options = self._options
        for vendor in (self._marketplace, self._shop):
            stack.enter_context(vendor.start(self._folder))
        for vendor in (self._marketplace, self._shop):
            stack.enter_context(vendor.connect())
        setting.put_on_sale(self._marketplace, self._shop, self._catalogue)
        self._inbox = stack.enter_context(Inbox()) if options.keep else None
        self._configuration = setting.write_configuration(
            self._folder, self._marketplace, self._shop, database_url=options.database, inbox=self._inbox
        )
        links = setting.prepare(self._configuration, self._catalogue)
        settings = loading.load(self._configuration, {})
        url = settings.database.url.get_secret_value()
        self._database = stack.enter_context(Database(url, people_decide=self._marketplace.overwrites))
        self._introduce(links)
        self._stack_of_trueup = stack.enter_context(ExitStack())

    def _introduce(self, links: int) -> None:
        planned, stock = self._replay, self._catalogue
        say = self._console.print
        say(
            f"{len(planned.lines):,} real order lines of a gift shop, {len(stock.listings):,} listings on a"
            f" marketplace, {links:,} SKU links ({stock.packs} packs, {stock.kits} kits).",
            highlight=False,
        )
        say(
            f"Of the webhooks {DUPLICATED:.0%} come twice, {REORDERED:.0%} late and {DROPPED:.0%} never; of the stock"
            f" writes {LOST_AFTER:.0%} lose their answer and {LOST_BEFORE:.0%} never arrive; buyers take units"
            " meanwhile.",
            highlight=False,
        )
        say(
            f"Shortened for the demo: {self._reading()} and the shop every"
            f" {setting.POLL_SECONDS} s, a lost write counts as absent after {setting.SETTLE_AFTER_SECONDS} s, a"
            f" listing closes after {setting.CLOSE_AFTER_SECONDS} s at zero, the shop allows more calls and repeats"
            " webhooks sooner. The shop's channel, new and in shadow, was confirmed by the demo itself.",
            style="dim",
            highlight=False,
        )

    def _reading(self) -> str:
        if self._marketplace.feed:
            return f"the feed is read every {setting.FEED_SECONDS} s"
        return f"the marketplace, which has no feed, is read every {setting.SWEEP_SECONDS} s"

    @staticmethod
    def _credentials(role: str, vendor: Vendor) -> Mapping[str, str]:
        """What one gets in with, for people who try it by hand."""
        shown: dict[str, str] = {}
        for name, option in vendor.account(vendor.control.url).items():
            values = [option] if isinstance(option, str | int | Secret) else option
            plain = [str(each.value if isinstance(each, Secret) else each) for each in values]
            shown[f"{role} {name.replace('_', ' ')}"] = " ".join(plain)
        return shown

    def play(self) -> Outcome:
        """Replay, wait until it is quiet, prove."""
        if not self._options.backlog:
            self._start_trueup()
        started = self._clock.monotonic()
        with _progress(self._console) as progress:
            purchases = self._place(progress)
            if self._options.backlog:
                # A shop shows an order to a poll when its second is over, so the last ones are not a backlog yet.
                self._clock.sleep(quiet.SETTLING.total_seconds())
                started = self._clock.monotonic()
                self._start_trueup()
            restless = self._settle(progress)
        seconds = self._clock.monotonic() - started
        usage = Usage.of(self._trueup.ask("usage"))
        # Before the proof, which asks the vendors as well.
        marketplace_counts, shop_counts = self._marketplace.counts(), self._shop.counts()
        proved = self._prove(purchases.line_ids)
        differences = [*restless, *proved.differences]
        return Outcome(
            replay=self._replay,
            catalogue=self._catalogue,
            proof=proved,
            operations=self._database.operations(),
            anomalies=self._database.anomalies(),
            marketplace_calls=self._marketplace.calls(marketplace_counts),
            writes=self._marketplace.writes(marketplace_counts),
            channel_calls=self._shop.calls(shop_counts),
            webhooks=self._shop.webhooks(shop_counts),
            bought=self._bought,
            seconds=seconds,
            usage=usage,
            half_way_peak_rss_mb=self._half_way_peak_rss_mb,
            endpoints=self._endpoints(),
            backlog=self._options.backlog,
            differences=differences,
        )

    def stay(self) -> None:
        """Print where everything is, and wait for Ctrl-C."""
        say = self._console.print
        name, password = setting.let_in(self._configuration)
        facts = {
            "console": self._console_url,
            "console name": name,
            "console password": password,
            **self._endpoints(),
            "configuration": str(self._configuration),
            **self._credentials("marketplace", self._marketplace),
            **self._credentials("shop", self._shop),
        }
        say()
        for name, value in facts.items():
            say(f"{name:27} {value}", highlight=False, soft_wrap=True)
        say("The sandboxes show their whole state under /_control/state.")
        if self._inbox is not None:
            before = self._inbox.tell(self._tell_alert)
            say(f"Operators were sent {before:,} alerts so far. What comes from now on is shown here, as they see it.")
        say("All stays up until Ctrl-C.")
        stopped = threading.Event()
        try:
            while not stopped.wait(1):
                pass
        except KeyboardInterrupt:
            say("Stopping.")

    def _tell_alert(self, kind: str, message: str) -> None:
        style = "green" if kind == "anomaly.resolved" else "yellow"
        self._console.print(f"{kind}: {message}", style=style, markup=False, highlight=False, soft_wrap=True)

    def _start_trueup(self) -> None:
        self._trueup = self._stack_of_trueup.enter_context(
            ServerProcess("trueup", ("worker.demo.service", str(self._configuration)), self._folder)
        )
        ready = self._trueup.wait_until_ready()
        self._receiver_url: str = ready["url"]
        self._console_url: str = ready["console"]
        setting.subscribe(self._configuration, self._receiver_url)
        self._shop.send_to(hook_address(self._receiver_url, setting.CHANNEL))

    def _place(self, progress: Progress) -> Shop:
        total = len(self._replay.lines)
        task = progress.add_task("placing orders", total=total)
        purchases = buyers.plan(self._catalogue, total, self._options.seed)
        crowd = buyers.Buyers(self._marketplace, purchases)
        shop = Shop(self._shop, self._clock, has_room=self._has_room)

        def placed(lines: int) -> None:
            progress.update(task, completed=lines)
            crowd.lines_placed(lines)
            if not self._half_way_peak_rss_mb and lines * 2 >= total and not self._options.backlog:
                self._half_way_peak_rss_mb = self._trueup.ask("usage")["peak_rss_mb"]

        crowd.start()
        shop.place(self._replay, on_progress=placed)
        crowd.finish()
        self._bought = {fate.value: crowd.ended[fate] for fate in buyers.Fate} | {"turned away": crowd.turned_away}
        return shop

    def _has_room(self) -> bool:
        if self._options.backlog:
            return True
        self._check_trueup()
        return self._database.waiting_deliveries() <= MOST_WAITING_DELIVERIES

    def _check_trueup(self) -> None:
        """Nobody would ever take what is placed, once it has ended. Raises `ProcessFailureError`."""
        self._trueup.check_running()

    def _settle(self, progress: Progress) -> list[Difference]:
        task = progress.add_task("settling", total=None)
        orders = self._replay.orders

        def looked(left: Mapping[str, int]) -> None:
            self._check_trueup()
            known = next(iter(left.items()), None)
            what = "settling" if known is None else f"settling ({known[0]}: {known[1]:,})"
            progress.update(task, description=what)
            if not self._half_way_peak_rss_mb and left.get("orders not known", 0) * 2 <= orders:
                self._half_way_peak_rss_mb = self._trueup.ask("usage")["peak_rss_mb"]

        try:
            quiet.wait_until_quiet(
                self._database, self._shop, self._marketplace, orders=orders, clock=self._clock, on_look=looked
            )
        except quiet.NeverQuietError as restless:
            return [Difference("quiet", "", str(restless))]
        progress.update(task, total=1, completed=1, description="settled")
        return []

    def _prove(self, line_ids: Mapping[replay.LineKey, str]) -> proof.Proof:
        planned = self._replay
        links: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        for link in self._catalogue.links:
            links[link.sku].append((link.listing_id, link.units))
        expected = Expected(
            sku={line_ids[key]: line.sku for key, line in planned.lines.items()},
            committed={line_ids[key]: units for key, units in planned.committed.items()},
            links=links,
            opening={listing.listing_id: listing.opening for listing in self._catalogue.listings},
        )
        return proof.check(
            expected,
            self._shop.committed(),
            self._marketplace.listings(),
            self._database.books(),
        )

    def _endpoints(self) -> Mapping[str, str]:
        return {
            "marketplace": self._marketplace.control.url,
            "shop": self._shop.control.url,
            "receiver": f"{self._receiver_url}/hooks/{setting.CHANNEL}",
            "metrics": f"{self._receiver_url}/metrics",
        }


@contextmanager
def _logged_to(path: Path) -> Iterator[None]:
    """Keep what rooms used on this side log beside the logs of the other processes, not among the words for people."""
    with path.open("w", encoding="utf-8") as file:
        logging.configure(LogSettings(format="json"), stream=file)
        try:
            yield
        finally:
            logging.configure(LogSettings())


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield progress
