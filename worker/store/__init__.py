"""The truth: tables, engine and migrations. Every other room keeps its queries in its own `repository`."""

from worker.store.engine import AnyRow, StorageUnavailable, Store, Transaction

__all__ = ["AnyRow", "StorageUnavailable", "Store", "Transaction"]
