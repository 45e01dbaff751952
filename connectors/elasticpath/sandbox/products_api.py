"""`/pcm/products`: reads, and changes of name, SKU and status."""

from __future__ import annotations

from typing import Any

from .call import Call, Endpoint, Reply
from .entities import Product
from .errors import bad_request, not_found
from .query import conditions, holds, paged

_FILTERS = {
    "sku": ("eq", "in", "like"),
    "status": ("eq",),
    "name": ("eq", "like"),
    "created_at": ("gt", "ge", "lt", "le"),
}


def list_products(call: Call) -> Reply:
    """`GET /pcm/products`"""
    asked = conditions(call.query.get("filter"), _FILTERS)
    found = [
        product
        for product in call.store.products.values()
        if all(holds(condition, getattr(product, condition[1])) for condition in asked)
    ]
    body = paged(found, call.query, _product, length=call.store.options.page_length)
    # Here a link that leads nowhere is left out rather than null, and the page is not told.
    body["links"] = {name: link for name, link in body["links"].items() if link is not None}
    del body["meta"]["page"]
    return Reply(200, body)


def show_product(call: Call) -> Reply:
    """`GET /pcm/products/{product_id}`"""
    return Reply(200, {"data": _product(_known(call))})


def update_product(call: Call) -> Reply:
    """`PUT /pcm/products/{product_id}`: what is not mentioned stays."""
    product = _known(call)
    if call.data.get("type") != "product" or call.data.get("id") != product.product_id:
        raise bad_request("type or id is not the product's")
    attributes = call.data.get("attributes") or {}
    if attributes.get("status", product.status) not in ("live", "draft"):
        raise bad_request("status must be live or draft")
    for name in ("status", "name", "sku"):
        setattr(product, name, attributes.get(name, getattr(product, name)))
    return Reply(200, {"data": _product(product)}, product.status)


def _known(call: Call) -> Product:
    product = call.store.products.get(call.path["product_id"])
    if product is None:
        raise not_found()
    return product


def _product(product: Product) -> dict[str, Any]:
    created_at = product.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "id": product.product_id,
        "type": "product",
        "attributes": {
            "name": product.name,
            "sku": product.sku,
            "slug": product.product_id,
            "status": product.status,
            "commodity_type": "physical",
        },
        "meta": {
            "owner": "organization" if product.organization else "store",
            "created_at": created_at,
            "updated_at": created_at,
        },
    }


ENDPOINTS: dict[tuple[str, str], tuple[str, Endpoint]] = {
    ("GET", "/pcm/products"): ("products/list", list_products),
    ("GET", "/pcm/products/{product_id}"): ("products/show", show_product),
    ("PUT", "/pcm/products/{product_id}"): ("products/update", update_product),
}
