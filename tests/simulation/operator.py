"""The operator: links SKUs, pauses channels, renews credentials, and decides what only a person can."""

from __future__ import annotations

from collections.abc import Sequence

from tests.simulation.books import Books
from tests.simulation.events import CorrectLink, LinkSku
from tests.simulation.market import Market
from tests.simulation.processes import Host, Surroundings
from tests.simulation.settings import PUBLIC_URL
from tests.simulation.shop import Shop, sku_name
from tests.simulation.witness import EyeWitness
from worker.alerts import Kind
from worker.housekeeping import Housekeeping
from worker.links import Correction, CorrectionRefusedError, Corrections, Links, LinkTableError
from worker.reconcile.decide import DecisionRefusedError, Decisions
from worker.services import Services
from worker.store.tables import HoldReason, HoldScope


class Operator(Host):
    """A person at a terminal of their own. What they do is done in one go."""

    def __init__(
        self, around: Surroundings, books: Books, market: Market, shops: Sequence[Shop], witness: EyeWitness
    ) -> None:
        super().__init__("operator", around)
        self._books = books
        self._market = market
        self._shops = shops
        self._witness = witness
        self._services: Services | None = None
        self.is_set_up = False

    @property
    def services(self) -> Services:
        """The rooms behind the command line."""
        assert self._services is not None, "the operator has not started"
        return self._services

    def _build(self) -> None:
        self._services = self.around.services(self.process)

    def set_up(self, links: Sequence[Sequence[Sequence[tuple[int, int]]]]) -> None:
        """Read the marketplace, register the webhooks, link the SKUs."""

        def work() -> None:
            self.services.register_channels()
            self.services.sweeper.sweep()
            for name in self.services.channels:
                Housekeeping(self.services).check_subscriptions(name)
            for each in self._shops:
                each.send_to(f"{PUBLIC_URL}/hooks/{each.channel}")
            for shop, of_shop in enumerate(links):
                for sku, listings in enumerate(of_shop):
                    if listings:
                        self._import(shop, sku, listings, from_now=False)
            self.is_set_up = True

        self.around.scheduler.spawn(self.process, work)

    # --- links ------------------------------------------------------------------------------------------------

    def link(self, event: LinkSku) -> str:
        """Link one SKU to exactly these listings."""
        return self._import(event.channel, event.sku, event.listings, from_now=event.from_now)

    def _import(self, shop: int, sku: int, listings: Sequence[tuple[int, int]], *, from_now: bool) -> str:
        channel = self._shops[shop].channel
        if not all(self._market.exists(listing) for listing, _ in listings):
            return "one of the listings is deleted"
        start = self.services.clock.now()
        held = {key: self._books.in_force(channel, key[1]) for key in self._books.links if key[0] == channel}
        wanted = {key[1]: links for key, links in held.items() if links and key[1] != sku}
        wanted[sku] = dict(listings)
        begins = start.isoformat() if from_now else ""
        rows = ["channel,sku,listing_id,units,from"]
        for number, links in sorted(wanted.items()):
            for listing, units in links.items():
                new = number == sku and listing not in held.get((channel, sku), {})
                rows.append(f"{channel},{sku_name(number)},{self._market.ids[listing]},{units},{begins if new else ''}")
        if len(rows) == 1:
            return "nothing would be linked at all"
        try:
            Links(self.services.store, self.services.clock, self.services.anomalies).import_csv(
                "\n".join(rows), replace=True
            )
        except LinkTableError as error:
            return str(error)
        self._books.link(channel, sku, listings, start.timestamp(), from_now=from_now)
        return f"{sku_name(sku)} is linked to {', '.join(f'L{n} x{units}' for n, units in listings) or 'nothing'}"

    def correct(self, event: CorrectLink) -> str:
        """What the SKU took of its one listing is given back there and taken of another."""
        channel = self._shops[event.channel].channel
        held = self._books.in_force(channel, event.sku)
        periods = self._books.links[channel, event.sku]
        if len(held) != 1 or len(periods) != 1 or event.listing in held:
            return "only a SKU with one plain link is corrected here"
        [wrong] = held
        if not self._market.exists(event.listing):
            return "the listing is deleted"
        correction = Correction(channel, sku_name(event.sku), self._market.ids[wrong], self._market.ids[event.listing])
        try:
            Corrections(self.services.store, self.services.clock).make(correction, by="operator")
        except CorrectionRefusedError as error:
            return str(error)
        self._books.correct(channel, event.sku, wrong, event.listing)
        return f"{sku_name(event.sku)} was L{event.listing} all along, not L{wrong}"

    # --- holds ------------------------------------------------------------------------------------------------

    def pause(self, channel: str) -> None:
        """Nothing is written for this channel."""
        self.services.holds.place(HoldReason.PAUSED, HoldScope.CHANNEL, channel, "paused by the operator")

    def resume(self, channel: str) -> None:
        """The counterpart of `pause`."""
        self.services.holds.lift(HoldScope.CHANNEL, channel, by="operator", reason=HoldReason.PAUSED)

    def renew(self, scope: HoldScope, name: str) -> None:
        """The credentials work again: what `trueup doctor` does when it finds so."""
        self.services.accounts.works(scope, name)

    def name_of_marketplace(self) -> str:
        """As holds name it."""
        return self.services.marketplace_name

    # --- what only a person can tell --------------------------------------------------------------------------

    def decide(self, *, all_of_them: bool = True) -> int:
        """Settle every operation that waits for a person, by what the marketplace's own history says. How many.

        While requests may still be on their way, only those of which the history has the last word already.
        """
        decisions = Decisions(self.services.store, self.services.clock, self.services.anomalies)
        told = {
            anomaly.detail.get("operation")
            for anomaly in self.services.anomalies.list()
            if anomaly.kind == Kind.OUTCOME_UNKNOWN
        }
        decided = 0
        for operation in decisions.list(limit=1000):
            if operation.id not in told:
                continue
            if not all_of_them and not self._witness.is_over(operation.id, operation.listing_id):
                continue
            name = self._witness.name(operation.listing_id)
            happened = self._happened(operation.id, operation.listing_id, operation.kind.value)
            try:
                decisions.settle(
                    operation.id, "applied" if happened else "absent", by="operator", reason="the marketplace's history"
                )
            except DecisionRefusedError as error:
                self._witness.breaks("P4", name, f"a person cannot decide operation {operation.id}: {error}")
                continue
            self._witness.note("operator", f"decides operation {operation.id} on {name}: {happened}")
            decided += 1
        return decided

    def accept_late_sales(self, parked: Sequence[tuple[str, str]]) -> None:
        """Let orders count that were met long after they were placed, because nothing had run for so long."""
        for channel, order_id in parked:
            if not self._books.orders[channel, order_id].old:
                self.services.fetcher.accept(channel, order_id, "operator")
                self._witness.note("operator", f"lets order {order_id} of {channel} count")

    def _happened(self, operation: int, listing_id: str, kind: str) -> bool:
        if kind == "stock":
            sent = self._witness.operations.get(operation)
            return bool(sent and sent.executed)
        return operation in self._witness.turns_made
