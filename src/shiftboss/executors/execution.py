"""An attempt while it runs, and the outcome of its end (T2–T4, R2).

Rules of this file
- The first reason to stop decides, except that an operator's cancel outranks a shutdown.
- Past its timeout an attempt has timed out, and after an operator's cancel it is cancelled: whatever the function did
  then, and also if it goes on until its process ends.
- A shutdown only asks the function to end.  If it still returns, it has succeeded; if the stop itself broke it off,
  it was interrupted; any other exception is a failure as always.
"""

from __future__ import annotations

import asyncio
import math
import signal
from datetime import datetime
from typing import Any

from shiftboss.context import Context, Fatal, Retry
from shiftboss.core.model import Cancelled, Error, Failed, Interrupted, Outcome, TimedOut, Unfit
from shiftboss.executors.failure import arose_from, error_of, is_process_end, raised, traceback_of
from shiftboss.ports.executor import Launch, StopReason

TIMEOUT = "timeout"  # the reason to stop that comes from the executor itself
CLOSED = "its executor is closed"
MAX_WAIT_S = 60.0  # executors check what is overdue at least this often
MIN_GRACE_S = 0.05  # with cancel_grace=0 the watch must not spin

# Platforms and service managers send these to every process of a service.  If a program or a child has ended for that
# reason, the node is told to end as well: a moment later at the latest, on a busy machine.
SENT_TO_ALL = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name))
DOUBT_S = 2.0

Key = tuple[int, int]  # (run, fence)


def may_be_sent_to_all(code: int) -> bool:
    """Whether an exit code, as `subprocess` or a shell gives it, says that such a signal ended the process."""
    return -code in SENT_TO_ALL or code - 128 in SENT_TO_ALL


def no_thread(error: RuntimeError) -> Outcome:
    """The outcome without a thread: a failure, whose back-off gives the machine time, unless the process ends (G5)."""
    if is_process_end(error):
        return Interrupted(reason=str(StopReason.SHUTDOWN), began=False)
    return Failed(error_of(error))


JUST_S = 1.0  # a function that ended this recently may have frozen the process: the thread that asks was frozen too


class Execution:
    """One attempt in its executor.  The executor defines which thread may touch it."""

    __slots__ = ("began_s", "context", "key", "launch", "look_at_s", "runner", "stack", "stop_reason", "zombie")

    def __init__(self, launch: Launch, context: Context) -> None:
        self.launch = launch
        self.context = context
        self.key: Key = (launch.run.id, context.fence)
        self.began_s = -1.0  # monotonic time at which the function was entered; negative: not yet
        self.look_at_s = math.inf  # when the executor must check it next: its timeout, then the end of its grace
        self.stop_reason: str | None = None  # why it was told to stop
        self.zombie = False  # whether it was reported as a zombie
        self.runner: Any = None  # its task, or its thread's identity
        self.stack = ""  # where the function was at its timeout

    @property
    def has_begun(self) -> bool:
        return self.began_s >= 0

    def enter(self, now_s: float) -> None:
        """The function is about to be entered: note that for a rescue of the run (C8), and start its timeout."""
        self.began_s = now_s
        self.launch.entered()
        if self.launch.timeout_s is not None:
            self.look_at_s = now_s + self.launch.timeout_s

    def call(self) -> Any:
        """Call the function; return its value, or an awaitable."""
        run, span = self.launch.run, self.launch.span
        if span is not None:
            span.enter()
        return self.launch.body.call(self.context, run.payload, fallback=run.claim is not None and run.claim.fallback)

    def tell(self, reason: str, now_s: float) -> None:
        """Note that the function is told to end now, for *reason*; after its grace it counts as a zombie."""
        self.heed(reason)
        self.context.tell_to_end(stopping=reason == StopReason.SHUTDOWN)
        self.look_at_s = now_s + max(MIN_GRACE_S, self.launch.definition.cancel_grace_s)

    def heed(self, reason: str) -> None:
        """Keep *reason* if it outranks the one that the function was told before."""
        if self.stop_reason is None or (reason == StopReason.CANCEL and self.stop_reason != TIMEOUT):
            self.stop_reason = reason

    def ended(self, now_s: float) -> None:
        """The function has ended by itself.  Past its timeout it has timed out, also if nothing could tell it in time.

        A function that blocks the loop, or keeps the interpreter's lock, also blocks the code that would tell it.
        """
        self.stop_reason = self._told_by(now_s)

    def _told_by(self, now_s: float) -> str | None:
        return TIMEOUT if self.stop_reason is None and self.look_at_s <= now_s else self.stop_reason

    def outlived(self, at: datetime) -> None:
        """Its grace is over and it goes on: a zombie (B6), unless it was told to end because its node ends (R2)."""
        if self.stop_reason not in (StopReason.SHUTDOWN, StopReason.LEASE):
            self.launch.signal("zombie", at)

    def report(self, outcome: Outcome, now_s: float) -> None:
        """Report its outcome after all that its function said.  Called by the code that took it out of `_attempts`."""
        self.context.flush()
        self.launch.report(outcome, self._lasted_s(now_s))

    def _lasted_s(self, now_s: float) -> float:
        return now_s - self.began_s if self.has_begun else 0.0

    # the outcome of its end

    def never_begun(self, reason: str) -> Outcome:
        """It was told to stop, or its executor was closed, before the function was entered."""
        return Cancelled() if reason == StopReason.CANCEL else Interrupted(reason=str(reason), began=False)

    def broken_off(self, reason: str) -> Outcome:
        """The loop or process that it ran on is gone."""
        return self._unended(self.stop_reason, reason)

    def ended_by_warden(self) -> Outcome:
        """The warden ended it, because its node stood still for too long (B7)."""
        return self.broken_off(
            "its node was frozen for longer than its lease, so its warden ended the processes of its runs"
        )

    def left_behind(self, now_s: float) -> tuple[Outcome, float]:
        """It goes on while its process ends: its outcome, and how long it has lasted."""
        return self._unended(self._told_by(now_s), "its process ended"), self._lasted_s(now_s)

    def _unended(self, reason: str | None, how: str) -> Outcome:
        if reason == TIMEOUT:
            return self._timed_out(f"; {how}")
        return Cancelled() if reason == StopReason.CANCEL else Interrupted(reason=how, began=self.has_begun)

    def ended_with_all(self) -> Outcome:
        """It was ended by a signal that the node got as well (G2)."""
        return Interrupted(reason=str(StopReason.SHUTDOWN), began=self.has_begun)

    def returned(self, value: Any) -> Outcome:
        if self.stop_reason is None:
            return self.launch.body.succeeded(value)
        if self.stop_reason == TIMEOUT:
            return self._timed_out("; it returned later, but that does not count")
        return Cancelled() if self.stop_reason == StopReason.CANCEL else self.launch.body.succeeded(value)

    def raised(self, error: BaseException) -> Outcome:
        if self.stop_reason == TIMEOUT:
            return self._timed_out("", error)
        if self.stop_reason == StopReason.CANCEL:
            return Cancelled()
        if self._gives_the_run_back(error):
            return Interrupted(reason=str(self.stop_reason or StopReason.SHUTDOWN))
        outcome = self.launch.body.failed(error)
        if isinstance(outcome, Failed | Unfit):
            self.launch.raised = raised(error, outcome.error)
        return outcome

    def _gives_the_run_back(self, error: BaseException) -> bool:
        """Whether *error* comes from the node's end.

        If the attempt was told to stop, that is the cancellation, and whatever was raised while it unwound the
        function.  If the node is only stopping, it is the cancellation alone (other code on the loop may be cleaning
        up).  In both cases a function may also give its run back with a Retry that names no time.
        """
        if is_process_end(error):
            return True
        if self.stop_reason is None and not self.context.stopping:
            return False
        if isinstance(error, Retry):
            return error.after_s is None
        if self.stop_reason is None:
            return isinstance(error, asyncio.CancelledError)
        return not isinstance(error, Fatal) and arose_from(error, asyncio.CancelledError)

    def _timed_out(self, what: str, error: BaseException | None = None) -> TimedOut:
        message = f"did not end within its timeout of {self.launch.timeout_s:g} s{what}"
        # A thread's stack was taken at its timeout; a coroutine's cancellation shows where it was waiting.
        where = self.stack if error is None else self.stack or traceback_of(error)
        return TimedOut(Error(type="TimeoutError", message=message, traceback=where))
