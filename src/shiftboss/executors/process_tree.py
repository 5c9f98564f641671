"""Everything that one child or command has started, and its end: nothing of it outlives its attempt.

Rules of this file
- The leader of the group is reaped last: while it is a zombie its number is nobody else's, so signalling its group is
  safe.
- What left the group (setsid, nohup, a shell's job control, two forks) is found by `warden.relatives`, and remembered:
  its parents may be gone at the next look.
- Orphans that fall to this process, as they do to PID 1 of a container, are reaped by it; children of other code are
  never waited for.
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

FIRST_WAIT_S = 0.005  # a sleep told to end is gone by then
LONGEST_WAIT_S = 0.1  # between two looks at what was told to end: a look costs 4 ms
MAX_LOOKS = 10  # until one is sure: on a machine where processes come and go all the time none may ever be
KILL_WITHIN_S = 5.0  # what a KILL has not ended by then is stuck in the kernel, or another user's

log = get_logger("shiftboss.executors")
_said_blind = threading.Event()


class ProcessTree:
    """The processes of one leader, from its start on.  Used by the thread that serves it."""

    def __init__(self, leader: int, mark: str, clock: Clock) -> None:
        self._clock = clock
        self.leader = leader
        self._mark = mark
        self._known: set[Born] = set()
        self._ended: set[Born] = set()  # and were not reaped
        leader_row = row(leader)
        self._born = 0 if leader_row is None else leader_row.born
        self._can_see = leader_row is not None
        if not self._can_see and not can_see() and not _said_blind.is_set():
            _said_blind.set()
            log.warning(
                "the processes of this system cannot be listed: children and commands are ended by their process group "
                "alone, and what leaves it lives on; install psutil (pip install 'shiftboss[process]').  Said once."
            )

    def look(self) -> Look:
        """Who belongs to it now, zombies too, without its leader; they are remembered."""
        if not self._can_see:
            return Look([], is_sure=True)
        look = relatives(leaders=(self.leader,), known=self._known, mark=self._mark, since=self._born)
        members = [each for each in look.processes if each.pid != self.leader]
        # one that has ended since the last look may have forked after the list was read
        is_sure = look.is_sure and not any(each.is_zombie and each.id not in self._ended for each in members)
        self._known = {each.id for each in members}
        self._ended = {each.id for each in members if each.is_zombie}
        return Look(members, is_sure)

    def signal(self, number: int) -> None:
        """Signal all of it: the group at once, then who left it."""
        escaped = [each for each in self.look().processes if not each.is_zombie and each.group != self.leader]
        with contextlib.suppress(OSError):  # all of it has ended
            os.killpg(self.leader, number)
        for each in escaped:
            send(each, number)

    def terminate(self) -> None:
        """Ask all of it to end; what was stopped is woken, or it would not hear."""
        self.signal(signal.SIGTERM)
        with contextlib.suppress(OSError):
            os.killpg(self.leader, signal.SIGCONT)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def end(self, grace_s: float) -> bool:
        """After its leader's end: whoever is left gets TERM, after *grace_s* KILL.  Whether all of it has ended."""
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
        while self._clock.monotonic_s() < until_s:  # again and again: it may fork meanwhile
            self.kill()
            if self._is_gone_within(LONGEST_WAIT_S):
                return True
        return False

    def _is_gone_within(self, seconds: float) -> bool:
        until_s, wait_s = self._clock.monotonic_s() + seconds, FIRST_WAIT_S
        while self._living():
            if (left_s := until_s - self._clock.monotonic_s()) <= 0:
                return False
            time.sleep(min(wait_s, left_s))  # they are nobody's children here: no wait tells of their end
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        return True

    def _living(self) -> list[Process]:
        """Who has not ended, none only if a look was sure of it; those that have and fell to us are reaped."""
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
    """Whether it is a zombie; it stays one, so that its number and its group's stay its own."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13: reaped here, a moment too early
        return process.poll() is not None
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    except ChildProcessError:  # somebody else has reaped it
        return True


def code_of(process: subprocess.Popen[bytes]) -> int | None:
    """As `subprocess` counts: a signal is negative; None when somebody else has taken it."""
    if not hasattr(os, "waitid"):
        return process.poll()
    try:
        status = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return None
    if status is None:
        return None
    return status.si_status if status.si_code == os.CLD_EXITED else -status.si_status
