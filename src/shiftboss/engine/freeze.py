"""Was this process frozen?  Nothing else in it runs while a function keeps the interpreter's lock (C4, H6).

Rules of this file
- A thread that only sleeps notices by how late it wakes up; it asks no store, no loop and no engine.
- Meanwhile `faulthandler` writes the stacks, for which it needs no lock.  A process has one such alarm: we set it only
  in a process that is all ours.  Elsewhere the functions that ran are named without a stack.
- If the alarm wrote only after the waking, the process itself was stopped, and no function is to blame.
"""

from __future__ import annotations

import faulthandler
import os
import re
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from shiftboss.clock import SystemClock
from shiftboss.core.bounds import ends
from shiftboss.core.events import NodeFrozen
from shiftboss.core.model import Node
from shiftboss.core.redact import redaction
from shiftboss.core.snapshot import Change, Snapshot
from shiftboss.core.value import Value
from shiftboss.engine.mutation import Mutation

BEAT_S = 2.0
FROZEN_S = 12.0  # with a beat this surely notices 15 s; a busy machine delays a thread by less
WOKE_S = 1.0  # what the alarm wrote this shortly before the waking was written on waking
MAX_TRACE_BYTES = 1024 * 1024  # room for a hundred threads
MAX_STACKS = 5
MAX_FRAMES = 20  # the innermost ones: enough to see what keeps the lock
THREAD = re.compile(r"^(?:Current )?[Tt]hread 0x([0-9a-f]+).*$", re.MULTILINE)
AT_REST = re.compile(r'^  File ".*(?:threading|selectors|queue)\.py", line \d+ in (?:wait|select|get)\b')
OF_A_BODY = re.compile(r'^  File ".*(?:thread|coroutine)\.py", line \d+ in _run$', re.MULTILINE)

TASKS = Path("/proc/self/task")
ASKS_A_SECOND = 20  # a thread that waits for the lock: 200 (sys.getswitchinterval), fewer on a busy machine
MAX_THREADS = 20  # read at each beat, 200 µs each on a busy machine: 0.2 % of a core; of more none is singled out

_clock = SystemClock()  # a freeze is real time, whatever clock the rules use

Body = tuple[str, int]  # worker, run


class ThreadWork(NamedTuple):
    """What one thread has done so far."""

    cpu_s: float
    switches: int  # how often it gave up the processor by itself


class Freeze(Value, frozen=True):
    """For *seconds* nothing ran but one of *bodies*."""

    seconds: float
    bodies: tuple[Body, ...]
    stack: str


class FreezeWatch:
    """Watches from a thread of its own; *bodies* says which functions run here, and in which threads."""

    def __init__(
        self,
        bodies: Callable[[], Mapping[Body, int]],
        on_freeze: Callable[[Freeze], None],
        *,
        owns_process: bool,
    ) -> None:
        self._bodies = bodies
        self._told = on_freeze
        self._trace: IO[bytes] | None = None
        if owns_process and hasattr(faulthandler, "dump_traceback_later"):
            with suppress(OSError):
                self._trace = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `stop`
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shiftboss-freeze", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._trace is not None:
            faulthandler.cancel_dump_traceback_later()
            self._trace.close()

    def _run(self) -> None:
        while not self._is_over.is_set():
            before, began_s = self._bodies(), _clock.monotonic_s()
            work = _work_of_all()
            self._arm()
            self._is_over.wait(BEAT_S)
            frozen_s = _clock.monotonic_s() - began_s
            if frozen_s >= FROZEN_S:
                self._woke(frozen_s, {**before, **self._bodies()}, work)

    def _arm(self) -> None:
        if self._trace is not None:
            with suppress(OSError, RuntimeError, ValueError):  # no thread can be started just now
                faulthandler.dump_traceback_later(FROZEN_S, file=self._trace)

    def _woke(self, frozen_s: float, bodies: Mapping[Body, int], before: Mapping[int, ThreadWork]) -> None:
        trace = self._written()
        if trace is None:  # the process itself was stopped
            return
        stacks = stacks_of_bodies(trace)
        threads = stacks.keys() or set(bodies.values())
        after = _work_of_all()
        held = threads_that_kept_it(frozen_s, threads, before=before, after=after)
        stack_texts = [stack for thread, stack in stacks.items() if thread in held]
        self._told(
            Freeze(
                frozen_s,
                tuple(body for body, thread in bodies.items() if thread in held),
                "\n".join(stack_texts[:MAX_STACKS]),
            )
        )

    def _written(self) -> str | None:
        """What the alarm wrote; "" if the alarm is not ours, None if it was only written on waking."""
        if self._trace is None:
            return ""
        try:
            faulthandler.cancel_dump_traceback_later()
            handle = self._trace.fileno()
            wrote_ns = os.fstat(handle).st_mtime_ns
            data = os.pread(handle, MAX_TRACE_BYTES, 0)
            os.ftruncate(handle, 0)
            os.lseek(handle, 0, os.SEEK_SET)
            woke_ns = os.fstat(handle).st_mtime_ns
        except OSError:
            return ""
        was_late = not data or woke_ns - wrote_ns < WOKE_S * 1e9
        return None if was_late else data.decode("utf-8", "replace")


def frozen(node: Node, freeze: Freeze, *, secrets: tuple[str, ...]) -> Mutation:
    """The event that says what is known of the freeze, without secrets."""
    stack = ends(redaction((), ()).knowing(secrets).text(freeze.stack))
    return Mutation(partial(_frozen, node=node, freeze=freeze, stack=stack))


def _frozen(
    snapshot: Snapshot, now: datetime, *, ids: Iterator[int], node: Node, freeze: Freeze, stack: str
) -> tuple[Change, None]:
    worker, run = freeze.bodies[0] if len(freeze.bodies) == 1 else ("", None)
    event = NodeFrozen(
        at=now,
        worker=worker,
        run=run,
        node=node.id,
        name=node.name,
        seconds=round(freeze.seconds, 1),
        bodies=named(freeze.bodies),
        stack=stack,
    )
    return Change(events=(event,)), None


def stacks_of_bodies(trace: str) -> dict[int, str]:
    """From what the alarm wrote: thread → its stack, innermost frame first, of threads that may have kept the lock."""
    stacks: dict[int, str] = {}
    heads = list(THREAD.finditer(trace))
    ends = [*(each.start() for each in heads[1:]), len(trace)]
    for head, end in zip(heads, ends, strict=False):  # without a head there is a single end
        stack = trace[head.end() : end].strip("\n")
        if OF_A_BODY.search(stack) and not AT_REST.match(stack):
            stacks[int(head[1], 16)] = "\n".join(stack.split("\n")[:MAX_FRAMES])
    return stacks


def threads_that_kept_it(
    frozen_s: float, threads: Collection[int], *, before: Mapping[int, ThreadWork], after: Mapping[int, ThreadWork]
) -> Collection[int]:
    """Those of *threads* that may have kept the lock, by what each did meanwhile; all of them if that tells nothing.

    A thread that waits for the lock wakes every 5 ms to ask for it.  A thread that computes is the one that has it.
    """
    did = {}
    for thread in after.keys() & threads:
        was = before.get(thread, ThreadWork(0.0, 0))  # it has begun since
        did[thread] = ThreadWork(after[thread].cpu_s - was.cpu_s, after[thread].switches - was.switches)
    computed = [thread for thread, work in did.items() if work.cpu_s >= frozen_s / 2]
    waited = {thread for thread, work in did.items() if work.switches >= frozen_s * ASKS_A_SECOND}
    return computed or [thread for thread in threads if thread not in waited] or threads


def _work_of_all() -> dict[int, ThreadWork]:
    """What each thread has done so far, as the kernel counts it; empty if the kernel does not say, or for too many."""
    work: dict[int, ThreadWork] = {}
    threads = threading.enumerate()
    for thread in threads if len(threads) <= MAX_THREADS else ():
        with suppress(OSError, ValueError, IndexError):
            folder = TASKS / str(thread.native_id)
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            status = (folder / "status").read_bytes()
            ticks = int(fields[11]) + int(fields[12])
            switches = int(status.partition(b"\nvoluntary_ctxt_switches:")[2].split()[0])
            work[thread.ident or 0] = ThreadWork(ticks / os.sysconf("SC_CLK_TCK"), switches)
    return work


def named(bodies: Collection[Body]) -> str:
    """The functions in words; of many only the first ones."""
    words = [f"{worker!r} (run {run})" for worker, run in list(bodies)[:MAX_STACKS]]
    rest = len(bodies) - len(words)
    return ", ".join(words) + (f" and {rest} more" if rest else "")
