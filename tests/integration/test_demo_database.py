"""What the demo reads of trueup's books, with its own SQL, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from tests.world import World
from worker.demo.database import Database
from worker.demo.proof import PairNumbers
from worker.store import Store
from worker.store.tables import ListingRow


@pytest.fixture
def database(store: Store) -> Iterator[Database]:
    with Database(store.url) as database:
        yield database


def test_books_hold_pairs_journal_and_open_anomalies(world: World, database: Database) -> None:
    world.listing("L", total=5)
    world.link("A", "L")
    world.sell("order-1", {"A": 7})
    world.reconcile()

    books = database.books()
    (pair,) = books.pairs.items()
    assert pair[0][1] == "L"
    assert pair[1] == PairNumbers(committed=7, applied=5, waived=0, journalled=5)
    assert books.oversold == {"L": 2}
    assert books.other_anomalies == []


def test_an_anomaly_of_another_kind_is_told_in_words(world: World, database: Database) -> None:
    world.sell("order-1", {"UNKNOWN": 1})

    (words,) = database.books().other_anomalies
    assert words.startswith("unlinked-sku: ")
    assert database.anomalies() == {"unlinked-sku": {"open": 1, "resolved": 0}}


def test_work_that_is_due_is_seen_and_gone_when_done(world: World, database: Database) -> None:
    world.listing("L", total=5)
    world.link("A", "L")
    world.sell("order-1", {"A": 2})

    before = database.work()
    assert before.pending == 1
    assert before.orders == 1
    assert before.feed_read_at is not None
    assert before.feed_read_at.tzinfo is not None

    world.poll()
    world.settle_down()
    after = database.work()
    assert after.pending == after.operations_open == after.deliveries == after.fetches == 0
    assert after.poll_read_at is not None
    assert database.waiting_deliveries() == 0


def test_an_oversell_that_is_told_is_not_work(world: World, database: Database) -> None:
    world.listing("L", total=1)
    world.link("A", "L")
    world.sell("order-1", {"A": 2})
    world.reconcile()

    assert database.work().pending == 0


@pytest.mark.parametrize(("due_in", "attempts", "work"), [(0, 0, 1), (60, 0, 0), (60, 1, 1)])
def test_an_oversold_listing_is_work_when_its_turn_comes_or_something_failed(
    world: World, database: Database, due_in: int, attempts: int, work: int
) -> None:
    world.listing("L", total=1)
    world.link("A", "L")
    world.sell("order-1", {"A": 2})
    world.reconcile()
    # What is due is told by the real clock, not by the world's.
    due_at = datetime.now(UTC) + timedelta(seconds=due_in)
    with world.store.write() as transaction:
        transaction.execute(update(ListingRow).values(next_attempt_at=due_at, attempts=attempts))

    assert database.work().listings_due == work


def test_a_lost_answer_is_counted_when_the_records_settled_it(world: World, database: Database) -> None:
    world.listing("L", total=9)
    world.link("A", "L")
    world.marketplace.fail("adjust", "lost_after")
    world.sell("order-1", {"A": 2})
    world.reconcile()

    assert (database.operations().unknown, database.operations().settled) == (1, 0)

    world.settle_down()
    assert (database.operations().unknown, database.operations().settled) == (1, 1)
