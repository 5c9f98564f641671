"""Finds and ends every process that a child or command has started: none of them outlives its attempt.

Rules of this file
- The leader of the process group is reaped last: while it is a zombie process its pid is not reused, so signalling its
  group is safe.
- A process that left the group (setsid, nohup, a shell's job control, two forks) is found by `warden.relatives`, and
  remembered: its parents may be gone at the next look.
- This process reaps the orphans that become its children, as PID 1 of a container does.  It never waits for children
  of other code.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time

from shiftboss.clock import Clock
from shiftboss.executors.warden import Born, Look, Process, can_see, relatives, row, send
from shiftboss.logs import get_logger

FIRST_WAIT_S = 0.005  # a `sleep` that gets a signal is gone by then
LONGEST_WAIT_S = 0.1  # between two looks at processes that were told to end: a look costs 4 ms
MAX_LOOKS = 10  # until one is complete: on a machine where processes come and go all the time none may ever be
KILL_WITHIN_S = 5.0  # a process that a KILL has not ended by then is stuck in the kernel, or belongs to another user

log = get_logger("shiftboss.executors")
_said_blind = threading.Event()


class ProcessTree:
    """One leader and every process that it started.  Used only by the thread that serves it."""

    def __init__(self, leader: int, mark: str, clock: Clock) -> None:
        self._clock = clock
        self.leader = leader
        self._mark = mark
        self._known: set[Born] = set()
        self._ended: set[Born] = set()  # ended, but not reaped
        leader_row = row(leader)
        self._born = 0 if leader_row is None else leader_row.born
        self._can_see = leader_row is not None
        if not self._can_see and not can_see() and not _said_blind.is_set():
            _said_blind.set()
            log.warning(
                "the processes of this system cannot be listed, so child processes and commands are ended by process "
                "group only, and a process that leaves its group keeps running; install psutil (pip install "
                "'shiftboss[process]').  Logged once."
            )

    def look(self) -> Look:
        """List and remember the processes that belong to it now, zombies too, without its leader."""
        if not self._can_see:
            return Look([], is_sure=True)
        look = relatives(leaders=(self.leader,), known=self._known, mark=self._mark, since=self._born)
        members = [each for each in look.processes if each.pid != self.leader]
        # a process that has ended since the last look may have forked after the list was read
        is_sure = look.is_sure and not any(each.is_zombie and each.id not in self._ended for each in members)
        self._known = {each.id for each in members}
        self._ended = {each.id for each in members if each.is_zombie}
        return Look(members, is_sure)

    def signal(self, number: int) -> None:
        """Signal every process: the group at once, then those that left it."""
        escaped = [each for each in self.look().processes if not each.is_zombie and each.group != self.leader]
        with contextlib.suppress(OSError):  # all of it has ended
            os.killpg(self.leader, number)
        for each in escaped:
            send(each, number)

    def terminate(self) -> None:
        """Send TERM to every process; wake those that are stopped, or they would not get it."""
        self.signal(signal.SIGTERM)
        with contextlib.suppress(OSError):
            os.killpg(self.leader, signal.SIGCONT)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def end(self, grace_s: float) -> bool:
        """After its leader's end: send TERM to the rest, and KILL after *grace_s*.  Returns whether all have ended."""
        if not self._can_see:
            with contextlib.suppress(OSError):
                os.killpg(self.leader, signal.SIGKILL)
            return True
        if not self._living():
            return True
        if grace_s > 0:
            self.terminate()
        if self._is_gone_within(grace_s):
            return True
        until_s = self._clock.monotonic_s() + KILL_WITHIN_S
        while self._clock.monotonic_s() < until_s:  # repeatedly: a process may fork meanwhile
            self.kill()
            if self._is_gone_within(LONGEST_WAIT_S):
                return True
        return False

    def _is_gone_within(self, seconds: float) -> bool:
        until_s, wait_s = self._clock.monotonic_s() + seconds, FIRST_WAIT_S
        while self._living():
            if (left_s := until_s - self._clock.monotonic_s()) <= 0:
                return False
            time.sleep(min(wait_s, left_s))  # they are not children of this process: it cannot wait for them
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        return True

    def _living(self) -> list[Process]:
        """The processes that have not ended; none only if a look was complete.  Reaps those that are our children."""
        for _ in range(MAX_LOOKS):
            members, is_sure = self.look()
            for each in members:
                if each.is_zombie and each.parent == os.getpid():
                    with contextlib.suppress(OSError):
                        os.waitpid(each.pid, os.WNOHANG)
            living = [each for each in members if not each.is_zombie]
            if living or is_sure:
                return living
        return []


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended.  It is not reaped, so that its pid and its group's id are not reused."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13: reaped here, a moment too early
        return process.poll() is not None
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    except ChildProcessError:  # other code has reaped it
        return True


def code_of(process: subprocess.Popen[bytes]) -> int | None:
    """Its return code, negative for a signal, as `subprocess` gives it; None if other code has reaped it."""
    if not hasattr(os, "waitid"):
        return process.poll()
    try:
        status = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return None
    if status is None:
        return None
    return status.si_status if status.si_code == os.CLD_EXITED else -status.si_status
