"""What every table has in common: naming, and how Python types become columns."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    Boolean,
    MetaData,
)
from sqlalchemy.orm import DeclarativeBase

from connectors.contract import Author, ListingState, StockKind
from worker.store.tables.states import (
    AlertState,
    AnomalyState,
    DeliveryState,
    HoldReason,
    HoldScope,
    JournalKind,
    OperationKind,
    OperationState,
    OrderState,
    ProofState,
    Role,
    Severity,
    WaiveReason,
)
from worker.store.types import Body, UtcDateTime, one_of

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """What every table has in common."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        bytes: Body,
        bool: Boolean,
        **{
            kind: one_of(kind)
            for kind in (
                Author,
                ListingState,
                StockKind,
                DeliveryState,
                OrderState,
                OperationKind,
                OperationState,
                JournalKind,
                WaiveReason,
                HoldReason,
                HoldScope,
                AnomalyState,
                Severity,
                AlertState,
                Role,
                ProofState,
            )
        },
    }
