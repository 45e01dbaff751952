"""What a connector can be asked, as the cases of trouble and of payloads ask it: whatever its role."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from connectors.clock import Clock
from connectors.errors import ConnectorError
from connectors.http import Timeouts
from connectors.testing.bench import Bench, S
from connectors.testing.numbers import Swap
from connectors.testing.verdict import ContractBroken, E, outcome, require, told, value
from connectors.testing.wire import Fault


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing to ask, and how to judge what comes of it."""

    name: str
    """As its author calls it, e.g. `orders(cursor)`."""
    ask: Callable[[], Any]
    fact: Callable[[Any], object]
    """What of an answer must not depend on when it was asked."""
    complaint: Callable[[Any, Any], str | None]
    """Given what was said undisturbed and what was said of a spoilt answer: what is wrong with the latter. None if it
    tells the same, or tells that it cannot be read."""
    units: Callable[[Any], int | None] | None = None
    """What an answer says of the quantity; None when it says that this cannot be read, or has another word for it."""

    def undisturbed(self) -> Any:
        """What the answer is with nothing wrong."""
        return value(self.ask, self.name)

    def outcome(self) -> Any | ConnectorError:
        """What the answer is now: a value or an error."""
        return outcome(self.ask, self.name)


class ReadingBench(Bench[S], ABC):
    """A bench of either role whose readings can be spoilt."""

    account: Any
    """The connector under test."""

    @abstractmethod
    def open(self, *, clock: Clock | None = None, timeouts: Timeouts | None = None) -> Any:
        """One more connector of the same account."""

    @abstractmethod
    def prepare(self, quantity: int) -> None:
        """Let there be something to read, of that quantity."""

    @abstractmethod
    def readings(self, account: Any = None) -> Sequence[Reading]:
        """Every way to read what was prepared, or something of a few units; by another connector if one is given."""

    below_zero: ClassVar[bool]
    """Whether the vendor may say a number below zero and mean it."""

    def size_complaint(self, reading: Reading, said: Any, swap: Swap) -> str | None:
        """What is wrong with what was made of a swapped quantity."""
        units = reading.units(said) if reading.units else None
        if units is None:
            return "it is told as unreadable" if swap.must_be_read else None
        if swap.units is not None and swap.units < 0 and not self.below_zero:
            return None if units == 0 else f"it was read as {units} units"
        return None if swap.may_be_read and units == swap.units else f"it was read as {units} units"

    def requests_of(self, reading: Reading) -> int:
        """How many requests an undisturbed reading takes."""
        before = len(self.wire.sent)
        reading.undisturbed()
        return len(self.wire.sent) - before

    def spoilt(
        self, reading: Reading, fault: Fault, *, times: int | None = None, skip: int = 0
    ) -> Any | ConnectorError:
        """What a reading comes to while this goes wrong with its requests: a value or an error."""
        struck = self.wire.struck
        self.wire.fail(fault, times=times, skip=skip)
        result = reading.outcome()
        self.wire.mend()
        require(
            self.wire.struck > struck,
            "a connector calls out through the transport of its toolbox",
            seen=f"{reading.name} came to {told(result)}, but no request of it passed the wire",
            mend="open the connector with connectors.http.Http(toolbox, ...): it brings budgets, retries and time-outs",
        )
        return result

    def refused(self, reading: Reading, fault: Fault, expected: type[E], *, when: str, promise: str, mend: str) -> E:
        """The error that a reading has to come to while this goes wrong."""
        result = self.spoilt(reading, fault)
        if isinstance(result, expected):
            return result
        seen = f"{reading.name}, {when}, came to {told(result)} instead of {expected.__name__}"
        raise ContractBroken(promise, seen=seen, mend=mend)
