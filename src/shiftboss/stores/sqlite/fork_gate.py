"""No fork in the middle of what SQLite does: the child could never open the same file.

SQLite keeps the locks of a process in the memory of that process.  What another thread holds at the moment of a fork is
held forever in the child, by nobody: its first transaction finds the file busy, or SQLite's mutexes taken.

Rules of this file
- Sessions work within their gate, and a fork waits until all gates are free.  A transaction takes milliseconds.
- A fork does not wait for longer ones (which wait for another process): then the child may open no file.
"""

from __future__ import annotations

import os
import threading
import weakref
from types import TracebackType

from shiftboss.clock import SystemClock

MAX_WAIT_S = 2.0

_gates: weakref.WeakSet[ForkGate] = weakref.WeakSet()
_held: list[ForkGate] = []  # by the thread that forks
_forking = threading.Lock()  # one fork at a time; protects `_held`
_is_torn = False


class ForkGate:
    """One for each session.  Its own thread may enter it again."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        _gates.add(self)

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.lock.release()


def is_torn() -> bool:
    """Whether this process was forked in the middle of a transaction."""
    return _is_torn


def _before() -> None:
    global _is_torn
    _forking.acquire()
    clock = SystemClock()
    until_s = clock.monotonic_s() + MAX_WAIT_S
    for gate in list(_gates):
        if gate.lock.acquire(timeout=max(0.0, until_s - clock.monotonic_s())):
            _held.append(gate)
        else:
            _is_torn = True


def _after(*, in_child: bool) -> None:
    global _is_torn
    if not in_child:
        _is_torn = False
    while _held:
        _held.pop().lock.release()
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before,
        after_in_parent=lambda: _after(in_child=False),
        after_in_child=lambda: _after(in_child=True),
    )
