"""Functions as events: how long an attempt takes, how it ends, and whether it obeys a stop.

Rules of this file
- A model plans each attempt when it starts; the executor turns the plan into events and reports exactly one outcome.
- A stop, a timeout and a natural end mean the same as in `executors/execution.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from shiftboss.core.model import Cancelled, Error, Failed, Interrupted, Outcome, Succeeded, TimedOut
from shiftboss.ports.executor import Launch, StopReason
from shiftboss.testing.clock import US

if TYPE_CHECKING:
    from shiftboss.testing.node import SimNode

TIMEOUT = "timeout"
MIN_GRACE_S = 0.05  # as in the executors: the grace after which a function that was told to stop is a zombie
SUCCESS = Succeeded()


@dataclass(frozen=True, slots=True)
class Plan:
    """What one attempt will do.  *duration_s* None: it hangs.  *stops_after_s* None: it does not obey a stop."""

    duration_s: float | None = 0.0
    outcome: Outcome = SUCCESS
    stops_after_s: float | None = 0.0
    takes_node: bool = False  # whether it ends its process, and every other function there with it


class Model(Protocol):
    """Plans attempts."""

    def plan(self, launch: Launch) -> Plan: ...


def failed(message: str = "it was told to fail", *, fatal: bool = False, retry_after_s: float | None = None) -> Failed:
    """The outcome of a function that raised an error."""
    return Failed(Error(type="SimulatedFailure", message=message), fatal=fatal, retry_after_s=retry_after_s)


def crashed(how: str = "SIGSEGV") -> Failed:
    """The outcome of a function whose child process ended under it (R4)."""
    return Failed(Error(type="shiftboss.ChildDied", message=how), crashed=True)


class NoBody:
    """Replaces a function; nothing of it is ever called."""

    is_async = True

    def call(self, context: Any, payload: bytes | None, *, fallback: bool) -> Any:
        raise NotImplementedError

    def succeeded(self, value: Any) -> Outcome:
        raise NotImplementedError

    def failed(self, error: BaseException) -> Outcome:
        raise NotImplementedError


@dataclass(slots=True, eq=False)
class Flying:
    """An attempt in progress."""

    launch: Launch
    plan: Plan
    began_us: int
    stop_reason: str | None = None
    is_over: bool = False


@dataclass(slots=True)
class SimExecutor:
    """Implements `ports.Executor` with events of the simulator."""

    kind: str
    slots: int
    node: SimNode
    model: Model
    entered: Callable[[Launch], None] = lambda launch: None
    beside: Callable[[Launch], None] = lambda launch: None  # another function of its run, which nobody has told to stop
    timed_out: Callable[[Launch], None] = lambda launch: None
    _flying: dict[tuple[int, int], Flying] = field(default_factory=dict)

    def open(self) -> None: ...

    def start(self, launches: Iterable[Launch]) -> None:
        for launch in launches:
            if self.node.is_gone:
                return  # a function has ended the process
            claim = launch.run.claim
            self.entered(launch)
            launch.entered()
            for other in self._flying.values():
                if other.launch.run.id == launch.run.id and other.stop_reason is None:
                    self.beside(launch)
            flying = Flying(launch, self.model.plan(launch), self.node.clock.elapsed_us)
            self._flying[launch.run.id, claim.fence if claim is not None else 0] = flying
            duration_s, timeout_s = flying.plan.duration_s, launch.timeout_s
            if timeout_s is not None and (duration_s is None or duration_s > timeout_s):
                self._after(timeout_s, flying, partial(self._tell, flying, TIMEOUT))
            if flying.plan.takes_node and not duration_s:
                self.node.fall()
            elif flying.plan.takes_node and duration_s is not None:
                self._after(duration_s, flying, self.node.fall)
            elif duration_s is not None:
                self._after(duration_s, flying, partial(self.end, flying, flying.plan.outcome))

    def stop(self, run_id: int, fence: int, reason: StopReason) -> None:
        flying = self._flying.get((run_id, fence))
        if flying is not None:
            self._tell(flying, reason)

    def announce(self) -> None: ...

    def kill(self) -> None: ...

    def flush(self) -> None: ...
    def occupants(self) -> Mapping[tuple[str, int], int]:
        return {}

    def trust(self, until_s: float, *, frozen_until_s: float) -> None: ...

    def unended(self) -> Mapping[tuple[int, int], tuple[Outcome, float]]:
        cut = Interrupted(reason="its process ended")
        return {key: (_of(flying, cut), self._lasted_s(flying)) for key, flying in self._flying.items()}

    def close(self, timeout_s: float = 0.0) -> None:
        """The process is gone, and every function with it."""
        for flying in self._flying.values():
            flying.is_over = True
        self._flying.clear()

    def keys(self) -> Collection[tuple[int, int]]:
        """(run, fence) of every function that runs."""
        return self._flying.keys()

    def hung(self) -> list[Flying]:
        """The attempts that will not end by themselves."""
        return [flying for flying in self._flying.values() if flying.plan.duration_s is None]

    def end(self, flying: Flying, outcome: Outcome) -> None:
        """The function has ended; a stop, if there was one, may change *outcome*."""
        if flying.is_over:
            return
        flying.is_over = True
        claim = flying.launch.run.claim
        self._flying.pop((flying.launch.run.id, claim.fence if claim is not None else 0), None)
        flying.launch.report(_of(flying, outcome), self._lasted_s(flying))

    def _lasted_s(self, flying: Flying) -> float:
        return (self.node.clock.elapsed_us - flying.began_us) / US

    def _tell(self, flying: Flying, reason: str) -> None:
        """The first reason counts, except that an operator's cancel outranks a shutdown."""
        is_first = flying.stop_reason is None
        if is_first or (reason == StopReason.CANCEL and flying.stop_reason != TIMEOUT):
            flying.stop_reason = reason
        if not is_first:
            return
        if reason == TIMEOUT:
            self.timed_out(flying.launch)
        grace_s = max(MIN_GRACE_S, flying.launch.definition.cancel_grace_s)
        stops_after_s = flying.plan.stops_after_s
        if stops_after_s is not None:
            self._after(stops_after_s, flying, lambda: self.end(flying, Interrupted(reason=reason)))
        if stops_after_s is None or stops_after_s > grace_s:
            self._after(grace_s, flying, lambda: self._say_zombie(flying))

    def _say_zombie(self, flying: Flying) -> None:
        if flying.stop_reason in (TIMEOUT, StopReason.CANCEL):
            flying.launch.signal("zombie", self.node.clock.now())

    def _after(self, delay_s: float, flying: Flying, then: Callable[[], None]) -> None:
        self.node.after(delay_s, lambda: None if flying.is_over else then())


def _of(flying: Flying, outcome: Outcome) -> Outcome:
    """The outcome in view of the attempt's stop, if there was one."""
    match flying.stop_reason:
        case "timeout":
            return TimedOut(Error(type="TimeoutError", message="did not end within its timeout"))
        case StopReason.CANCEL:
            return Cancelled()
        case _:
            return outcome
