"""Adverts: what is published or not. No variant says which advert it belongs to, so adverts are asked for theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from connectors.budget import Priority
from connectors.errors import NotFound, OutcomeUnknown, Unreadable
from connectors.marketplacer.catalogue import Catalogue
from connectors.marketplacer.client import Client
from connectors.marketplacer.resources import Advert, ShapeError, advert, single

_WITH_VARIANTS = {"include": "variants"}


class Adverts:
    """The adverts that one key sees. Safe for use from several threads."""

    def __init__(self, client: Client, catalogue: Catalogue) -> None:
        self._client = client
        self._catalogue = catalogue
        self._of: dict[str, str] = {}

    def of(self, variant_id: str) -> Advert:
        """The advert of a variant, now. One call where it is known which that is. Raises `Unreadable` if there is none,
        `NotFound` for a variant that is none.
        """
        known = self._of.get(variant_id)
        if known is not None:
            try:
                found = self._read(known)
            except NotFound:
                found = None
            if found is not None and variant_id in found.variant_ids:
                return found
        return self._read(self._look_up(variant_id))

    def all(self) -> dict[str, Advert]:
        """Every advert, by its variants. May be behind."""
        found: dict[str, Advert] = {}
        for each in self._listed({}, Priority.SWEEP):
            found |= dict.fromkeys(each.variant_ids, each)
        return found

    def publish(self, advert_id: str, *, published: bool) -> None:
        """Set one advert on or off sale, once. Raises as `Closable.close` does."""
        what = f"{'publishing' if published else 'unpublishing'} advert {advert_id}"
        body = {"data": {"type": "adverts", "attributes": {"published": published}}}
        answer = self._client.put(f"adverts/{quote(advert_id, safe='')}", body, what=what)
        try:
            resource = single(answer)
            fields = resource.get("attributes")
            done = isinstance(fields, dict) and fields.get("published") is published
        except ShapeError:
            done = False
        if not done:
            raise OutcomeUnknown(f"{what} was answered, but not with that advert so", account=self._client.account)

    def _look_up(self, variant_id: str) -> str:
        """By the variant's SKU or barcode, for which the vendor has filters; else by going through all adverts."""
        variant = self._catalogue.variant(variant_id)
        hints: list[tuple[dict[str, Any], Priority]] = [
            ({name: value}, Priority.READ)
            for name, value in (("sku", variant.sku), ("barcode", variant.barcode))
            if value is not None
        ]
        for hint, priority in (*hints, ({}, Priority.SWEEP)):
            for found in self._listed(hint, priority):
                if variant_id in found.variant_ids:
                    return found.advert_id
        raise Unreadable(f"no advert names variant {variant_id} as its own", account=self._client.account)

    def _listed(self, filters: dict[str, Any], priority: Priority) -> Iterator[Advert]:
        what = "reading the adverts"
        for page in self._client.pages("adverts", {**filters, **_WITH_VARIANTS}, what=what, priority=priority):
            for element in page.elements:
                try:
                    found = advert(element)
                except ShapeError:
                    # Its variants are listed by themselves, and are told to be unreadable there.
                    continue
                self._of |= dict.fromkeys(found.variant_ids, found.advert_id)
                yield found

    def _read(self, advert_id: str) -> Advert:
        what = f"reading advert {advert_id}"
        answer = self._client.one("adverts", advert_id, _WITH_VARIANTS, what=what)
        with self._catalogue.reading(what):
            return advert(single(answer))
