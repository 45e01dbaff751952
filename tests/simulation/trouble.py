"""Where processes meet their fate: at the boundaries between transactions and around every call."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.simulation.database import unavailable
from tests.simulation.events import Crash, LoseCommit, Stop
from tests.simulation.processes import Host
from tests.simulation.scheduler import Crashed, Process, Scheduler
from tests.simulation.witness import EyeWitness

PATIENCE_SECONDS = 60.0
"""A process that meets no boundary for that long dies, or stops, in its sleep."""


class _Armed:
    """An event that waits for its boundary."""

    def __init__(self, event: Crash | Stop | LoseCommit) -> None:
        self.event = event
        self.to_skip = event.skip


class Troubles:
    """Arms crashes, stops and lost commits, and lets them strike."""

    def __init__(self, scheduler: Scheduler, random: Random, hosts: Sequence[Host], witness: EyeWitness) -> None:
        self._scheduler = scheduler
        self._random = random
        self._hosts = hosts
        self._witness = witness
        self.calm = True
        """Set until the deployment is ready: nobody dawdles."""
        self._armed: dict[str, list[_Armed]] = {host.name: [] for host in hosts}

    def arm(self, event: Crash | Stop | LoseCommit) -> None:
        """Let an event strike at a boundary of its process."""
        host = self._hosts[event.process]
        armed = _Armed(event)
        self._armed[host.name].append(armed)
        if not isinstance(event, LoseCommit):
            self._scheduler.after(PATIENCE_SECONDS, lambda: self._in_its_sleep(host, armed))

    def disarm(self) -> None:
        """Nothing strikes any more; what is dead or stopped comes back."""
        for name in self._armed:
            self._armed[name] = []
        for host in self._hosts:
            host.process.stopped_until = 0.0
            host.start()

    # --- boundaries -------------------------------------------------------------------------------------------

    def before(self, write: bool) -> None:
        """A transaction is about to begin."""
        process = self._scheduler.process
        if process is None:
            return
        process.live()
        if write:
            self._strike_commit(process, committed=False)
        self.boundary(process)

    def committed(self) -> None:
        """A transaction was committed, and its caller does not know yet."""
        self._witness.committed()
        process = self._scheduler.process
        if process is None:
            return
        self._strike_commit(process, committed=True)
        self.boundary(process)

    def boundary(self, process: Process) -> None:
        """Anything may happen here. Raises `Crashed`."""
        for armed in list(self._armed.get(process.name, ())):
            event = armed.event
            if isinstance(event, LoseCommit):
                continue
            if armed.to_skip:
                armed.to_skip -= 1
                continue
            self._armed[process.name].remove(armed)
            self._strike(self._host(process.name), event)
            if isinstance(event, Crash):
                raise Crashed
        chance = self._random.random()
        if self.calm:
            self._scheduler.sleep(0.001)
            return
        self._scheduler.sleep(chance * 0.01 if chance < 0.98 else self._random.uniform(0.1, 3.0))

    def _strike_commit(self, process: Process, *, committed: bool) -> None:
        for armed in list(self._armed.get(process.name, ())):
            event = armed.event
            if not isinstance(event, LoseCommit) or event.committed is not committed:
                continue
            if armed.to_skip:
                armed.to_skip -= 1
                continue
            self._armed[process.name].remove(armed)
            self._witness.note(process.name, "a commit is lost" if committed else "the database does not answer")
            raise unavailable("the connection broke")

    def _strike(self, host: Host, event: Crash | Stop) -> None:
        if isinstance(event, Stop):
            self._witness.note(host.name, f"stands still for {event.seconds:.0f} s")
            host.process.stopped_until = self._scheduler.now + event.seconds
            return
        self._witness.note(host.name, "crashes")
        host.crash()
        self._scheduler.after(event.down_seconds, lambda: self._restart(host))

    def _restart(self, host: Host) -> None:
        if not host.is_up:
            self._witness.note(host.name, "is started again")
            host.start()

    def _in_its_sleep(self, host: Host, armed: _Armed) -> None:
        if armed in self._armed[host.name]:
            self._armed[host.name].remove(armed)
            if host.is_up and isinstance(armed.event, (Crash, Stop)):
                self._strike(host, armed.event)

    def _host(self, name: str) -> Host:
        return next(host for host in self._hosts if host.name == name)
