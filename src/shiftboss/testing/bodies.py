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
    takes_node: bool = False  # whether it ends its node's process, and so every other function there


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
class SimAttempt:
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
    _attempts: dict[tuple[int, int], SimAttempt] = field(default_factory=dict)

    def open(self) -> None: ...

    def start(self, launches: Iterable[Launch]) -> None:
        for launch in launches:
            if self.node.is_gone:
                return  # a function has ended the process
            claim = launch.run.claim
            self.entered(launch)
            launch.entered()
            for other in self._attempts.values():
                if other.launch.run.id == launch.run.id and other.stop_reason is None:
                    self.beside(launch)
            attempt = SimAttempt(launch, self.model.plan(launch), self.node.clock.elapsed_us)
            self._attempts[launch.run.id, claim.fence if claim is not None else 0] = attempt
            duration_s, timeout_s = attempt.plan.duration_s, launch.timeout_s
            if timeout_s is not None and (duration_s is None or duration_s > timeout_s):
                self._after(timeout_s, attempt, partial(self._tell, attempt, TIMEOUT))
            if attempt.plan.takes_node and not duration_s:
                self.node.fall()
            elif attempt.plan.takes_node and duration_s is not None:
                self._after(duration_s, attempt, self.node.fall)
            elif duration_s is not None:
                self._after(duration_s, attempt, partial(self.end, attempt, attempt.plan.outcome))

    def stop(self, run_id: int, fence: int, reason: StopReason) -> None:
        attempt = self._attempts.get((run_id, fence))
        if attempt is not None:
            self._tell(attempt, reason)

    def announce(self) -> None: ...

    def kill(self) -> None: ...

    def flush(self) -> None: ...
    def occupants(self) -> Mapping[tuple[str, int], int]:
        return {}

    def trust(self, until_s: float, *, frozen_until_s: float) -> None: ...

    def unended(self) -> Mapping[tuple[int, int], tuple[Outcome, float]]:
        cut = Interrupted(reason="its process ended")
        return {key: (_of(attempt, cut), self._lasted_s(attempt)) for key, attempt in self._attempts.items()}

    def close(self, timeout_s: float = 0.0) -> None:
        """The process is gone, and every function with it."""
        for attempt in self._attempts.values():
            attempt.is_over = True
        self._attempts.clear()

    def keys(self) -> Collection[tuple[int, int]]:
        """(run, fence) of every function that runs."""
        return self._attempts.keys()

    def hung(self) -> list[SimAttempt]:
        """The attempts that will not end by themselves."""
        return [attempt for attempt in self._attempts.values() if attempt.plan.duration_s is None]

    def end(self, attempt: SimAttempt, outcome: Outcome) -> None:
        """The function has ended; a stop, if there was one, may change *outcome*."""
        if attempt.is_over:
            return
        attempt.is_over = True
        claim = attempt.launch.run.claim
        self._attempts.pop((attempt.launch.run.id, claim.fence if claim is not None else 0), None)
        attempt.launch.report(_of(attempt, outcome), self._lasted_s(attempt))

    def _lasted_s(self, attempt: SimAttempt) -> float:
        return (self.node.clock.elapsed_us - attempt.began_us) / US

    def _tell(self, attempt: SimAttempt, reason: str) -> None:
        """The first reason counts, except that an operator's cancel outranks a shutdown."""
        is_first = attempt.stop_reason is None
        if is_first or (reason == StopReason.CANCEL and attempt.stop_reason != TIMEOUT):
            attempt.stop_reason = reason
        if not is_first:
            return
        if reason == TIMEOUT:
            self.timed_out(attempt.launch)
        grace_s = max(MIN_GRACE_S, attempt.launch.definition.cancel_grace_s)
        stops_after_s = attempt.plan.stops_after_s
        if stops_after_s is not None:
            self._after(stops_after_s, attempt, lambda: self.end(attempt, Interrupted(reason=reason)))
        if stops_after_s is None or stops_after_s > grace_s:
            self._after(grace_s, attempt, lambda: self._say_zombie(attempt))

    def _say_zombie(self, attempt: SimAttempt) -> None:
        if attempt.stop_reason in (TIMEOUT, StopReason.CANCEL):
            attempt.launch.signal("zombie", self.node.clock.now())

    def _after(self, delay_s: float, attempt: SimAttempt, then: Callable[[], None]) -> None:
        self.node.after(delay_s, lambda: None if attempt.is_over else then())


def _of(attempt: SimAttempt, outcome: Outcome) -> Outcome:
    """The outcome in view of the attempt's stop, if there was one."""
    match attempt.stop_reason:
        case "timeout":
            return TimedOut(Error(type="TimeoutError", message="did not end within its timeout"))
        case StopReason.CANCEL:
            return Cancelled()
        case _:
            return outcome
