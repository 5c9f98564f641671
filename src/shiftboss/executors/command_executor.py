"""Commands, each served by a thread of its own while it runs.

Rules of this file
- Who takes an attempt out of `_attempts` reports it, outside the lock, so each is reported once.
- A command is ended by force, with all that came from it; its slot is free when nothing of it is left.
- However this process ends, its commands end: `guard.py` says how and why that way.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections import deque
from collections.abc import Iterable, Mapping

from shiftboss.clock import Clock
from shiftboss.context import Announcement, Context
from shiftboss.core.model import Interrupted, Outcome
from shiftboss.executors.attempt import CLOSED, Attempt, Key, no_thread
from shiftboss.executors.command import Command, CommandBody, not_started
from shiftboss.executors.family import Family
from shiftboss.executors.lifeline import Lifeline
from shiftboss.executors.program import Program
from shiftboss.logs import get_logger
from shiftboss.ports import Launch, StopReason

SLOTS = 20  # each is a thread, seven open files and the program itself

log = get_logger("shiftboss.executors")


class CommandExecutor:
    """Runs at most *slots* commands at a time."""

    kind = "command"

    def __init__(self, slots: int, clock: Clock, *, store: str = "") -> None:
        """*store*: its address, for commands that are given it (`store=True`)."""
        self.slots = slots
        self._store = store
        self._clock = clock
        self._announcement = Announcement()
        self._lifeline = Lifeline()
        self._lock = threading.Lock()  # protects everything below, and what others may set of an attempt or a program
        self._attempts: dict[Key, Attempt] = {}  # waiting and begun
        self._waiting: deque[Attempt] = deque()  # not begun; some may have been taken out of `_attempts`
        self._programs: dict[Key, Program] = {}
        self._threads: set[threading.Thread] = set()
        self._closed = False

    def open(self) -> None:
        with self._lock:
            self._closed = False
            self._announcement = Announcement()
        self._lifeline.open()

    # ── called by the engine's thread ────────────────────────────────────────────────────────────────────────────

    def start(self, launches: Iterable[Launch]) -> None:
        started = [Attempt(launch, Context(launch, self._clock, self._announcement)) for launch in launches]
        refused: list[Attempt] = []
        outcome: Outcome = Interrupted(reason=CLOSED, began=False)
        with self._lock:
            if self._closed:
                refused = started
            else:
                self._attempts.update((attempt.key, attempt) for attempt in started)
                self._waiting.extend(started)
                try:
                    self._staff()
                except RuntimeError as error:  # the system gives no more threads
                    log.warning(
                        "no thread could be started (%s); commands wait for the threads there are, or fail", error
                    )
                    if not self._threads:
                        refused, outcome = self._unbegun(), no_thread(error)
        for attempt in refused:
            self._report(attempt, outcome)

    def stop(self, run_id: int, fence: int, reason: StopReason) -> None:
        with self._lock:
            attempt = self._attempts.get((run_id, fence))
            if attempt is None:
                return
            if attempt.has_begun:
                self._tell(attempt, reason)
                return
            del self._attempts[attempt.key]
        self._report(attempt, attempt.never_begun(reason))

    def announce(self) -> None:
        self._announcement.make()

    def kill(self) -> None:
        """KILL, now, whatever grace is left."""
        with self._lock:
            unbegun = self._unbegun()
            for attempt in self._attempts.values():
                self._tell(attempt, attempt.told or StopReason.SHUTDOWN)
            for program in self._programs.values():
                program.must_kill = True
                program.wake()
        for attempt in unbegun:
            self._report(attempt, attempt.never_begun(StopReason.SHUTDOWN))

    def flush(self) -> None:
        """Pass on what programs have said on stderr; for the engine's tick."""
        for program in list(self._programs.values()):
            program.flush()

    def trust(self, until_s: float, *, frozen_until_s: float) -> None:
        self._lifeline.trust(until_s, frozen_until_s)

    def unended(self) -> Mapping[Key, tuple[Outcome, float]]:
        now_s = self._clock.monotonic_s()
        return {attempt.key: attempt.left_behind(now_s) for attempt in list(self._attempts.values())}

    def occupants(self) -> Mapping[tuple[str, int], int]:
        return {}

    def close(self, timeout_s: float) -> None:
        """Kill what still runs, wait for its end within *timeout_s*; the warden ends what is left after that."""
        until_s = self._clock.monotonic_s() + timeout_s
        with self._lock:
            self._closed = True
            threads = list(self._threads)
        self.kill()
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until_s - self._clock.monotonic_s()))
        self._lifeline.close(max(0.2, until_s - self._clock.monotonic_s()))

    def _unbegun(self) -> list[Attempt]:
        """Take out all that wait.  Holds the lock."""
        taken = [attempt for attempt in self._waiting if self._attempts.pop(attempt.key, None) is not None]
        self._waiting.clear()
        return taken

    def _tell(self, attempt: Attempt, reason: str) -> None:
        """Holds the lock."""
        if attempt.told is None:
            attempt.tell(reason, self._clock.monotonic_s())
        else:  # it was sent TERM, and its grace runs
            attempt.heed(reason)
        program = self._programs.get(attempt.key)
        if program is not None:
            program.wake()

    # ── threads ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _staff(self) -> None:
        """A thread for each attempt, within the slots.  Holds the lock."""
        for _ in range(min(self.slots, len(self._attempts)) - len(self._threads)):
            thread = threading.Thread(target=self._work, name="shiftboss-command", daemon=True)
            thread.start()
            self._threads.add(thread)

    def _work(self) -> None:
        """Serve commands until none waits; a program costs more than a thread, so none is kept."""
        me = threading.current_thread()
        while (attempt := self._next(me)) is not None:
            try:
                outcome = self._serve(attempt)
            except Exception as error:  # noqa: BLE001  # ours, or the system's (no more files): the attempt has failed
                outcome = attempt.launch.body.failed(error)
            with self._lock:
                self._attempts.pop(attempt.key, None)
            self._report(attempt, outcome)

    def _next(self, me: threading.Thread) -> Attempt | None:
        with self._lock:
            while self._waiting and not self._closed:
                attempt = self._waiting.popleft()
                if attempt.key in self._attempts:
                    attempt.begin(self._clock.monotonic_s())
                    return attempt
            self._threads.discard(me)
            return None

    def _serve(self, attempt: Attempt) -> Outcome:
        run, body = attempt.launch.run, attempt.launch.body
        assert isinstance(body, CommandBody)  # noqa: S101  # `declare` gives this executor nothing else
        chosen = body.program(run.payload, fallback=run.claim is not None and run.claim.fallback)
        program = Program(attempt, chosen, self._clock, self._lock, self._lifeline)
        try:
            with self._lock:
                self._programs[attempt.key] = program
                if self._closed:
                    attempt.told = attempt.told or StopReason.SHUTDOWN
                    program.must_kill = True
            return self._start_and_serve(program, run.payload)
        finally:
            with self._lock:
                self._programs.pop(attempt.key, None)
                program.close()

    def _start_and_serve(self, program: Program, payload: bytes | None) -> Outcome:
        attempt, chosen = program.attempt, program.command
        run_id, fence = attempt.key
        mark = f"{self._lifeline.mark}.{run_id}.{fence}."
        wants_stdin = chosen.stdin == "payload" and payload is not None
        try:
            environment = chosen.environment(attempt.launch.run, mark, attempt.launch.traceparent, store=self._store)
            process = _popen(chosen, environment, wants_stdin=wants_stdin)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return not_started(chosen, error)
        self._lifeline.hold(process.pid)
        family = Family(process.pid, mark, self._clock)
        try:
            return program.serve(process, family, payload if wants_stdin and payload is not None else b"")
        except BaseException:  # a mistake of ours must not leave a program behind
            family.kill()
            family.end(0.0)
            with contextlib.suppress(OSError):
                process.wait()
            raise
        finally:
            self._lifeline.release(process.pid)

    def _report(self, attempt: Attempt, outcome: Outcome) -> None:
        attempt.report(outcome, self._clock.monotonic_s())


def _popen(chosen: Command, environment: dict[str, str], *, wants_stdin: bool) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  # words that the application wrote, and no shell
        chosen.argv,
        stdin=subprocess.PIPE if wants_stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=chosen.cwd,
        bufsize=0,
        start_new_session=True,
    )
