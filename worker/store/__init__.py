"""The truth: tables, engine and migrations. Every other room keeps its queries in its own `repository`."""

from worker.store.engine import StorageUnavailable, Store, Transaction

__all__ = ["StorageUnavailable", "Store", "Transaction"]
