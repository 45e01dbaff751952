"""`/v2/inventories`, in both flavours: the basic one, and multi-location by header."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from .call import Call, Endpoint, Reply, natural
from .entities import Level, Location, Position, StockTransaction
from .errors import bad_request, not_found
from .inventory import ALL_ACTIONS, BASIC_ACTIONS
from .query import conditions, paged

T = TypeVar("T")


def list_stock(call: Call) -> Reply:
    """`GET /v2/inventories`"""
    store = call.store
    asked = conditions(call.query.get("filter"), {"location": ("eq",)} if call.multi_location else {})
    found = [
        product_id
        for product_id in store.positions
        if (managed := store.managed(product_id))
        and all(any(each.location == value for each in managed) for _, _, value in asked)
    ]
    return Reply(200, _paged(call, found, lambda product_id: _stock(call, product_id)))


def list_multiple(call: Call) -> Reply:
    """`POST /v2/inventories/multiple`"""
    listed = call.body.get("data") if isinstance(call.body, dict) else None
    if not isinstance(listed, list) or not all(isinstance(each, dict) and "id" in each for each in listed):
        raise bad_request("data must list ids")
    switches = call.store.switches
    if len(listed) > switches.most_ids:
        raise bad_request("too many ids")
    ids = [str(each["id"]) for each in listed]
    missing = [product_id for product_id in ids if not _visible(call, product_id)]
    if missing and switches.unknown_ids != "left_out":
        refusal = not_found()
        # The basic flavour's errors have no room for names.
        if switches.unknown_ids == "refused_named" and call.multi_location:
            refusal.meta = {"missing_ids": missing}
        raise refusal
    return Reply(200, {"data": [_stock(call, product_id) for product_id in ids if product_id not in missing]})


def show_stock(call: Call) -> Reply:
    """`GET /v2/inventories/{product_id}`"""
    product_id = call.path["product_id"]
    if not _visible(call, product_id):
        raise not_found()
    return Reply(200, {"data": _stock(call, product_id)})


def create_basic(call: Call) -> Reply:
    """`POST /v2/inventories/{product_id}`: the basic flavour's way to start managing."""
    product_id = call.path["product_id"]
    if product_id not in call.store.products:
        raise not_found()
    quantity = natural(call.data.get("quantity"), "quantity")
    call.inventory.create(product_id, {None: quantity}, call.store.by_application())
    return Reply(201, {"data": _stock(call, product_id)}, "applied")


def create_located(call: Call) -> Reply:
    """`POST /v2/inventories`: the multi-location flavour's way."""
    product_id = str(call.data.get("id"))
    if product_id not in call.store.products:
        raise not_found()
    attributes = call.data.get("attributes") or {}
    quantities: dict[str | None, int] = {}
    if isinstance(locations := attributes.get("locations"), dict):
        for slug, each in locations.items():
            quantities[_known(call, slug)] = natural(each.get("available"), "available")
    else:
        quantities[None] = natural(attributes.get("available"), "available")
    call.inventory.create(product_id, quantities, call.store.by_application())
    return Reply(201, {"data": _stock(call, product_id)}, "applied")


def update_located(call: Call) -> Reply:
    """`PUT /v2/inventories/{product_id}`: locations only."""
    product_id = call.path["product_id"]
    locations = (call.data.get("attributes") or {}).get("locations")
    if not isinstance(locations, dict):
        raise bad_request("attributes.locations is missing")
    quantities = {
        _known(call, slug): None if each is None else natural(each.get("available"), "available")
        for slug, each in locations.items()
    }
    call.inventory.put_locations(product_id, quantities, call.store.by_application())
    return Reply(200, {"data": _stock(call, product_id)}, "applied")


def delete_stock(call: Call) -> Reply:
    """`DELETE /v2/inventories/{product_id}`"""
    if not call.store.managed(call.path["product_id"]):
        raise not_found()
    call.inventory.delete(call.path["product_id"], call.store.by_application())
    return Reply(204, None, "applied")


def list_transactions(call: Call) -> Reply:
    """`GET /v2/inventories/{product_id}/transactions`"""
    store, product_id = call.store, call.path["product_id"]
    if product_id not in store.positions:
        raise not_found()
    switches = store.switches
    found = [
        each for each in store.transactions[product_id] if not each.by_order or switches.order_transactions == "listed"
    ]
    if switches.unknown_transactions and found:
        found.insert(1, StockTransaction("unheard-of", "recount", 7, found[0].at))
    if switches.transaction_order == "newest_first":
        found.reverse()
    if call.multi_location or switches.transaction_paging == "paged":
        return Reply(200, _paged(call, found, lambda each: _transaction(call, product_id, each)))
    return Reply(200, {"data": [_transaction(call, product_id, each) for each in found]})


def show_transaction(call: Call) -> Reply:
    """`GET /v2/inventories/{product_id}/transactions/{transaction_id}`"""
    product_id = call.path["product_id"]
    for each in call.store.transactions.get(product_id, ()):
        if each.transaction_id == call.path["transaction_id"]:
            return Reply(200, {"data": _transaction(call, product_id, each)})
    raise not_found()


def create_transaction(call: Call) -> Reply:
    """`POST /v2/inventories/{product_id}/transactions`. The vendor's own client leaves out the outer type."""
    data, actions = call.data, ALL_ACTIONS if call.multi_location else BASIC_ACTIONS
    fields = data.get("attributes") if call.multi_location else data
    if not isinstance(fields, dict):
        raise bad_request("attributes are missing")
    kind = data.get("type", fields.get("type"))
    if kind != "stock-transaction" or fields.get("action") not in actions:
        raise bad_request("type or action is none that is known")
    quantity = natural(fields.get("quantity"), "quantity")
    location = fields.get("location") if call.multi_location else None
    made = call.inventory.act(
        call.path["product_id"], fields["action"], quantity, location, call.store.by_application()
    )
    status = 201 if call.multi_location else 200
    return Reply(status, {"data": _transaction(call, call.path["product_id"], made)}, "applied")


def list_locations(call: Call) -> Reply:
    """`GET /v2/inventories/locations`"""
    return Reply(200, _paged(call, list(call.store.locations.values()), _location))


def create_location(call: Call) -> Reply:
    """`POST /v2/inventories/locations`"""
    attributes = call.data.get("attributes") or {}
    slug = attributes.get("slug")
    if not isinstance(slug, str) or not 1 <= len(slug) <= 128:
        raise bad_request("slug is required")
    made = Location(call.store.new_id(), slug, str(attributes.get("name", slug)))
    call.store.locations[slug] = made
    return Reply(201, {"data": _location(made)}, "applied")


def show_location(call: Call) -> Reply:
    """`GET /v2/inventories/locations/{location_id}`"""
    for location in call.store.locations.values():
        if location.location_id == call.path["location_id"]:
            return Reply(200, {"data": _location(location)})
    raise not_found("No location found")


def _paged(call: Call, found: Sequence[T], render: Callable[[T], Any]) -> dict[str, Any]:
    body = paged(found, call.query, render, length=call.store.options.page_length)
    if call.multi_location and call.store.switches.located_meta == "left_out":
        del body["meta"]
    return body


def _known(call: Call, slug: str) -> str:
    if slug not in call.store.locations:
        raise not_found("No location found")
    return slug


def _level(call: Call, position: Position) -> Level:
    return call.inventory.level(position, lag_seconds=call.store.switches.stock_lag_seconds)


def _visible(call: Call, product_id: str) -> bool:
    positions = call.store.positions.get(product_id, {}).values()
    return any(_level(call, each).available is not None for each in positions)


def _stock(call: Call, product_id: str) -> dict[str, Any]:
    positions = call.store.positions[product_id]
    levels = {place: _level(call, position) for place, position in positions.items()}
    levels = {place: level for place, level in levels.items() if level.available is not None}
    summed = call.store.switches.located_available == "sum"
    counted = [level for place, level in levels.items() if summed or place is None]
    numbers = {
        "total": sum(each.total for each in counted),
        "available": sum(each.available or 0 for each in counted),
        "allocated": sum(each.allocated for each in counted),
    }
    if not call.multi_location:
        return {"id": product_id, "type": "stock", **numbers}
    located = {
        place: {"total": level.total, "available": level.available, "allocated": level.allocated}
        for place, level in levels.items()
        if place is not None
    }
    stamp = _rfc3339(max((level.at for level in levels.values()), default=call.store.clock.now()))
    return {
        "id": product_id,
        "type": "stock",
        "attributes": {**numbers, **({"locations": located} if located else {})},
        "meta": {"stock_id": product_id, "timestamps": {"created_at": stamp, "updated_at": stamp}},
    }


def _transaction(call: Call, product_id: str, made: StockTransaction) -> dict[str, Any]:
    fields: dict[str, Any] = {"action": made.action, "product_id": product_id, "quantity": made.quantity}
    go = call.store.switches.transaction_time == "go"
    times = {"created_at": _go(made.at) if go else _rfc3339(made.at)}
    identity = {"id": made.transaction_id, "type": "stock-transaction"}
    if not call.multi_location:
        return {**identity, **fields, "timestamps": times}
    if made.location is not None:
        fields["location"] = made.location
    return {**identity, "attributes": fields, "meta": {"timestamps": times}}


def _location(location: Location) -> dict[str, Any]:
    return {
        "id": location.location_id,
        "type": "inventory_location",
        "attributes": {"name": location.name, "slug": location.slug},
    }


def _go(moment: datetime) -> str:
    """As Go's default form writes a time of whole seconds."""
    return f"{moment:%Y-%m-%d %H:%M:%S} +0000 UTC"


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


ENDPOINTS: dict[tuple[str, str], tuple[str, Endpoint]] = {
    ("GET", "/v2/inventories"): ("inventories/list", list_stock),
    ("POST", "/v2/inventories"): ("inventories/create", create_located),
    ("POST", "/v2/inventories/multiple"): ("inventories/multiple", list_multiple),
    ("GET", "/v2/inventories/locations"): ("locations/list", list_locations),
    ("POST", "/v2/inventories/locations"): ("locations/create", create_location),
    ("GET", "/v2/inventories/locations/{location_id}"): ("locations/show", show_location),
    ("GET", "/v2/inventories/{product_id}"): ("inventories/show", show_stock),
    ("POST", "/v2/inventories/{product_id}"): ("inventories/create", create_basic),
    ("PUT", "/v2/inventories/{product_id}"): ("inventories/update", update_located),
    ("DELETE", "/v2/inventories/{product_id}"): ("inventories/delete", delete_stock),
    ("GET", "/v2/inventories/{product_id}/transactions"): ("transactions/list", list_transactions),
    ("POST", "/v2/inventories/{product_id}/transactions"): ("transactions/create", create_transaction),
    ("GET", "/v2/inventories/{product_id}/transactions/{transaction_id}"): ("transactions/show", show_transaction),
}
"""In order: what is fixed goes before what is a product's id."""
