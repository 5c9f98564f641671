"""The keeper of a node shows by a lock on the server that the node's process lives, neither stopped nor traced (C4).

Rules of this file
- It imports only psycopg and the standard library, and runs as a script (`python -I -S keeper.py`).  It reads from
  stdin, in one line, whom it keeps and how to connect: nothing of that is in its arguments or its environment (A10).
- While its parent goes on it holds a shared advisory lock in its session, looks once a second, and writes nothing.  It
  also says something every 3 s, because a session that was cut off keeps its locks until TCP notices.
- It ends when its parent ends, or when the pipe is closed; the lock ends with its connection.
- After a failure it connects again with a growing pause, and tells nobody: its silence says enough.
"""

from __future__ import annotations

import json
import os
import random
import runpy
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

IGNORED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")  # sent to the whole group or unit while the node still drains
LOOK_S = 1.0
SAY_S = 3.0  # well below what neighbours consider recent (keepers.FRESH_S)
MIN_BACK_OFF_S, MAX_BACK_OFF_S = 0.5, 10.0
CLOSE_S = 0.3  # to disconnect from the server; after that the kernel closes the connection
POOLED = 3  # its exit code behind a pooler, where a session's lock belongs to nobody


class Keeper:
    """Talks to the server in a thread of its own, which may wait as long as it likes."""

    def __init__(self, settings: dict[str, Any], goes_on: Callable[[str], bool]) -> None:
        self.over = threading.Event()
        self.exit_code = 0
        self._connection: dict[str, str] = settings["connection"]
        self._lock: list[int] = settings["lock"]
        self._parent: str = settings["parent"]
        self._goes_on = goes_on

    def run(self) -> None:
        import psycopg  # from the parent's environment

        back_off_s = MIN_BACK_OFF_S
        while not self.over.is_set():
            try:
                with psycopg.connect(**self._connection, autocommit=True, prepare_threshold=None) as connection:  # type: ignore[arg-type]
                    back_off_s = MIN_BACK_OFF_S
                    if not self._keep(connection):
                        return
            except (psycopg.Error, OSError):
                self.over.wait(random.uniform(0.0, back_off_s))  # noqa: S311  # jitter, no secret
                back_off_s = min(MAX_BACK_OFF_S, 2 * back_off_s)

    def _keep(self, connection: Any) -> bool:
        """Until everything is over (False), or the connection has to be opened again.  Raises psycopg.Error."""

        def query(question: str, *values: int) -> Any:
            return connection.execute(question, values).fetchone()[0]

        if query("SELECT pg_backend_pid()") != connection.info.backend_pid:
            self.exit_code = POOLED
            return False
        holds, said_s = False, time.monotonic()
        while not self.over.is_set():
            now_s = time.monotonic()
            if self._goes_on(self._parent) != holds:
                if holds:
                    query("SELECT pg_advisory_unlock_shared(%s::int4, %s::int4)::text", *self._lock)
                    holds = False
                else:
                    holds = query("SELECT pg_try_advisory_lock_shared(%s::int4, %s::int4)", *self._lock)
                said_s = now_s
            elif now_s - said_s >= SAY_S:
                if query("SELECT pg_is_in_recovery()"):
                    return True  # another server is the primary now
                said_s = now_s
            self.over.wait(LOOK_S)
        return False


def lives(parent: int, until: Callable[[], bool]) -> None:
    """Wait for the end of *parent*, of the pipe, or for *until*."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    if hasattr(os, "pidfd_open"):  # forked copies of the parent hold the pipe open as well
        try:
            poll.register(os.pidfd_open(parent), select.POLLIN)
        except ProcessLookupError:
            return
        except OSError:  # not allowed here: once a second is enough
            pass
    while os.getppid() == parent and not until() and not poll.poll(LOOK_S * 1000):
        pass


def main() -> None:
    for name in IGNORED:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    line = sys.stdin.buffer.readline()
    if not line:  # the process that started it has died meanwhile
        return
    settings = json.loads(line)
    sys.path[:] = settings["path"]
    stores = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    keeper = Keeper(settings, runpy.run_path(os.path.join(stores, "host", "process_state.py"))["goes_on"])
    thread = threading.Thread(target=keeper.run, daemon=True)
    thread.start()
    lives(int(settings["parent"].split()[0]), lambda: not thread.is_alive())
    keeper.over.set()
    thread.join(CLOSE_S)
    os._exit(keeper.exit_code)  # whatever the thread still waits for


if __name__ == "__main__":
    main()
