"""Every parser that meets bytes from outside, each as a function of bytes, with the errors it may raise.

A target returns for bytes it takes and raises one of its documented errors for those it refuses. Anything else is a
finding. The same targets are driven by Hypothesis (`test_parsers.py`, which builds nearly right inputs) and by a
coverage-guided fuzzer (`coverage_guided.py`, which begins with `seeds`).
"""

from __future__ import annotations

import base64
import gzip
import hmac
import io
import random
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
from pydantic import SecretStr

from config.loading import load
from config.problems import ConfigurationError
from connectors import signing
from connectors.budget import LocalBudgets
from connectors.contract import Listing, Order, RemoteAdjustment
from connectors.errors import ConnectorError, InvalidSignature, Unreadable
from connectors.http import Toolbox
from connectors.marketplacer import ClosingMarketplace, MarketplacerChannel, MarketplacerMarketplaceSettings
from connectors.marketplacer.hooks import MarketplacerHooks
from connectors.sandbox.clock import VirtualClock
from connectors.sharetribe.channel import SharetribeChannel
from connectors.sharetribe.marketplace import SharetribeMarketplace
from connectors.sharetribe.sandbox.codec import CODECS, decoded
from connectors.sharetribe.sandbox.errors import ApiError
from connectors.sharetribe.settings import SharetribeChannelSettings, SharetribeMarketplaceSettings
from connectors.shopify import ShopifyChannel, ShopifySettings
from connectors.shopify.hooks import ShopifyHooks
from connectors.standard import AskedChannel, StandardChannel, StandardSettings
from connectors.standard.hooks import StandardHooks
from connectors.text import is_storable, legible
from connectors.woocommerce import WooCommerceChannel, WooCommerceSettings
from connectors.woocommerce.hooks import PING, WooCommerceHooks
from tests.fuzz import seeds
from tests.unit.connectors.marketplacer import vendor as marketplacer
from worker.demo import sales
from worker.links.table import parse

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
SECRET = "hush"
STANDARD_SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
SHOP = "toys.myshopify.com"
SITE = "toys.example"
LISTING = "listing-1"
MOST_CALLS = 2000
"""Of one target with one input: more is a loop without end."""


@dataclass(frozen=True)
class Target:
    """One way in."""

    run: Callable[[bytes], object]
    refuses: tuple[type[Exception], ...]
    seeds: Sequence[bytes]

    def try_out(self, data: bytes) -> bool:
        """Whether the bytes are taken; raises what nobody documented."""
        try:
            self.run(data)
        except self.refuses as error:
            _presentable(error)
            return False
        return True


def _presentable(error: Exception) -> None:
    """Whatever was in the bytes, the error can be stored and shown."""
    if isinstance(error, ConnectorError):
        assert legible(error.message) == error.message
        assert legible(error.code) == error.code


def _storable_order(order: Order) -> None:
    texts = [order.order_id, *(text for line in order.lines for text in (line.line_id, line.item_key, line.sku or ""))]
    assert all(is_storable(text) for text in texts)
    assert all(0 <= line.committed < 2**63 for line in order.lines)
    assert order.placed_at.tzinfo is not None
    assert abs(order.revision) < 2**63


# What the receiver takes ------------------------------------------------------------------------------------------

_SHOPIFY = ShopifySettings(
    shop=SHOP,
    access_token=SecretStr("shpat_0123456789abcdef"),
    client_secret=SecretStr(SECRET),
    exclude_tags=("mirrored",),
)
_HOOKS = ShopifyHooks(_SHOPIFY, account="toys")


def _signed_body(body: bytes) -> None:
    signature = base64.b64encode(hmac.digest(SECRET.encode(), body, "sha256")).decode()
    for topic in ("orders/updated", "app/uninstalled", ""):
        receipt = _HOOKS.receive({"x-shopify-hmac-sha256": signature, "x-shopify-topic": topic}, body)
        assert is_storable(receipt.delivery_id)
        assert is_storable(receipt.topic)
        for notice in _HOOKS.read(receipt.topic, receipt.kept):
            if isinstance(notice, Order):
                _storable_order(notice)


def _delivery_head(data: bytes) -> None:
    """Lines of `name: value`, then an empty one, then the body: never signed by us."""
    head, _, body = data.partition(b"\n\n")
    lines = (line.partition(b":") for line in head.split(b"\n"))
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, _, value in lines}
    _HOOKS.receive(headers, body)
    raise AssertionError("a delivery that nobody signed was taken")


_WOOCOMMERCE = WooCommerceSettings(
    site=f"https://{SITE}",
    consumer_key=SecretStr("ck_0123456789abcdef"),
    consumer_secret=SecretStr("cs_0123456789abcdef"),
    webhook_secrets=(SecretStr(SECRET),),
    exclude_meta_keys=("_mirrored",),
)
_WOOCOMMERCE_HOOKS = WooCommerceHooks(_WOOCOMMERCE, account="toys")


def _woocommerce_signed(body: bytes) -> None:
    signature = base64.b64encode(hmac.digest(SECRET.encode(), body, "sha256")).decode()
    for topic in ("order.updated", "order.deleted", "product.updated", ""):
        receipt = _WOOCOMMERCE_HOOKS.receive({"x-wc-webhook-signature": signature, "x-wc-webhook-topic": topic}, body)
        assert is_storable(receipt.delivery_id)
        assert is_storable(receipt.topic)
        for notice in _WOOCOMMERCE_HOOKS.read(receipt.topic, receipt.kept):
            if isinstance(notice, Order):
                _storable_order(notice)


def _woocommerce_head(data: bytes) -> None:
    """As above; only a ping may come unsigned, and it says nothing."""
    head, _, body = data.partition(b"\n\n")
    lines = (line.partition(b":") for line in head.split(b"\n"))
    headers = {name.decode("latin-1").lower(): value.decode("latin-1").strip() for name, _, value in lines}
    receipt = _WOOCOMMERCE_HOOKS.receive(headers, body)
    assert receipt.topic == PING
    assert len(receipt.kept) < 40


_STANDARD = StandardSettings(
    webhook_secrets=(SecretStr(STANDARD_SECRET),),
    orders_url=f"https://{SITE}/orders",
    time_zone="Europe/Berlin",
    exclude_sources=("mirrored",),
)
_STANDARD_HOOKS = StandardHooks(_STANDARD, VirtualClock(NOW), account="toys")


def _standard_signed(body: bytes) -> None:
    timestamp = str(int(NOW.timestamp()))
    digest = signing.digest(_STANDARD.keys[0], "msg_1", timestamp, body)
    signature = f"v1,{base64.b64encode(digest).decode()}"
    headers = {"webhook-id": "msg_1", "webhook-timestamp": timestamp, "webhook-signature": signature}
    receipt = _STANDARD_HOOKS.receive(headers, body)
    assert is_storable(receipt.topic)
    for notice in _STANDARD_HOOKS.read(receipt.topic, receipt.kept):
        if isinstance(notice, Order):
            _storable_order(notice)


def _standard_head(data: bytes) -> None:
    """As above: never signed by us."""
    head, _, body = data.partition(b"\n\n")
    lines = (line.partition(b":") for line in head.split(b"\n"))
    headers = {name.decode("latin-1").lower(): value.decode("latin-1").strip() for name, _, value in lines}
    _STANDARD_HOOKS.receive(headers, body)
    raise AssertionError("a message that nobody signed was taken")


_MARKETPLACER = marketplacer.channel_settings(webhook_hmac_keys=[SecretStr(marketplacer.HMAC_KEY)], refunded="kept")
_MARKETPLACER_HOOKS = MarketplacerHooks(_MARKETPLACER, account="toys")


def _marketplacer_body(body: bytes) -> None:
    """Taken whatever it holds, once the header is right."""
    receipt = _MARKETPLACER_HOOKS.receive({"auth-key": marketplacer.HOOK_SECRET}, body)
    assert is_storable(receipt.delivery_id)
    assert is_storable(receipt.topic)
    assert marketplacer.HOOK_SECRET.encode() not in receipt.kept
    _MARKETPLACER_HOOKS.read(receipt.topic, receipt.kept)


def _marketplacer_head(data: bytes) -> None:
    """As above: never with a secret or a signature of ours."""
    head, _, body = data.partition(b"\n\n")
    lines = (line.partition(b":") for line in head.split(b"\n"))
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, _, value in lines}
    _MARKETPLACER_HOOKS.receive(headers, body)
    raise AssertionError("a delivery that nobody signed was taken")


# What vendors answer ----------------------------------------------------------------------------------------------


class _EndlessError(AssertionError):
    """More calls than any answer justifies."""


def _toolbox(answer: Callable[[httpx.Request], httpx.Response]) -> Toolbox:
    clock = VirtualClock(NOW)
    calls = iter(range(MOST_CALLS))

    def counted(request: httpx.Request) -> httpx.Response:
        if next(calls, None) is None:
            raise _EndlessError(f"{request.method} {request.url} again")
        # Whatever an answer says, it sends nobody elsewhere.
        assert request.url.host in {SHOP, SITE, "marketplace.example", "flex-integ-api.sharetribe.com"}
        assert request.url.scheme == "https"
        return answer(request)

    # Short work of waiting: the clock is virtual, and no budget is about parsers.
    return Toolbox(
        clock=clock, budgets=LocalBudgets(clock), random=random.Random(1), transport=httpx.MockTransport(counted)
    )


def _each(calls: Iterable[Callable[[], object]]) -> None:
    """Every call is made, whatever the ones before it raised; when none took the answer, the last error is raised."""
    last: ConnectorError | None = None
    taken = 0
    for call in calls:
        try:
            call()
            taken += 1
        except ConnectorError as error:
            _presentable(error)
            last = error
    if last is not None and not taken:
        raise last


def _shopify_answers(answer: Callable[[httpx.Request], httpx.Response]) -> None:
    channel = ShopifyChannel("toys", _SHOPIFY, _toolbox(answer))

    def page() -> None:
        for order in channel.orders(channel.cursor_at(datetime(2026, 11, 20, tzinfo=UTC))).orders:
            _storable_order(order)

    def one() -> None:
        if isinstance(order := channel.order("1"), Order):
            _storable_order(order)

    try:
        _each(
            [
                page,
                one,
                lambda: next(channel.recent(NOW), None),
                lambda: channel.subscriptions("https://stock.example/hooks/toys"),
                lambda: channel.subscribe("https://stock.example/hooks/toys"),
            ]
        )
        assert channel.check()
    finally:
        channel.close()


def _shopify_body(data: bytes) -> None:
    """The bytes are the answer to every question."""
    _shopify_answers(lambda _: httpx.Response(200, content=data))


def _shopify_token(data: bytes) -> None:
    settings = ShopifySettings(shop=SHOP, client_id="app", client_secret=SecretStr(SECRET))
    channel = ShopifyChannel("toys", settings, _toolbox(lambda _: httpx.Response(200, content=data)))
    try:
        channel.order("1")
    finally:
        channel.close()


def _woocommerce_answers(answer: Callable[[httpx.Request], httpx.Response]) -> None:
    channel = WooCommerceChannel("toys", _WOOCOMMERCE, _toolbox(answer))

    def page() -> None:
        found = channel.orders(channel.cursor_at(datetime(2026, 11, 20, tzinfo=UTC)))
        for order in found.orders:
            _storable_order(order)
        for unreadable in found.unreadable:
            assert unreadable.order_id is None or is_storable(unreadable.order_id)
            assert legible(unreadable.reason) == unreadable.reason

    def one() -> None:
        if isinstance(order := channel.order("1"), Order):
            _storable_order(order)

    try:
        _each(
            [
                page,
                one,
                lambda: next(channel.recent(NOW), None),
                lambda: channel.subscriptions("https://stock.example/hooks/toys"),
                lambda: channel.subscribe("https://stock.example/hooks/toys"),
            ]
        )
        assert channel.check()
    finally:
        channel.close()


def _woocommerce_body(data: bytes) -> None:
    """The bytes are the answer to every question."""
    _woocommerce_answers(lambda _: httpx.Response(200, content=data))


def _standard_answers(answer: Callable[[httpx.Request], httpx.Response]) -> None:
    channel = AskedChannel("toys", _STANDARD, _toolbox(answer))

    def page() -> None:
        found = channel.orders(channel.cursor_at(datetime(2026, 11, 20, tzinfo=UTC)))
        for order in found.orders:
            _storable_order(order)
        for unreadable in found.unreadable:
            assert unreadable.order_id is None or is_storable(unreadable.order_id)
            assert legible(unreadable.reason) == unreadable.reason

    def one() -> None:
        if isinstance(order := channel.order("1"), Order):
            _storable_order(order)

    try:
        _each([page, one, lambda: next(channel.recent(NOW), None)])
        assert channel.check()
    finally:
        channel.close()


def _standard_body(data: bytes) -> None:
    """The bytes are the answer to every question."""
    _standard_answers(lambda _: httpx.Response(200, content=data))


def _marketplacer_answers(answer: Callable[[httpx.Request], httpx.Response]) -> None:
    for inventory, name in (("variants", "MUG"), ("multi_store", "2/MUG")):
        _marketplacer_market(marketplacer.marketplace_settings(close_adverts=True, inventory=inventory), name, answer)
    channel = MarketplacerChannel("toys", _MARKETPLACER, _toolbox(answer))

    def page() -> None:
        found = channel.orders(channel.cursor_at(datetime(2026, 11, 20, tzinfo=UTC)))
        for order in found.orders:
            _storable_order(order)
        for unreadable in found.unreadable:
            assert unreadable.order_id is None or is_storable(unreadable.order_id)
            assert legible(unreadable.reason) == unreadable.reason

    try:
        _each([page, lambda: next(channel.recent(NOW), None), lambda: channel.order("21")])
        assert channel.check()
    finally:
        channel.close()


def _marketplacer_market(
    settings: MarketplacerMarketplaceSettings, name: str, answer: Callable[[httpx.Request], httpx.Response]
) -> None:
    market = ClosingMarketplace(settings, _toolbox(answer))
    acts: list[Callable[[], object]] = [
        lambda: market.listing(name),
        lambda: market.adjust(name, seen=3, delta=-1),
        lambda: next(market.listings(), None),
        lambda: next(market.sales(since=NOW), None),
        lambda: market.close(name),
    ]
    try:
        with suppress(ConnectorError):
            _each(acts)
        assert market.check()
    finally:
        market.disconnect()


def _marketplacer_answer(data: bytes) -> None:
    """The bytes are the answer to every question."""
    _marketplacer_answers(lambda _: httpx.Response(200, content=data))


_SHARETRIBE = SharetribeMarketplaceSettings(
    client_id="our-client", client_secret=SecretStr("very-secret"), sku_key="metadata.sku"
)


def _storable_listing(listing: Listing) -> None:
    assert is_storable(listing.listing_id)
    assert is_storable(listing.seller_id)
    assert legible(listing.title) == listing.title
    assert listing.sku is None or is_storable(listing.sku)
    assert abs(listing.stock.total) < 2**63


def _storable_adjustment(adjustment: RemoteAdjustment) -> None:
    assert is_storable(adjustment.adjustment_id)
    assert is_storable(adjustment.listing_id)
    assert adjustment.quantity
    assert abs(adjustment.quantity) < 2**63


def _sharetribe_answers(answer: Callable[[httpx.Request], httpx.Response]) -> None:
    marketplace = SharetribeMarketplace(_SHARETRIBE, _toolbox(answer))

    def shown() -> None:
        _storable_listing(marketplace.listing(LISTING))

    def logged() -> None:
        for adjustment in marketplace.adjustments(LISTING, since=NOW.replace(month=10)):
            _storable_adjustment(adjustment)

    def feed() -> None:
        page = marketplace.changes(None)
        assert is_storable(page.cursor)
        assert all(is_storable(name) for name in page.unknown_types)
        for entry in page.unreadable:
            assert entry.listing_id is None or is_storable(entry.listing_id)
            assert legible(entry.name) == entry.name
            assert legible(entry.reason) == entry.reason

    def trail() -> None:
        for event in marketplace.trail("transaction-1"):
            assert legible(event.name) == event.name

    def swept() -> None:
        for page in marketplace.listings():
            for listing in page:
                if isinstance(listing, Listing):
                    _storable_listing(listing)
                else:
                    assert listing.listing_id is None or is_storable(listing.listing_id)
                    assert legible(listing.reason) == listing.reason

    try:
        _each(
            [
                shown,
                lambda: marketplace.adjust(LISTING, seen=5, delta=-1),
                logged,
                feed,
                trail,
                swept,
                lambda: marketplace.close(LISTING),
                lambda: marketplace.open(LISTING),
            ]
        )
        assert marketplace.check()
    finally:
        marketplace.disconnect()


def _token_first(request: httpx.Request, content: bytes) -> httpx.Response:
    if request.url.path.endswith("/auth/token"):
        return httpx.Response(200, json=seeds.SHARETRIBE_TOKEN)
    return httpx.Response(200, content=content)


def _sharetribe_body(data: bytes) -> None:
    """The bytes are the answer to every question but the one for a token."""
    _sharetribe_answers(lambda request: _token_first(request, data))


def _sharetribe_token(data: bytes) -> None:
    marketplace = SharetribeMarketplace(_SHARETRIBE, _toolbox(lambda _: httpx.Response(200, content=data)))
    try:
        marketplace.listing(LISTING)
    finally:
        marketplace.disconnect()


def _sharetribe_cursor(data: bytes) -> None:
    marketplace = SharetribeMarketplace(_SHARETRIBE, _toolbox(lambda request: _token_first(request, b'{"data": []}')))
    try:
        marketplace.changes(data.decode("utf-8", "surrogateescape"))
    finally:
        marketplace.disconnect()


_SALES = SharetribeChannelSettings(
    client_id="our-client", client_secret=SecretStr("very-secret"), sku_key="metadata.sku", provider_id="seller-1"
)


def _storable_sale(order: Order) -> None:
    assert is_storable(order.order_id)
    assert abs(order.revision) < 2**63
    for line in order.lines:
        assert is_storable(line.line_id)
        assert is_storable(line.item_key)
        assert line.sku is not None
        assert is_storable(line.sku)
        assert 0 <= line.committed < 2**63


def _sharetribe_sales(data: bytes) -> None:
    """The bytes are the answer to every question but the one for a token."""
    channel = SharetribeChannel("market", _SALES, _toolbox(lambda request: _token_first(request, data)))

    def polled(cursor: str) -> None:
        page = channel.orders(cursor)
        for order in page.orders:
            _storable_sale(order)
        for entry in page.unreadable:
            assert entry.order_id is None or is_storable(entry.order_id)
            assert legible(entry.reason) == entry.reason

    def one() -> None:
        found = channel.order("transaction-1")
        if isinstance(found, Order):
            _storable_sale(found)

    try:
        _each(
            [
                lambda: polled(channel.cursor_at(NOW)),
                lambda: polled('{"at":"2026-11-21T11:59:00Z","sequence":1}'),
                lambda: list(channel.recent(NOW)),
                one,
            ]
        )
    finally:
        channel.close()


def _sharetribe_sales_cursor(data: bytes) -> None:
    channel = SharetribeChannel("market", _SALES, _toolbox(lambda request: _token_first(request, b'{"data": []}')))
    try:
        channel.orders(data.decode("utf-8", "surrogateescape"))
    finally:
        channel.close()


def _sharetribe_transit(data: bytes) -> None:
    """The sandbox's own reading of what a client sends."""
    content = decoded("application/transit+json", data)
    for codec in CODECS.values():
        codec.encode(content)


def _whole_answer(data: bytes) -> None:
    """A status line's number, header lines, an empty line, a body: whatever any vendor may send to any client."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    status = int(first) if first.isdigit() and len(first) < 5 else 200
    pairs = [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines[:50])]
    # What h11 below us lets through.
    headers = [(name, value) for name, value in pairs if name.isalnum() or b"-" in name]

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(min(max(status, 100), 999), headers=headers, stream=httpx.ByteStream(body))

    each: list[Callable[[], object]] = [
        lambda: _shopify_answers(answer),
        lambda: _woocommerce_answers(answer),
        lambda: _standard_answers(answer),
        lambda: _marketplacer_answers(answer),
        lambda: _sharetribe_answers(answer),
    ]
    _each(each)


# What people hand in ----------------------------------------------------------------------------------------------


def _links(data: bytes) -> None:
    rows, problems = parse(data.decode("utf-8", "replace"))
    for row in rows:
        assert 0 < row.units < 2**63
        assert all(is_storable(text) for text in (row.channel, row.sku, row.listing_id))
    for problem in problems:
        assert problem.line > 0
        str(problem)


def _order_file(data: bytes) -> None:
    channel = StandardChannel("toys", _STANDARD, _toolbox(lambda _: httpx.Response(500)))
    for entry in channel.read_file(io.BytesIO(data)):
        assert 0 < entry.line < entry.next_line
        assert entry.offset <= len(data)
        if isinstance(entry.content, Order):
            _storable_order(entry.content)
        else:
            assert entry.content.order_id is None or is_storable(entry.content.order_id)
            assert legible(entry.content.reason) == entry.content.reason


def _sales(data: bytes) -> None:
    packed = data[:2] == b"\x1f\x8b"
    with tempfile.TemporaryDirectory(prefix="trueup-fuzz-") as folder:
        path = Path(folder) / ("sales.csv.gz" if packed else "sales.csv")
        path.write_bytes(data)
        for line in sales.read(path):
            assert line.quantity


_ENVIRON = {"CANARY": "canary-4be1", "TRUEUP_MARKETPLACE__CLIENT_SECRET": "canary-77aa"}


def _configuration(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="trueup-fuzz-") as folder:
        path = Path(folder) / "trueup.toml"
        path.write_bytes(data)
        _loaded(path, _ENVIRON)


def _environment(data: bytes) -> None:
    """Lines of `NAME=value`."""
    lines = (line.partition("=") for line in data.decode("utf-8", "replace").split("\n"))
    environ = {name: value for name, _, value in lines if name and name != "TRUEUP_CONFIG"}
    _loaded(None, _ENVIRON | environ)


def _loaded(path: Path | None, environ: Mapping[str, str]) -> None:
    said = ""
    try:
        settings = load(path, environ)
        said = repr(settings) + settings.model_dump_json()
        # One more value that anybody may have put anywhere, as a reference; never into an error.
        said = said.replace(_ENVIRON["CANARY"], "")
    except ConfigurationError as error:
        said = str(error)
        raise
    finally:
        assert "canary-" not in said


# All of them ------------------------------------------------------------------------------------------------------


TARGETS: Mapping[str, Target] = {
    "signed-body": Target(_signed_body, (Unreadable,), seeds.written(seeds.HOOKS)),
    "delivery-head": Target(_delivery_head, (InvalidSignature,), [b"X-Shopify-Hmac-Sha256: abc=\n\n{}"]),
    "shopify-answer": Target(_shopify_body, (ConnectorError,), seeds.written(seeds.SHOPIFY)),
    "shopify-token": Target(_shopify_token, (ConnectorError,), seeds.written([seeds.SHOPIFY_TOKEN])),
    "woocommerce-signed-body": Target(_woocommerce_signed, (Unreadable,), seeds.written(seeds.WOOCOMMERCE_HOOKS)),
    "woocommerce-delivery-head": Target(_woocommerce_head, (InvalidSignature,), [seeds.WOOCOMMERCE_PING]),
    "woocommerce-answer": Target(_woocommerce_body, (ConnectorError,), seeds.written(seeds.WOOCOMMERCE)),
    "standard-signed-body": Target(_standard_signed, (Unreadable,), seeds.written(seeds.STANDARD_HOOKS)),
    "standard-head": Target(_standard_head, (InvalidSignature,), [b"webhook-id: 1\nwebhook-signature: v1,a=\n\n{}"]),
    "standard-answer": Target(_standard_body, (ConnectorError,), seeds.written(seeds.STANDARD)),
    "standard-file": Target(_order_file, (Unreadable,), seeds.ORDER_FILES),
    "marketplacer-body": Target(_marketplacer_body, (Unreadable,), seeds.written(seeds.MARKETPLACER_HOOKS)),
    "marketplacer-delivery-head": Target(_marketplacer_head, (InvalidSignature,), [b"Auth-Key: abc\n\n{}"]),
    "marketplacer-answer": Target(_marketplacer_answer, (ConnectorError,), seeds.written(seeds.MARKETPLACER)),
    "sharetribe-answer": Target(_sharetribe_body, (ConnectorError,), seeds.written(seeds.SHARETRIBE)),
    "sharetribe-token": Target(_sharetribe_token, (ConnectorError,), seeds.written([seeds.SHARETRIBE_TOKEN])),
    "sharetribe-cursor": Target(_sharetribe_cursor, (ConnectorError,), seeds.written([seeds.CURSOR])),
    "sharetribe-sales": Target(_sharetribe_sales, (ConnectorError,), seeds.written(seeds.SHARETRIBE_SALES)),
    "sharetribe-sales-cursor": Target(_sharetribe_sales_cursor, (ConnectorError,), seeds.written(seeds.SALES_CURSORS)),
    "sharetribe-transit": Target(_sharetribe_transit, (ApiError,), seeds.written(seeds.TRANSIT)),
    "whole-answer": Target(_whole_answer, (ConnectorError,), seeds.ANSWERS),
    "links": Target(_links, (), [seeds.LINKS]),
    "sales": Target(_sales, (sales.SalesFileError,), [seeds.SALES, gzip.compress(seeds.SALES, mtime=0)]),
    "configuration": Target(_configuration, (ConfigurationError,), [seeds.CONFIGURATION]),
    "environment": Target(_environment, (ConfigurationError,), [seeds.ENVIRONMENT]),
}
