"""`/adverts`, `/variants` and what a seller has of them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from .call import Call, Endpoint, Reply, paged
from .entities import Advert, Record, Variant
from .errors import ApiError, not_found, unprocessable

MOST_AT_ONCE = 1000
INFINITE = "INFINITE"


# Adverts.


def list_adverts(call: Call) -> Reply:
    """`GET /adverts`"""
    wanted = {name: call.query[name] for name in ("external_id", "sku", "barcode") if name in call.query}

    def fits(advert: Advert) -> bool:
        own = wanted.get("external_id", advert.external_id) == advert.external_id
        return own and all(
            any(getattr(variant, name) == wanted[name] for variant in advert.variants)
            for name in ("sku", "barcode")
            if name in wanted
        )

    found = [each for each in _adverts(call) if fits(each)]
    page, links = paged(call, found, lambda each: call.site.clock.now())
    return Reply(200, {"data": [_advert(call, each) for each in page], "links": links, **_along(call, page)})


def show_advert(call: Call) -> Reply:
    """`GET /adverts/{advert_id}`"""
    found = _advert_of(call)
    return Reply(200, {"data": _advert(call, found), **_along(call, [found])})


def update_advert(call: Call) -> Reply:
    """`PUT /adverts/{advert_id}`: what is not mentioned stays."""
    found = _advert_of(call)
    published = call.attributes.get("published", found.published)
    if not isinstance(published, bool):
        raise unprocessable("published is neither true nor false", "/data/attributes/published")
    found.title = str(call.attributes.get("title", found.title))
    if published is not found.published:
        call.site.publish(found, published=published)
    return Reply(200, {"data": _advert(call, found)}, "published" if found.published else "unpublished")


# Variants.


def list_variants(call: Call) -> Reply:
    """`GET /variants` and `GET /adverts/{advert_id}/variants`"""
    found = _advert_of(call).variants if "advert_id" in call.path else _variants(call)
    wanted = [(name, call.query[name]) for name in ("external_id", "sku", "barcode") if name in call.query]
    found = [each for each in found if all(getattr(each, name) == value for name, value in wanted)]
    page, links = paged(call, found, lambda each: each.ids[-1][0])
    return Reply(200, {"data": [_variant(call, each, listed=True) for each in page], "links": links})


def show_variant(call: Call) -> Reply:
    """`GET /variants/{variant_id}`, also below its advert"""
    return Reply(200, {"data": _single(call, _variant_of(call))})


def update_variant(call: Call) -> Reply:
    """`PUT /variants/{variant_id}`, also below its advert: what is not mentioned stays."""
    found, given = _variant_of(call), call.attributes
    if found.advert.seller_id != call.seller.seller_id:
        raise not_found(f"variant {found.variant_id}")
    record = _own_record(found)
    count = given.get("count_on_hand")
    if count is not None:
        call.site.set_count(record, _integer(count), call.site.by_key(call.seller))
    _set(record, given)
    for name in ("sku", "barcode", "external_id"):
        setattr(found, name, given.get(name, getattr(found, name)))
    return Reply(200, {"data": _single(call, found)}, "applied")


def set_stock_on_hand(call: Call) -> Reply:
    """`POST /variants/stock_on_hand`: many numbers at once; nothing is set if one of them cannot be."""
    counts = call.body.get("count_on_hand") if isinstance(call.body, dict) else None
    if not isinstance(counts, dict) or len(counts) > MOST_AT_ONCE:
        raise ApiError(400, "Bad Request", "count_on_hand is missing, or has too many entries")
    wanted: list[tuple[Record, int | None]] = []
    for variant_id, value in counts.items():
        if not str(variant_id).isdecimal():
            raise not_found(f"variant {variant_id}")
        record = _own_record(_visible(call, int(variant_id)))
        wanted.append((record, None if value == INFINITE else _integer(value)))
    for record, value in wanted:
        if value is None:
            call.site.set_infinite(record, infinite=True)
        else:
            call.site.set_count(record, value, call.site.by_key(call.seller))
    return Reply(201, {}, "applied")


# Inventories.


def list_inventories(call: Call) -> Reply:
    """`GET /variants/{variant_id}/inventories`"""
    found = _stored(call)
    return Reply(200, {"data": [] if found is None else _inventories(call, found)})


def put_inventories(call: Call) -> Reply:
    """`PUT /variants/{variant_id}/inventories`: the parent sets anybody's, a member by the last element its own."""
    found = _stored(call)
    if found is None:
        raise unprocessable("this is not an advert of a multi-store")
    if not isinstance(call.data, list) or not call.data:
        raise unprocessable("data must be a list of inventories")
    parent = call.site.is_parent(call.seller)
    for element in call.data if parent else call.data[-1:]:
        given = element.get("attributes") if isinstance(element, dict) else None
        if not isinstance(given, dict):
            raise unprocessable("an element has no attributes")
        seller_id = given.get("seller_id") if parent else call.seller.seller_id
        if seller_id not in call.site.sellers:
            raise unprocessable("seller_id names no seller of this multi-store")
        _upsert(call, found, int(seller_id), given)
    return Reply(200, {"data": _inventories(call, found)}, "applied")


def delete_inventory(call: Call) -> Reply:
    """`DELETE /variants/{variant_id}/inventories/{inventory_id}`"""
    found, number = _stored(call), call.number("inventory_id")
    records = [] if found is None else list(found.records.values())
    record = next((each for each in records if each.record_id == number), None)
    own = record is not None and record.seller_id == call.seller.seller_id
    if found is None or record is None or not (own or call.site.is_parent(call.seller)):
        raise not_found(f"inventory {number}")
    call.site.delete_record(found, record, call.site.by_key(call.seller))
    return Reply(204, None, "applied")


def list_memberships(call: Call) -> Reply:
    """`GET /multi_store_memberships`"""
    if not call.site.is_parent(call.seller):
        raise not_found("a multi-store of this seller")
    members = [each for each in call.site.sellers.values() if each.member]
    return Reply(
        200,
        {
            "data": [
                {
                    "id": call.known(number),
                    "type": "multi_store_memberships",
                    "attributes": {"seller_id": call.known(each.seller_id), "seller_name": each.name},
                }
                for number, each in enumerate(members, start=1)
            ]
        },
    )


# Who sees what.


def _adverts(call: Call) -> list[Advert]:
    return [each for each in call.site.adverts.values() if each.seller_id == call.seller.seller_id]


def _advert_of(call: Call) -> Advert:
    found = call.site.adverts.get(call.number("advert_id"))
    if found is None or found.seller_id != call.seller.seller_id:
        raise not_found("the advert")
    return found


def _variants(call: Call) -> list[Variant]:
    return [each for each in call.site.variants.values() if _sees(call, each)]


def _sees(call: Call, variant: Variant) -> bool:
    if variant.advert.seller_id == call.seller.seller_id:
        return True
    return variant.advert.multi_store and call.seller.member and call.site.switches.members_see_variants


def _visible(call: Call, variant_id: int) -> Variant:
    found = call.site.variant(variant_id)
    if not _sees(call, found):
        raise not_found(f"variant {variant_id}")
    return found


def _variant_of(call: Call) -> Variant:
    found = _visible(call, call.number("variant_id"))
    if "advert_id" in call.path and found.advert is not _advert_of(call):
        raise not_found(f"variant {found.variant_id} of this advert")
    return found


def _stored(call: Call) -> Variant | None:
    """The variant whose inventories are meant; None for a single-seller one, where that is no refusal."""
    found = call.site.variant(call.number("variant_id"))
    involved = found.advert.seller_id == call.seller.seller_id or (found.advert.multi_store and call.seller.member)
    if not involved:
        raise not_found(f"variant {found.variant_id}")
    if found.advert.multi_store:
        return found
    answer = call.site.switches.single_seller_inventories
    if answer != "empty":
        raise ApiError(int(answer), "Refused", "this is not an advert of a multi-store")
    return None


def _own_record(variant: Variant) -> Record:
    if variant.advert.multi_store:
        raise unprocessable("stock of a multi-store is kept in inventories")
    return variant.records[variant.advert.seller_id]


# What is written.


def _upsert(call: Call, variant: Variant, seller_id: int, given: dict[str, Any]) -> None:
    record, origin = variant.records.get(seller_id), call.site.by_key(call.seller)
    count = given.get("count_on_hand")
    if record is None:
        record = call.site.add_record(variant, seller_id, 0 if count is None else _integer(count), origin)
    else:
        if call.site.switches.omitted_fields == "reset":
            given = {"price": None, "sale_price": None, "infinite": False, **given}
        if count is not None:
            call.site.set_count(record, _integer(count), origin)
    _set(record, given)


def _set(record: Record, given: dict[str, Any]) -> None:
    for name in ("price", "sale_price"):
        if name in given:
            setattr(record, name, None if given[name] is None else Decimal(str(given[name])))
    if isinstance(given.get("infinite"), bool):
        record.infinite = given["infinite"]


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise unprocessable("count_on_hand is invalid", "/data/attributes/count_on_hand")
    return value


# What is shown.


def _advert(call: Call, advert: Advert) -> dict[str, Any]:
    variants = [{"type": "variants", "id": call.known(each.variant_id)} for each in advert.variants]
    return {
        "id": call.known(advert.advert_id),
        "type": "adverts",
        "attributes": {"title": advert.title, "published": advert.published, "price": "100.", "sale_price": None},
        "relationships": {"variants": {"data": variants}},
    }


def _along(call: Call, adverts: Sequence[Advert]) -> dict[str, Any]:
    if "variants" not in call.query.get("include", "").split(","):
        return {}
    return {"included": [_variant(call, variant) for advert in adverts for variant in advert.variants]}


def _single(call: Call, variant: Variant) -> Any:
    shown = _variant(call, variant)
    return [shown] if call.site.switches.variant_data == "array" else shown


def _variant(call: Call, variant: Variant, *, listed: bool = False) -> dict[str, Any]:
    switches = call.site.switches
    records = list(variant.records.values())
    own = variant.records.get(variant.advert.seller_id)
    price = own.price if own is not None else None
    attributes: dict[str, Any] = {
        "count_on_hand": sum(_count(call, each, listed=listed) for each in records),
        "sku": variant.sku,
        "barcode": variant.barcode,
        "price": None if price is None else float(price),
        "sale_price": None if own is None or own.sale_price is None else float(own.sale_price),
        "ean": variant.barcode,
        "upc": None,
    }
    if switches.external_id_shown:
        attributes["external_id"] = variant.external_id
    if switches.infinite_shown:
        attributes["infinite"] = own is not None and own.infinite
    return {"id": call.known(_id(call, variant, listed=listed)), "type": "variants", "attributes": attributes}


def _count(call: Call, record: Record, *, listed: bool) -> int:
    if not listed:
        return call.site.count(record)
    ledger = call.site.stock.stock(record.stock_key).adjustments
    return next((each.total for each in reversed(ledger) if each.at <= call.lists_show), 0)


def _id(call: Call, variant: Variant, *, listed: bool) -> int:
    if not listed:
        return variant.variant_id
    return next((number for at, number in reversed(variant.ids) if at <= call.lists_show), variant.ids[0][1])


def _inventories(call: Call, variant: Variant) -> list[dict[str, Any]]:
    return [_inventory(call, record) for record in variant.records.values()]


def _inventory(call: Call, record: Record) -> dict[str, Any]:
    attributes: dict[str, Any] = {"infinite": record.infinite, "seller_id": call.known(record.seller_id)}
    if not record.infinite:
        # An unlimited one is shown without them.
        attributes["count_on_hand"] = call.site.count(record)
        attributes["price"] = None if record.price is None else str(record.price)
        attributes["sale_price"] = None if record.sale_price is None else str(record.sale_price)
    return {"id": call.known(record.record_id), "type": "inventories", "attributes": attributes}


_ONE = "/variants/{variant_id}"
_BELOW = "/adverts/{advert_id}/variants/{variant_id}"
ENDPOINTS: dict[tuple[str, str], tuple[str, Endpoint]] = {
    ("GET", "/adverts"): ("adverts/list", list_adverts),
    ("GET", "/adverts/{advert_id}"): ("adverts/show", show_advert),
    ("PUT", "/adverts/{advert_id}"): ("adverts/update", update_advert),
    ("GET", "/adverts/{advert_id}/variants"): ("variants/list", list_variants),
    ("GET", _BELOW): ("variants/show", show_variant),
    ("PUT", _BELOW): ("variants/update", update_variant),
    ("GET", "/variants"): ("variants/list", list_variants),
    ("POST", "/variants/stock_on_hand"): ("variants/stock_on_hand", set_stock_on_hand),
    ("GET", _ONE): ("variants/show", show_variant),
    ("PUT", _ONE): ("variants/update", update_variant),
    ("GET", f"{_ONE}/inventories"): ("inventories/list", list_inventories),
    ("PUT", f"{_ONE}/inventories"): ("inventories/update", put_inventories),
    ("DELETE", f"{_ONE}/inventories/{{inventory_id}}"): ("inventories/delete", delete_inventory),
    ("GET", "/multi_store_memberships"): ("memberships/list", list_memberships),
}
