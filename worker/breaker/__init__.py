"""Breakers: an account that does not answer is left alone, by all processes together."""

from worker.breaker.service import Breakers, account_key

__all__ = ["Breakers", "account_key"]
