"""Runs functions in child processes: timeouts are enforced, all cores are used, and a crash costs one attempt only.

Rules of this file
- Children are spawned, never forked, when there is work for them.  A child is kept for further runs, one at a time.  It
  is ended after `max_runs_per_child` runs, above `max_memory`, after a TERM, and if a run leaves processes behind.
- One thread serves all children, and only that thread touches them: it starts them, reads from them, ends them.  The
  engine's thread puts calls into `_mailbox`.  The code that removes an attempt from `_attempts` reports it.  So each
  is reported once.
- To end an attempt, its child gets a message, all of the child's processes get TERM, and KILL after the grace (T2).
- If a child dies by itself, its attempt has failed, and the error says of what.  A new child is made for new work.
- No child outlives this process: the kernel kills it (PR_SET_PDEATHSIG); if the kernel cannot, the child's own watcher
  ends it when its socket closes; and a warden ends what the children had started (`warden.py`).

Why a pool of our own (2026-11, versions as of then)
- concurrent.futures and loky 3.7: a child that dies breaks the pool and all its other futures; a single running call
  cannot be ended; calls and results are pickled; a running function has no channel to the parent.
- pebble 5.2: it has timeouts and can end a single worker, but not the processes which that worker started, and with one
  grace for the whole process (`CONSTS.term_timeout`); its "ProcessExpired" has the exit code; everything is pickled;
  there is no channel while a function runs.
- billiard 4.3: Celery's fork of multiprocessing.Pool, made for forking; hard limits kill the one process; pickled.
None of them ends a process tree, none has a channel during a run, and all send pickles.  Of each, only Popen would be
of use here.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import selectors
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from shiftboss.clock import Clock
from shiftboss.context import Announcement, Context
from shiftboss.core.model import Cancelled, Failed, Interrupted, Outcome, TimedOut
from shiftboss.core.value import replace
from shiftboss.executors.body_ref import BodyRef, BodyRefs
from shiftboss.executors.child_process import ChildProcess, require_psutil
from shiftboss.executors.death import death, died, oom_kills
from shiftboss.executors.execution import (
    CLOSED,
    DOUBT_S,
    MAX_WAIT_S,
    TIMEOUT,
    Execution,
    Key,
    may_be_sent_to_all,
    no_thread,
)
from shiftboss.executors.failure import error_of
from shiftboss.executors.mailbox import Mailbox
from shiftboss.executors.relay import log_again
from shiftboss.executors.warden import can_see
from shiftboss.executors.warden_client import WardenClient
from shiftboss.executors.wire import (
    Announce,
    Begun,
    Ended,
    KeptLine,
    Mask,
    RelayedRecord,
    Said,
    Tell,
    ToNode,
    Where,
    Work,
)
from shiftboss.logs import get_logger
from shiftboss.ports.executor import Launch, StopReason

MEMORY_LOOK_S = 0.1  # between looks at a child with a memory limit: a loop can allocate some 100 MB meanwhile
POLL_S = 0.5  # between looks at the children if the system has no pidfd
SILENT_S = 1.0  # a process closes its sockets a moment before its end
CLOSE_WITHIN_S = 5.0  # for the warden's last look; it takes some 30 ms
BEGIN_WITHIN_S = 60.0  # from a child's start until it enters its first function; imports of large libraries take 10 s

log = get_logger("shiftboss.executors")


class ProcessExecutor:
    """Runs functions in at most *slots* child processes; by default as many as there are cores."""

    kind = "process"

    def __init__(self, slots: int | None, clock: Clock, *, measures: bool = False) -> None:
        """*measures*: a worker has a `max_memory`."""
        self.slots = slots or os.cpu_count() or 1
        self._measures = measures
        self._clock = clock
        self._announcement = Announcement()
        self._lock = threading.Lock()  # protects `_thread`, `_is_closed` and putting calls into the mailbox
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._mailbox: Mailbox | None = None  # while there is a serving thread
        self._attempts: dict[Key, Execution] = {}  # waiting and begun
        # used by the serving thread only
        self._waiting: deque[Execution] = deque()
        self._children: list[ChildProcess] = []
        self._doubtful: deque[tuple[float, Execution, Outcome]] = (
            deque()
        )  # until when an outcome is in doubt: the child got a TERM from others
        self._selector: selectors.BaseSelector
        self._body_refs = BodyRefs()
        self._suspects: set[BodyRef] = set()  # functions whose last run ended its child
        self._warden = WardenClient()
        self._numbers = itertools.count(1)
        self._oom_kills = 0
        self._is_leaving = False

    def open(self) -> None:
        """Raises ConfigurationError if psutil is needed and missing.  No process is started yet."""
        if self._measures:
            require_psutil("max_memory=")
        if not can_see():
            require_psutil("executor='process' on a system without /proc")
        with self._lock:
            self._is_closed = False
            self._announcement = Announcement()

    # ── called by the engine's thread ────────────────────────────────────────────────────────────────────────────

    def start(self, launches: Iterable[Launch]) -> None:
        started = [Execution(launch, Context(launch, self._clock, self._announcement)) for launch in launches]
        refused: Outcome | None = None
        with self._lock:
            if self._is_closed:
                refused = Interrupted(reason=CLOSED, began=False)
            else:
                try:
                    self._staff()
                except RuntimeError as error:  # the system gives no more threads
                    refused = no_thread(error)
                else:
                    self._attempts.update((attempt.key, attempt) for attempt in started)
                    self._put(self._enqueue, started)
        if refused is not None:
            for attempt in started:
                attempt.report(refused, self._clock.monotonic_s())

    def _staff(self) -> None:
        """Holds the lock."""
        if self._thread is None:
            mailbox = Mailbox()
            thread = threading.Thread(target=self._serve, args=(mailbox,), name="shiftboss-children", daemon=True)
            self._is_leaving = False
            try:
                thread.start()
            except RuntimeError:
                mailbox.close()
                raise
            self._mailbox, self._thread = mailbox, thread

    def stop(self, run_id: int, fence: int, reason: StopReason) -> None:
        with self._lock:
            self._put(self._stop, (run_id, fence), reason)

    def announce(self) -> None:
        self._announcement.make()
        with self._lock:
            self._put(self._announce)

    def kill(self) -> None:
        with self._lock:
            self._put(self._kill_all)

    def flush(self) -> None:
        """Nothing to do: children pass on their functions' reports by themselves, once a second."""

    def trust(self, until_s: float, *, frozen_until_s: float) -> None:
        self._warden.trust(until_s, frozen_until_s)

    def unended(self) -> Mapping[Key, tuple[Outcome, float]]:
        now_s = self._clock.monotonic_s()
        return {attempt.key: attempt.left_behind(now_s) for attempt in list(self._attempts.values())}

    def occupants(self) -> Mapping[tuple[str, int], int]:
        return {}

    def close(self, timeout_s: float) -> None:
        """End every child; those that run a function are killed, and their attempts were interrupted."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
            self._put(self._leave)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def _put(self, call: Callable[..., None], *arguments: Any) -> None:
        """Holds the lock."""
        if self._mailbox is not None:
            self._mailbox.put(call, *arguments)

    # ── the serving thread ───────────────────────────────────────────────────────────────────────────────────────

    def _serve(self, mailbox: Mailbox) -> None:
        self._selector = selectors.DefaultSelector()
        self._oom_kills = oom_kills()
        self._selector.register(mailbox.wakeup, selectors.EVENT_READ, lambda mask: mailbox.on_wakeup())
        while not (self._is_leaving and not self._children):
            for key, mask in self._selector.select(self._wait_s()):
                key.data(mask)
            self._look()
        with self._lock:
            mailbox.drain()  # calls that were put meanwhile
            mailbox.close()
            self._thread = self._mailbox = None
        self._selector.close()
        self._warden.close(CLOSE_WITHIN_S)

    def _enqueue(self, started: Sequence[Execution]) -> None:
        self._waiting.extend(started)
        self._dispatch()

    def _dispatch(self) -> None:
        """Give waiting attempts to idle children, or to new ones within the slots."""
        while self._waiting:
            if self._waiting[0].key not in self._attempts:  # stopped meanwhile
                self._waiting.popleft()
                continue
            if self._is_leaving:
                attempt = self._waiting.popleft()
                self._finish(attempt, attempt.never_begun(StopReason.SHUTDOWN))
                continue
            if len(self._children) >= self.slots and not any(each.is_idle for each in self._children):
                return
            attempt = self._waiting.popleft()
            try:
                self._give(self._child_for(self._body_refs.of(attempt.launch.body)), attempt)
            except Exception as error:  # noqa: BLE001  # the system gives no more processes, or the function cannot be found by name
                log.warning("worker %s: no child process could run it: %s", attempt.launch.run.worker, error)
                self._finish(attempt, Failed(error_of(error)))

    def _child_for(self, ref: BodyRef) -> ChildProcess:
        """An idle child, preferably one that has imported the function; if there is none, a new child.

        A function whose last run ended its child gets no child that has imported other functions, as long as a new one
        may be made.  If it crashes again, the other functions keep their child (measured beside five crashes a second
        on two cores: 500 short runs took 1.2 times as long, and 2.3 times when any function got an idle child).
        """
        idle = [each for each in reversed(self._children) if each.is_idle]
        if len(self._children) < self.slots:
            if ref in self._suspects:
                idle = [each for each in idle if each.bodies <= self._suspects]
            if not idle:
                return self._spawn()
        return max(idle, key=lambda each: ref in each.bodies)

    def _spawn(self) -> ChildProcess:
        self._warden.open()
        child = ChildProcess(self._warden, next(self._numbers), self._clock)
        self._children.append(child)
        self._selector.register(child.socket, selectors.EVENT_READ, lambda mask: self._hear(child, mask))
        if child.pidfd is not None:
            self._selector.register(child.pidfd, selectors.EVENT_READ, lambda mask: self._reap(child))
        return child

    def _give(self, child: ChildProcess, attempt: Execution) -> None:
        launch = attempt.launch
        ref = self._body_refs.of(launch.body)
        now_s = self._clock.monotonic_s()
        child.attempt = attempt
        child.lapses = self._warden.lapses
        if ref in child.bodies:
            attempt.enter(now_s)
        else:
            child.bodies.add(ref)
            child.until_s = now_s + BEGIN_WITHIN_S
        work = Work(
            run=replace(launch.run, attempts=(), error=None),
            ref=ref,
            timeout_s=launch.timeout_s,
            last_success_at=launch.last_success_at,
            stopping=self._announcement.made,
            traceparent=launch.traceparent,
        )
        self._send(child, work)

    def _send(self, child: ChildProcess, message: Work | Tell | Announce) -> None:
        child.send(message)
        if child.has_unsent:
            self._listen(child, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def _listen(self, child: ChildProcess, mask: int) -> None:
        key = self._selector.get_map().get(child.socket)
        if key is not None and key.events != mask:
            self._selector.modify(child.socket, mask, key.data)

    # ── messages from children ───────────────────────────────────────────────────────────────────────────────────

    def _hear(self, child: ChildProcess, mask: int) -> None:
        if child not in self._children:  # reaped a moment ago
            return
        if mask & selectors.EVENT_WRITE:
            child.send_rest()
            if not child.has_unsent:
                self._listen(child, selectors.EVENT_READ)
        if mask & selectors.EVENT_READ:
            for message in child.receive():
                self._take(child, message)
            if child.is_silent and child.socket in self._selector.get_map():
                self._selector.unregister(child.socket)
                if not child.is_leaving:  # it has closed its socket but lives: no message can reach it any more
                    child.until_s = self._clock.monotonic_s() + SILENT_S

    def _take(self, child: ChildProcess, message: ToNode) -> None:
        attempt = child.attempt
        match message:
            case Begun() if attempt is not None:
                child.until_s = math.inf
                attempt.enter(self._clock.monotonic_s())
            case Said() if attempt is not None:
                kind, value = (
                    ("heartbeat", message.beat_at) if message.progress is None else ("progress", message.progress)
                )
                attempt.launch.signal(kind, value)
            case Where() if attempt is not None:
                attempt.stack = message.stack
            case KeptLine() if attempt is not None:
                attempt.context.keep_line(message.level, message.text)
            case Mask() if attempt is not None:
                attempt.launch.signal("mask", message.values)
            case RelayedRecord():
                log_again(message, attempt.context if attempt is not None else None)
            case Ended() if attempt is not None:
                child.until_s = math.inf
                child.attempt = None
                child.runs += 1
                self._part(child, attempt, leaves_processes=message.leaves_processes)
                attempt.ended(self._clock.monotonic_s())
                self._finish(attempt, _judged(attempt, message.outcome))
                self._dispatch()

    def _part(self, child: ChildProcess, attempt: Execution, *, leaves_processes: bool) -> None:
        """After a run: keep the child, or end it."""
        definition, ref = attempt.launch.definition, self._body_refs.of(attempt.launch.body)
        self._suspects.discard(ref)
        if attempt.stop_reason is not None or leaves_processes:
            self._suspects.add(ref)
            child.kill()
        elif self._is_leaving or child.runs >= definition.max_runs_per_child or _is_too_large(child, attempt):
            child.leave(self._clock.monotonic_s())

    def _finish(self, attempt: Execution, outcome: Outcome) -> None:
        if self._attempts.pop(attempt.key, None) is not None:
            attempt.report(outcome, self._clock.monotonic_s())

    # ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _reap(self, child: ChildProcess) -> None:
        """A child has ended."""
        if child not in self._children:
            return
        for message in child.receive():  # its last messages
            self._take(child, message)
        for each in (child.socket, child.pidfd):
            if each is not None and each in self._selector.get_map():
                self._selector.unregister(each)
        self._children.remove(child)
        code = child.reap()
        attempt, child.attempt = child.attempt, None
        if attempt is not None:
            self._suspects.add(self._body_refs.of(attempt.launch.body))
            outcome = self._of_death(child, attempt, code)
            if (
                attempt.stop_reason is None
                and child.why is None
                and code is not None
                and code < 0
                and may_be_sent_to_all(code)
            ):
                self._doubt(attempt, outcome)
            else:
                self._finish(attempt, outcome)
        self._dispatch()

    def _doubt(self, attempt: Execution, outcome: Outcome) -> None:
        """Wait a moment: it is a failure, unless the node is told to end as well (G2)."""
        if self._announcement.made:
            self._finish(attempt, attempt.ended_with_all())
        else:
            self._doubtful.append((self._clock.monotonic_s() + DOUBT_S, attempt, outcome))

    def _of_death(self, child: ChildProcess, attempt: Execution, code: int | None) -> Outcome:
        if attempt.stop_reason is not None:
            if not attempt.has_begun:
                return attempt.never_begun(attempt.stop_reason)
            attempt.stack = f"{attempt.stack}(killed: it did not end within its grace period after SIGTERM)"
            return attempt.raised(asyncio.CancelledError())
        if code == -signal.SIGKILL and child.why is None and child.lapses != self._warden.lapses:
            return attempt.ended_by_warden()
        known, self._oom_kills = self._oom_kills, oom_kills()
        return child.why or death(code, by_kernel=self._oom_kills > known)

    def _stop(self, key: Key, reason: StopReason) -> None:
        attempt = self._attempts.get(key)
        if attempt is None:
            return
        child = next((each for each in self._children if each.attempt is attempt), None)
        if child is None:
            self._finish(attempt, attempt.never_begun(reason))
        else:
            self._tell(child, attempt, reason)

    def _tell(self, child: ChildProcess, attempt: Execution, reason: str) -> None:
        is_first = attempt.stop_reason is None
        if not attempt.has_begun:
            attempt.heed(reason)
            child.kill()
        elif is_first:
            attempt.tell(reason, self._clock.monotonic_s())
            self._send(child, Tell(reason))
            child.terminate()
        else:
            attempt.heed(reason)
            self._send(child, Tell(reason))

    def _announce(self) -> None:
        for child in self._children:
            self._send(child, Announce())
        while self._doubtful:
            _, attempt, _ = self._doubtful.popleft()
            self._finish(attempt, attempt.ended_with_all())

    def _kill_all(self) -> None:
        for child in list(self._children):
            if child.attempt is not None:
                child.attempt.heed(StopReason.SHUTDOWN)
                child.kill()

    def _leave(self) -> None:
        self._is_leaving = True
        for attempt in self._waiting:
            self._finish(attempt, attempt.never_begun(StopReason.SHUTDOWN))
        self._waiting.clear()
        self._announce()
        self._kill_all()
        for child in self._children:
            if child.attempt is None:
                child.leave(self._clock.monotonic_s())

    # ── time and memory ──────────────────────────────────────────────────────────────────────────────────────────

    def _wait_s(self) -> float:
        at_s, longest_s = self._doubtful[0][0] if self._doubtful else math.inf, MAX_WAIT_S
        for child in self._children:
            at_s = min(at_s, child.until_s, math.inf if child.attempt is None else child.attempt.look_at_s)
            if child.attempt is not None and child.attempt.launch.definition.max_memory_bytes is not None:
                longest_s = min(longest_s, MEMORY_LOOK_S)
            if child.pidfd is None:
                longest_s = min(longest_s, POLL_S)
        return max(0.0, min(longest_s, at_s - self._clock.monotonic_s()))

    def _look(self) -> None:
        now_s = self._clock.monotonic_s()
        while self._doubtful and self._doubtful[0][0] <= now_s:
            _, doubtful, outcome = self._doubtful.popleft()
            self._finish(doubtful, outcome)
        for child in list(self._children):
            attempt = child.attempt
            if child.pidfd is None and child.ended():
                self._reap(child)
            elif child.until_s <= now_s:
                if attempt is not None and not child.is_silent:
                    child.why = died(f"its function did not start within {BEGIN_WITHIN_S:g} s")
                elif attempt is not None:
                    child.why = died("it closed its socket to the node but kept running")
                child.until_s = math.inf
                child.kill()
            elif attempt is not None and attempt.look_at_s <= now_s:
                if attempt.stop_reason is None:
                    self._tell(child, attempt, TIMEOUT)
                else:
                    attempt.look_at_s = math.inf
                    child.kill()
            elif attempt is not None and child.why is None and _is_too_large(child, attempt):
                limit = attempt.launch.definition.max_memory_bytes
                child.why = died(f"killed above max_memory ({limit:,} bytes)")
                child.kill()


def _judged(attempt: Execution, outcome: Outcome) -> Outcome:
    """Correct *outcome* by what the child could not know: a cancel after the function's end, a late timeout."""
    if attempt.stop_reason == StopReason.CANCEL:
        return Cancelled()
    return attempt.returned(None) if attempt.stop_reason == TIMEOUT and not isinstance(outcome, TimedOut) else outcome


def _is_too_large(child: ChildProcess, attempt: Execution) -> bool:
    limit = attempt.launch.definition.max_memory_bytes
    return limit is not None and child.memory_bytes() > limit
