"""Finds the processes that a child or a command has started, and ends them when their node is gone.

Rules of this file
- It imports the standard library only, because it also runs as a script of its own (`python -I -S warden.py`, 25 ms).
- A descendant is recognised by any of these: its process group, its session, a known parent, or the mark in its
  environment.  A daemon that has forked twice and called setsid still carries the mark; a program that has emptied its
  environment is found by the others.
- A process is identified by its pid and the time of its birth, so that a reused pid is never signalled.

Why a warden.  PR_SET_PDEATHSIG has to be set between fork and exec.  In Python that takes a preexec_fn, which may
deadlock in a process with threads, or a wrapper, which costs each command the start of an interpreter.  The signal is
also sent when the *thread* that forked ends, and grandchildren do not inherit it.  So each node has one small process,
which holds the reading end of a pipe whose only writer is the node, and a pidfd of the node (forked copies of the node
hold the pipe open too).  However the node ends, kill -9 and the out-of-memory killer included, one of the two tells
the warden, which then ends every process with the node's mark.  It is on no critical path: commands start without
waiting for it.  (Children set the signal for themselves, but processes that a function starts do not inherit it, and a
function in C code keeps the child's watching thread from running.)
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Collection
from typing import NamedTuple

MARK = "SHIFTBOSS_MARK"  # environment variable: the node's mark, then a suffix that tells its processes apart
PROC = "/proc"
LEASE_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # as in clock.py, which cannot be imported here
MAX_WAIT_S = 1.0  # a wait does not count suspended time, but the lease does: so soon after it the warden looks
LOOK_S = 1.0  # between two looks at a frozen node; other nodes act 5 s after theirs
ROUND_S = 0.02  # between two looks at processes that are being killed
CLEAN_ROUNDS = 10  # looks in a row that must find nothing after a kill: a child between fork and exec has no mark yet
MAX_ROUNDS = 500  # 10 s: a process that no KILL ends (another user's, stuck in the kernel) is left
IGNORED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")  # sent to the whole group or unit while the node still drains

Born = tuple[int, int]  # (pid, time of birth in ticks): identifies a process


class Process(NamedTuple):
    """One row of the system's process table."""

    pid: int
    parent: int
    group: int
    session: int
    born: int
    is_zombie: bool

    @property
    def id(self) -> Born:
        return self.pid, self.born


class Look(NamedTuple):
    """The processes at one look; not sure if a process ended or called exec meanwhile: it may have left a child."""

    processes: list[Process]
    is_sure: bool


def _table() -> Look:
    """All processes of this system, with those that have ended and were not reaped.  Takes 4 ms for 300 of them."""
    if not os.path.isdir(f"{PROC}/self"):
        return Look(_table_of_psutil(), is_sure=True)
    rows = [_row(int(name)) for name in os.listdir(PROC) if name.isdigit()]
    processes = [each for each in rows if each is not None]
    return Look(processes, is_sure=len(processes) == len(rows))


def row(pid: int) -> Process | None:
    """One process; None if there is none with that pid."""
    if os.path.isdir(f"{PROC}/self"):
        return _row(pid)
    return next((each for each in _table_of_psutil() if each.pid == pid), None)


def can_see() -> bool:
    """Whether this system's processes can be listed: by /proc, or by psutil."""
    return bool(_table().processes)


def _row(pid: int) -> Process | None:
    try:
        fields = _stat(f"{PROC}/{pid}")
        return Process(pid, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]), fields[0] in b"ZX")
    except (OSError, IndexError, ValueError):  # it ended meanwhile
        return None


def _stat(folder: str) -> list[bytes]:
    """The fields of its stat file, from its state on.  Raises OSError if it is gone."""
    with open(f"{folder}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()  # the name before that may contain anything


def _table_of_psutil() -> list[Process]:
    """For systems without /proc (macOS, BSD)."""
    try:
        import psutil
    except ImportError:
        return []
    processes = []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            is_zombie = each.status() == psutil.STATUS_ZOMBIE
            group, session = os.getpgid(each.pid), os.getsid(each.pid)
            processes.append(Process(each.pid, each.ppid(), group, session, int(each.create_time() * 100), is_zombie))
    return processes


def carries(pid: int, mark: str) -> bool | None:
    """Whether a process has *mark*, or one that begins with it; None if that cannot be known just now."""
    wanted = f"{MARK}={mark}".encode()
    try:
        with open(f"{PROC}/{pid}/environ", "rb") as file:
            environment = file.read()
        if environment:
            return any(entry.startswith(wanted) for entry in environment.split(b"\0"))
        return None if os.path.exists(f"{PROC}/{pid}/exe") else False  # in the middle of exec; a kernel thread
    except PermissionError:  # another user's
        return False
    except OSError:  # it ended
        if os.path.isdir(f"{PROC}/self"):
            return None
    try:
        import psutil

        return str(psutil.Process(pid).environ().get(MARK, "")).startswith(mark)
    except (ImportError, OSError, SystemError):
        return False
    except Exception:  # noqa: BLE001  # psutil.Error: the class cannot be named without psutil
        return False


def relatives(*, leaders: Collection[int], known: Collection[Born] = (), mark: str, since: int = 0) -> Look:
    """The processes that belong to *leaders* or to *known* ones, or carry *mark*.

    *since*: the birth of the first of them; an older process cannot be a descendant.
    """
    own_session = os.getsid(0)
    processes, is_sure = _table()
    others = [each for each in processes if each.born >= since and each.pid != os.getpid()]
    groups = set(leaders)  # the ids of their groups and sessions
    by_pid: dict[int, Process] = {}
    marks_were_read = False
    while True:
        new = [
            each
            for each in others
            if each.pid in groups or each.group in groups or each.session in groups or each.parent in by_pid
            or each.parent in leaders or each.id in known
        ]  # fmt: skip
        if not new and not marks_were_read:  # the costly part, so it comes last, for those not recognised otherwise
            marks = {each.pid: carries(each.pid, mark) for each in others if not each.is_zombie}
            new = [each for each in others if marks.get(each.pid)]
            is_sure = is_sure and None not in marks.values()
            marks_were_read = True
        if not new:
            return Look(list(by_pid.values()), is_sure)
        by_pid.update((each.pid, each) for each in new)
        groups.update(each.session for each in new if each.session not in (0, own_session))  # 0: in another namespace
        others = [each for each in others if each.pid not in by_pid]


def goes_on(pid: int) -> bool:
    """Whether a process lives and no thread of it is stopped or traced; False if that cannot be known.

    The same as `process_state.goes_on`, which serves other nodes.
    """
    try:
        threads = os.listdir(f"{PROC}/{pid}/task")
        return all(_stat(f"{PROC}/{pid}/task/{each}")[0] in b"RSD" for each in threads)
    except (OSError, IndexError):
        return False


def send(process: Process, number: int) -> None:
    """Signal one process, if its pid was not reused."""
    handle = None
    try:
        handle = os.pidfd_open(process.pid) if hasattr(os, "pidfd_open") else None
        now = row(process.pid)
        if now is None or now.born != process.born:
            return
        if handle is None:
            os.kill(process.pid, number)
        else:
            signal.pidfd_send_signal(handle, number)
    except OSError:  # it ended, or is another user's
        pass
    finally:
        if handle is not None:
            os.close(handle)


# ── the program ──────────────────────────────────────────────────────────────────────────────────────────────────


def watch_node(node: int, mark: str) -> None:
    """Wait for the end of *node* and end what it left; also end what runs if its lease has ended and it stands still.

    The node writes lines to stdin: "+PID" and "-PID" for leaders, and "=SECONDS SECONDS", two times of the lease clock:
    when everything is to be ended, and when at the latest if the node goes on, neither stopped nor traced.
    """
    watch = _NodeWatch(node)
    while watch.wait():
        _end_all(watch.leaders, mark, clean_rounds=CLEAN_ROUNDS, unless=watch.is_trusted_again)
    # one round if the node lives: then it has closed its executor
    _end_all(watch.leaders, mark, clean_rounds=1 if os.getppid() == node else CLEAN_ROUNDS)


def _end_all(
    leaders: Collection[int], mark: str, *, clean_rounds: int, unless: Callable[[], bool] = lambda: False
) -> None:
    """*unless* is checked after each look: a process that started after it became true is not among those found."""
    clean = 0
    for _ in range(MAX_ROUNDS):
        left = [each for each in relatives(leaders=leaders, mark=mark).processes if not each.is_zombie]
        if unless():
            return
        for each in left:
            send(each, signal.SIGKILL)
        for leader in leaders if not os.path.isdir(f"{PROC}/self") else ():
            with contextlib.suppress(OSError):
                os.killpg(leader, signal.SIGKILL)
        clean = 0 if left else clean + 1
        if clean >= clean_rounds:
            return
        time.sleep(ROUND_S)


class _NodeWatch:
    """Reads the node's lines until the node ends or closes the pipe."""

    def __init__(self, node: int) -> None:
        self.leaders: set[int] = set()
        self._node = node
        # until then its children may live; the node sends later times while it can
        self._until_s = self._frozen_until_s = math.inf
        self._rest = b""
        self._poll = select.poll()
        self._poll.register(0, select.POLLIN)
        self._is_over = False
        if hasattr(os, "pidfd_open"):
            try:
                self._poll.register(os.pidfd_open(node), select.POLLIN)
            except OSError:  # gone before we looked
                self._is_over = True
            self._is_over = self._is_over or os.getppid() != node

    def wait(self) -> bool:
        """True if what runs must end although the node lives; False if the node or the pipe has ended."""
        while not self._is_over:
            now_s = time.clock_gettime(LEASE_CLOCK)
            left_s = min(MAX_WAIT_S, self._until_s - now_s)
            if left_s <= 0 and now_s < self._frozen_until_s and goes_on(self._node):
                self._until_s = min(now_s + LOOK_S, self._frozen_until_s)
            elif left_s <= 0:
                self._until_s = math.inf
                return True
            ready = {handle for handle, _ in self._poll.poll(left_s * 1000)}
            if ready:
                self._is_over = 0 not in ready or not self._hears()
        return False

    def is_trusted_again(self) -> bool:
        """Whether the node has sent a later time since the last one passed: it is awake, and starts again."""
        if not self._is_over and any(handle == 0 for handle, _ in self._poll.poll(0)):
            self._is_over = not self._hears()
        return self._until_s < math.inf

    def _hears(self) -> bool:
        data = os.read(0, 65536)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            match line[:1]:
                case b"+":
                    self.leaders.add(int(line[1:]))
                case b"-":
                    self.leaders.discard(int(line[1:]))
                case b"=":
                    self._until_s, self._frozen_until_s = map(float, line[1:].split())
        return bool(data)


if __name__ == "__main__":
    for name in IGNORED:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    watch_node(int(sys.argv[1]), sys.argv[2])
