"""Serves one running program: its pipes, its timeout, its end.

Rules of this file
- Only its thread touches pipes, processes and captures.  Other threads set `told` or `must_kill` under the executor's
  lock and wake it.
- It waits in one place for whatever comes next: output, room on stdin, the program's end, a stop, a point in time.
- The end of the program counts, not the end of its output.  A program that closes stdout goes on; a program whose
  children keep stdout open has ended.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import signal
import subprocess
import threading

from shiftboss.clock import Clock
from shiftboss.core.model import Cancelled, Error, Failed, Interrupted, Outcome
from shiftboss.executors.capture import Capture, LineBuffer
from shiftboss.executors.command import FAILED, Command, ended, named, timed_out
from shiftboss.executors.execution import DOUBT_S, MAX_WAIT_S, MIN_GRACE_S, TIMEOUT, Execution, may_be_sent_to_all
from shiftboss.executors.process_tree import ProcessTree, code_of, has_ended
from shiftboss.executors.warden_client import WardenClient
from shiftboss.ports.executor import StopReason

CHUNK_BYTES = 1 << 16  # what a pipe holds
DRAIN_BYTES = 1 << 20  # read at most, after its end: children that it left may write forever
# Between looks at its processes: one that empties its environment and leaves its group is known by its parent only.
LOOK_EVERY_S = 1.0
FIRST_LOOK_S = 0.05
LEFTOVER_GRACE_S = 1.0  # between TERM and KILL, for processes that it left behind; cancel_grace if that is shorter
POLL_S = 0.05  # if the system has no pidfd (macOS)


class Program:
    """Serves one attempt in the thread that calls `serve`."""

    def __init__(
        self, attempt: Execution, started: Command, clock: Clock, lock: threading.Lock, warden: WardenClient
    ) -> None:
        self.attempt = attempt
        self.command = started
        self.must_kill = False  # set under the lock, like the attempt's `told` and `look_at_s`
        self._clock = clock
        self._lock = lock
        self._warden = warden
        self._lapses = warden.lapses
        self._out = Capture(started.output_bytes)
        self._err = Capture(started.output_bytes)
        self._lines = (
            LineBuffer()
        )  # of stderr, where programs log; stdout is the result, and may be a dump of a database
        self._flushing = threading.Lock()  # held while lines are passed on, so that they keep their order
        self._was_told = False  # TERM was sent
        self._was_killed = False
        self._look_s = math.inf  # when to look at its processes next
        self._look_gap_s = FIRST_LOOK_S
        self._wake_out, self._wake_in = os.pipe()
        for end in (self._wake_out, self._wake_in):
            os.set_blocking(end, False)

    def wake(self) -> None:
        """Callable from any thread; holds the lock, so that `close` cannot interfere."""
        if self._wake_in >= 0:
            with contextlib.suppress(BlockingIOError):  # full: it is awake already
                os.write(self._wake_in, b"!")

    def flush(self) -> None:
        """Pass on new lines of stderr as the attempt's log.  Callable from any thread."""
        with self._flushing:
            for left_out, line in self._lines.take():
                self.attempt.context.keep_line("INFO", line, left_out=left_out)

    def close(self) -> None:
        """Holds the lock."""
        os.close(self._wake_in)
        os.close(self._wake_out)
        self._wake_in = -1

    def serve(self, process: subprocess.Popen[bytes], tree: ProcessTree, payload: bytes) -> Outcome:
        """Serve it from its start until every process that it started has ended; return its outcome."""
        self._look_s = self._clock.monotonic_s() + FIRST_LOOK_S
        with selectors.DefaultSelector() as selector:
            handle = self._register(selector, process, payload)
            try:
                while not has_ended(process):
                    self._step(selector, tree, polls=handle is None)
                with self._lock:
                    reason, self.attempt.look_at_s = self.attempt.stop_reason, math.inf
                grace_s = min(LEFTOVER_GRACE_S, self.attempt.launch.definition.cancel_grace_s)
                is_gone = tree.end(0.0 if self._was_killed else grace_s)
                self._drain(process)
            finally:
                if handle is not None:
                    os.close(handle)
                _close_pipes(process)
        code = code_of(process)
        process.wait()
        outcome = self._outcome(reason, code)
        if not is_gone:
            self.attempt.context.log.warning(
                "a process that this command left behind cannot be ended; it keeps running"
            )
        return outcome

    # ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _register(
        self, selector: selectors.BaseSelector, process: subprocess.Popen[bytes], payload: bytes
    ) -> int | None:
        """Register what is waited for; return the program's pidfd."""
        selector.register(self._wake_out, selectors.EVENT_READ, "wake")
        for pipe, capture in ((process.stdout, self._out), (process.stderr, self._err)):
            assert pipe is not None  # noqa: S101  # for the type checker
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ, capture)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE, memoryview(payload))
        handle = None
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                handle = os.pidfd_open(process.pid)
                selector.register(handle, selectors.EVENT_READ, "end")
        return handle

    def _step(self, selector: selectors.BaseSelector, tree: ProcessTree, *, polls: bool) -> None:
        """Do what is due, then wait for the next event and handle it."""
        now_s = self._clock.monotonic_s()
        next_s = min(self._do_due(tree, now_s), self._look_s)
        wait_s = min(POLL_S if polls else MAX_WAIT_S, max(0.0, next_s - now_s))
        for key, _ in selector.select(wait_s):
            match key.data:
                case Capture() as capture:
                    chunk = _read(key.fd)
                    if chunk:
                        self._keep(capture, chunk)
                    elif chunk is not None:
                        selector.unregister(key.fileobj)  # the pipe is closed; the program may go on
                case memoryview() as rest:
                    self._write(selector, key, rest)
                case "wake":
                    _read(key.fd)
                case _:
                    pass  # the program's end: the caller checks for it

    def _write(self, selector: selectors.BaseSelector, key: selectors.SelectorKey, rest: memoryview) -> None:
        try:
            rest = rest[os.write(key.fd, rest[:CHUNK_BYTES]) :]
        except BlockingIOError:
            return
        except OSError:  # it does not read it, or has ended
            rest = rest[len(rest) :]
        if rest:
            selector.modify(key.fileobj, selectors.EVENT_WRITE, rest)
        else:
            selector.unregister(key.fileobj)
            with contextlib.suppress(OSError):
                key.fileobj.close()  # type: ignore[union-attr]  # it was registered as a file

    def _drain(self, process: subprocess.Popen[bytes]) -> None:
        """Read the output that was left in the pipes when it ended."""
        for pipe, capture in ((process.stdout, self._out), (process.stderr, self._err)):
            if pipe is None or pipe.closed:
                continue
            until = capture.total + DRAIN_BYTES
            while capture.total < until and (chunk := _read(pipe.fileno())):
                self._keep(capture, chunk)
        self._lines.end()
        self.flush()

    def _keep(self, capture: Capture, chunk: bytes) -> None:
        capture.feed(chunk)
        if capture is self._err:
            self._lines.feed(chunk)

    # ── stopping ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _do_due(self, tree: ProcessTree, now_s: float) -> float:
        """T2: send TERM on a stop or at the timeout, and KILL after the grace.  Returns when to call this again."""
        attempt, is_zombie = self.attempt, False
        with self._lock:
            if attempt.stop_reason is None and attempt.look_at_s <= now_s:
                attempt.tell(TIMEOUT, now_s)
            wants_term = attempt.stop_reason is not None and not self._was_told and not self.must_kill
            wants_kill = not self._was_killed and (
                self.must_kill or (attempt.stop_reason is not None and attempt.look_at_s <= now_s)
            )
            if wants_kill:
                attempt.look_at_s = now_s + max(MIN_GRACE_S, attempt.launch.definition.cancel_grace_s)
            elif self._was_killed and attempt.look_at_s <= now_s:
                attempt.look_at_s = math.inf
                is_zombie, attempt.zombie = not attempt.zombie, True
            next_s = attempt.look_at_s
        if wants_term:
            self._was_told = True
            tree.terminate()
        if wants_kill:
            self._was_killed = True
            tree.kill()
        if is_zombie:
            attempt.outlived(self._clock.now())
        if now_s >= self._look_s:
            tree.look()
            self._look_gap_s = min(self._look_gap_s * 3, LOOK_EVERY_S)
            self._look_s = self._clock.monotonic_s() + self._look_gap_s
        return next_s

    # ── its end ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _outcome(self, reason: str | None, code: int | None) -> Outcome:
        """Its outcome (T2 to T4).  After a shutdown's TERM it is given back whatever its code: many exit with 0."""
        if reason == TIMEOUT:
            how = "ended in an unknown way" if code is None else _how(code, was_killed=self._was_killed)
            return timed_out(
                self.attempt.launch.timeout_s, how, self._out, self._err, masked=self.attempt.launch.masked
            )
        if reason == StopReason.CANCEL:
            return Cancelled()
        if reason is not None:
            return Interrupted(reason=str(reason))
        if code is None:
            message = "other code in this process took its exit code by waiting for any child (SIGCHLD, waitpid -1)"
            return Failed(Error(FAILED, message))
        if code == -signal.SIGKILL and not self.command.is_success(code) and self._lapses != self._warden.lapses:
            return self.attempt.ended_by_warden()
        if (
            not self.command.is_success(code)
            and may_be_sent_to_all(code)
            and self.attempt.context.stops_within(DOUBT_S)
        ):
            return self.attempt.ended_with_all()
        return ended(self.command, code, self._out, self._err, masked=self.attempt.launch.masked)


def _how(code: int, *, was_killed: bool) -> str:
    if code == -signal.SIGKILL and was_killed:
        return "did not, and was killed after its grace period"
    return named(code) if code < 0 else f"ended with {named(code)}"


def _read(handle: int) -> bytes | None:
    """The bytes that are there now; None if there are none, empty at the end."""
    try:
        return os.read(handle, CHUNK_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
