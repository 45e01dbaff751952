"""Transactions: every row of the table of stock actions, what happens by itself, and releases that fail."""

from __future__ import annotations

import pytest

from connectors.sandbox.clock import VirtualClock
from tests.conformance.sharetribe_sandbox.api import Api, code


def reservation_state(api: Api, reservation_id: str) -> str:
    return str(api.get("stock_reservations/show", id=reservation_id).json()["data"]["attributes"]["state"])


@pytest.mark.parametrize(
    ("process", "steps", "reservation", "ledger", "state"),
    [
        ("default-purchase", [], "pending", [10, -3], "state/pending-payment"),
        ("default-purchase", ["pay"], "accepted", [10, -3], "state/purchased"),
        ("default-purchase", ["expire"], "declined", [10, -3, 3], "state/payment-expired"),
        ("default-purchase", ["pay", "cancel"], "cancelled", [10, -3, 3], "state/canceled"),
        (
            "default-purchase",
            ["pay", "deliver", "dispute", "cancel_disputed"],
            "cancelled",
            [10, -3, 3],
            "state/canceled",
        ),
        ("proposed-purchase", [], "proposed", [10], "state/proposed"),
        ("proposed-purchase", ["accept"], "accepted", [10, -3], "state/accepted"),
        ("proposed-purchase", ["decline"], "declined", [10], "state/declined"),
        ("proposed-purchase", ["accept", "cancel"], "cancelled", [10, -3, 3], "state/canceled"),
    ],
)
def test_each_stock_action_does_what_its_row_says(
    api: Api, process: str, steps: list[str], reservation: str, ledger: list[int], state: str
) -> None:
    listing_id = api.listing(10)
    purchase = api.buy(listing_id, 3, process=process)
    for step in steps:
        purchase = api.step(purchase, step)
    assert reservation_state(api, purchase["reservation_id"]) == reservation
    assert api.ledger(listing_id) == ledger
    shown = api.get("transactions/show", id=purchase["id"]).json()["data"]["attributes"]
    assert (shown["state"], shown["processName"]) == (state, process)
    assert len(shown["transitions"]) == 1 + len(steps)


@pytest.mark.parametrize("process", ["default-purchase", "proposed-purchase"])
@pytest.mark.parametrize("stock", [2, None])
def test_a_purchase_needs_enough_defined_stock(api: Api, process: str, stock: int | None) -> None:
    listing_id = api.listing(stock)
    refused = api.http.post("/_control/purchases", json={"listing_id": listing_id, "quantity": 3, "process": process})
    assert (refused.status_code, refused.json()["code"]) == (409, "transaction-listing-insufficient-stock")
    assert api.look("state")["transactions"] == []


def test_accepting_a_proposal_fails_when_the_stock_is_gone(api: Api) -> None:
    listing_id = api.listing(3)
    purchase = api.buy(listing_id, 3, process="proposed-purchase")
    api.compare_and_set(listing_id, 3, 2)
    refused = api.http.post(f"/_control/purchases/{purchase['id']}/accept")
    assert refused.json()["code"] == "transaction-listing-insufficient-stock"
    assert reservation_state(api, purchase["reservation_id"]) == "proposed"


def test_an_unpaid_purchase_expires_after_a_quarter_of_an_hour(api: Api, clock: VirtualClock) -> None:
    listing_id = api.listing(10)
    abandoned, paid = api.buy(listing_id, 3), api.buy(listing_id, 2)
    api.step(paid, "pay")
    clock.advance(899)
    assert api.total(listing_id) == 5
    clock.advance(1)
    api.forget_token()
    assert api.total(listing_id) == 8
    assert reservation_state(api, abandoned["reservation_id"]) == "declined"
    assert reservation_state(api, paid["reservation_id"]) == "accepted"


def test_the_control_surface_moves_the_clock(api: Api) -> None:
    listing_id = api.listing(10)
    api.buy(listing_id, 3)
    api.control("clock", {"seconds": 900})
    assert api.look(f"listings/{listing_id}")["total"] == 10


def test_stock_events_come_first_and_the_transaction_event_last(api: Api) -> None:
    listing_id = api.listing(10)
    mark = api.look("state")["last_sequence"]
    api.step(api.buy(listing_id, 3), "expire")
    assert [event["eventType"] for event in api.events(startAfterSequenceId=mark)] == [
        "stockReservation/created",
        "stockAdjustment/created",
        "transaction/initiated",
        "stockReservation/updated",
        "stockAdjustment/created",
        "transaction/transitioned",
    ]


def test_a_failed_release_with_a_taker_makes_the_total_negative(api: Api) -> None:
    listing_id = api.listing(3)
    purchase = api.buy(listing_id, 3)
    mark = api.look("state")["last_sequence"]
    after = api.step(purchase, "fail_release")
    assert after["total"] == api.total(listing_id) == -3
    assert (after["state"], after["transitions"]) == (purchase["state"], purchase["transitions"])
    assert reservation_state(api, purchase["reservation_id"]) == "pending"
    assert api.ledger(listing_id) == [3, -3, 3, -3, -3]
    trail = api.events(startAfterSequenceId=mark, relatedResourceId=purchase["reservation_id"])
    assert [event["eventType"] for event in trail] == [
        "stockReservation/updated",
        "stockAdjustment/created",
        "stockReservation/updated",
        "stockAdjustment/created",
    ]
    states = [event["resource"]["attributes"].get("state") for event in trail]
    assert states == ["declined", None, "pending", None]


def test_a_failed_release_without_a_taker_leaves_the_total_as_it_was(api: Api) -> None:
    listing_id = api.listing(3)
    purchase = api.step(api.buy(listing_id, 3), "pay")
    assert api.step(purchase, "fail_release", {"taker_units": 0})["total"] == 0
    assert api.ledger(listing_id) == [3, -3, 3, -3]
    assert reservation_state(api, purchase["reservation_id"]) == "accepted"


def test_our_own_write_can_be_the_taker_while_a_failing_release_is_visible(api: Api) -> None:
    listing_id = api.listing(3)
    purchase = api.step(api.buy(listing_id, 3), "pay")
    assert api.step(purchase, "fail_release", {"taker_units": 0, "hold": True})["total"] == 3
    locked = api.post(
        "transactions/transition", {"id": purchase["id"], "transition": "transition/cancel", "params": {}}
    )
    assert (locked.status_code, code(locked)) == (409, "transaction-locked")
    assert api.compare_and_set(listing_id, 3, 1).status_code == 200
    assert api.step(purchase, "undo_release")["total"] == -2
    assert api.step(purchase, "cancel")["total"] == 1


def test_a_purchase_that_failed_to_expire_expires_later(api: Api, clock: VirtualClock) -> None:
    listing_id = api.listing(3)
    purchase = api.buy(listing_id, 1)
    api.step(purchase, "fail_release", {"taker_units": 0, "hold": True})
    clock.advance(1_000)
    assert api.look(f"listings/{listing_id}")["total"] == 3
    assert api.step(purchase, "undo_release")["total"] == 2
    assert api.look(f"listings/{listing_id}")["transactions"][0]["state"] == "state/payment-expired"


def test_the_api_makes_only_the_operators_transitions(api: Api) -> None:
    listing_id = api.listing(3)
    purchase = api.buy(listing_id, 1)

    def transition(name: str) -> tuple[int, str]:
        refused = api.post("transactions/transition", {"id": purchase["id"], "transition": name, "params": {}})
        return refused.status_code, code(refused)

    assert transition("transition/confirm-payment") == (403, "forbidden")
    assert transition("transition/cancel") == (409, "transaction-invalid-transition")
    assert transition("transition/dance") == (409, "transaction-invalid-transition")
    api.step(purchase, "pay")
    mark = api.look("state")["last_sequence"]
    done = api.post(
        "transactions/transition",
        {"id": purchase["id"], "transition": "transition/cancel", "params": {}},
        expand="true",
    )
    assert done.json()["data"]["attributes"]["lastTransition"] == "transition/cancel"
    for event in api.events(startAfterSequenceId=mark):
        assert event["source"] == "source/transaction"
        assert event["auditData"]["clientId"] == api.options.client_id


def test_transactions_can_be_queried(api: Api) -> None:
    mug, hat = api.listing(9), api.listing(9)
    paid, abandoned = api.step(api.buy(mug), "pay"), api.buy(hat)

    def found(**query: str) -> set[str]:
        return {each["id"] for each in api.get("transactions/query", **query).json()["data"]}

    assert found() == {paid["id"], abandoned["id"]}
    assert found(listingId=mug) == {paid["id"]}
    assert found(states="state/pending-payment") == {abandoned["id"]}
    assert found(stockReservationStates="accepted,cancelled") == {paid["id"]}
    assert found(lastTransitions="transition/confirm-payment") == {paid["id"]}
    assert found(hasStockReservation="false") == set()
    answer = api.get("transactions/query", listingId=mug, include="stockReservation,listing").json()
    assert {each["type"] for each in answer["included"]} == {"stockReservation", "listing"}
