"""Another Sharetribe marketplace as the shop: a sale is a transaction of one line, and there are no webhooks."""

from __future__ import annotations

from random import Random

from pydantic import SecretStr

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.sending import Parcel
from connectors.sandbox.stock import HOLDING
from connectors.sharetribe import sandbox
from connectors.sharetribe.sandbox.control import STEPS
from connectors.sharetribe.sandbox.entities import ListingState
from connectors.sharetribe.sandbox.errors import ApiError
from connectors.sharetribe.sandbox.marketplace import Marketplace
from connectors.sharetribe.sandbox.purchases import Purchases
from connectors.sharetribe.settings import SharetribeChannelSettings
from tests.simulation.books import Books
from tests.simulation.events import CancelOrder, ChangeOrder, FulfilOrder, LagIndex, PlaceOrder
from tests.simulation.shop import SKUS, KnowingShop, milliseconds, sku_name

PLENTY = 10**9


class SharetribeShop(KnowingShop):
    """See `Shop`."""

    name = "sharetribe"
    refusals = (ApiError,)

    def __init__(self, number: int, clock: VirtualClock, books: Books, *, seed: int, random: Random) -> None:
        super().__init__(number, clock, books, seed=seed, random=random)
        self._client_id = f"c11e0000-0000-4000-8000-0000000001{number:02}"
        self._secret = f"simulated-shop-secret-{number}"
        options = sandbox.Options(seed=seed, client_id=self._client_id, client_secret=SecretStr(self._secret))
        self.app = sandbox.create_app(options, clock)
        self._model: Marketplace = self.app.state.marketplace
        self._purchases: Purchases = self.app.state.purchases
        self._listings = {sku: self._offer(sku) for sku in SKUS}

    def _offer(self, sku: str) -> str:
        model, provider = self._model, self._model.provider.user_id
        origin = model.by_storefront(provider)
        details = {"metadata": {"sku": sku}}
        listing = model.add_listing(
            origin, title=sku, author_id=provider, state=ListingState.PUBLISHED, details=details
        )
        model.stock.compare_and_set(listing.listing_id, None, PLENTY, origin)
        return listing.listing_id

    @property
    def settings(self) -> SharetribeChannelSettings:
        return SharetribeChannelSettings(
            client_id=self._client_id,
            client_secret=SecretStr(self._secret),
            base_url=f"https://{self.host}",
            sku_key="metadata.sku",
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self._secret,)

    def _place(self, event: PlaceOrder, random: Random) -> str:
        sku, units = event.lines[0]
        started = self._purchases.start(self._listings[sku_name(sku)], units)
        self._books.enter(self.channel, started.transaction_id, milliseconds(started.created_at), old=False)
        if random.random() < 0.8:
            self._purchases.transition(started.transaction_id, STEPS["pay"])
        return started.transaction_id

    def _change(self, event: ChangeOrder, order: str, random: Random) -> str:
        match event:
            case CancelOrder():
                step = "expire" if self._model.transactions[order].state == "state/pending-payment" else "cancel"
            case FulfilOrder():
                step = random.choice(("pay", "deliver"))
            case _:
                return "cannot be done here"
        self._purchases.transition(order, STEPS[step])
        return step

    def _lines(self, order: str) -> dict[str, tuple[str, int]]:
        transaction = self._model.transactions[order]
        reservation = self._model.stock.reservations[transaction.reservation_id or ""]
        units = reservation.quantity if reservation.state in HOLDING else 0
        sku = next(sku for sku, listing_id in self._listings.items() if listing_id == transaction.listing_id)
        return {reservation.reservation_id: (sku, units)}

    def pass_time(self) -> None:
        """Checkouts that nobody pays expire."""
        self._purchases.pass_time()
        for order in self.orders.values():
            self._note(order)

    def lag_index(self, event: LagIndex) -> None:
        """Searches of transactions lag as those of listings do."""
        self._model.switches = self._model.switches.model_copy(update={"search_lag_seconds": event.seconds})

    def forge(self, parcel: Parcel, luck: Random) -> Parcel:
        raise NotImplementedError("it sends nothing")
