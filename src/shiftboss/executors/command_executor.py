"""Runs commands; each has a thread of its own while it runs.

Rules of this file
- A command can be ended by force, with every process that it started; its slot is free when all of them have ended.
- However this process ends, its commands end: `warden.py` explains how, and why that way.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading

from shiftboss.clock import Clock
from shiftboss.core.model import Outcome
from shiftboss.executors.command import Command, CommandBody, not_started
from shiftboss.executors.execution import Execution, Key
from shiftboss.executors.process_tree import ProcessTree
from shiftboss.executors.program import Program
from shiftboss.executors.slots import SlotExecutor
from shiftboss.executors.warden_client import WardenClient
from shiftboss.ports.executor import StopReason

SLOTS = 20  # each is a thread, seven open files and the program itself


class CommandExecutor(SlotExecutor):
    """Runs at most *slots* commands at a time."""

    kind = "command"

    def __init__(self, slots: int, clock: Clock, *, store: str = "") -> None:
        """*store*: the store's address, for commands that get it (`store=True`)."""
        super().__init__(slots, clock)
        self._store = store
        self._warden = WardenClient()
        self._programs: dict[Key, Program] = {}  # the lock also protects what other threads set of them

    def open(self) -> None:
        super().open()
        self._warden.open()

    # ── called by the engine's thread ────────────────────────────────────────────────────────────────────────────

    def kill(self) -> None:
        """Kill all programs now, whatever grace is left."""
        with self._lock:
            unbegun = self._unbegun()
            for attempt in self._attempts.values():
                self._tell(attempt, attempt.stop_reason or StopReason.SHUTDOWN)
            for program in self._programs.values():
                program.must_kill = True
                program.wake()
        for attempt in unbegun:
            self._report(attempt, attempt.never_begun(StopReason.SHUTDOWN))

    def flush(self) -> None:
        """Pass on what programs have written to stderr; called from the engine's tick."""
        for program in list(self._programs.values()):
            program.flush()

    def trust(self, until_s: float, *, frozen_until_s: float) -> None:
        self._warden.trust(until_s, frozen_until_s)

    def close(self, timeout_s: float) -> None:
        """Kill what still runs and wait for its end within *timeout_s*; the warden ends what is left after that."""
        until_s = self._clock.monotonic_s() + timeout_s
        threads = self._shut()
        self.kill()
        self._join(threads, until_s)
        self._warden.close(max(0.2, until_s - self._clock.monotonic_s()))

    def _tell(self, attempt: Execution, reason: str) -> None:
        if attempt.stop_reason is None:
            attempt.tell(reason, self._clock.monotonic_s())
        else:  # it got a TERM, and its grace has begun
            attempt.heed(reason)
        program = self._programs.get(attempt.key)
        if program is not None:
            program.wake()

    # ── threads ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _staff(self, started: int) -> None:
        """Make a thread for each attempt, within the slots."""
        for _ in range(min(self.slots, len(self._attempts)) - len(self._threads)):
            thread = threading.Thread(target=self._work, name="shiftboss-command", daemon=True)
            thread.start()
            self._threads.add(thread)

    def _work(self) -> None:
        """Serve commands until none waits; a program costs more than a thread, so no idle thread is kept."""
        me = threading.current_thread()
        while (attempt := self._next(me)) is not None:
            try:
                outcome = self._serve(attempt)
            except Exception as error:  # noqa: BLE001  # our mistake, or the system's limit (open files): the attempt has failed
                outcome = attempt.launch.body.failed(error)
            with self._lock:
                self._attempts.pop(attempt.key, None)
            self._report(attempt, outcome)

    def _next(self, me: threading.Thread) -> Execution | None:
        with self._lock:
            attempt = None if self._closed else self._begin_next()
            if attempt is None:
                self._threads.discard(me)
            return attempt

    def _serve(self, attempt: Execution) -> Outcome:
        run, body = attempt.launch.run, attempt.launch.body
        assert isinstance(body, CommandBody)  # noqa: S101  # `declare` gives this executor nothing else
        chosen = body.program(run.payload, fallback=run.claim is not None and run.claim.fallback)
        program = Program(attempt, chosen, self._clock, self._lock, self._warden)
        try:
            with self._lock:
                self._programs[attempt.key] = program
                if self._closed:
                    attempt.stop_reason = attempt.stop_reason or StopReason.SHUTDOWN
                    program.must_kill = True
            return self._start_and_serve(program, run.payload)
        finally:
            with self._lock:
                self._programs.pop(attempt.key, None)
                program.close()

    def _start_and_serve(self, program: Program, payload: bytes | None) -> Outcome:
        attempt, chosen = program.attempt, program.command
        run_id, fence = attempt.key
        mark = f"{self._warden.mark}.{run_id}.{fence}."
        wants_stdin = chosen.stdin == "payload" and payload is not None
        try:
            environment = chosen.environment(attempt.launch.run, mark, attempt.launch.traceparent, store=self._store)
            process = _popen(chosen, environment, wants_stdin=wants_stdin)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return not_started(chosen, error)
        self._warden.hold(process.pid)
        tree = ProcessTree(process.pid, mark, self._clock)
        try:
            return program.serve(process, tree, payload if wants_stdin and payload is not None else b"")
        except BaseException:  # our own mistake must not leave a program behind
            tree.kill()
            tree.end(0.0)
            with contextlib.suppress(OSError):
                process.wait()
            raise
        finally:
            self._warden.release(process.pid)


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
