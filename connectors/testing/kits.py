"""The kits: every case of a role in one class."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from typing import ClassVar

import pytest

from connectors.testing.asking import AskingCases, ChangeCases
from connectors.testing.channels import ChannelBench
from connectors.testing.evidence import EvidenceCases, LostAnswerCases
from connectors.testing.listings import ClosingCases, FeedCases, SalesCases, SweepCases
from connectors.testing.marketplaces import MarketplaceBench
from connectors.testing.payloads import PayloadCases
from connectors.testing.polling import PollingCases
from connectors.testing.sandboxes import ChannelSandbox, MarketplaceSandbox
from connectors.testing.trouble import TroubleCases
from connectors.testing.webhooks import WebhookCases
from connectors.testing.writes import GuardCases, WriteCases


class ChannelKit(PollingCases, AskingCases, ChangeCases, WebhookCases, PayloadCases, TroubleCases):
    """The contract of a channel. Inherit as `class TestAcme(ChannelKit)` and write `sandbox`."""

    not_shown: ClassVar[Collection[str] | None] = None
    """What is known not to be shown: names of cases, or of the protocols that are lacking. Any other case that is not
    shown fails then. None: none fails."""

    def sandbox(self) -> AbstractContextManager[ChannelSandbox]:
        """An empty sandbox for one case: a context manager, so that it can end what it starts."""
        raise NotImplementedError("write sandbox(): see connectors.testing")

    @pytest.fixture
    def bench(self) -> Iterator[ChannelBench]:
        """What a case works at."""
        with self.sandbox() as sandbox:
            bench = ChannelBench(sandbox)
            try:
                yield bench
            finally:
                bench.close()


class MarketplaceKit(
    WriteCases,
    GuardCases,
    LostAnswerCases,
    EvidenceCases,
    SweepCases,
    FeedCases,
    ClosingCases,
    SalesCases,
    PayloadCases,
    TroubleCases,
):
    """The contract of a marketplace. Inherit as `class TestAcmeStock(MarketplaceKit)` and write `sandbox`."""

    not_shown: ClassVar[Collection[str] | None] = None
    """What is known not to be shown: names of cases, or of the protocols that are lacking. Any other case that is not
    shown fails then. None: none fails."""

    def sandbox(self) -> AbstractContextManager[MarketplaceSandbox]:
        """An empty sandbox for one case: a context manager, so that it can end what it starts."""
        raise NotImplementedError("write sandbox(): see connectors.testing")

    @pytest.fixture
    def bench(self) -> Iterator[MarketplaceBench]:
        """What a case works at."""
        with self.sandbox() as sandbox:
            bench = MarketplaceBench(sandbox)
            try:
                yield bench
            finally:
                bench.close()
