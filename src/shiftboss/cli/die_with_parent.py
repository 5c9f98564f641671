"""`python -m shiftboss.cli.die_with_parent PID …`: the command, in a process that ends with the process PID."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

from shiftboss.cli import main

PR_SET_PDEATHSIG = 1


def _end_with(parent: int) -> None:
    """Ask the kernel, if it can, to send TERM when *parent* ends, so that this process drains."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel was asked
        sys.exit(1)


if __name__ == "__main__":
    _end_with(int(sys.argv.pop(1)))
    main()
