"""Marketplacer's adverts, variants and inventories as our values. Pure: no I/O, no clock.

The vendor departs from JSON:API in places: ids are numbers, a single variant comes as a list of one, money is a text or
a number by turns, attributes may be left out. Every function raises `ShapeError` on anything else; the caller knows
what it was reading and turns that into `Unreadable`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from connectors.contract import MAX_QUANTITY, UNLIMITED, Stock
from connectors.marketplacer.settings import Identity
from connectors.text import is_storable, legible

Resource = Mapping[str, Any]

_MONEY = re.compile(r"-?\d{1,15}\.?\d{0,9}")


class ShapeError(ValueError):
    """A resource does not have its documented shape."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    elements: Sequence[Any]
    """What stands in it, whatever shape each has."""
    ids: frozenset[str]
    """Of those that have one."""
    included: Mapping[tuple[str, str], Resource]
    """What came along, by type and id."""
    following: int | None
    """The number of the next page; None at the end."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant as one key sees it."""

    variant_id: str
    key: str | None
    """Its identity; None where it has none, or the answer does not show it."""
    stock: Stock
    """Of the seller's own variant; means nothing in a multi-store, where inventories hold it."""
    sku: str | None = None
    barcode: str | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """One seller's stock of one variant of a multi-store."""

    seller_id: str
    stock: Stock
    price: int | float | None = None
    sale_price: int | float | None = None


@dataclass(frozen=True, slots=True)
class Advert:
    """One product."""

    advert_id: str
    published: bool
    title: str
    variant_ids: tuple[str, ...]


def page(answer: Any, number: int) -> Page:
    """A page of a list; `number` is the one that was asked for."""
    listed = elements(answer)
    ids = frozenset(found for found in map(id_in, listed) if found is not None)
    return Page(listed, ids, included(answer), _following(answer, number) if listed else None)


def _following(answer: Resource, number: int) -> int | None:
    """A last page may have no next link, an empty one, or one to itself: which is not documented."""
    links = answer.get("links")
    link = links.get("next") if isinstance(links, Mapping) else None
    if not isinstance(link, str):
        return None
    try:
        following = int(dict(parse_qsl(urlsplit(link).query)).get("page[number]", ""))
    except ValueError:
        return None
    # Nobody is sent further than one page at a time.
    return number + 1 if following > number else None


def elements(answer: Any) -> list[Any]:
    """What stands in a list."""
    found = mapping(answer, "the answer").get("data")
    if not isinstance(found, list):
        raise ShapeError("data is not a list")
    return found


def included(answer: Any) -> dict[tuple[str, str], Resource]:
    """What came along with an answer. What is malformed did not."""
    listed = answer.get("included") if isinstance(answer, Mapping) else None
    found: dict[tuple[str, str], Resource] = {}
    for each in listed if isinstance(listed, list) else ():
        found_id = id_in(each)
        if found_id is not None and isinstance(each.get("type"), str):
            found[each["type"], found_id] = each
    return found


def single(answer: Any) -> Resource:
    """The resource of a single answer, which may be a list of one."""
    data = mapping(answer, "the answer").get("data")
    if isinstance(data, list):
        if len(data) != 1:
            raise ShapeError(f"data holds {len(data)} resources instead of one")
        data = data[0]
    return mapping(data, "data")


def attributes(resource: Any) -> Resource:
    """What a resource says of itself."""
    return mapping(mapping(resource, "a resource").get("attributes"), "attributes")


def identifier(value: Any) -> str:
    """An id, a number or a text, that can be stored and asked for."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_QUANTITY:
        return str(value)
    if not isinstance(value, str) or not value or not is_storable(value):
        raise ShapeError("an id is missing, longer than any, or holds characters of none")
    return value


def id_in(resource: Any) -> str | None:
    """The id of what may be anything."""
    try:
        return identifier(mapping(resource, "a resource").get("id"))
    except ShapeError:
        return None


def mapping(value: Any, name: str) -> Resource:
    """An object."""
    if not isinstance(value, Mapping):
        raise ShapeError(f"{name} is not an object")
    return value


def text_of(value: Any, name: str) -> str | None:
    """A text that can be stored; None where there is none."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not is_storable(value):
        raise ShapeError(f"{name} is not a text that can be stored")
    return value


def stock(fields: Resource) -> Stock:
    """What `count_on_hand` and `infinite` say. A flag that is not shown is not set, as far as anybody can tell."""
    infinite = fields.get("infinite")
    if infinite is not None and not isinstance(infinite, bool):
        raise ShapeError("infinite is neither true nor false")
    if infinite:
        return UNLIMITED
    count = fields.get("count_on_hand")
    if not isinstance(count, int) or isinstance(count, bool):
        raise ShapeError("count_on_hand is not an integer")
    if abs(count) > MAX_QUANTITY:
        raise ShapeError("count_on_hand is beyond 64 bits")
    return Stock.counted(count)


def variant(resource: Any, identity: Identity, *, stocked: bool) -> Variant:
    """A `variants` resource; without `stocked` its numbers are not looked at."""
    fields = attributes(resource)
    return Variant(
        identifier(resource.get("id")),
        key_of(fields, identity),
        stock(fields) if stocked else UNLIMITED,
        text_of(fields.get("sku"), "sku"),
        text_of(fields.get("barcode"), "barcode"),
    )


def key_of(fields: Resource, identity: Identity) -> str | None:
    """By what a variant is known."""
    return text_of(fields.get(identity), identity)


def inventories(answer: Any) -> dict[str, Inventory]:
    """All inventories of one variant, by seller."""
    found: dict[str, Inventory] = {}
    for element in elements(answer):
        fields = attributes(element)
        seller_id = identifier(fields.get("seller_id"))
        if seller_id in found:
            raise ShapeError(f"it lists seller {seller_id} twice")
        found[seller_id] = Inventory(
            seller_id,
            stock(fields),
            money(fields.get("price"), "price"),
            money(fields.get("sale_price"), "sale_price"),
        )
    return found


def money(value: Any, name: str) -> int | float | None:
    """An amount as a number that JSON writes exactly as the vendor did; None where there is none."""
    if value is None:
        return None
    text = value if isinstance(value, str) else repr(value)
    if isinstance(value, bool) or not _MONEY.fullmatch(text):
        raise ShapeError(f"{name} is no amount of money")
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise ShapeError(f"{name} is no amount of money") from error
    number = int(amount) if amount == amount.to_integral_value() else float(text)
    if Decimal(repr(number)) != amount:
        raise ShapeError(f"{name} has more digits than a number in JSON keeps")
    return number


def advert(resource: Any) -> Advert:
    """An `adverts` resource that names its variants."""
    fields = attributes(resource)
    published, title = fields.get("published"), fields.get("title")
    if not isinstance(published, bool):
        raise ShapeError("published is neither true nor false")
    relationships = mapping(resource.get("relationships"), "relationships")
    named = elements(relationships.get("variants"))
    return Advert(
        identifier(resource.get("id")),
        published,
        legible(title) if isinstance(title, str) else "",
        tuple(identifier(mapping(each, "a variant").get("id")) for each in named),
    )
