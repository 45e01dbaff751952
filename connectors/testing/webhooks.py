"""Cases of webhooks: what the vendor signed is understood, what somebody else sent is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from connectors.contract import Hooks, Look, Notice, Order, Receipt
from connectors.errors import ConnectorError, InvalidSignature, Unreadable
from connectors.testing.channel_readings import units_by_sku
from connectors.testing.channels import ChannelBench
from connectors.testing.sandboxes import CanGiveBack, CanSign, CanTell, CanTouch, Delivery, Sold
from connectors.testing.spoiling import paths, with_another_type, without
from connectors.testing.verdict import ContractBroken, NotShown, error_of, outcome, require, value

ONLY_SIGNED = "a delivery that its sender did not sign is refused: InvalidSignature, and nothing else"
CHECK_FIRST = (
    "verify the signature over the raw body in constant time before reading anything of it; a header that is missing, "
    "too long or no text is no signature"
)
MARK = "somebody@kit.example"
JUNK = (b"", b"{", b"\xff\xfe\x00", b"[" * 20_000, b"null", b'"' + b"x" * 300_000 + b'"')


class WebhookCases:
    """`Hooks`: receive and read."""

    def test_a_delivery_tells_which_order_it_is_about(self, bench: ChannelBench) -> None:
        order_id, delivery = _sold(bench)
        notices = _notices(bench.hooks, delivery)
        told = [one for one in notices if isinstance(one, Order | Look)]
        require(
            [one.order_id for one in told] == [order_id],
            "a delivery about an order gives that whole order, or says which one to look at",
            seen=f"a delivery about order {order_id} gave {notices}",
            mend="read the id as the vendor's order has it, the same as order(order_id) takes",
        )
        for one in told:
            if isinstance(one, Order):
                bench.expect_units(one, where="a webhook")

    def test_what_is_told_and_what_is_read_agree(self, bench: ChannelBench) -> None:
        order_id, _ = _sold(bench)
        tells = bench.can(CanTell, "tell() and told()")
        bench.clock.advance(2)
        if isinstance(bench.sandbox, CanGiveBack):
            bench.sandbox.give_back(order_id, "KIT-A", 1)
        elif isinstance(bench.sandbox, CanTouch):
            bench.sandbox.touch(order_id)
        told = [
            one
            for delivery in tells.told()
            for one in _notices(bench.hooks, delivery)
            if isinstance(one, Order) and one.order_id == order_id
        ]
        if not told:
            raise NotShown("the vendor's webhooks hold no whole orders: each says which one to look at")
        last = max(told, key=lambda one: one.revision)
        asked = bench.order(order_id)
        require(
            units_by_sku(last) == units_by_sku(asked) and last.revision <= asked.revision,
            "webhook and polling meet in the same numbers, whichever comes first",
            seen=f"the last webhook says {units_by_sku(last)} at revision {last.revision}, order(order_id) says "
            f"{units_by_sku(asked)} at {asked.revision}",
            mend="reckon committed and revision from the same fields on both roads; give Look where the body has less",
        )

    def test_a_delivery_again_is_the_same(self, bench: ChannelBench) -> None:
        _, delivery = _sold(bench)
        first, again = (_receipt(bench.hooks, delivery) for _ in range(2))
        require(
            first == again,
            "a delivery that comes twice is received alike: same id, same topic, same bytes to keep",
            seen=f"first {first}, then {again}",
            mend="put nothing of the moment or of chance into a receipt",
        )

    def test_a_delivery_without_its_headers_is_refused(self, bench: ChannelBench) -> None:
        _, delivery = _sold(bench)
        _refused(bench, {}, delivery.body, "the body without any header")
        needed = [name for name in delivery.headers if not _taken(bench, _but(delivery.headers, name), delivery.body)]
        require(
            needed,
            ONLY_SIGNED,
            seen="each header in turn was left out, and every time the delivery was taken",
            mend=CHECK_FIRST,
        )

    def test_a_forged_signature_is_refused(self, bench: ChannelBench) -> None:
        _, delivery = _sold(bench)
        needed = [name for name in delivery.headers if not _taken(bench, _but(delivery.headers, name), delivery.body)]
        refused = 0
        for name in needed:
            right = delivery.headers[name]
            for wrong in ("", "x", right[:-1], right + "x", right[::-1], right.swapcase(), "é", "x" * 10_000):
                refused += wrong != right and not _taken(bench, {**delivery.headers, name: wrong}, delivery.body)
        require(
            refused,
            ONLY_SIGNED,
            seen=f"the headers {needed} were changed in every way, and every time the delivery was taken",
            mend=CHECK_FIRST,
        )

    def test_a_body_that_was_tampered_with_is_refused(self, bench: ChannelBench) -> None:
        _, delivery = _sold(bench)
        tells = bench.can(CanTell, "tell() and told()")
        if not tells.signs_body:
            raise NotShown("the vendor signs no body: it sends a secret along")
        middle = len(delivery.body) // 2
        for body, what in (
            (delivery.body + b" ", "one space more"),
            (delivery.body[:-1], "its last byte less"),
            (delivery.body[:middle] + bytes([delivery.body[middle] ^ 1]) + delivery.body[middle + 1 :], "one bit off"),
            (b"", "no body at all"),
        ):
            _refused(bench, delivery.headers, body, f"the signature of a body with {what}")

    def test_junk_is_refused_like_any_forgery(self, bench: ChannelBench) -> None:
        _, delivery = _sold(bench)
        signature = [
            name for name in delivery.headers if not _taken(bench, _but(delivery.headers, name), delivery.body)
        ]
        for body in JUNK:
            for headers in ({}, dict.fromkeys(delivery.headers, "x"), _but(delivery.headers, *signature)):
                _refused(bench, headers, body, f"{body[:20]!r} with {len(headers)} headers that sign nothing")

    def test_the_status_of_a_refusal_is_one(self, bench: ChannelBench) -> None:
        require(
            bench.hooks.refusal_status in range(400, 600),
            "refusal_status is the HTTP status for a delivery with a bad signature",
            seen=f"it is {bench.hooks.refusal_status!r}",
            mend="401, unless the vendor would turn the webhook off for it",
        )

    def test_a_signed_body_that_cannot_be_read_is_kept(self, bench: ChannelBench) -> None:
        _, delivery = _sold(bench)
        signs = bench.can(CanSign, "signed(like, body)")
        for body in (*JUNK, delivery.body[: len(delivery.body) // 2]):
            receipt = _receipt(bench.hooks, signs.signed(delivery, body))
            require(
                not receipt.raw or receipt.kept == body,
                "a signed body that cannot be read is kept raw (Receipt.raw), so that a person can read it",
                seen=f"of {body[:20]!r} was kept {receipt.kept[:40]!r}",
                mend="keep the body as it came and set raw",
            )
            read = outcome(partial(bench.hooks.read, receipt.topic, receipt.kept), "read(topic, kept)")
            require(
                isinstance(read, Unreadable) or not any(isinstance(one, Order) for one in _listed(read)),
                "read(topic, kept) raises Unreadable for what has not its documented shape",
                seen=f"{body[:20]!r} was read as {read!r:.200}",
                mend="check the body's shape, and raise Unreadable with the order's id where that much can be read",
            )

    def test_a_field_of_a_webhook_that_is_missing_is_never_another_number(self, bench: ChannelBench) -> None:
        order_id, delivery = _sold(bench)
        signs = bench.can(CanSign, "signed(like, body)")
        true = bench.sandbox.committed(order_id)
        for what, body in _spoilt_bodies(delivery.body):
            receipt = outcome(partial(_receive, bench.hooks, signs.signed(delivery, body)), "receive(headers, body)")
            if isinstance(receipt, ConnectorError):
                continue
            read = outcome(partial(bench.hooks.read, receipt.topic, receipt.kept), "read(topic, kept)")
            for one in [] if isinstance(read, ConnectorError) else _listed(read):
                units = sum(line.committed for line in one.lines) if isinstance(one, Order) else None
                require(
                    units is None or units == sum(true.values()),
                    "a webhook's body that lacks what it should have is Unreadable, or says only which order to look "
                    "at",
                    seen=f"with {what} it was read as an order of {units} units; the order has {sum(true.values())}",
                    mend="take a missing field for the vendor's default only where the vendor documents that; give "
                    "Look or raise Unreadable otherwise",
                )

    def test_fields_nobody_knows_are_neither_read_nor_kept(self, bench: ChannelBench) -> None:
        _, delivery = _sold(bench)
        signs = bench.can(CanSign, "signed(like, body)")
        content = json.loads(delivery.body)
        if not isinstance(content, dict):
            raise NotShown("the body of a webhook is no JSON object")
        more = {**content, "field_nobody_knows": {"email": MARK}}
        signed = signs.signed(delivery, json.dumps(more).encode())
        receipt = _receipt(bench.hooks, signed)
        require(
            _notices(bench.hooks, signed) == _notices(bench.hooks, delivery),
            "vendors add fields any day: what is not known is passed over",
            seen="with one field more the delivery says something else",
            mend="forbid no extra fields where bodies are parsed",
        )
        require(
            receipt.raw or MARK.encode() not in receipt.kept,
            "of a delivery is kept what stock needs: no names, addresses, payment data",
            seen=f"what is kept holds {MARK!r} from a field that no connector knows",
            mend="keep the fields you read and no others (Receipt.kept)",
        )


def _sold(bench: ChannelBench) -> tuple[str, Delivery]:
    """An order, and the first delivery that tells of it."""
    hooks, tells = bench.hooks, bench.can(CanTell, "tell() and told()")
    tells.tell()
    order_id = bench.sandbox.place(Sold("KIT-A", 3))
    told = tells.told()
    for delivery in told:
        if any(isinstance(one, Order | Look) for one in _notices(hooks, delivery)):
            return order_id, delivery
    raise ContractBroken(
        "an order that is placed is told by webhook",
        seen=f"{len(told)} deliveries came, none about an order",
        mend="(of the sandbox) let tell() register the topics that concern orders, and told() wait until all arrived",
    )


def _receive(hooks: Hooks, delivery: Delivery) -> Receipt:
    return hooks.receive(delivery.headers, delivery.body)


def _receipt(hooks: Hooks, delivery: Delivery) -> Receipt:
    return value(partial(_receive, hooks, delivery), "receive(headers, body) of a signed delivery")


def _notices(hooks: Hooks, delivery: Delivery) -> Sequence[Notice]:
    receipt = _receipt(hooks, delivery)
    return _listed(value(lambda: hooks.read(receipt.topic, receipt.kept), "read(topic, kept)"))


def _listed(notices: Any) -> Sequence[Notice]:
    return list(notices)


def _but(headers: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: text for name, text in headers.items() if name not in names}


def _taken(bench: ChannelBench, headers: Mapping[str, str], body: bytes) -> bool:
    result = outcome(lambda: bench.hooks.receive(headers, body), "receive(headers, body)")
    require(
        not isinstance(result, ConnectorError) or isinstance(result, InvalidSignature),
        ONLY_SIGNED,
        seen=f"it raised {type(result).__name__}",
        mend="raise InvalidSignature for whatever cannot be verified",
    )
    return not isinstance(result, InvalidSignature)


def _refused(bench: ChannelBench, headers: Mapping[str, str], body: bytes, what: str) -> None:
    error_of(
        lambda: bench.hooks.receive(headers, body),
        f"{what}",
        expected=InvalidSignature,
        promise=ONLY_SIGNED,
        mend=CHECK_FIRST,
    )


def _spoilt_bodies(body: bytes) -> Iterator[tuple[str, bytes]]:
    """A JSON body with each of its fields left out, and with each made something else."""
    content = json.loads(body)
    spoils: tuple[tuple[str, Callable[..., Any]], ...] = (("left out", without), ("of another type", with_another_type))
    for path in dict.fromkeys(paths(content)):
        for how, spoil in spoils:
            yield f"{'.'.join(path)} {how}", json.dumps(spoil(content, path=path)).encode()
