"""The audit: every unit has a cause, one without is found and named, and what has not changed costs no call."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connectors.contract import Evidence, Listing
from connectors.errors import Unavailable
from connectors.sandbox.log import Origin, Shown
from tests.doubles import OURS, AbsoluteMarketplace, RelativeMarketplace
from tests.world import World
from worker.alerts import Kind
from worker.audit.causes import Cause
from worker.audit.service import Run
from worker.audit.statement import Proof, Statement, Statements
from worker.operators import Actor, Via
from worker.store import Store
from worker.store.tables import Anomaly, Operation, ProofState

ADA = Actor("ada", Via.COMMAND)
LONGER_THAN_PATIENCE = 900


def audit(world: World, **how: object) -> Run:
    return world.services.auditor.run(**how)  # type: ignore[arg-type]


def statement(world: World, listing_id: str = "L") -> Statement:
    found = Statements(world.store, world.marketplace).statement(listing_id)
    assert found is not None
    return found


def proof(world: World, listing_id: str = "L") -> Proof:
    found = statement(world, listing_id).proof
    assert found is not None
    return found


def units(world: World, listing_id: str = "L") -> dict[str, int]:
    """Net units by cause."""
    return {cause.value: entry.units for cause, entry in proof(world, listing_id).sums.items()}


def day_of_everything(world: World) -> None:
    """A sale of ours, a purchase given back, a purchase kept, an edit: 10 units become 8."""
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    world.marketplace.abandon(world.marketplace.buy("L", 2))
    world.marketplace.buy("L", 1)
    world.marketplace.edit("L", 2)
    world.follow()
    world.pass_time(LONGER_THAN_PATIENCE)


def calls(world: World) -> int:
    """To the marketplace, about single listings."""
    return world.marketplace.count("adjustments") + world.marketplace.count("listing")


def called(world: World, act: Callable[[], object]) -> int:
    before = calls(world)
    act()
    return calls(world) - before


# --- every unit has a cause -------------------------------------------------------------------------------------


def test_every_unit_is_told_with_its_cause(world: World) -> None:
    day_of_everything(world)
    run = audit(world)
    assert run.is_right
    assert dict(run.states) == {"proved": 1}
    found = proof(world)
    assert (found.opening_total, found.total) == (10, 8)
    assert units(world) == {"ours": -3, "marketplace": -1, "provider": 2}
    lines = statement(world).lines
    assert [(line.cause.value, line.change) for line in lines] == [
        ("provider", 2),
        ("marketplace", -1),
        ("marketplace", 2),
        ("marketplace", -2),
        ("ours", -3),
    ]
    ours = lines[-1]
    assert [(order.channel, order.order_id, order.sku, order.units) for order in ours.orders] == [("shop", "1", "A", 3)]
    assert {line.transaction for line in lines[1:4]} == {"tx-0", "tx-1"}
    assert all(line.reservation is not None for line in lines[1:4])
    assert world.anomalies() == []


def test_the_next_proof_goes_on_where_the_last_one_ended(world: World) -> None:
    day_of_everything(world)
    world.marketplace.edit("L", 1)
    world.pass_time(LONGER_THAN_PATIENCE)
    audit(world)
    world.sell("2", {"A": 1})
    world.reconcile()
    world.pass_time(LONGER_THAN_PATIENCE)
    asked: list[object] = []
    read = world.marketplace.adjustments

    def noted(listing_id: str, *, since: object) -> object:
        found = read(listing_id, since=since)  # type: ignore[arg-type]
        asked.append(len(found))
        return found

    world.marketplace.adjustments = noted  # type: ignore[method-assign,assignment]
    assert called(world, lambda: audit(world)) == 2
    # The last minutes of what was proved are read again, for what a log shows late; older than that is not.
    assert asked == [2]
    assert units(world) == {"ours": -4, "marketplace": -1, "provider": 3}
    assert proof(world).state is ProofState.PROVED


def test_a_write_is_proved_down_to_the_units_of_its_order_lines(world: World) -> None:
    world.listing(total=20)
    world.link(units=6)
    world.sell("1", {"A": 2})
    world.reconcile()
    world.pass_time(1)
    world.sell("1", {"A": 1})
    world.reconcile()
    audit(world)
    assert units(world) == {"ours": -6}
    assert [(line.change, [order.units for order in line.orders]) for line in statement(world).lines] == [
        (6, [-6]),
        (-12, [12]),
    ]


def test_a_sweep_that_lagged_when_a_listing_was_met_is_no_unit_without_a_cause(world: World) -> None:
    world.marketplace.add("L", 10)
    shown = list(world.marketplace.listings())
    world.pass_time(30)
    world.marketplace.edit("L", -4)
    world.pass_time(30)
    world.marketplace.listings = lambda: iter(shown)  # type: ignore[method-assign]
    world.services.sweeper.sweep()
    world.pass_time(60)
    world.marketplace.edit("L", 1)
    world.follow()
    world.pass_time(LONGER_THAN_PATIENCE)
    audit(world)
    assert (proof(world).opening_total, proof(world).total) == (10, 7)
    # Who took 4 before the feed was followed, nobody tells.
    assert units(world) == {"untold": -4, "provider": 1}
    assert world.anomalies() == []


def test_what_happens_between_log_and_number_is_no_unit_without_a_cause(world: World) -> None:
    day_of_everything(world)
    audit(world)
    world.marketplace.edit("L", 1)
    world.pass_time(LONGER_THAN_PATIENCE)
    read = world.marketplace.adjustments

    def sold_meanwhile(listing_id: str, *, since: object) -> object:
        found = read(listing_id, since=since)  # type: ignore[arg-type]
        world.marketplace.adjustments = read  # type: ignore[method-assign]
        world.marketplace.buy("L", 1)
        return found

    world.marketplace.adjustments = sold_meanwhile  # type: ignore[method-assign,assignment]
    audit(world)
    assert (proof(world).state, proof(world).total) == (ProofState.PROVED, 8)
    assert units(world) == {"ours": -3, "marketplace": -2, "provider": 3}


# --- a unit without one -----------------------------------------------------------------------------------------


def test_an_adjustment_of_nobody_is_found_and_named(world: World) -> None:
    day_of_everything(world)
    injected = world.marketplace.stock_model.adjust("L", -1, Origin("api", shown=Shown.ANONYMOUS))
    world.follow()
    world.reconcile()
    world.pass_time(LONGER_THAN_PATIENCE)
    run = audit(world)
    assert not run.is_right
    found = proof(world)
    assert found.state is ProofState.UNEXPLAINED
    assert [(entry.adjustment, entry.units) for entry in found.without_cause] == [(injected.adjustment_id, -1)]
    ((kind, detail, message),) = world.rows(Anomaly.kind, Anomaly.detail, Anomaly.message)
    assert (kind, detail["adjustment"], detail["units"]) == (
        Kind.UNEXPLAINED_ADJUSTMENT,
        injected.adjustment_id,
        -1,
    )
    assert injected.adjustment_id in message
    # What moved with a cause is told all the same.
    assert units(world) == {"ours": -3, "marketplace": -1, "provider": 2, "unexplained": -1}


def test_a_unit_that_went_without_an_adjustment_is_found_and_named_once(world: World) -> None:
    day_of_everything(world)
    audit(world)
    world.marketplace.stock_model.stock("L").total = 7
    world.services.sweeper.sweep()
    world.upkeep()
    audit(world)
    audit(world)
    found = proof(world)
    assert (found.state, found.units_without_cause, found.total) == (ProofState.UNEXPLAINED, -1, 7)
    assert "leads from 8 to 8, and the number is 7" in found.without_cause[0].why
    assert world.anomalies().count("unexplained-adjustment") == 1


def test_a_cause_that_comes_late_resolves_it(world: World) -> None:
    day_of_everything(world)
    audit(world)
    world.marketplace.stock_model.stock("L").total = 7
    world.services.sweeper.sweep()
    world.upkeep()
    audit(world)
    assert "unexplained-adjustment" in world.anomalies()
    world.pass_time(60)
    world.marketplace.stock_model.stock("L").total = 8
    assert audit(world).is_right
    assert "unexplained-adjustment" in world.anomalies(resolved=True)
    # And the same again is something new.
    world.marketplace.stock_model.stock("L").total = 7
    world.services.sweeper.sweep()
    world.upkeep()
    world.pass_time(60)
    assert not audit(world).is_right


def test_a_unit_that_a_person_has_explained_stands_and_costs_no_call_any_more(world: World) -> None:
    day_of_everything(world)
    world.marketplace.stock_model.adjust("L", -1, Origin("api", shown=Shown.ANONYMOUS))
    world.follow()
    world.reconcile()
    world.pass_time(LONGER_THAN_PATIENCE)
    audit(world)
    (anomaly,) = world.services.anomalies.list(kind=Kind.UNEXPLAINED_ADJUSTMENT)
    world.services.desk.resolve(anomaly.id, by=ADA, reason="a colleague took it for a photograph")
    world.reconcile()
    assert audit(world).is_right
    assert units(world)["accepted"] == -1
    assert called(world, lambda: audit(world)) == 0
    assert world.anomalies() == []


def test_an_orphan_is_told_by_whoever_settles_and_held(world: World) -> None:
    day_of_everything(world)
    world.marketplace.stock_model.adjust("L", -1, Origin("api", client_id=OURS))
    world.pass_time(LONGER_THAN_PATIENCE)
    assert not audit(world).is_right
    world.reconcile()
    assert (world.anomalies(), world.holds()) == (["orphan"], ["orphan"])
    assert not audit(world).is_right
    assert world.anomalies() == ["orphan"]


def test_a_write_whose_answer_was_lost_waits_and_is_proved_once_settled(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace.own_events = Shown.ANONYMOUS
    world.marketplace.fail("adjust", "lost_after")
    world.sell("1", {"A": 3})
    world.reconcile()
    world.pass_time(LONGER_THAN_PATIENCE)
    run = audit(world)
    assert (run.is_right, dict(run.states)) == (True, {"waiting": 1})
    assert "is not settled yet" in (proof(world).note or "")
    ((operation,),) = world.rows(Operation.id)
    world.services.decisions.settle(operation, "applied", by="ada", reason="seen in the console")
    world.reconcile()
    audit(world)
    assert (proof(world).state, units(world)) == (ProofState.PROVED, {"ours": -3})


def test_the_audit_writes_no_stock(world: World) -> None:
    day_of_everything(world)
    world.marketplace.stock_model.adjust("L", -1, Origin("api", shown=Shown.ANONYMOUS))
    world.pass_time(LONGER_THAN_PATIENCE)
    before, writes = world.total(), world.marketplace.count("adjust")
    audit(world, fresh=True)
    assert (world.total(), world.marketplace.count("adjust")) == (before, writes)


def test_what_happens_while_an_account_is_opened_does_not_open_it_at_a_wrong_place(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10, then 7, and 10 again once the log was read: as if the 10 that it was met with were from behind the 7."""
    world.marketplace.add("L", 10)
    world.pass_time(120)
    world.follow()
    world.services.sweeper.sweep()
    world.pass_time(1)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    world.follow()
    world.pass_time(LONGER_THAN_PATIENCE)
    read = world.marketplace.listing

    def meddled(listing_id: str) -> Listing:
        monkeypatch.undo()
        world.marketplace.edit("L", 3)
        return read(listing_id)

    monkeypatch.setattr(world.marketplace, "listing", meddled)
    audit(world)
    world.follow()
    world.pass_time(LONGER_THAN_PATIENCE)
    audit(world)
    assert (proof(world).opening_total, units(world)) == (10, {"ours": -3, "provider": 3})
    assert world.anomalies() == []


# --- what it costs ----------------------------------------------------------------------------------------------


def test_what_has_not_changed_is_not_called_for(world: World) -> None:
    for number in range(30):
        world.marketplace.add(f"L{number:02}", 10)
    world.services.sweeper.sweep()
    world.follow()
    world.upkeep()
    for number in range(30):
        world.marketplace.edit(f"L{number:02}", 1)
    world.follow()
    world.pass_time(LONGER_THAN_PATIENCE)
    first = audit(world)
    assert (first.compared, first.called_for, dict(first.states)) == (30, 30, {"proved": 30})
    again = []
    assert called(world, lambda: again.append(audit(world))) == 0
    assert (again[0].compared, again[0].unchanged, again[0].called_for) == (30, 30, 0)
    world.marketplace.edit("L07", 1)
    world.pass_time(LONGER_THAN_PATIENCE)
    assert called(world, lambda: again.append(audit(world))) == 2
    assert again[1].called_for == 1
    assert called(world, lambda: again.append(audit(world, listing_id="L08", fresh=True))) == 2


def test_a_listing_of_which_nothing_was_ever_heard_is_not_called_for(world: World) -> None:
    world.marketplace.add("L", 10)
    world.pass_time(120)
    world.follow()
    world.services.sweeper.sweep()
    assert called(world, lambda: audit(world)) == 0
    assert proof(world).state is ProofState.PROVED
    world.marketplace.edit("L", -1)
    world.pass_time(LONGER_THAN_PATIENCE)
    # Its account is opened: the log is read before the number and after it.
    assert called(world, lambda: audit(world)) == 3
    assert (proof(world).opening_total, units(world)) == (10, {"provider": -1})


@pytest.mark.parametrize("what", ["sold", "edited", "doubted", "returned"])
def test_whatever_was_written_read_or_heard_is_proved_anew(world: World, what: str) -> None:
    day_of_everything(world)
    audit(world)
    if what == "sold":
        world.sell("2", {"A": 1})
        world.reconcile()
    elif what == "edited":
        world.marketplace.edit("L", 1)
    elif what == "doubted":
        world.services.desk.retry("L", by=ADA)
        world.marketplace.stock_model.stock("L").total = 6
        world.upkeep()
    else:
        # To the former number and back, before the feed tells of it.
        world.sell("2", {"A": 1})
        world.reconcile()
        world.sell("2", {"A": 0})
        world.reconcile()
        world.marketplace.feed_hidden = True
    assert audit(world).called_for == 1


def test_it_goes_on_where_it_was_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.audit.service.PAGE", 4)
    for number in range(10):
        world.listing(f"L{number}", 10)
    auditor = world.services.auditor
    turns = iter([True, False])
    assert auditor.go_on(keep_going=lambda: next(turns)) is None
    assert Statements(world.store, world.marketplace).last_run() is None
    found = auditor.go_on(keep_going=lambda: True)
    assert found is not None
    assert found.compared == 10
    assert Statements(world.store, world.marketplace).last_run() == found


def test_a_marketplace_that_stops_answering_keeps_what_was_proved(world: World) -> None:
    for name in ("K", "L"):
        world.listing(name, 10)
    world.marketplace.fail("adjustments", "ok", "ok", Unavailable("down"))
    with pytest.raises(Unavailable):
        audit(world)
    assert proof(world, "K").state is ProofState.PROVED
    assert statement(world, "L").proof is None
    audit(world)
    assert proof(world, "L").state is ProofState.PROVED


# --- marketplaces that tell less --------------------------------------------------------------------------------


def settle_down(world: World, minutes: int = 15) -> None:
    for _ in range(minutes):
        world.services.sweeper.sweep()
        world.reconcile()
        world.upkeep()
        world.pass_time(60)


def test_without_a_log_our_writes_are_proved_and_the_rest_is_said_to_be_untold(store: Store) -> None:
    world = World(store, marketplace=AbsoluteMarketplace)
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    settle_down(world)
    assert called(world, lambda: audit(world)) == 1
    assert (proof(world).state, proof(world).opening_total, proof(world).total) == (ProofState.PROVED, 10, 7)
    assert [(line.change, line.orders[0].order_id) for line in statement(world).lines] == [(-3, "1")]
    world.marketplace.buy("L", 2)
    world.sell("2", {"A": 1})
    settle_down(world)
    audit(world)
    assert (proof(world).state, units(world)) == (ProofState.IN_PART, {"ours": -4, "untold": -2})
    assert world.anomalies() == []
    assert called(world, lambda: audit(world)) == 0
    (no_log, overwrites) = Statements(store, world.marketplace).limits
    assert "no log" in no_log
    assert "overwritten" in overwrites


class SoleWriter(RelativeMarketplace):
    evidence = Evidence.ATTRIBUTED


@pytest.mark.parametrize(
    ("marketplace", "state", "cause"),
    [
        (RelativeMarketplace, ProofState.IN_PART, Cause.UNTOLD),
        (SoleWriter, ProofState.PROVED, Cause.PROVIDER),
    ],
)
def test_a_log_without_a_feed_is_proved_and_kept(
    store: Store, marketplace: type[RelativeMarketplace], state: ProofState, cause: Cause
) -> None:
    world = World(store, marketplace=marketplace)
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    settle_down(world)
    world.marketplace.edit("L", 5)
    settle_down(world)
    audit(world)
    assert (proof(world).state, units(world)) == (state, {"ours": -3, cause.value: 5})
    assert [line.change for line in statement(world).lines] == [5, -3]
    assert called(world, lambda: audit(world)) == 0
    assert world.anomalies() == []
    assert len(Statements(store, world.marketplace).limits) == 1


def test_a_listing_without_a_number_is_not_called_for_and_begins_anew_with_one(world: World) -> None:
    world.listing(total=None)
    assert called(world, lambda: audit(world)) == 0
    assert proof(world).state is ProofState.UNCOUNTED
    world.pass_time(60)
    world.marketplace.edit("L", 4)
    world.follow()
    world.upkeep()
    world.pass_time(LONGER_THAN_PATIENCE)
    assert audit(world).is_right
    assert proof(world).total == 4
