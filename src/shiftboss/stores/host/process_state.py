"""Does the process that wrote its identity go on, as far as the kernel of this machine can tell? (C4)

Rules of this file
- A process is identified by its pid, the time of its start and its pid namespace: a pid may have been given to another
  process, and means another process in another container.
- A stopped process (SIGSTOP, a terminal's ^Z) or a traced one (a debugger) does not go on: nobody knows whether it
  will.
- What cannot be read is never guessed: no /proc (macOS, BSD), hidden processes, another container.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
GOES_ON = frozenset("RSD")  # proc(5): running, sleeping, waiting for a disk; not T, t, Z, X


def identity() -> str | None:
    """The identity of this process, in one line; None without /proc, or if /proc shows other processes."""
    state = _state(PROC / "self" / "stat")
    namespace = _namespace()
    if state is None or namespace is None or state[0] != os.getpid():
        return None
    return f"{state[0]} {state[2]} {namespace}"


def goes_on(written: str) -> bool:
    """Whether the process with the identity *written* lives, and all its threads run or may run."""
    pid, _, rest = written.partition(" ")
    born, _, namespace = rest.partition(" ")
    if not (pid.isdigit() and born.isdigit()) or namespace != str(_namespace()):
        return False
    main = _state(PROC / pid / "stat")
    if main is None or main[2] != int(born):
        return False
    with suppress(OSError):
        threads = [_state(PROC / pid / "task" / thread / "stat") for thread in os.listdir(PROC / pid / "task")]
        run = all(each is None or each[1] in GOES_ON for each in (main, *threads))  # None: it ended meanwhile
        return run and not _is_group_stopped(pid)
    return False


def in_same_namespace(written: str) -> bool:
    """Whether the process that wrote this sees the same processes as this one."""
    return written.count(" ") == 2 and written.rpartition(" ")[2] == str(_namespace())


def _is_group_stopped(pid: str) -> bool:
    """Whether its control group is frozen (`systemctl freeze`, a paused container), which the state does not show."""
    try:
        groups = (PROC / pid / "cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
        group = next(line.removeprefix("0::/") for line in groups if line.startswith("0::/"))
        return "frozen 1" in (CGROUPS / group / "cgroup.events").read_text(encoding="ascii", errors="replace")
    except (OSError, StopIteration):  # control groups version 1, or none
        return False


def _state(path: Path) -> tuple[int, str, int] | None:
    """Its pid, its state and its start in ticks; None if they cannot be read."""
    try:
        number, _, rest = path.read_text(encoding="utf-8", errors="replace").partition(" ")
        fields = rest.rpartition(")")[2].split()  # the name before it may contain anything
        return int(number), fields[0], int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def _namespace() -> int | None:
    try:
        return (PROC / "self" / "ns" / "pid").stat().st_ino
    except OSError:
        return None
