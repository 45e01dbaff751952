"""Who may sign in, for how long, how often one may try, and the log of what people did: on both databases."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from tests.world import CHANNEL, World
from worker.operators import Actor, OperatorRefusedError, SignInRefusedError, Via
from worker.operators import sessions as rules
from worker.operators.passwords import Passwords
from worker.reconcile.decide import DecisionRefusedError
from worker.store import StorageUnavailable
from worker.store.tables import Action, HoldReason, HoldScope, OperatorSession, Role, SignInAttempt, Verdict

PASSWORD = "correct horse battery"
ROOT = Actor("root", Via.COMMAND)
ADA = Actor("ada", Via.CONSOLE)


@pytest.fixture
def staffed(world: World) -> World:
    world.services.operators.add("ada", PASSWORD, Role.OPERATOR, by=ROOT)
    return world


def sign_in(world: World, password: str = PASSWORD, *, name: str = "ada", address: str = "192.0.2.1") -> str:
    return world.services.sessions.sign_in(name, password, address=address)


def verbs(world: World) -> list[str]:
    return [action.verb for action in reversed(world.services.actions.list())]


# --- operators --------------------------------------------------------------------------------------------------


def test_an_operator_is_added_once_and_the_password_is_nowhere(staffed: World) -> None:
    with pytest.raises(OperatorRefusedError, match="already"):
        staffed.services.operators.add("ada", PASSWORD, Role.VIEWER, by=ROOT)
    (ada,) = staffed.services.operators.list()
    assert (ada.name, ada.role, ada.sessions) == ("ada", Role.OPERATOR, 0)
    with staffed.store.read() as transaction:
        kept = transaction.execute(text("SELECT password_hash FROM operators")).scalar_one()
    assert kept.startswith("$argon2id$")
    assert PASSWORD not in kept


@pytest.mark.parametrize("name", ["", "Ada", "a b", "-ada", "a" * 64, "ada\n"])
def test_names_are_short_and_plain(world: World, name: str) -> None:
    with pytest.raises(OperatorRefusedError, match="is no name"):
        world.services.operators.add(name, PASSWORD, Role.VIEWER, by=ROOT)


@pytest.mark.parametrize(("password", "wrong"), [("short", "fewer than 12"), ("x" * 1025, "more than 1,024")])
def test_length_alone_makes_a_password(world: World, password: str, wrong: str) -> None:
    with pytest.raises(OperatorRefusedError, match=wrong):
        world.services.operators.add("ada", password, Role.VIEWER, by=ROOT)


def test_who_is_not_there_cannot_be_changed(world: World) -> None:
    operators = world.services.operators
    with pytest.raises(OperatorRefusedError, match="no operator ada"):
        operators.remove("ada", by=ROOT)
    with pytest.raises(OperatorRefusedError, match="no operator ada"):
        operators.set_role("ada", Role.VIEWER, by=ROOT)
    with pytest.raises(OperatorRefusedError, match="no operator ada"):
        operators.set_password("ada", PASSWORD, by=ROOT)


# --- sessions ---------------------------------------------------------------------------------------------------


def test_who_signs_in_is_known_by_a_secret_that_the_database_does_not_hold(staffed: World) -> None:
    secret = sign_in(staffed)
    session = staffed.services.sessions.of(secret)
    assert session is not None
    assert (session.operator, session.role) == ("ada", Role.OPERATOR)
    (row,) = staffed.rows(OperatorSession.digest)
    assert row.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert staffed.services.sessions.of(row.digest) is None


def test_a_session_ends_when_it_is_not_used(staffed: World) -> None:
    secret = sign_in(staffed)
    staffed.pass_time(59 * 60)
    assert staffed.services.sessions.of(secret) is not None
    staffed.pass_time(59 * 60)
    assert staffed.services.sessions.of(secret) is not None
    staffed.pass_time(61 * 60)
    assert staffed.services.sessions.of(secret) is None


def test_a_page_that_fetches_itself_keeps_no_session_alive(staffed: World) -> None:
    secret = sign_in(staffed)
    staffed.pass_time(31 * 60)
    assert staffed.services.sessions.of(secret, in_use=False) is not None
    staffed.pass_time(31 * 60)
    assert staffed.services.sessions.of(secret, in_use=False) is None


def test_a_session_ends_after_twelve_hours_in_any_case(staffed: World) -> None:
    secret = sign_in(staffed)
    for _ in range(24):
        staffed.pass_time(30 * 60)
        assert staffed.services.sessions.of(secret) is not None
    staffed.pass_time(1)
    assert staffed.services.sessions.of(secret) is None


def test_each_sign_in_has_a_secret_of_its_own_and_ends_the_one_it_replaces(staffed: World) -> None:
    first = sign_in(staffed)
    second = staffed.services.sessions.sign_in("ada", PASSWORD, address="192.0.2.1", replacing=first)
    assert first != second
    assert staffed.services.sessions.of(first) is None
    assert staffed.services.sessions.of(second) is not None


def test_signing_out_here_and_everywhere(staffed: World) -> None:
    sessions = staffed.services.sessions
    here, there = sign_in(staffed), sign_in(staffed)
    sessions.sign_out(here, by=ADA)
    assert (sessions.of(here), sessions.of(there) is None) == (None, False)
    assert sessions.sign_out_everywhere("ada", by=ADA) == 1
    assert sessions.of(there) is None


def test_another_password_and_a_removal_end_every_session(staffed: World) -> None:
    operators, sessions = staffed.services.operators, staffed.services.sessions
    secret = sign_in(staffed)
    operators.set_password("ada", PASSWORD + "!", by=ROOT)
    assert sessions.of(secret) is None
    secret = sign_in(staffed, PASSWORD + "!")
    operators.remove("ada", by=ROOT)
    assert sessions.of(secret) is None
    with pytest.raises(SignInRefusedError):
        sign_in(staffed, PASSWORD + "!")


def test_another_role_counts_from_the_next_page_on(staffed: World) -> None:
    secret = sign_in(staffed)
    staffed.services.operators.set_role("ada", Role.VIEWER, by=ROOT)
    session = staffed.services.sessions.of(secret)
    assert session is not None
    assert session.role is Role.VIEWER


def test_what_has_ended_is_dropped(staffed: World) -> None:
    sign_in(staffed)
    with pytest.raises(SignInRefusedError):
        sign_in(staffed, "wrong")
    staffed.pass_time(13 * 3600)
    staffed.services.sessions.forget()
    assert (staffed.rows(OperatorSession.digest), staffed.rows(SignInAttempt.id)) == ([], [])


# --- the throttle -----------------------------------------------------------------------------------------------


def fail(world: World, times: int, *, name: str = "ada", address: str = "192.0.2.1") -> list[str]:
    said = []
    for _ in range(times):
        with pytest.raises(SignInRefusedError) as refused:
            sign_in(world, "wrong", name=name, address=address)
        said.append(str(refused.value))
    return said


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checking costs nothing: only counting is looked at."""
    monkeypatch.setattr(Passwords, "fits", lambda self, password, kept: kept is not None and password == PASSWORD)
    monkeypatch.setattr(Passwords, "is_outdated", lambda self, kept: False)


@pytest.mark.usefixtures("cheap")
def test_a_name_from_an_address_may_be_tried_five_times(staffed: World) -> None:
    assert "Too many" not in " ".join(fail(staffed, 5))
    assert "Too many" in fail(staffed, 1)[0]
    with pytest.raises(SignInRefusedError, match="Too many"):
        sign_in(staffed)
    # From elsewhere the operator gets in, and after a while from there too.
    assert sign_in(staffed, address="192.0.2.2")
    staffed.pass_time(rules.WINDOW.total_seconds() + 1)
    assert sign_in(staffed)


@pytest.mark.usefixtures("cheap")
def test_what_is_refused_unseen_makes_the_wait_no_longer(staffed: World) -> None:
    fail(staffed, 5)
    for _ in range(10):
        staffed.pass_time(60)
        fail(staffed, 1)
    staffed.pass_time(rules.WINDOW.total_seconds() - 600 + 1)
    assert sign_in(staffed)
    assert len(staffed.rows(SignInAttempt.id)) <= 5


@pytest.mark.usefixtures("cheap")
def test_an_address_may_fail_twenty_times_whatever_the_names(staffed: World) -> None:
    said = [fail(staffed, 1, name=f"name-{number}")[0] for number in range(21)]
    assert ["Too many" in text for text in said] == [False] * 20 + [True]


@pytest.mark.usefixtures("cheap")
def test_a_name_may_fail_thirty_times_whatever_the_addresses(staffed: World) -> None:
    said = [fail(staffed, 1, address=f"192.0.2.{number}")[0] for number in range(31)]
    assert ["Too many" in text for text in said] == [False] * 30 + [True]


@pytest.mark.usefixtures("cheap")
def test_a_good_sign_in_ends_the_count(staffed: World) -> None:
    fail(staffed, 4)
    sign_in(staffed)
    assert "Too many" not in " ".join(fail(staffed, 5))


def test_unknown_and_known_names_get_the_same_words_and_the_same_work(
    staffed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    passwords = Passwords()
    honest = passwords._hasher.verify

    class Counting:
        def hash(self, password: str) -> str:
            return passwords._hasher.hash(password)

        def verify(self, kept: str, password: str) -> bool:
            checked.append(kept.rsplit("$", maxsplit=2)[0])
            return honest(kept, password)

    monkeypatch.setattr(staffed.services.sessions, "_passwords", Passwords(Counting()))  # type: ignore[arg-type]
    said = fail(staffed, 1, name="ada") + fail(staffed, 1, name="nobody")
    assert said[0] == said[1]
    assert len(checked) == 2
    assert checked[0] == checked[1]


# --- the log ----------------------------------------------------------------------------------------------------


def test_what_people_do_is_kept_with_before_and_after(staffed: World) -> None:
    operators = staffed.services.operators
    operators.set_role("ada", Role.VIEWER, by=ROOT)
    (last,) = staffed.services.actions.list(limit=1)
    assert (last.actor, last.via, last.verb, last.subject) == ("root", "command", "role-set", "ada")
    assert (last.before, last.after) == ({"role": "operator"}, {"role": "viewer"})


@pytest.mark.parametrize("statement", ["DELETE FROM actions", "UPDATE actions SET actor = 'nobody'"])
def test_the_log_cannot_be_changed(staffed: World, statement: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"), staffed.store.write() as transaction:
        transaction.execute(text(statement))
    assert verbs(staffed) == ["operator-added"]


def test_a_deed_and_its_record_stand_or_fall_together(staffed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    staffed.listing("L", 1)
    staffed.link("A", "L")
    staffed.pass_time(1)
    staffed.sell("o1", {"A": 3})
    staffed.reconcile()

    def broken(*_: object, **__: object) -> None:
        raise StorageUnavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(staffed.services.actions, "record_in", broken)
        with pytest.raises(StorageUnavailable):
            staffed.services.desk.accept_number("L", by=ADA, reason="counted")
    assert staffed.pairs() == [("A", 3, 1, 0)]
    assert staffed.services.desk.accept_number("L", by=ADA, reason="counted") == 2
    assert staffed.pairs() == [("A", 3, 1, 2)]
    (action,) = staffed.services.actions.list(listing_id="L")
    assert (action.verb, action.reason, action.before) == ("number-accepted", "counted", {"pending_units": 2})


def test_a_refused_deed_leaves_no_record(staffed: World) -> None:
    with pytest.raises(DecisionRefusedError):
        staffed.services.desk.accept_number("nowhere", by=ADA, reason="x")
    assert not staffed.services.desk.acknowledge(1, by=ADA)
    assert not staffed.services.desk.lift(HoldScope.CHANNEL, CHANNEL, by=ADA)
    with staffed.store.read() as transaction:
        assert transaction.scalars(select(Action.verb)).all() == ["operator-added"]


def test_an_anomaly_is_acknowledged_and_resolved_by_somebody_and_comes_back(staffed: World) -> None:
    staffed.listing("L", 1)
    staffed.link("A", "L")
    staffed.pass_time(1)
    staffed.sell("o1", {"A": 3})
    staffed.reconcile()
    (oversold,) = staffed.services.anomalies.list()
    desk = staffed.services.desk
    assert desk.acknowledge(oversold.id, by=ADA)
    assert desk.resolve(oversold.id, by=ADA, reason="told the buyers")
    assert not desk.resolve(oversold.id, by=ADA, reason="again")
    assert staffed.anomalies() == []
    desk.retry("L", by=ADA)
    staffed.reconcile()
    (again,) = staffed.services.anomalies.list()
    assert (again.id, again.came_back) == (oversold.id, True)
    assert verbs(staffed)[1:] == ["anomaly-acknowledged", "anomaly-resolved", "listing-retried"]
    changes = [change.became.value for change in staffed.services.anomalies.changes(again.id)]
    assert changes == ["open", "resolved", "open"]


def test_a_pause_by_a_person_outlives_a_restart(staffed: World) -> None:
    staffed.services.desk.pause(HoldScope.CHANNEL, CHANNEL, by=ADA, reason="stock-taking")
    staffed.start_again(staffed.store)
    assert staffed.holds() == ["paused"]
    assert staffed.services.desk.lift(HoldScope.CHANNEL, CHANNEL, by=ADA, only=HoldReason.PAUSED) == 1
    assert staffed.holds() == []
    paused, lifted = staffed.services.actions.list(subject=("channel", CHANNEL))[::-1]
    assert (paused.before, paused.after) == ({"held": []}, {"held": ["paused"]})
    assert (lifted.before, lifted.after) == ({"held": ["paused"]}, {"held": []})


def test_since_when_stock_is_true_is_kept(world: World) -> None:
    verdicts = world.services.verdicts
    assert verdicts.last() is None
    began = world.clock.now()
    verdicts.note(stock_is_true=True)
    world.pass_time(60)
    verdicts.note(stock_is_true=True)
    found = verdicts.last()
    assert found is not None
    assert (found.stock_is_true, found.since) == (True, began)
    verdicts.note(stock_is_true=False)
    found = verdicts.last()
    assert found is not None
    assert (found.stock_is_true, found.since) == (False, began + timedelta(seconds=60))
    # The last one holds, however old it is.
    verdicts.forget(began + timedelta(days=400))
    assert [row.stock_is_true for row in world.rows(Verdict.stock_is_true)] == [False]
