"""From a variant's identity to its present id.

Some operations of the seller portal replace a variant's id, and say so to nobody. So the id is looked up by what the
variant is known by, kept, and looked up once more when the vendor says that it is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from connectors.errors import NotFound, Unreadable
from connectors.marketplacer.client import Client
from connectors.marketplacer.resources import ShapeError, Variant, single, variant
from connectors.marketplacer.settings import Identity

T = TypeVar("T")


class Catalogue:
    """The variants that one key sees. Safe for use from several threads."""

    def __init__(self, client: Client, identity: Identity, *, stocked: bool) -> None:
        """`stocked`: whether variants have stock of their own."""
        self._client = client
        self._identity: Identity = identity
        self._stocked = stocked
        self._ids: dict[str, str] = {}

    def learn(self, found: Variant) -> None:
        """Remember the id that a list has just shown."""
        if found.key is not None:
            self._ids[found.key] = found.variant_id

    def at(self, key: str, act: Callable[[str], T]) -> T:
        """Do something with the variant's id, and once more if that turns out to be an old one.

        `act` raises `NotFound` for an id that is none, having done nothing. Raises `NotFound` when nothing is known by
        that key (any more), `Unreadable` when it cannot be told what is.
        """
        known = self._ids.get(key)
        if known is not None:
            try:
                return act(known)
            except NotFound:
                pass
        found = self._look_up(key)
        try:
            return act(found)
        except NotFound as error:
            message = f"the variant known by {key} is listed with id {found}, of which there is none"
            raise Unreadable(message, account=self._client.account) from error

    def variant(self, variant_id: str, key: str | None = None) -> Variant:
        """One variant, now. Raises `NotFound`, also when it is known by another key than `key`."""
        what = f"reading variant {variant_id}"
        answer = self._client.one("variants", variant_id, what=what)
        with self.reading(what):
            found = variant(single(answer), self._identity, stocked=self._stocked)
        if found.variant_id != variant_id:
            raise Unreadable(f"{what}: it is another variant", account=self._client.account)
        if key is not None and found.key not in {key, None}:
            raise NotFound(f"variant {variant_id} is known by another key now", account=self._client.account)
        return found

    def _look_up(self, key: str) -> str:
        what = f"looking up the variant known by {key}"
        listed = self._client.page("variants", {self._identity: key}, what=what)
        with self.reading(what):
            # Their numbers are not looked at: a list may be behind.
            found = [variant(each, self._identity, stocked=False) for each in listed.elements]
        ids = {each.variant_id for each in found if each.key in {key, None}}
        if len(ids) > 1:
            message = f"{len(ids)} variants have the {self._identity} {key}: it must be one variant's only"
            raise Unreadable(message, account=self._client.account)
        if not ids:
            self._ids.pop(key, None)
            message = f"there is no variant with the {self._identity} {key}"
            raise NotFound(message, account=self._client.account)
        self._ids[key] = ids.pop()
        return self._ids[key]

    @contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Turns a wrong shape into `Unreadable`, saying what was being read."""
        try:
            yield
        except ShapeError as error:
            raise Unreadable(f"{what}: {error}", account=self._client.account) from error
