"""Every query about operators, their sessions and the log of what they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, or_, select, update

from worker.store import AnyRow, Transaction
from worker.store.bulk import insert_missing, insert_rows, table_of
from worker.store.tables import Action, Operator, OperatorSession, Role, SignInAttempt

# --- operators --------------------------------------------------------------------------------------------------


def add_operator(transaction: Transaction, values: Mapping[str, Any]) -> bool:
    """Returns False when there is one of that name."""
    return bool(insert_missing(transaction, Operator, [values]))


def operators(transaction: Transaction) -> Sequence[AnyRow]:
    """With the number of browsers in which each is signed in, expired ones included."""
    signed_in = (
        select(func.count())
        .select_from(OperatorSession)
        .where(OperatorSession.operator == Operator.name)
        .scalar_subquery()
    )
    return transaction.execute(
        select(Operator.name, Operator.role, Operator.created_at, Operator.password_set_at, signed_in).order_by(
            Operator.name
        )
    ).all()


def operator(transaction: Transaction, name: str) -> AnyRow | None:
    return transaction.execute(
        select(Operator.name, Operator.role, Operator.password_hash).where(Operator.name == name)
    ).one_or_none()


def lock_operator(transaction: Transaction, name: str) -> AnyRow | None:
    return transaction.execute(
        select(Operator.name, Operator.role).where(Operator.name == name).with_for_update()
    ).one_or_none()


def set_password(transaction: Transaction, name: str, password_hash: str, now: datetime) -> None:
    transaction.execute(
        update(Operator).where(Operator.name == name).values(password_hash=password_hash, password_set_at=now)
    )


def renew_hash(transaction: Transaction, name: str, kept: str, renewed: str) -> None:
    """The same password under today's parameters, unless it was changed meanwhile."""
    transaction.execute(
        update(Operator).where(Operator.name == name, Operator.password_hash == kept).values(password_hash=renewed)
    )


def set_role(transaction: Transaction, name: str, role: Role) -> None:
    transaction.execute(update(Operator).where(Operator.name == name).values(role=role))


def remove_operator(transaction: Transaction, name: str) -> None:
    transaction.execute(delete(Operator).where(Operator.name == name))


# --- sessions ---------------------------------------------------------------------------------------------------


def begin_session(transaction: Transaction, digest: str, operator: str, now: datetime) -> None:
    insert_rows(
        transaction, OperatorSession, [{"digest": digest, "operator": operator, "created_at": now, "seen_at": now}]
    )


def session(transaction: Transaction, digest: str) -> AnyRow | None:
    return transaction.execute(
        select(Operator.name, Operator.role, OperatorSession.created_at, OperatorSession.seen_at)
        .join(Operator, Operator.name == OperatorSession.operator)
        .where(OperatorSession.digest == digest)
    ).one_or_none()


def touch_session(transaction: Transaction, digest: str, now: datetime) -> None:
    transaction.execute(update(OperatorSession).where(OperatorSession.digest == digest).values(seen_at=now))


def end_session(transaction: Transaction, digest: str) -> int:
    return transaction.execute(delete(OperatorSession).where(OperatorSession.digest == digest)).rowcount


def end_sessions(transaction: Transaction, operator: str) -> int:
    return transaction.execute(delete(OperatorSession).where(OperatorSession.operator == operator)).rowcount


def forget_sessions(transaction: Transaction, created_before: datetime) -> int:
    return transaction.execute(delete(OperatorSession).where(OperatorSession.created_at < created_before)).rowcount


# --- the throttle -----------------------------------------------------------------------------------------------


def add_attempt(transaction: Transaction, name_digest: str, address: str, now: datetime) -> int:
    """Returns its id."""
    values = {"at": now, "name_digest": name_digest, "address": address}
    return transaction.execute(table_of(SignInAttempt).insert().returning(SignInAttempt.id), values).scalar_one()


def count_attempts(transaction: Transaction, name_digest: str, address: str, since: datetime) -> AnyRow:
    """Of this name from this address, of this name, from this address."""
    of_name, of_address = SignInAttempt.name_digest == name_digest, SignInAttempt.address == address
    return transaction.execute(
        select(
            func.count().filter(of_name, of_address), func.count().filter(of_name), func.count().filter(of_address)
        ).where(SignInAttempt.at > since, or_(of_name, of_address))
    ).one()


def remove_attempt(transaction: Transaction, attempt: int) -> None:
    transaction.execute(delete(SignInAttempt).where(SignInAttempt.id == attempt))


def remove_attempts(transaction: Transaction, name_digest: str, address: str) -> None:
    """All of this name from this address."""
    transaction.execute(
        delete(SignInAttempt).where(SignInAttempt.name_digest == name_digest, SignInAttempt.address == address)
    )


def forget_attempts(transaction: Transaction, before: datetime) -> int:
    return transaction.execute(delete(SignInAttempt).where(SignInAttempt.at < before)).rowcount


# --- the log ----------------------------------------------------------------------------------------------------


def add_action(transaction: Transaction, values: Mapping[str, Any]) -> None:
    insert_rows(transaction, Action, [values])


def actions(
    transaction: Transaction,
    *,
    subject: tuple[str, str] | None,
    listing_id: str | None,
    before_id: int | None,
    limit: int,
) -> Sequence[AnyRow]:
    statement = select(
        Action.id,
        Action.at,
        Action.actor,
        Action.via,
        Action.verb,
        Action.subject_kind,
        Action.subject,
        Action.listing_id,
        Action.reason,
        Action.before,
        Action.after,
    ).order_by(Action.id.desc())
    if subject is not None:
        statement = statement.where(Action.subject_kind == subject[0], Action.subject == subject[1])
    if listing_id is not None:
        statement = statement.where(Action.listing_id == listing_id)
    if before_id is not None:
        statement = statement.where(Action.id < before_id)
    return transaction.execute(statement.limit(limit)).all()
