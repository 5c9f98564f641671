"""A process that outlives its node by a moment: when the node is gone it ends what the node's children left.

The kernel kills the children themselves (PR_SET_PDEATHSIG), at once and whatever they do; but then nobody is left who
knew their descendants, and a watcher inside a child is silent while a body holds the interpreter's lock.  The warden
reads from a socket until its end and then kills whatever carries the mark of the node's children.
"""

from __future__ import annotations

import os
import signal
import socket

from shiftboss.executors.trees import sweep

LOOK_S = 1.0  # a forked copy of the node holds the socket open: its end is seen by our parent's number then


def main(fd: int, mark: str, parent: int) -> None:
    """What the node starts."""
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # a service manager's, meant for the node
        signal.signal(signum, signal.SIG_IGN)
    with socket.socket(fileno=fd) as end:
        os.set_inheritable(end.fileno(), False)
        end.settimeout(LOOK_S)
        while os.getppid() == parent:
            try:
                if not end.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    sweep(mark)
